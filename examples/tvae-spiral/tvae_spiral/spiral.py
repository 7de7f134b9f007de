"""Multiplication by complex numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from tvae.latent_transforms import LatentTransform


class Spiral(LatentTransform):
    """r(z, T) = exp(a + ib) z, z as D/2 complex numbers, T = (a, b), T_id = 0, P = D.

    Every pair of z is turned by b (radians) and stretched by exp(a): as T grows, z runs along a
    logarithmic spiral. The form commutes, and is closed, but unlike rotations it changes norms.

    Args:
        latent_dim: D, even.

    Raises:
        ValueError: D is odd.

    Source: an example; matrices with complex eigenvalues act like this on their planes.
    """

    claims = frozenset({"inverse", "identity", "abelian", "closed"})
    reach = 80.0  # exp(80) is well inside float32

    def __init__(self, latent_dim: int) -> None:
        super().__init__(latent_dim)
        if latent_dim % 2:
            raise ValueError(f"latent_dim must be even, got {latent_dim}")

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """(2, D/2): the logarithms of the stretches, then the angles."""
        return (2, self.latent_dim // 2)

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """``exp(a + ib) z``, B D."""
        real, imaginary = z.chunk(2, dim=1)
        log_stretch, angle = t.chunk(2, dim=1)
        stretch, sine, cosine = log_stretch.exp(), angle.sin(), angle.cos()
        turned = [cosine * real - sine * imaginary, sine * real + cosine * imaginary]
        return torch.cat([stretch * part for part in turned], dim=1)

    def inverse(self, z: Tensor, t: Tensor) -> Tensor:
        """``exp(-a - ib) z``, B D."""
        return self(z, -t)

    def compose(self, s: Tensor, t: Tensor) -> Tensor:
        """``S + T``, B P."""
        return s + t
