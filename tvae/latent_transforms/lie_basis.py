"""A few learned generators, of which T holds the coordinates."""

from __future__ import annotations

from math import sqrt
from typing import ClassVar

import torch
from torch import Tensor, nn

from tvae.latent_transforms._exponential import REACH, exponential_action
from tvae.latent_transforms.base import LatentTransform, condition
from tvae.space import Int, Space


class LieBasis(LatentTransform):
    """r(z, T) = exp(sum_k T_k G_k) z, G_k learned D x D, inverse exp(-sum_k T_k G_k) z, P = K.

    T_id = 0. What kinds of motion there are is learned once, in G; T only says how much of each:
    P does not grow with D. `matrix` is the extreme in which every matrix with a single 1 is one.

    The numbers of G start uniform in ``+-sqrt(3 / (D K))``: then ``sum_k T_k G_k`` of standard
    normal T has eigenvalues of about 1 (circular law), and ``|G_k|_1 <= sqrt(3 D / K)`` for sure,
    which gives `reach` = 80 / sqrt(3 D / K). Training may make G larger, and then the reach
    shrinks as ``80 / max_k |G_k|_1``.

    Args:
        latent_dim: D.
        generators: K, at least 1. Powers of one generator commute and are closed.

    Raises:
        ValueError: `generators` is below 1.

    Source: Rao and Ruderman, "Learning Lie groups for invariant visual perception" (NIPS 1998);
    Sohl-Dickstein, Wang and Olshausen, "An unsupervised algorithm for learning Lie group
    transformations" (2010), arXiv:1001.1027.
    """

    space: ClassVar[Space] = {"generators": Int(1, 32, 8)}

    def __init__(self, latent_dim: int, generators: int = 8) -> None:
        super().__init__(latent_dim)
        if generators < 1:
            raise ValueError(f"generators must be at least 1, got {generators}")
        largest = sqrt(3 / (latent_dim * generators))
        self.basis = nn.Parameter(
            torch.empty(generators, latent_dim, latent_dim).uniform_(-largest, largest)
        )
        self.reach = REACH / (latent_dim * largest)
        claims = {"inverse", "identity"}
        if generators == 1 or latent_dim == 1:
            claims |= {"abelian", "closed"}
        self.claims = frozenset(claims)

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """(K,)."""
        return (len(self.basis),)

    def generator(self, t: Tensor) -> Tensor:
        """``sum_k T_k G_k``, B D D."""
        a: Tensor = t @ self.basis.flatten(1)
        return a.reshape(-1, self.latent_dim, self.latent_dim)

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """``exp(sum_k T_k G_k) z``, B D."""
        return exponential_action(self.generator(t), z.unsqueeze(2)).squeeze(2)

    def inverse(self, z: Tensor, t: Tensor) -> Tensor:
        """``exp(-sum_k T_k G_k) z``, B D."""
        return exponential_action(-self.generator(t), z.unsqueeze(2)).squeeze(2)

    def compose(self, s: Tensor, t: Tensor) -> Tensor:
        """``S + T`` where the generators commute, B P.

        Raises:
            NotImplementedError: they need not.
        """
        if "closed" not in self.claims:
            return super().compose(s, t)
        return s + t

    def diagnostics(self, t: Tensor) -> dict[str, Tensor]:
        """``condition``: the 2-norm condition number of exp(sum_k T_k G_k), B."""
        exp = torch.linalg.matrix_exp(self.generator(t).double())
        return {"condition": condition(exp.unsqueeze(1))}
