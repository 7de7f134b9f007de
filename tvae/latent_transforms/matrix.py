"""A matrix times z, invertible by construction."""

from __future__ import annotations

import torch
from torch import Tensor

from tvae.latent_transforms._exponential import REACH, exponential_action
from tvae.latent_transforms.base import LatentTransform, condition


class Matrix(LatentTransform):
    """r(z, T) = exp(A) z, r(z, T^-1) = exp(-A) z, A = T as D x D, T_id = 0, P = D*D.

    The exponential makes the inverse unique and exact. A product of exponentials need not be the
    exponential of a real matrix, so the form is not closed.

    Args:
        latent_dim: D.
        block: size b of the diagonal blocks of A, which must divide D (then P = D*b); None: D.
        skew: A is the skew-symmetric part ``(A - A^T)/2`` of T's blocks, so that exp(A) is
            orthogonal and keeps norms. Rotations of 2 x 2 blocks commute and are closed.

    Raises:
        ValueError: `block` does not divide D.

    Source: paper, Sec. 4 ("a function of the form Tz"); the exponential is ours.
    """

    reach = REACH
    choices = ("The exponential, which makes a matrix form invertible; the paper writes Tz.",)

    def __init__(self, latent_dim: int, block: int | None = None, skew: bool = False) -> None:
        super().__init__(latent_dim)
        self.block = latent_dim if block is None else block
        if self.block < 1 or latent_dim % self.block:
            raise ValueError(f"block must divide latent_dim={latent_dim}, got {block}")
        self.skew = skew
        claims = {"inverse", "identity"}
        if skew:
            claims.add("norm")
        if self.block == 1 or (skew and self.block == 2):
            claims |= {"abelian", "closed"}
        self.claims = frozenset(claims)

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """(D/b, b, b): the diagonal blocks."""
        return (self.latent_dim // self.block, self.block, self.block)

    def generator(self, t: Tensor) -> Tensor:
        """A's diagonal blocks, (B * D/b) b b."""
        a = t.reshape(-1, self.block, self.block)
        return (a - a.transpose(1, 2)) / 2 if self.skew else a

    def _act(self, a: Tensor, z: Tensor) -> Tensor:
        return exponential_action(a, z.reshape(-1, self.block, 1)).reshape(z.shape)

    @property
    def unit(self) -> float:
        """One over the root of b, of (b - 1)/2 where A is skew: the variances in a row of A."""
        row = (self.block - 1) / 2 if self.skew else self.block
        return row**-0.5 if row else 1.0

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """``exp(A) z``, B D."""
        return self._act(self.generator(t), z)

    def inverse(self, z: Tensor, t: Tensor) -> Tensor:
        """``exp(-A) z``, B D."""
        return self._act(-self.generator(t), z)

    def compose(self, s: Tensor, t: Tensor) -> Tensor:
        """``S + T`` where the blocks commute, B P.

        Raises:
            NotImplementedError: they do not.
        """
        if "closed" not in self.claims:
            return super().compose(s, t)
        return s + t

    def diagnostics(self, t: Tensor) -> dict[str, Tensor]:
        """``condition``: the 2-norm condition number of exp(A), B."""
        exp = torch.linalg.matrix_exp(self.generator(t).double())
        return {"condition": condition(exp.unflatten(0, (len(t), -1)))}
