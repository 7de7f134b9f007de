"""MMD between joint laws, which ties the pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tvae.divergences._kernels import (
    AT_UNIT_SHIFT,
    KERNELS,
    Estimator,
    KernelName,
    check_options,
    mmd_squared,
)
from tvae.divergences.base import Divergence, Side

FLOOR = 1e-3
"""Root mean square deviation per dimension below which what is given counts as constant."""


class MMDJoint(Divergence):
    """MMD^2 between the joint samples (z, T, z_1) and (z, T, r(z, T)).

    Equal joint laws mean that z_1 is distributed as r(z, T) *given* z and T, which the marginal
    MMD leaves open. Without anything given (the prior term) it is the marginal MMD.

    z and T enter centred and divided by one number each, so that the variances of a block sum to D:
    T has the weight of D dimensions whatever its P, and the kernel is told N = D times the number
    of blocks. So neither the size of T nor its P decides how much a difference of z_1 and r(z, T)
    costs. One number, as T's dimensions are in one unit, and those that hardly vary should hardly
    count. What is given is held constant: the gradient reaches z and T through r(z, T) alone, or
    descent would spread them apart instead of making them say what z_1 is.

    Args:
        kernel: as for the marginal MMD.
        estimator: as for the marginal MMD. ``biased`` is 0 for z_1 = r(z, T) and positive else;
            ``wae`` pays for larger latents there, ``unbiased`` may prefer other pairs.
        given: which of ``z`` and ``T`` join the sample; at least one.

    Raises:
        ValueError: an unknown kernel, estimator or entry of `given`.

    Source: ours, after the paper's Eq. 3, whose D is a divergence between conditional laws.
    """

    pairs = True
    choices = (
        "The kernel ({kernel}) and the estimator ({estimator}) of the MMD between joint laws.",
    )

    def __init__(
        self,
        kernel: KernelName = "imq",
        estimator: Estimator = "biased",
        given: Sequence[str] = ("z", "T"),
    ) -> None:
        super().__init__()
        check_options(kernel, estimator)
        if not given or not set(given) <= {"z", "T"}:
            raise ValueError(f"given must name z, T or both, got {list(given)}")
        self.kernel, self.estimator, self.given = kernel, estimator, tuple(given)
        self.pairs = estimator == "biased"

    def at_unit_shift(self, latent_dim: int) -> float:
        """That of the kernel in all dimensions of the joint sample, of which z_1 alone is shifted.

        As a prior, with nothing given, a shift costs more.
        """
        return AT_UNIT_SHIFT[self.kernel](latent_dim * (1 + len(self.given)))

    def forward(
        self,
        q: Side,
        p: Side,
        given: Mapping[str, Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """MMD^2 of the joint samples, a scalar.

        Raises:
            ValueError: fewer than two samples a side, or sides of unequal shape.
        """
        dim = q.sample.shape[1]
        shared = [] if given is None else [_weighing(dim, given[name]) for name in self.given]
        return mmd_squared(
            torch.cat([*shared, q.sample], dim=1),
            torch.cat([*shared, p.sample], dim=1),
            KERNELS[self.kernel],
            self.estimator,
            dim * (1 + len(shared)),
        )


def _weighing(dim: int, block: Tensor) -> Tensor:
    """`block`, B P, held constant, centred, its variances over the batch scaled to sum to `dim`."""
    centred = block.detach() - block.detach().mean(0)
    variance = centred.square().sum(1).mean().clamp_min(FLOOR**2 * block.shape[1])
    return centred * (dim / variance).sqrt()
