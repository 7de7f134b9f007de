"""Draws made before they are asked for, by a thread.

Random numbers are drawn on the CPU, so that a seed means the same everywhere. An accelerator would
wait for them in every step; here a thread draws while it computes. That changes no number: what
was foreseen wrongly is thrown away, and the generator goes back to where the last draw that was
taken ended. So does whoever asks for its state, whatever was drawn ahead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from typing import Generic, TypeVar

import torch
from torch import Tensor

K = TypeVar("K")
V = TypeVar("V")

Draw = Callable[[K, torch.Generator], V]
"""What is made of a key, such as a shape, and a generator."""

DEPTH = 2
"""Draws of a stream that lie ready."""


class Ahead(Generic[K, V]):
    """One stream, drawn ahead: equal keys in an equal order give equal draws.

    Args:
        pool: of one thread, so that draws are made in the order in which they are foreseen.
        generator: the stream's, which is this object's alone until `settle`.

    Attributes:
        taken: the generator's state after the last draw that was taken.
    """

    def __init__(self, pool: Executor, generator: torch.Generator) -> None:
        self.pool, self.generator = pool, generator
        self.taken: Tensor = generator.get_state()
        self._waiting: deque[tuple[K, Future[tuple[V, Tensor]]]] = deque()

    def take(self, draw: Draw[K, V], key: K, then: Callable[[K], K]) -> V:
        """``draw(key, generator)``, and the thread goes on with what will be asked for next.

        Args:
            draw: called by the thread; what it raises is raised here when its turn has come.
            key: told apart by equality.
            then: from a key to the one that will probably follow.
        """
        if self._waiting and self._waiting[0][0] != key:
            self.settle()
        while len(self._waiting) <= DEPTH:
            self._foresee(draw, then(self._waiting[-1][0]) if self._waiting else key)
        _, future = self._waiting.popleft()
        value, self.taken = future.result()
        return value

    def _foresee(self, draw: Draw[K, V], key: K) -> None:
        def made() -> tuple[V, Tensor]:
            return draw(key, self.generator), self.generator.get_state()

        self._waiting.append((key, self.pool.submit(made)))

    def settle(self) -> None:
        """Forget what was foreseen: the generator is where the last draw that was taken ended."""
        wait([future for _, future in self._waiting if not future.cancel()])
        self._waiting.clear()
        self.generator.set_state(self.taken)
