"""A family of transformations that fails on request: what tests put in a worker's way."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Literal

import torch

from tvae.families.rotation import Rotation


class Faulty(Rotation):
    """Rotations; at a certain batch of a process something happens.

    Args:
        fault: ``raise`` an error; ``kill`` the process as the system does when memory runs out;
            ask for more ``memory`` than there is; ``wait`` for as long as there is a file ``gate``
            in `folder`; ``note`` from then on, in a file for each process and stream of views, what
            the batches are.
        at: the batch, counted from 1 in every process.
        folder: where it waits; left out: the folder that the study was started in.
    """

    def __init__(
        self,
        fault: Literal["none", "raise", "kill", "memory", "wait", "note"] = "none",
        at: int = 6,
        folder: str = ".",
    ) -> None:
        super().__init__()
        self.fault, self.at, self.folder = fault, at, Path(folder)
        self.calls = 0

    def views(self, x, generator):
        """As `Rotation`, unless it is time."""
        self.calls += 1
        if self.calls == self.at:
            if self.fault == "raise":
                raise RuntimeError("the sixth batch is bad")
            # a driver that measures a step is to live on
            if self.fault == "kill" and multiprocessing.parent_process() is not None:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.fault == "memory":
                torch.empty(2**55)
            while self.fault == "wait" and (self.folder / "gate").exists():
                (self.folder / "waiting").touch()
                time.sleep(0.02)
        seen = super().views(x, generator)
        if self.fault == "note" and self.calls >= self.at:
            digest = hashlib.sha256()
            for image in (x, *seen[:2]):
                digest.update(image.contiguous().numpy().tobytes())
            with Path(f"seen-{generator.initial_seed()}-{os.getpid()}").open("a") as file:
                file.write(f"{digest.hexdigest()}\n")
        return seen
