"""The paper's criterion, between marginals."""

from __future__ import annotations

from collections.abc import Mapping

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


class MMD(Divergence):
    """MMD^2 between the marginal laws of q's and p's samples.

    Permuting one side changes the value by O(1/B) (``unbiased``) or not at all (``wae``,
    ``biased``): as a coherence term it makes the *law* of z_1 that of r(z, T) and does not tie z_1
    to its own z and T.

    Args:
        kernel: ``imq`` (multi-scale), ``rbf`` (squared bandwidth D) or ``rbf_median``.
        estimator: ``wae``, ``unbiased`` or ``biased``, see `_kernels.mmd_squared`.

    Raises:
        ValueError: an unknown kernel or estimator.

    Source: paper, Sec. 2 ("we choose the maximum mean discrepancy criterion"), citing Gretton et
    al. 2007 and InfoVAE (Zhao et al. 2017); kernel and estimator are ours.
    """

    choices = ("The kernel ({kernel}) and the estimator ({estimator}) of the MMD.",)

    def __init__(self, kernel: KernelName = "imq", estimator: Estimator = "wae") -> None:
        super().__init__()
        check_options(kernel, estimator)
        self.kernel, self.estimator = kernel, estimator

    def at_unit_shift(self, latent_dim: int) -> float:
        """Of the kernel; every estimator has the same limit."""
        return AT_UNIT_SHIFT[self.kernel](latent_dim)

    def forward(
        self,
        q: Side,
        p: Side,
        given: Mapping[str, Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """MMD^2, a scalar; neither `given` nor `generator` plays a part."""
        return mmd_squared(q.sample, p.sample, KERNELS[self.kernel], self.estimator)
