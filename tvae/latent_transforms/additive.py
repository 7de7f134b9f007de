"""The paper's form: a shift."""

from __future__ import annotations

from torch import Tensor

from tvae.latent_transforms.base import LatentTransform


class Additive(LatentTransform):
    """r(z, T) = z + T, r(z, T^-1) = z - T, T_id = 0, P = D.

    Shifts commute, so the form cannot represent transformations whose order matters.

    Source: paper, Sec. 2, below Eq. 3.
    """

    claims = frozenset({"inverse", "identity", "abelian", "closed"})

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """(D,)."""
        return (self.latent_dim,)

    @property
    def unit(self) -> float:
        """One: what T is long, z moves."""
        return 1.0

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """``z + T``, B D."""
        return z + t

    def inverse(self, z: Tensor, t: Tensor) -> Tensor:
        """``z - T``, B D."""
        return z - t

    def compose(self, s: Tensor, t: Tensor) -> Tensor:
        """``S + T``, B P."""
        return s + t
