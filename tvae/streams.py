"""Named random streams: what pairs two arms of one seed.

Every random decision draws from the stream of its own name, derived from the seed and the name
alone. An arm that draws more noise than another therefore shifts nobody else's draws: two arms of
one seed see the same split, shared initial weights, batch order and transformations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


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

    def __call__(self, name: str) -> torch.Generator:
        """The generator of the stream `name`, created at its first use."""
        if name not in self._generators:
            generator = torch.Generator()
            generator.manual_seed(derive_seed(self.seed, name))
            self._generators[name] = generator
        return self._generators[name]

    @contextmanager
    def initialising(self, name: str) -> Iterator[None]:
        """Within: torch's global generator draws the stream ``init/name`` (for new layers)."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.seed, f"init/{name}"))
            yield

    def normal(self, name: str, like: Tensor) -> Tensor:
        """Standard normal noise from the stream `name`, of the shape, dtype, device of `like`."""
        noise = torch.randn(like.shape, generator=self(name), dtype=like.dtype)
        return noise.to(like.device)

    def state(self) -> dict[str, Tensor]:
        """The state of every stream used so far, name -> bytes."""
        return {name: generator.get_state() for name, generator in self._generators.items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Continue where `state` was taken."""
        self._generators.clear()
        for name, bytes_ in state.items():
            self(name).set_state(bytes_)
