"""SIGINT and SIGTERM as an exception, once; the second one ends the process."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any


class Interrupted(BaseException):
    """Somebody asked the process to stop; `signal` is the number of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.signal = number


class Interrupts:
    """Within: the first SIGINT or SIGTERM raises `Interrupted`, a second exits at once."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __enter__(self) -> Interrupts:
        self.before: dict[int, Any] = {n: signal.signal(n, self._first) for n in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _first(self, number: int, frame: FrameType | None) -> None:
        for other in self.SIGNALS:
            signal.signal(other, lambda again, _: os._exit(128 + again))
        raise Interrupted(number)
