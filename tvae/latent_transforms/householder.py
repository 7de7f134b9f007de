"""Rotations as products of reflections."""

from __future__ import annotations

from math import ceil, pi
from typing import ClassVar

import torch
from torch import Tensor

from tvae.latent_transforms.base import LatentTransform
from tvae.space import Int, Space


class Householder(LatentTransform):
    """r(z, T) = H(v) H(u) z a pair, H(w) = I - 2 w w^T / |w|^2, inverse H(u) H(v) z, P = 2 D pairs.

    Two reflections are a rotation in the plane of u and v by twice the angle from u to v; D/2
    pairs give every rotation. Only the lines of u and v count, not their lengths and signs.
    T_id has u = v = e_k in pair k (modulo D), so that pairs start from different lines; a zero
    vector counts as e_k. At D = 2 all are rotations of one plane and commute; at D = 1, r = z.

    Args:
        latent_dim: D.
        pairs: at least 1, the first applied first.

    Raises:
        ValueError: `pairs` is below 1.

    Source: Householder, "Unitary triangularization of a nonsymmetric matrix" (J. ACM 5(4), 1958);
    in a VAE: Tomczak and Welling, "Improving variational auto-encoders using Householder flow"
    (2016), arXiv:1611.09630. In pairs, so that there is an identity, is ours.
    """

    space: ClassVar[Space] = {"pairs": Int(1, 8, 1)}

    def __init__(self, latent_dim: int, pairs: int = 1) -> None:
        super().__init__(latent_dim)
        if pairs < 1:
            raise ValueError(f"pairs must be at least 1, got {pairs}")
        self.pairs = pairs
        claims = {"inverse", "identity", "norm"}
        if latent_dim <= 2:
            claims.add("abelian")
        self.claims = frozenset(claims)

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """(pairs, 2, D): u and v of each."""
        return (self.pairs, 2, self.latent_dim)

    def identity(self) -> Tensor:
        """``u = v = e_k`` in pair k, P."""
        return self._axes(torch.get_default_dtype(), None).repeat(1, 2, 1).flatten()

    @property
    def unit(self) -> float:
        """sqrt(D / (16 pairs (D - 1))): to first order all pairs move z in the planes of e_k."""
        around = self.latent_dim - 1
        return (self.latent_dim / (16 * self.pairs * around)) ** 0.5 if around else 1.0

    def _axes(self, dtype: torch.dtype, device: torch.device | None) -> Tensor:
        eye = torch.eye(self.latent_dim, dtype=dtype, device=device)
        return eye.repeat(ceil(self.pairs / self.latent_dim), 1)[: self.pairs, None]

    def directions(self, t: Tensor) -> Tensor:
        """The unit vectors u, v of each pair, B pairs 2 D."""
        w = t.reshape(-1, *self.parameter_shape)
        # the largest number first: the square of a float32 leaves its range from 1e19 on
        size = w.detach().abs().amax(dim=-1, keepdim=True)
        zero = size < torch.finfo(t.dtype).tiny ** 0.5
        w = torch.where(zero, self._axes(t.dtype, t.device), w / torch.where(zero, 1.0, size))
        unit: Tensor = w / torch.linalg.vector_norm(w, dim=-1, keepdim=True)
        return unit

    @staticmethod
    def _reflect(z: Tensor, w: Tensor) -> Tensor:
        return z - 2 * (w * z).sum(dim=1, keepdim=True) * w

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """``... H(v_1) H(u_1) H(v_0) H(u_0) z``, B D."""
        for w in self.directions(t).flatten(1, 2).unbind(1):
            z = self._reflect(z, w)
        return z

    def inverse(self, z: Tensor, t: Tensor) -> Tensor:
        """``H(u_0) H(v_0) H(u_1) H(v_1) ... z``, B D."""
        for w in reversed(self.directions(t).flatten(1, 2).unbind(1)):
            z = self._reflect(z, w)
        return z

    def scale(self, t: Tensor, a: float) -> Tensor:
        """Each pair with v on the great circle from u to v, at `a` of the smaller angle, B P.

        Of one pair that is T^a, the root with the smallest angle; of several a path only.
        """
        u, v = self.directions(t).unbind(2)
        v = torch.where((u * v).sum(dim=-1, keepdim=True) < 0, -v, v)  # the same reflection
        # Kahan's formula: no loss of digits between near directions, no gradient of acos at 1
        angle = 2 * torch.atan2(
            torch.linalg.vector_norm(v - u, dim=-1, keepdim=True),
            torch.linalg.vector_norm(v + u, dim=-1, keepdim=True),
        )
        # slerp's sin((1-a) angle) / sin(angle) and sin(a angle) / sin(angle), at angle 0, too
        to_u = (1 - a) * torch.sinc((1 - a) * angle / pi)
        to_v = a * torch.sinc(a * angle / pi)
        between = (to_u * u + to_v * v) / torch.sinc(angle / pi)
        return torch.stack([u, between], dim=2).reshape(t.shape)
