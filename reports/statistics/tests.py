"""Tests of paired differences against nothing, and Holm's levels for a family of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from reports.statistics.records import Array

EXACT_SEEDS = 20  # 2^19 sign patterns take 6 ms; more are sampled
DRAWS = 99_999  # of sampled sign patterns


def sign_flip(values: Array) -> float:
    """Two-sided p of the mean under flips of each difference's sign.

    All 2^n patterns up to `EXACT_SEEDS` differences; above, `DRAWS` drawn ones and the pattern
    observed, ``(1 + hits) / (1 + draws)``, the same every time.
    """
    slack = 1e-12 * np.abs(values).sum()  # sums of the same numbers in another order are ties
    reached = abs(values.sum()) - slack
    if len(values) > EXACT_SEEDS:
        signs = 2 * np.random.default_rng(0).integers(0, 2, (DRAWS, len(values)), np.int8) - 1
        return float((1 + np.sum(np.abs(signs @ values) >= reached)) / (1 + DRAWS))
    sums = values[:1]  # a pattern and its mirror have one size: the first sign can stay
    for value in values[1:]:
        sums = np.concatenate([sums + value, sums - value])
    return float(np.mean(np.abs(sums) >= reached))


def seeds_to_reach(level: float) -> int:
    """The fewest paired seeds n at which an exact two-sided sign-flip test can reach a level.

    Its smallest p is that of differences of one sign, ``2 / 2^n``.

    Args:
        level: two-sided significance level, between 0 and 1.
    """
    return next(n for n in itertools.count(1) if 2.0 ** (1 - n) <= level)


def holm_levels(p: Sequence[float], level: float) -> list[float]:
    """The level at which Holm's step-down reads each of m p-values; those after a failure keep its.

    ``p[i] <= holm_levels(p, level)[i]`` exactly where Holm's procedure rejects.
    """
    levels = [level] * len(p)
    at, stopped = level, False
    for rank, i in enumerate(np.argsort(p, kind="stable")):
        at = at if stopped else level / (len(p) - rank)
        levels[i] = at
        stopped = stopped or p[i] > at
    return levels


def holm_adjusted(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: the smallest level at which his step-down rejects each.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure" (Scandinavian Journal
    of Statistics 6, 1979). statsmodels' ``multipletests`` gives the same, and collects garbage at
    every call.
    """
    adjusted, largest = [1.0] * len(p), 0.0
    for rank, i in enumerate(np.argsort(p, kind="stable")):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = largest
    return adjusted


def p_against(d: Array, margin: float) -> float:
    """2 P(t_{n-1} > ||mean d| - margin| / (s / sqrt n)); 0 where d does not vary."""
    from scipy.stats import t

    away, error = abs(abs(d.mean()) - margin), d.std(ddof=1) / math.sqrt(len(d))
    if error == 0:
        return 1.0 if away == margin == 0 else 0.0
    return float(2 * t.sf(away / error, len(d) - 1))
