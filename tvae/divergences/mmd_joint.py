"""MMD between joint laws, which ties the pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tvae.divergences._kernels import (
    KERNELS,
    Estimator,
    KernelName,
    check_options,
    mmd_squared,
)
from tvae.divergences.base import Divergence, Side


class MMDJoint(Divergence):
    """MMD^2 between the joint samples (z, T, z_1) and (z, T, r(z, T)).

    Equal joint laws mean that z_1 is distributed as r(z, T) *given* z and T, which the marginal
    MMD leaves open. Without anything given (the prior term) it is the marginal MMD.

    Args:
        kernel: as for the marginal MMD; N is the size of the joint sample.
        estimator: as for the marginal MMD.
        given: which of ``z`` and ``T`` join the sample; at least one.

    Raises:
        ValueError: an unknown kernel, estimator or entry of `given`.

    Source: ours, after the paper's Eq. 3, whose D is a divergence between conditional laws.
    """

    default_weight = 100.0
    pairs = True

    def __init__(
        self,
        kernel: KernelName = "imq",
        estimator: Estimator = "wae",
        given: Sequence[str] = ("z", "T"),
    ) -> None:
        super().__init__()
        check_options(kernel, estimator)
        if not given or not set(given) <= {"z", "T"}:
            raise ValueError(f"given must name z, T or both, got {list(given)}")
        self.kernel, self.estimator, self.given = KERNELS[kernel], estimator, tuple(given)

    def forward(
        self,
        q: Side,
        p: Side,
        given: Mapping[str, Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """MMD^2 of the joint samples, a scalar."""
        shared = [] if given is None else [given[name] for name in self.given]
        return mmd_squared(
            torch.cat([*shared, q.sample], dim=1),
            torch.cat([*shared, p.sample], dim=1),
            self.kernel,
            self.estimator,
        )
