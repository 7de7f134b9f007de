"""A free matrix times z, the paper's literal Tz."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

from tvae.latent_transforms.base import LatentTransform, condition


class MatrixFree(LatentTransform):
    """r(z, T) = (I + A) z, r(z, T^-1) = (I + A)^-1 z, A = T as D x D, T_id = 0, P = D*D.

    Nothing keeps I + A invertible: where it is singular the inverse is not finite, and near that
    it is ill-conditioned. `diagnostics` measures it.

    Source: paper, Sec. 4 ("a function of the form Tz").
    """

    claims = frozenset({"inverse", "identity", "closed"})
    reach = 0.99  # |A|_1 < 1 keeps I + A invertible (Neumann series)

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """(D, D)."""
        return (self.latent_dim, self.latent_dim)

    @property
    def unit(self) -> float:
        """One over the root of D."""
        return 1 / sqrt(self.latent_dim)

    def matrix(self, t: Tensor) -> Tensor:
        """``I + A``, B D D."""
        eye = torch.eye(self.latent_dim, dtype=t.dtype, device=t.device)
        return eye + t.reshape(-1, *self.parameter_shape)

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """``(I + A) z``, B D."""
        return torch.bmm(self.matrix(t), z.unsqueeze(2)).squeeze(2)

    def inverse(self, z: Tensor, t: Tensor) -> Tensor:
        """The solution y of (I + A) y = z, B D; not finite where I + A is singular."""
        # solve_ex does not raise: one singular sample must show as a diverged trial, not a crash
        solution: Tensor = torch.linalg.solve_ex(self.matrix(t), z.unsqueeze(2)).result
        return solution.squeeze(2)

    def compose(self, s: Tensor, t: Tensor) -> Tensor:
        """``(I + T)(I + S) - I``, B P."""
        product = torch.bmm(self.matrix(t), self.matrix(s))
        eye = torch.eye(self.latent_dim, dtype=t.dtype, device=t.device)
        return (product - eye).reshape(len(t), -1)

    def diagnostics(self, t: Tensor) -> dict[str, Tensor]:
        """``condition``: the 2-norm condition number of I + A, B."""
        return {"condition": condition(self.matrix(t).double().unsqueeze(1))}
