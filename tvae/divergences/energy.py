"""The energy distance."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, lgamma
from typing import Literal, get_args

import torch
from torch import Tensor

from tvae.divergences.base import Divergence, Side

Estimator = Literal["unbiased", "biased"]


class Energy(Divergence):
    """Energy distance 2 E|u - v| - E|u - u'| - E|v - v'| between the laws of q's and p's samples.

    It is the MMD^2 of the kernel -|u - v|, which has no bandwidth to choose and whose gradients do
    not fade with distance. The estimators differ in what they leave out of the three averages:

    - ``unbiased``: the B zeros |u_i - u_i| of either within-term; 0 on average for independent
      samples of equal laws, so it may be negative, and is for two equal samples: -2 E|u - u'| / B,
      without end as they grow;
    - ``biased`` (default): nothing, a V-statistic; never negative, 0 for equal samples, above 0 by
      O(1/B) for independent samples of equal laws.

    The cross-term has all pairs in both: permuting one side changes nothing. As a coherence term
    its samples z_1 and r(z, T) are dependent and can be equal, so it takes ``biased``.

    Args:
        estimator: ``unbiased`` or ``biased``.

    Raises:
        ValueError: an unknown estimator.

    Source: Szekely and Rizzo, "Energy statistics: A class of statistics based on distances" (J.
    Statistical Planning and Inference 143, 2013), Sec. 2; as an MMD: Sejdinovic et al.,
    "Equivalence of distance-based and RKHS-based statistics" (Annals of Statistics 41, 2013).
    """

    def __init__(self, estimator: Estimator = "biased") -> None:
        super().__init__()
        if estimator not in get_args(Estimator):
            raise ValueError(
                f"estimator must be one of {', '.join(get_args(Estimator))}, got {estimator!r}"
            )
        self.estimator = estimator
        self.bounded = estimator == "biased"

    def at_unit_shift(self, latent_dim: int) -> float:
        """2 (E|x + m| - E|x|), x ~ N(0, 2 I).

        ``4 Gamma((D + 1) / 2) / Gamma(D / 2) (M(-1/2; D / 2; -1/4) - 1)`` with Kummer's function M,
        from the mean of the noncentral chi distribution.
        """
        term, kummer = 1.0, 0.0
        for k in range(12):
            term *= (k - 0.5) / (latent_dim / 2 + k) * -0.25 / (k + 1)
            kummer += term
        return 4 * exp(lgamma((latent_dim + 1) / 2) - lgamma(latent_dim / 2)) * kummer

    def forward(
        self,
        q: Side,
        p: Side,
        given: Mapping[str, Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The distance, a scalar; neither `given` nor `generator` plays a part.

        Raises:
            ValueError: fewer than two samples a side, or sides of unequal shape.
        """
        u, v = q.sample, p.sample
        n = len(u)
        if u.shape != v.shape or n < 2:
            raise ValueError(
                f"energy needs two samples of one shape and B >= 2, got {u.shape}, {v.shape}"
            )
        within = (_distances(u, u).sum() + _distances(v, v).sum()) / n
        return 2 * _distances(u, v).mean() - within / (n if self.estimator == "biased" else n - 1)


def _distances(u: Tensor, v: Tensor) -> Tensor:
    """|u_i - v_j| of all pairs, B N and B N to B B.

    From the differences: expanded into products, float32 would leave 1e-3 of a distance of 0. Where
    it is 0 the norm has no derivative, and torch takes 0 of its subgradients.
    """
    distances: Tensor = torch.linalg.vector_norm(u[:, None] - v, dim=2)
    return distances
