"""What a study with declared looks would come to, if its true difference and spread were known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.statistics.looks import checked, per_look, walk
from reports.statistics.power import POWER, seeds_to_decide
from reports.statistics.records import Array, Verdict

SURE = 0.99  # a fixed design need not be surer: so many studies tell no more
STUDIES = 20_000  # simulated ones: they leave a chance unsure by 0.004 at most
WORDS: tuple[Verdict, ...] = ("better", "worse", "equivalent")


@dataclass(frozen=True)
class Expected:
    """What to expect of a study that stops at the first of its looks that decides.

    Chances are shares of simulated studies, 0.004 or less away from the truth (one standard error).
    """

    looks: tuple[int, ...]
    at: float  # the level per look
    stops: dict[Verdict, tuple[float, ...]]  # better, worse, equivalent -> its chance at each look
    inconclusive: float  # the chance that even the last look does not decide
    seeds: float  # on average
    right: float  # the chance of the right word; 0 where no word is right
    wrong: float  # the chance of a word that is not true
    fixed: int | None  # seeds with which one look at `level` is right as often, up to `SURE`


def expected(
    looks: Sequence[int],
    level: float,
    mean: float,
    deviation: float,
    equivalence: float = 0.0,
    *,
    studies: int = STUDIES,
) -> Expected:
    """Simulate studies of independent normal differences; the same every time.

    With m the true mean and R the equivalence, *better* is right where m > R, *worse* where m < -R,
    *equivalent* between. On the edge, m = R or -R, no word is right, as in `power.chance`, and
    *equivalent* is not wrong: it says that m lies within R, ends included.

    Args:
        looks: numbers of seeds, ascending, at least 2.
        level: two-sided, of the study, between 0 and 1.
        mean: true mean of the differences, turned so that positive is better.
        deviation: their true standard deviation, above 0.
        equivalence: R, in the unit of both, at least 0.
        studies: how many.

    Raises:
        ValueError: of `per_look`, or the deviation is not above 0 or R is below.
    """
    if not deviation > 0 or not equivalence >= 0:
        raise ValueError(f"no deviation is {deviation}, or no region of equivalence {equivalence}")
    looks, at = checked(looks), per_look(looks, level)
    said = words(looks, at, mean / deviation, equivalence / deviation, studies)
    stops: dict[Verdict, tuple[float, ...]] = {
        word: tuple(float(np.mean(here == i)) for here in said) for i, word in enumerate(WORDS)
    }
    total = {word: sum(chances) for word, chances in stops.items()}
    inconclusive = float(np.mean((said < 0).all(axis=0)))
    ends = np.where((said < 0).all(axis=0), len(looks) - 1, (said >= 0).argmax(axis=0))
    true, right = _true(mean, equivalence), 0.0
    if abs(mean) != equivalence:
        right = total[true]
    return Expected(
        looks=looks,
        at=at,
        stops=stops,
        inconclusive=inconclusive,
        seeds=float(np.mean(np.asarray(looks)[ends])),
        right=right,
        wrong=sum(chance for word, chance in total.items() if word != true),
        fixed=seeds_to_decide(mean, deviation, equivalence, level, min(right, SURE))
        if right
        else None,
    )


def detectable(looks: Sequence[int], level: float, *, studies: int = STUDIES) -> float:
    """The smallest true mean that is found better than 0 at any look with power 0.8.

    In standard deviations of the differences. A study finds d where for some look k
    ``d > t_{n_k - 1, 1 - a'/2} s_k / sqrt n_k - mean_k``, mean and deviation being those of
    differences around 0; so it is the quantile 0.8 of the smallest right side. For a single look
    see `reports.statistics.power.detectable`.

    Args:
        looks: numbers of seeds, ascending, at least 2.
        level: two-sided, of the study, between 0 and 1.
        studies: how many are simulated.

    Raises:
        ValueError: of `per_look`.
    """
    at = per_look(looks, level)
    found = [half - mean for mean, half in _intervals(checked(looks), at, studies)]
    return float(np.quantile(np.min(found, axis=0), POWER))


def words(
    looks: Sequence[int], at: float, mean: float, equivalence: float, studies: int
) -> NDArray[np.int64]:
    """By look and study the index in `WORDS` of the word that ends it there; -1 where none does.

    Args:
        looks: numbers of seeds, ascending.
        at: the level of each look's interval.
        mean: the true one, in standard deviations.
        equivalence: R, likewise.
        studies: how many.
    """
    said, going = [], np.ones(studies, dtype=bool)
    for found, half in _intervals(looks, at, studies):
        low, high = mean + found - half, mean + found + half
        table = [low > equivalence, high < -equivalence, np.maximum(-low, high) <= equivalence]
        here = np.where(going, np.select(table, range(len(WORDS)), -1), -1)
        going &= here < 0
        said.append(here)
    return np.array(said)


def _intervals(looks: Sequence[int], at: float, studies: int) -> Iterator[tuple[Array, Array]]:
    """At each look the means and half-widths of the t intervals of N(0, 1)."""
    from scipy.special import stdtrit

    for n, mean, deviation in walk(looks, np.random.default_rng(1), studies):
        yield mean, -stdtrit(n - 1, at / 2) * deviation / math.sqrt(n)


def _true(mean: float, equivalence: float) -> Verdict:
    """The word that is true of a mean; on the edge of the region that is *equivalent*."""
    if abs(mean) <= equivalence:
        return "equivalent"
    return "better" if mean > 0 else "worse"
