"""Looks declared beforehand: one constant level for each, so that together they keep the study's.

A study that may end early tests again and again, and each test is one more chance to be wrong. Here
the looks, numbers of seeds ``n_1 < ... < n_K``, are declared before anything runs, and the t
interval of each is read at one stricter level ``a'`` (a constant boundary on the scale of p-values,
which for normal values of known variance is Pocock's 1977). It is the largest for which, mu being
the true mean difference and a the study's level::

    P(for some k: |mean_k - mu| > t_{n_k - 1, 1 - a'/2} s_k / sqrt n_k)  <=  a

A verdict is wrong only where its interval misses mu (`reports.statistics`), so whatever the rule by
which a study stops at one of its looks, and whatever R is, its verdict is wrong in at most a share
a of studies, and the interval it ends with covers mu in at least 1 - a.

For independent normal differences the left side depends on nothing unknown: neither mu nor the true
deviation is in the sequence of t statistics ``sqrt(n_k) (mean_k - mu) / s_k``. So it is simulated
once for each set of looks, see `per_look`; `looks.json` has what ``scripts/make_looks.py`` found.

The mean at the look that stops a study is too large on average: a study stops where it is large.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from reports.statistics.records import Array

STEP = 4  # seeds between two looks; docs/looks.md has what other steps cost
PATHS = 1_000_000  # simulated sequences: they leave a = 0.05 unsure by 0.0002
DOUBT = 0.001  # the chance that a simulated level is above the one it stands for
TABLE = Path(__file__).with_name("looks.json")


def schedule(max_seeds: int) -> tuple[int, ...]:
    """The looks of a study that goes on until it is decided: every `STEP` seeds, the last at most.

    Counted back from the end, so that no look is wasted on a seed or two: ``schedule(16)`` is
    ``(4, 8, 12, 16)``, ``schedule(18)`` is ``(6, 10, 14, 18)``.

    Args:
        max_seeds: at least 2.

    Raises:
        ValueError: there are fewer.
    """
    first = STEP + max_seeds % STEP
    return checked(tuple(range(first, max_seeds + 1, STEP)) or (max_seeds,))


def checked(looks: Sequence[int]) -> tuple[int, ...]:
    """The looks as they came.

    Raises:
        ValueError: there are none, the first has less than two seeds, which have no spread, or they
            do not ascend.
    """
    if not looks or looks[0] < 2 or any(a >= b for a, b in itertools.pairwise(looks)):
        raise ValueError(f"looks must ascend from at least 2 seeds, not {list(looks)}")
    return tuple(looks)


def per_look(looks: Sequence[int], level: float) -> float:
    """The level a' at which the interval of each look is read, so that all keep `level` together.

    A path is a sequence of t statistics of a true mean of 0, and p its smallest two-sided p-value
    over the looks; a' is the k-th smallest p of `PATHS` paths. That lies above the true quantile
    where fewer than k paths fall below it, ``P(Binomial(PATHS, level) < k)``; k is the largest for
    which this is at most `DOUBT` (a distribution-free tolerance limit, Wilks 1941). It gives away
    about 1% of 0.05, 10% of 0.001. From `looks.json` where it is there, else simulated, in about a
    second for six looks; the same every time.

    Args:
        looks: numbers of seeds, ascending, at least 2.
        level: two-sided, of the study, between 0 and 1.

    Returns:
        A level between ``level / len(looks)`` and `level`; that itself for a single look.

    Raises:
        ValueError: the looks are no looks, see `checked`, or the level is out of its range.
    """
    looks = checked(looks)
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, not at {level}")
    if len(looks) == 1:
        return level
    found = table().get((looks, level))
    return simulated(looks, level) if found is None else found


def simulated(looks: tuple[int, ...], level: float) -> float:
    """What `per_look` says of two looks or more, by simulation whatever the table has."""
    smallest = _smallest(looks, max(level, 0.1))  # most levels are below that, and share the paths
    # Bonferroni's level is always safe, and all there is where the paths hardly reach the level
    k = _rank(level)
    return max(float(smallest[k - 1]) if k else 0.0, level / len(looks))


@functools.cache
def table() -> dict[tuple[tuple[int, ...], float], float]:
    """(looks, level) -> the level per look, from `looks.json`."""
    stored = json.loads(TABLE.read_text(encoding="utf-8"))
    return {
        (tuple(looks), level): at
        for looks, every in stored["per look"]
        for level, at in zip(stored["levels"], every, strict=True)
    }


def walk(
    looks: Sequence[int], rng: np.random.Generator, paths: int
) -> Iterator[tuple[int, Array, Array]]:
    """At each look its n, and the means and deviations of the first n of independent N(0, 1).

    What comes between two looks enters as its mean and its sum of squares, a normal and twice a
    gamma variable, which are independent; they are joined as in Chan, Golub & LeVeque (1979).
    """
    mean, squares, before = np.zeros(paths), np.zeros(paths), 0
    for n in looks:
        new = n - before
        away = rng.standard_normal(paths) / math.sqrt(new) - mean
        mean = mean + away * (new / n)
        squares = squares + 2 * rng.standard_gamma((new - 1) / 2, paths)
        squares = squares + away**2 * (before * new / n)
        before = n
        yield n, mean, np.sqrt(squares / (n - 1))


@functools.lru_cache(maxsize=8)
def _smallest(looks: tuple[int, ...], most: float) -> Array:
    """The smallest p of each path, sorted; those above `most` are 1, since p takes time."""
    from scipy.special import stdtr, stdtrit

    smallest = np.ones(PATHS)
    for n, mean, deviation in walk(looks, np.random.default_rng(0), PATHS):
        t = -np.abs(mean) * math.sqrt(n) / deviation
        (found,) = np.nonzero(t <= stdtrit(n - 1, most / 2))
        smallest[found] = np.minimum(smallest[found], 2 * stdtr(n - 1, t[found]))
    return np.sort(smallest)


@functools.cache
def _rank(level: float) -> int:
    """The largest k whose order statistic is too large with a chance of at most `DOUBT`; 0: none.

    The quantile of a binomial count x is the smallest x with ``P(count <= x) >= DOUBT``.
    """
    from scipy.stats import binom

    return int(binom.ppf(DOUBT, PATHS, level))
