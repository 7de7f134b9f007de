"""Kullback-Leibler divergence, sample by sample."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from typing import ClassVar

import torch
from torch import Tensor, nn

from tvae.divergences.base import Divergence, Side, gaussian_kl
from tvae.registry import Choices
from tvae.space import Float, Space


class KL(Divergence):
    """KL[q || p] in closed form between diagonal Gaussians, mean over the batch, in nats.

    Against a side with moments (the standard normal prior) it is their KL. Against an implicit
    side (r(z, T), of which there is a sample only) that sample is the mean of N(r(z, T), s^2 I):
    each z_1 is tied to its own z and T. As coherence the closed form averages over z_1 with z and T
    held fixed, although both were computed from a sample of the same z_1: it takes q(z_1|x_1) q(z,
    T) for their joint law, and a z_1 integrated over is not the z_1 that made z and T.

    Args:
        scale: s, above 0.
        learn_scale: s is a parameter of the model, starting at `scale`.

    Raises:
        ValueError: `scale` is not positive.

    Source: paper, Eq. 3, where D[x, y] = E[log x - log y]; the Gaussian around r(z, T) is ours.
    """

    pairs = True
    space: ClassVar[Space] = {"scale": Float(0.05, 1.0, 0.3, log=True)}
    # against a side with moments there is no Gaussian of ours
    prior_space: ClassVar[Space | None] = {}
    choices: ClassVar[Choices] = {
        "coherence": (
            "The KL of every sample is that from a Gaussian around r(z, T) of deviation {scale:g}, "
            "learn_scale = {learn_scale}.",
        )
    }

    def __init__(self, scale: float = 0.3, learn_scale: bool = False) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError(f"scale must be above 0, got {scale}")
        log_scale = torch.tensor(log(scale))
        if learn_scale:
            self.log_scale: Tensor = nn.Parameter(log_scale)
        else:
            self.register_buffer("log_scale", log_scale, persistent=False)

    def at_unit_shift(self, latent_dim: int) -> float:
        """1/2, between sides with moments; around r(z, T) a shift of that costs 1 / (2 s^2)."""
        return 0.5

    def forward(
        self,
        q: Side,
        p: Side,
        given: Mapping[str, Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """KL[q || p], a scalar in nats.

        Raises:
            ValueError: q has no moments.
        """
        if q.mean is None or q.logvar is None:
            raise ValueError("the KL needs the moments of its first side")
        if p.mean is None or p.logvar is None:
            return gaussian_kl(q.mean, q.logvar, p.sample, 2 * self.log_scale).mean()
        return gaussian_kl(q.mean, q.logvar, p.mean, p.logvar).mean()
