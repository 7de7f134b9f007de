"""The 2-Wasserstein distance between Gaussians."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from tvae.divergences import Divergence, Side
from tvae.space import Float, Space


class GaussianWasserstein(Divergence):
    """W_2^2 of diagonal Gaussians, |mean_q - mean_p|^2 + |sigma_q - sigma_p|^2, batch mean.

    Unlike the KL it stays finite as a sigma goes to 0. A side without moments, such as r(z, T), is
    the mean of N(r(z, T), s^2 I).

    Args:
        scale: s, above 0.

    Raises:
        ValueError: `scale` is not positive.

    Source: Olkin and Pukelsheim, "The distance between two random vectors with given dispersion
    matrices" (1982).
    """

    pairs = True
    space: ClassVar[Space] = {"scale": Float(0.05, 1.0, 0.3, log=True)}

    def __init__(self, scale: float = 0.3) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError(f"scale must be above 0, got {scale}")
        self.scale = scale

    def at_unit_shift(self, latent_dim: int) -> float:
        """1, the squared distance of the means."""
        return 1.0

    def forward(
        self,
        q: Side,
        p: Side,
        given: Mapping[str, Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """W_2^2, a scalar.

        Raises:
            ValueError: q has no moments.
        """
        if q.mean is None or q.logvar is None:
            raise ValueError("gaussian_wasserstein needs the moments of its first side")
        mean = p.sample if p.mean is None else p.mean
        sigma = self.scale if p.logvar is None else (0.5 * p.logvar).exp()
        spread = ((0.5 * q.logvar).exp() - sigma).square()
        return ((q.mean - mean).square() + spread).sum(1).mean()
