"""Intervals of a mean over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from reports.statistics.records import Array, Interval

NATURAL = {
    **dict.fromkeys(("accuracy", "share", "reciprocal rank"), (0.0, 1.0)),
    **dict.fromkeys(("count", "GFLOP", "images/s", "MiB", "s"), (0.0, math.inf)),
    **dict.fromkeys(("R^2", "skill"), (-math.inf, 1.0)),
}
"""What a measurement of one arm can be, by its unit: the least and the most; else anything."""
RESAMPLES = 19_999  # of seeds: they leave the ends unsure by 1% of the interval's half-width


def t_interval(values: Sequence[float] | Array, level: float) -> Interval | None:
    """The interval mean +- t_{n-1, 1 - level/2} s / sqrt n; None from fewer than two values."""
    from scipy.stats import t

    n = len(values)
    if n < 2:
        return None
    half = float(t.ppf(1 - level / 2, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
    mean = float(np.mean(values))
    return Interval(mean - half, mean + half, level)


def natural(interval: Interval, unit: str) -> Interval:
    """What of the interval of one arm can be; to be shown, and never of a difference."""
    least, most = NATURAL.get(unit, (-math.inf, math.inf))
    low, high = (min(max(end, least), most) for end in (interval.low, interval.high))
    return replace(interval, low=low, high=high)


def bootstrap(values: Array, level: float) -> Interval:
    """Percentile bootstrap interval of the mean over at least two seeds; the same every time.

    It covers less often than it says, since it takes the spread between few seeds for the truth and
    knows no t distribution: at 95%, of simulated studies with differences from a normal law and
    from one of skewness 1 (gamma of shape 4), 20,000 each,

    ====== ====== ======
    seeds  normal skewed
    ====== ====== ======
    6      86.3%  84.5%
    10     90.1%  89.1%
    20     92.8%  91.8%
    ====== ====== ======

    ``pytest -s tests/reports/statistics/test_simulated.py -k bootstrap`` measures it again.
    """
    from scipy import stats

    found = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=1 - level,
        n_resamples=RESAMPLES,
        batch=max(1, 2**20 // len(values)),
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Interval(float(found.low), float(found.high), level)


def prediction_interval(values: np.ndarray, level: float) -> Interval | None:
    """``mean +- t_{n-1, 1 - level/2} s sqrt(1 + 1/n)``; None from fewer than two values."""
    mean = t_interval(values, level)
    if mean is None:
        return None
    half = mean.half * math.sqrt(len(values) + 1)
    middle = float(np.mean(values))
    return Interval(middle - half, middle + half, level)
