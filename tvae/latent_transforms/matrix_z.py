"""z itself as a matrix."""

from __future__ import annotations

from math import isqrt, sqrt
from typing import Literal

from torch import Tensor

from tvae.latent_transforms._exponential import REACH, exponential_action
from tvae.latent_transforms.base import LatentTransform


def squarest(latent_dim: int) -> tuple[int, int]:
    """The shape (m, n), m >= n, m*n = D, nearest to a square: 10 -> (5, 2), 100 -> (10, 10)."""
    n = next(n for n in range(isqrt(latent_dim), 0, -1) if latent_dim % n == 0)
    return latent_dim // n, n


class MatrixZ(LatentTransform):
    """r(Z, T) = exp(A) Z exp(C), inverse exp(-A) Z exp(-C), Z = z as m x n, T_id = 0.

    With one side only, C = 0: that is a matrix form with equal diagonal blocks.

    Args:
        latent_dim: D = m*n.
        shape: (m, n); None: the factors of D nearest to a square.
        sides: ``both``: P = m*m + n*n; ``left``: P = m*m.

    Raises:
        ValueError: m*n is not D, or `sides` is neither of the two.

    Source: paper, Sec. 4 ("represent z itself as a matrix"), after Sutskever and Hinton, "Using
    matrices to model symbolic relationship" (2009); the exponentials are ours.
    """

    claims = frozenset({"inverse", "identity"})
    reach = REACH
    choices = ("The exponential, which makes a matrix form invertible; the paper writes Tz.",)

    def __init__(
        self,
        latent_dim: int,
        shape: tuple[int, int] | None = None,
        sides: Literal["left", "both"] = "both",
    ) -> None:
        super().__init__(latent_dim)
        self.rows, self.columns = squarest(latent_dim) if shape is None else shape
        if min(self.rows, self.columns) < 1 or self.rows * self.columns != latent_dim:
            raise ValueError(f"shape must be two factors of latent_dim={latent_dim}, got {shape}")
        if sides not in ("left", "both"):
            raise ValueError(f"sides must be 'left' or 'both', got {sides!r}")
        self.sides = sides

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """(m*m + n*n,) or (m*m,): the generators A and C, flattened."""
        return (self.rows**2 + (self.columns**2 if self.sides == "both" else 0),)

    @property
    def unit(self) -> float:
        """One over the root of m + n, the products in a number of A Z + Z C, or of m."""
        return 1 / sqrt(self.rows + (self.columns if self.sides == "both" else 0))

    def _act(self, z: Tensor, t: Tensor) -> Tensor:
        m, n = self.rows, self.columns
        out = exponential_action(t[:, : m * m].reshape(-1, m, m), z.reshape(-1, m, n))
        if self.sides == "both":
            # Z exp(C) = (exp(C^T) Z^T)^T
            c = t[:, m * m :].reshape(-1, n, n).transpose(1, 2)
            out = exponential_action(c, out.transpose(1, 2)).transpose(1, 2)
        return out.reshape(z.shape)

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """``exp(A) Z exp(C)``, B D."""
        return self._act(z, t)

    def inverse(self, z: Tensor, t: Tensor) -> Tensor:
        """``exp(-A) Z exp(-C)``, B D."""
        return self._act(z, -t)
