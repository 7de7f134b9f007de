"""Named random streams: what pairs two arms of one seed.

Every random decision draws from the stream of its own name, derived from the seed and the name
alone. An arm that draws more noise than another therefore shifts nobody else's draws: two arms of
one seed see the same split, shared initial weights, batch order and transformations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from tvae.ahead import Ahead, Draw, K, V


def derive_seed(seed: int, name: str) -> int:
    """A 63-bit seed for the stream `name` of `seed`: the head of SHA-256 of both."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big") >> 1


class Streams:
    """The random streams of one run.

    Generators live on the CPU whatever the device of the model, so that a seed means the same
    draws everywhere; what is drawn is moved.

    Args:
        seed: the run's seed, any integer.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._generators: dict[str, torch.Generator] = {}
        self._given: set[str] = set()
        self._pool: Executor | None = None
        self._ahead: dict[str, Ahead[Any, Any]] = {}

    def __call__(self, name: str) -> torch.Generator:
        """The generator of the stream `name`, created at its first use.

        Whoever has it may draw at any time, so from then on nothing of it is drawn ahead.
        """
        self._given.add(name)
        if name in self._ahead:
            self._ahead.pop(name).settle()
        return self._generator(name)

    def _generator(self, name: str) -> torch.Generator:
        if name not in self._generators:
            generator = torch.Generator()
            generator.manual_seed(derive_seed(self.seed, name))
            self._generators[name] = generator
        return self._generators[name]

    @contextmanager
    def ahead(self, device: torch.device) -> Iterator[None]:
        """Within: a thread makes the draws before they are asked for, and the same ones.

        Args:
            device: that they are for.
        """
        # what it asks of a GPU must come after what the GPU was asked for before
        queue = torch.cuda.current_stream(device) if device.type == "cuda" else None
        start = (torch.cuda.set_stream, (queue,)) if queue else ()
        with ThreadPoolExecutor(1, "draws", *start) as self._pool:
            try:
                yield
            finally:
                for ahead in self._ahead.values():
                    ahead.settle()
                self._ahead, self._pool = {}, None

    def drawn(self, name: str, draw: Draw[K, V], key: K, then: Callable[[K], K] | None = None) -> V:
        """``draw(key, generator)`` of the stream `name`, which may have been made ahead.

        Args:
            name: of the stream.
            draw: what is drawn; called by another thread where it is made ahead.
            key: what of it.
            then: from a key to the one that will probably be asked for next; None: the same.
        """
        if self._pool is None or name in self._given:
            return draw(key, self._generator(name))
        if name not in self._ahead:
            self._ahead[name] = Ahead(self._pool, self._generator(name))
        found: V = self._ahead[name].take(draw, key, then or (lambda key: key))
        return found

    @contextmanager
    def initialising(self, name: str) -> Iterator[None]:
        """Within: torch's global generator draws the stream ``init/name`` (for new layers)."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.seed, f"init/{name}"))
            yield

    def normal(self, name: str, like: Tensor) -> Tensor:
        """Standard normal noise from the stream `name`, of the shape, dtype, device of `like`."""
        return self.drawn(name, _normal, (like.shape, like.dtype, like.device))

    def state(self) -> dict[str, Tensor]:
        """The state of every stream used so far, name -> bytes; of what was taken from it."""
        return {
            name: self._ahead[name].taken if name in self._ahead else generator.get_state()
            for name, generator in self._generators.items()
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Continue where `state` was taken."""
        for name in list(self._ahead):
            self._ahead.pop(name).settle()
        self._generators.clear()
        self._given.clear()
        for name, bytes_ in state.items():
            self._generator(name).set_state(bytes_)


def _normal(of: tuple[torch.Size, torch.dtype, torch.device], generator: torch.Generator) -> Tensor:
    shape, dtype, device = of
    # a GPU fetches from pinned memory by itself
    pinned = device.type == "cuda"
    noise = torch.randn(shape, generator=generator, dtype=dtype, pin_memory=pinned)
    return noise.to(device, non_blocking=True)
