"""Files that are whole or absent."""

from __future__ import annotations

import os
from pathlib import Path

from tvae.faultpoints import reach


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content`: a kill at any moment leaves the old file or the new one.

    Raises:
        OSError: the file cannot be written; nothing is left behind.
    """
    kind = path.name.partition("-")[0]  # of a checkpoint the name tells step and digest, too
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    reach(f"{kind}/begin")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        reach(f"{kind}/written")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    reach(f"{kind}/end")
