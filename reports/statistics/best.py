"""Which arm's mean is set apart from all others: a reading aid, no declared test."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reports.statistics.tests import holm_levels


def supported_best(values: NDArray[np.float64], direction: str, level: float) -> int | None:
    """The row with the best mean, if it is better than every other row beyond the play of seeds.

    Every paired difference, best - other, must have its t interval wholly on the better side of 0
    at the level of Holm's step-down over all the others. Among the rows compared this way the
    choice of the best one is itself made by looking, so this is a reading aid and no declared test.

    Args:
        values: a row for each arm, a column for each seed, NaN where there is none.
        direction: which way is better.
        level: two-sided, before the adjustment.
    """
    from scipy.stats import t

    there = np.flatnonzero(np.isfinite(values).any(axis=1))
    if direction not in ("higher", "lower") or len(there) < 2:
        return None
    oriented = values[there] if direction == "higher" else -values[there]
    best = int(np.nanmean(oriented, axis=1).argmax())
    every = np.delete(oriented[best] - oriented, best, axis=0)
    n = np.isfinite(every).sum(axis=1)
    if n.min() < 2:
        return None
    means, error = np.nanmean(every, axis=1), np.nanstd(every, axis=1, ddof=1) / np.sqrt(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(error > 0, 2 * t.sf(np.abs(means) / error, n - 1), means == 0)
    # an interval at a level leaves 0 outside exactly where p is at most that level
    supported = (means > 0) & (p <= holm_levels(p.tolist(), level))
    return int(there[best]) if supported.all() else None
