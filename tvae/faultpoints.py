"""Where tests kill a process: every moment at which a kill could hurt has a name.

Nothing happens unless an environment variable says so, which only tests set:

- ``TVAE_FAULT=POINT``: SIGKILL at that point, the first time that any process reaches it.
  ``POINT:3`` waits for the third time in one process, ``POINT+0.5`` kills half a second later,
  ``A,B`` names two;
- ``TVAE_FAULT_FOLDER``: remembers which have fired, so that whoever continues is not killed again;
- ``TVAE_FAULT_LOG``: a file to which every point that is reached is appended, a line each.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from pathlib import Path

_reached: Counter[str] = Counter()


def reach(point: str) -> None:
    """Say that the process is at `point`."""
    log = os.environ.get("TVAE_FAULT_LOG")
    if log:
        with open(log, "a") as file:  # appends of a line do not interleave
            file.write(f"{point}\n")
    wanted = os.environ.get("TVAE_FAULT")
    if not wanted:
        return
    _reached[point] += 1
    for fault in wanted.split(","):
        where, _, delay = fault.partition("+")
        name, _, count = where.partition(":")
        if (name, int(count or 1)) == (point, _reached[point]) and _first(fault):
            if delay:
                threading.Timer(float(delay), _kill).start()
            else:
                _kill()


def _first(fault: str) -> bool:
    """Whether no process was killed by this fault before."""
    folder = os.environ.get("TVAE_FAULT_FOLDER")
    if folder is None:
        return True
    try:
        (Path(folder) / fault.replace("/", "_")).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
