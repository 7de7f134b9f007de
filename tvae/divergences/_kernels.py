"""Kernels and estimators of the squared maximum mean discrepancy.

Legend: `B` batch, `N` dimensions of a sample.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, expm1, factorial
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

KernelName = Literal["imq", "rbf", "rbf_median"]
Estimator = Literal["wae", "unbiased", "biased"]
Kernel = Callable[[Tensor, int], Tensor]

IMQ_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def imq(squared_distances: Tensor, dim: int) -> Tensor:
    """Inverse multi-quadratics: sum_s C_s / (C_s + d^2), C_s = 2 N s, s in `IMQ_SCALES`.

    Its heavy tails give gradients where the samples are far apart. Tolstikhin et al., "Wasserstein
    Auto-Encoders" (ICLR 2018), Sec. 4.
    """
    out = torch.zeros_like(squared_distances)
    for scale in IMQ_SCALES:
        c = 2 * dim * scale
        out = out + c / (c + squared_distances)
    return out


def rbf(squared_distances: Tensor, dim: int) -> Tensor:
    """exp(-d^2 / (2 h)), squared bandwidth h = N."""
    return torch.exp(-squared_distances / (2 * dim))


def rbf_median(squared_distances: Tensor, dim: int) -> Tensor:
    """exp(-d^2 / (2 h)), h the median squared distance of the pooled sample, held constant.

    Gretton et al., "A Kernel Two-Sample Test" (JMLR 13, 2012), Sec. 8.
    """
    n = len(squared_distances)
    # in n - 1 rows of n + 1 the diagonal comes first; a mask would have an accelerator count it
    off = squared_distances.detach().flatten()[:-1].view(n - 1, n + 1)[:, 1:]
    h = off.median().clamp_min(torch.finfo(torch.float32).tiny)
    return torch.exp(-squared_distances / (2 * h))


KERNELS: dict[str, Kernel] = {"imq": imq, "rbf": rbf, "rbf_median": rbf_median}


def gaussian_at_unit_shift(rate: float, dim: int) -> float:
    """MMD^2 of exp(-rate d^2) between N(0, I) and N(m, I) of N dimensions, |m| = 1.

    ``2 (1 + 4 rate)^(-N/2) (1 - exp(-rate / (1 + 4 rate)))``, by E exp(-rate |x|^2) of the
    differences x ~ N(0, 2 I) and N(m, 2 I).
    """
    widened = 1 + 4 * rate
    return float(-2 * widened ** (-dim / 2) * expm1(-rate / widened))


def imq_at_unit_shift(dim: int) -> float:
    """Of `imq`, by C / (C + d^2) = integral over x > 0 of exp(-x) exp(-x d^2 / C).

    Gauss-Laguerre in v = x (1 + s) / s, of which the integrand falls like exp(-v) at every scale
    s: 7 digits.
    """
    nodes, total = list(zip(*np.polynomial.laguerre.laggauss(40), strict=True)), 0.0
    for scale in IMQ_SCALES:
        share = scale / (1 + scale)
        for v, weight in nodes:
            x = share * v
            fall = share * weight * exp(v - x)
            total += fall * gaussian_at_unit_shift(x / (2 * dim * scale), dim)
    return total


def rbf_median_at_unit_shift(dim: int) -> float:
    """Of `rbf_median`: half of the pooled squared distances are within a side, half across.

    Halved, those are chi-squared of N degrees of freedom, centrally and with noncentrality 1/2; the
    latter is a mixture over Poisson(1/4) numbers of pairs of further degrees.
    """
    shapes = dim / 2 + torch.arange(12, dtype=torch.float64)
    shares = torch.tensor([exp(-0.25) * 0.25**j / factorial(j) for j in range(12)]).double()
    shares[0] += 1

    low, high = 0.0, 4.0 * dim + 20
    for _ in range(50):  # bisection
        h = (low + high) / 2
        below = torch.special.gammainc(shapes, torch.full_like(shapes, h / 4))
        low, high = (h, high) if float(shares @ below) < 1 else (low, h)
    return gaussian_at_unit_shift(1 / (2 * low), dim)


AT_UNIT_SHIFT: dict[str, Callable[[int], float]] = {
    "imq": imq_at_unit_shift,
    "rbf": lambda dim: gaussian_at_unit_shift(1 / (2 * dim), dim),
    "rbf_median": rbf_median_at_unit_shift,
}
"""Kernel -> N -> MMD^2 between N(0, I) and N(m, I) of N dimensions, |m| = 1."""


def check_options(kernel: str, estimator: str) -> None:
    """Refuse unknown names.

    Raises:
        ValueError: `kernel` or `estimator` is not one of those above.
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernel must be one of {', '.join(KERNELS)}, got {kernel!r}")
    if estimator not in get_args(Estimator):
        raise ValueError(
            f"estimator must be one of {', '.join(get_args(Estimator))}, got {estimator!r}"
        )


def pairwise_squared_distances(u: Tensor) -> Tensor:
    """|u_i - u_j|^2 of all pairs, B N to B B, zero on the diagonal."""
    centred = u - u.detach().mean(0)  # the expansion below loses digits far from the origin
    squares = centred.square().sum(1)
    distances = squares[:, None] + squares[None, :] - 2 * centred @ centred.T
    off = 1 - torch.eye(len(u), dtype=u.dtype, device=u.device)
    return distances.clamp_min(0) * off


def mmd_squared(
    u: Tensor, v: Tensor, kernel: Kernel, estimator: Estimator, dim: int | None = None
) -> Tensor:
    """MMD^2 = E k(u, u') + E k(v, v') - 2 E k(u, v), estimated from B pairs.

    Estimators differ in what they leave out of the three averages:

    - ``wae``: within-terms without the diagonal, cross-term with it; unbiased for independent
      samples, may be negative;
    - ``unbiased``: no diagonals; likewise, and the only one that a permutation of one side changes:
      by the missing cross diagonal, of weight 2/(B (B - 1));
    - ``biased``: everything, a V-statistic; never negative.

    Args:
        u: B N.
        v: B N.
        kernel: of squared distances.
        estimator: which.
        dim: N as the kernel is told; None: that of the samples.

    Returns:
        A scalar.

    Raises:
        ValueError: fewer than two samples a side, or sides of unequal shape.

    Source: Gretton et al., "A Kernel Two-Sample Test" (JMLR 13, 2012), Eqs. 3-5.
    """
    n = len(u)
    if u.shape != v.shape or n < 2:
        raise ValueError(f"MMD needs two samples of one shape and B >= 2, got {u.shape}, {v.shape}")
    k = kernel(pairwise_squared_distances(torch.cat([u, v])), dim or u.shape[1])
    within_u, within_v, cross = k[:n, :n], k[n:, n:], k[:n, n:]
    if estimator == "biased":
        return within_u.mean() + within_v.mean() - 2 * cross.mean()

    def off_diagonal_mean(block: Tensor) -> Tensor:
        return (block.sum() - block.diagonal().sum()) / (n * (n - 1))

    within = off_diagonal_mean(within_u) + off_diagonal_mean(within_v)
    return within - 2 * (off_diagonal_mean(cross) if estimator == "unbiased" else cross.mean())
