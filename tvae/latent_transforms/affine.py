"""A matrix times z plus a shift, both in one exponential."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor
from torch.nn import functional

from tvae.latent_transforms._exponential import REACH, exponential_action
from tvae.latent_transforms.base import LatentTransform, condition


class Affine(LatentTransform):
    """(r(z, T), 1) = exp([[A, b], [0, 0]]) (z, 1), inverse exp(-...), T_id = 0, P = D*D + D.

    That is ``exp(A) z + phi(A) b`` with ``phi(A) = (exp(A) - I) A^-1 = I + A/2! + A^2/3! + ...``:
    `additive` where A = 0, `matrix` where b = 0. Matrix and shift lie in one one-parameter
    subgroup, so that T^a is a*T. As with `matrix`, a product of two need not be such an
    exponential.

    Source: paper, Sec. 2 and 4 (its two forms in one); generators of matrix groups: Hall, "Lie
    Groups, Lie Algebras, and Representations" (2nd ed., Springer 2015).
    """

    claims = frozenset({"inverse", "identity"})
    reach = REACH  # |[[A, b], [0, 0]]|_1, its largest column sum, is at most |T|_1

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """(D, D + 1): the rows of [A, b]."""
        return (self.latent_dim, self.latent_dim + 1)

    @property
    def unit(self) -> float:
        """One over the root of D + 1: D numbers of A's row and the shift."""
        return 1 / sqrt(self.latent_dim + 1)

    def _act(self, z: Tensor, t: Tensor) -> Tensor:
        generator = functional.pad(t.reshape(-1, *self.parameter_shape), (0, 0, 0, 1))
        extended = functional.pad(z, (0, 1), value=1.0).unsqueeze(2)
        return exponential_action(generator, extended).squeeze(2)[:, :-1]

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """``exp(A) z + phi(A) b``, B D."""
        return self._act(z, t)

    def inverse(self, z: Tensor, t: Tensor) -> Tensor:
        """``exp(-A) z - phi(-A) b``, B D."""
        return self._act(z, -t)

    def diagnostics(self, t: Tensor) -> dict[str, Tensor]:
        """``condition``: the 2-norm condition number of exp(A), B."""
        a = t.reshape(-1, *self.parameter_shape)[:, :, :-1]
        return {"condition": condition(torch.linalg.matrix_exp(a.double()).unsqueeze(1))}
