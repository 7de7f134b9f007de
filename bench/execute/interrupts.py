"""SIGINT and SIGTERM as an exception, once; a second one, or too long a while, ends the process."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any


class Interrupted(BaseException):
    """Somebody asked the process to stop; `signal` is the number of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.signal = number


class Interrupts:
    """Within: the first SIGINT or SIGTERM raises `Interrupted`, a second exits at once.

    What takes longer than `PATIENCE` seconds to tidy up, such as a server that does not answer, is
    left: nothing that counts depends on it.
    """

    PATIENCE = 9.0

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __enter__(self) -> Interrupts:
        self.deadline: threading.Timer | None = None
        self.before: dict[int, Any] = {n: signal.signal(n, self._first) for n in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        if self.deadline is not None:
            self.deadline.cancel()

    def _first(self, number: int, frame: FrameType | None) -> None:
        for other in self.SIGNALS:
            signal.signal(other, lambda again, _: os._exit(128 + again))
        self.deadline = threading.Timer(self.PATIENCE, os._exit, [128 + number])
        self.deadline.daemon = True
        self.deadline.start()
        raise Interrupted(number)
