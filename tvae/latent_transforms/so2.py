"""Rotations of the planes of consecutive pairs of latent numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from tvae.latent_transforms.base import LatentTransform


class SO2(LatentTransform):
    """r(z, T) rotates z's i-th pair by the angle T_i (radians), inverse by -T_i, T_id = 0, P = D/2.

    The group of plane rotations, written with one number each: it commutes, is closed and keeps
    norms. `matrix` with ``block: 2, skew: true`` is the same group with four numbers a plane.

    Args:
        latent_dim: D, even.

    Raises:
        ValueError: D is odd.

    Source: Cohen and Welling, "Learning the irreducible representations of commutative Lie groups"
    (ICML 2014): a toroidal group in its own basis, here that of z.
    """

    claims = frozenset({"inverse", "identity", "abelian", "norm", "closed"})

    def __init__(self, latent_dim: int) -> None:
        super().__init__(latent_dim)
        if latent_dim % 2:
            raise ValueError(f"latent_dim must be even, got {latent_dim}")

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """(D/2,): one angle a plane."""
        return (self.latent_dim // 2,)

    @property
    def unit(self) -> float:
        """One: a small angle moves a pair by that times its length."""
        return 1.0

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """``(c x - s y, s x + c y)`` of each pair (x, y), c and s the cosine and sine of T_i."""
        cos, sin = t.cos(), t.sin()
        x, y = z.unflatten(1, (-1, 2)).unbind(2)
        return torch.stack([cos * x - sin * y, sin * x + cos * y], dim=2).flatten(1)

    def inverse(self, z: Tensor, t: Tensor) -> Tensor:
        """``r(z, -T)``, B D."""
        return self.forward(z, -t)

    def compose(self, s: Tensor, t: Tensor) -> Tensor:
        """``S + T``: angles add, B P."""
        return s + t
