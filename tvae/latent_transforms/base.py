"""The abstract latent transform.

Legend: `B` batch, `D` latent size, `P` size of T for one sample.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import prod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tvae.registry import Choices
from tvae.space import Space

CLAIMS = frozenset({"inverse", "identity", "abelian", "norm", "closed"})
"""What a form may declare, each measured in float64 by `tvae.testing`.

======== ===================================================================
inverse  r(r(z, T), T^-1) = z, and the other way round
identity r(z, T_id) = z
abelian  r(r(z, S), T) = r(r(z, T), S)
norm     |r(z, T)| = |z|
closed   r(r(z, S), T) = r(z, compose(S, T))
======== ===================================================================
"""


class LatentTransform(nn.Module, ABC):
    """r_chi(z, T): how a latent transformation T acts on a latent z (paper, Sec. 2, Eq. 1).

    Args:
        latent_dim: D, at least 1.

    Attributes:
        claims: the algebraic laws that hold for this instance, a subset of `CLAIMS`.
        reach: for |z| = 1 and every T with |T - T_id|_1 up to this, r(z, T) and r(z, T^-1) are
            finite in float32 (of a form without the claim ``inverse``, r(z, T) alone).
        space: constructor options worth tuning.
        unit: the size of T at which every form moves latents as far: the T = T_id + unit * e, e
            standard normal, move z by as much as z is long, to first order, so that
            ``E |r(z, T_id + a unit e) - r(z, T_id)|^2 = a^2 E |z|^2`` for standard normal z and
            small a.
        choices: what is decided here where the paper is silent, see `registry.Choices`.

    Raises:
        ValueError: D is not positive (forms add their own).
    """

    claims: frozenset[str] = frozenset()
    reach: float = 1e30
    space: ClassVar[Space] = {}
    choices: ClassVar[Choices] = ()

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        if latent_dim < 1:
            raise ValueError(f"latent_dim must be at least 1, got {latent_dim}")
        self.latent_dim = latent_dim

    @property
    @abstractmethod
    def parameter_shape(self) -> tuple[int, ...]:
        """Shape of T for one sample."""

    @property
    def parameter_size(self) -> int:
        """P, the product of `parameter_shape`."""
        return prod(self.parameter_shape)

    @property
    def unit(self) -> float:
        """See the class; measured, with the form's weights as they are, unless it knows better."""
        return measured_unit(self)

    @abstractmethod
    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """r(z, T): z of B D, t of B P, to B D."""

    def inverse(self, z: Tensor, t: Tensor) -> Tensor:
        """r(z, T^-1): z of B D, t of B P, to B D.

        A form without the claim ``inverse`` has none. What this returns then, r(z, -T) unless the
        form says otherwise, is what the metrics take for it and measure; no model trains on it.
        """
        out: Tensor = self(z, -t)
        return out

    def identity(self) -> Tensor:
        """T_id of shape P: zeros, unless a form says otherwise."""
        return torch.zeros(self.parameter_size)

    def compose(self, s: Tensor, t: Tensor) -> Tensor:
        """The T' with r(r(z, S), T) = r(z, T'), B P; only with the claim ``closed``."""
        raise NotImplementedError(f"{type(self).__name__} is not closed under composition")

    def scale(self, t: Tensor, a: float) -> Tensor:
        """T^a for a in [0, 1], B P: a path from the identity to T, for interpolation."""
        return a * t

    def diagnostics(self, t: Tensor) -> dict[str, Tensor]:
        """Numbers about T that this form wants measured, name -> B; none by default."""
        return {}


def measured_unit(form: LatentTransform, samples: int = 1024) -> float:
    """`LatentTransform.unit` of a form with weights, as they are; 1 where T does nothing.

    By central differences at a = 0.001, in float64, always with the same random numbers.
    """
    if any(value.is_meta for value in form.state_dict().values()):
        return 1.0  # where a model is built for its shapes alone
    generator, a = torch.Generator().manual_seed(0), 1e-3
    weights = {name: value.double() for name, value in form.state_dict().items()}
    z = torch.randn(samples, form.latent_dim, generator=generator, dtype=torch.float64)
    e = torch.randn(samples, form.parameter_size, generator=generator, dtype=torch.float64)
    ahead, behind = (
        functional_call(form, weights, (z, form.identity().double() + sign * a * e))
        for sign in (1, -1)
    )
    moved = float((ahead - behind).square().sum().sqrt() / (2 * a))
    return float(z.norm()) / moved if moved else 1.0


def condition(blocks: Tensor) -> Tensor:
    """The 2-norm condition number of block-diagonal matrices, B, of their blocks B K m m.

    Infinite where one is singular and NaN where one is not finite, for which torch would raise: an
    exploded T must not take the other measurements with it.
    """
    finite = blocks.isfinite().flatten(1).all(1)
    singular = torch.linalg.svdvals(torch.where(finite[:, None, None, None], blocks, 1.0)).flatten(
        1
    )
    return torch.where(finite, singular.amax(1) / singular.amin(1), torch.nan)
