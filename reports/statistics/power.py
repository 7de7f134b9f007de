"""What a number of seeds can tell, and how many would decide."""

from __future__ import annotations

import bisect
import math

MOST_SEEDS = 10_000  # nobody runs more; beyond it the report says so
POWER = 0.8


def detectable(n: int, deviation: float, level: float) -> float:
    """The smallest |true difference| that the paired t test finds with power 0.8.

    Solves ``P(|t_{n-1}(delta)| > t_{n-1, 1 - level/2}) = 0.8`` for the noncentrality
    ``delta = difference sqrt(n) / deviation``, leaving out the far tail (below 1e-4 at that power).
    It is told from 0; for the words better and worse the true difference must be R + this.
    statsmodels' ``TTestPower.solve_power`` returns its search bounds at few seeds and small levels.
    """
    from scipy.optimize import brentq
    from scipy.stats import nct, t

    critical = t.ppf(1 - level / 2, n - 1)
    delta = brentq(lambda nc: nct.sf(critical, n - 1, nc) - POWER, 0, 10 * critical + 10)
    return float(delta * deviation / math.sqrt(n))


def seeds_to_decide(
    mean: float, deviation: float, equivalence: float, level: float, *, beyond: int
) -> int | None:
    """The fewest pairs, more than `beyond`, whose interval would decide at this mean and spread.

    None: more than `MOST_SEEDS`.
    """
    from scipy.stats import t

    def decides(n: int) -> bool:  # once it does, it does at every larger n
        half = t.ppf(1 - level / 2, n - 1) * deviation / math.sqrt(n)
        return bool(half < abs(abs(mean) - equivalence))

    candidates = range(max(beyond + 1, 2), MOST_SEEDS + 1)
    first = bisect.bisect_left(candidates, True, key=decides)
    return candidates[first] if first < len(candidates) else None
