"""What a number of seeds can tell, and how many would decide."""

from __future__ import annotations

import bisect
import math

import numpy as np

from reports.statistics.records import Needed

MOST_SEEDS = 10_000  # nobody runs more; beyond it the report says so
POWER = 0.8
NODES = 64  # of the integral over the spread: its error is far below what seeds can tell


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


def chance(n: int, mean: float, deviation: float, equivalence: float, level: float) -> float:
    """The chance that n pairs come to the word that is right for these true values.

    With m the true mean, s the true deviation, R the equivalence and t* the critical value of
    t_{n-1} at `level`: for |m| > R that of *better* or *worse*, ``P(t_{n-1}(delta) > t*)`` of the
    noncentral t with ``delta = (|m| - R) sqrt(n) / s``. For |m| < R that of *equivalent*, that the
    interval ``mean +- t* S / sqrt n`` lies within +-R; given S the mean is normal, and over S it is
    integrated numerically. For |m| = R no word is right: 0.
    """
    from scipy.special import gammainc, gammaincinv, ndtr
    from scipy.stats import nct, t

    away = abs(mean) - equivalence
    if away == 0 or deviation == 0:
        return float(away != 0)
    error, critical = deviation / math.sqrt(n), t.ppf(1 - level / 2, n - 1)
    if away > 0:
        return float(nct.sf(critical, n - 1, away / error))
    # quantiles of S / s at which the interval has room within the region, by Gauss-Legendre; a
    # chi^2 of n - 1 degrees of freedom is twice a gamma of shape (n - 1) / 2
    half = (n - 1) / 2
    most = gammainc(half, half * (equivalence / (critical * error)) ** 2)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    spread = np.sqrt(gammaincinv(half, most * (nodes + 1) / 2) / half)
    room = equivalence - critical * error * spread
    inside = ndtr((room - mean) / error) - ndtr((-room - mean) / error)
    return float(most / 2 * weights @ np.maximum(inside, 0))


def seeds_to_decide(
    mean: float, deviation: float, equivalence: float, level: float, power: float = POWER
) -> int | None:
    """The fewest pairs of a study of its own that come to the right word with this power.

    If `mean` and `deviation` are the true ones, see `chance`. None: more than `MOST_SEEDS`.
    """
    candidates = range(2, MOST_SEEDS + 1)

    def enough(n: int) -> bool:  # once it is, it is at every larger n
        return chance(n, mean, deviation, equivalence, level) >= power

    first = bisect.bisect_left(candidates, True, key=enough)
    return candidates[first] if first < len(candidates) else None


def seeds_needed(
    n: int, mean: float, deviation: float, equivalence: float, level: float, surely: float
) -> Needed:
    """`seeds_to_decide` at what `n` pairs observed, and within what they leave open of the spread.

    Args:
        n: pairs.
        mean: of their differences.
        deviation: likewise.
        equivalence: R.
        level: of the interval that decides.
        surely: the level of the interval of the true deviation,
            ``s sqrt((n - 1) / chi^2_{n-1})`` at the quantiles 1 - surely/2 and surely/2.
    """
    from scipy.stats import chi2

    quantiles = chi2.ppf([1 - surely / 2, surely / 2], n - 1)
    low, high = deviation * np.sqrt((n - 1) / quantiles)

    def at(spread: float) -> int | None:
        return seeds_to_decide(mean, spread, equivalence, level)

    return Needed(at(deviation), fewest=at(low), most=at(high), level=surely)
