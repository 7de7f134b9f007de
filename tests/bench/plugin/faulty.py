"""A family of transformations that fails on request: what tests put in a worker's way."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Literal

from tvae.families.rotation import Rotation


class Faulty(Rotation):
    """Rotations; at the sixth batch of a process something happens.

    Args:
        fault: ``raise`` an error; ``kill`` the process as the system does when memory runs out;
            ``wait`` for as long as there is a file ``gate`` in the folder of the study.
    """

    def __init__(self, fault: Literal["none", "raise", "kill", "wait"] = "none") -> None:
        super().__init__()
        self.fault = fault
        self.calls = 0

    def views(self, x, generator):
        """As `Rotation`, unless it is the sixth time."""
        self.calls += 1
        if self.calls == 6:
            if self.fault == "raise":
                raise RuntimeError("the sixth batch is bad")
            if self.fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            while self.fault == "wait" and Path("gate").exists():
                Path("waiting").touch()
                time.sleep(0.02)
        return super().views(x, generator)
