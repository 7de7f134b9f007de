"""What the fault tests share: a study with everything in it, as real commands in a folder."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "bench"))

from harness import fresh
from real import undisturbed

__all__ = ["fresh", "undisturbed"]
