"""From pairs to a word: the one table that turns an interval into a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from reports.manifest import ContrastEntry
from reports.statistics.intervals import bootstrap, t_interval
from reports.statistics.pairs import pair, pair_all
from reports.statistics.power import detectable, seeds_needed
from reports.statistics.records import Array, Comparison, Interval, Pairs, Verdict
from reports.statistics.tests import (
    DRAWS,
    EXACT_SEEDS,
    holm_adjusted,
    holm_levels,
    p_against,
    seeds_to_reach,
    sign_flip,
)

if TYPE_CHECKING:
    import pandas as pd


def compare(
    rows: pd.DataFrame, contrast: ContrastEntry, level: float, *, seeds: Sequence[int] | None = None
) -> Comparison:
    """One contrast by itself at `level`.

    Args:
        rows: rows of a study; only finished confirmation trials on test data are used.
        contrast: what to compare, and R in the metric's unit.
        level: two-sided significance level, between 0 and 1.
        seeds: those that ought to be there, so that a seed absent from both sides is named too;
            by default every confirmation seed in `rows`.
    """
    return judge(pair(rows, contrast, seeds), level, level)


def family(
    rows: pd.DataFrame,
    contrasts: Sequence[ContrastEntry],
    level: float,
    *,
    seeds: Sequence[int] | None = None,
) -> tuple[Comparison, ...]:
    """A declared family of contrasts, Holm-adjusted; arguments as of `compare`."""
    return judge_family(pair_all(rows, contrasts, seeds), level)


def judge_family(every: Sequence[Pairs], level: float) -> tuple[Comparison, ...]:
    """What follows from the pairs of a family, Holm-adjusted; those not applicable do not count."""
    counted = [i for i, pairs in enumerate(every) if not pairs.not_applicable]
    levels = dict.fromkeys(range(len(every)), level)
    levels |= zip(counted, holm_levels([p_verdict(every[i]) for i in counted], level), strict=True)
    found = [judge(pairs, level, levels[i]) for i, pairs in enumerate(every)]
    if counted:
        flips = [found[i].p_flip for i in counted]
        p = [1.0 if flip is None else flip for flip in flips]
        for i, adjusted in zip(counted, holm_adjusted(p), strict=True):
            if found[i].p_flip is not None:
                found[i] = replace(found[i], p_holm=adjusted)
    return tuple(found)


def judge(pairs: Pairs, level: float, at: float) -> Comparison:
    """Everything that follows from the pairs.

    Args:
        pairs: the differences.
        level: of the plain and the bootstrap interval.
        at: the Holm-adjusted level, of the interval that decides.
    """
    d = np.asarray(pairs.differences, dtype=float)
    n, margin = len(d), pairs.contrast["equivalence"]
    found = Comparison(
        pairs=pairs,
        verdict=word(pairs, at),
        mean=float(d.mean()) if n else None,
        deviation=None,
        interval=None,
        adjusted=None,
        bootstrap=None,
        bootstrap_over="seeds",
        p_t=None,
        p_flip=None,
        p_flip_exact=n <= EXACT_SEEDS,
        p_holm=None,
        improvement=_improvement(d, pairs.direction) if n else None,
        effect=None,
        detectable=None,
        needed=None,
        notes=_notes_on_pairs(pairs),
    )
    adjusted = t_interval(d, at)
    if adjusted is None:
        return found
    mean, deviation = float(d.mean()), float(d.std(ddof=1))
    p_t, p_flip = p_against(d, 0.0), sign_flip(d)
    return replace(
        found,
        deviation=deviation,
        interval=t_interval(d, level),
        adjusted=adjusted,
        bootstrap=bootstrap(d, level),
        p_t=p_t,
        p_flip=p_flip,
        effect=mean / deviation if deviation else None,
        detectable=detectable(n, deviation, at),
        needed=(
            seeds_needed(n, mean, deviation, margin, at, level)
            if found.verdict == "inconclusive"
            else None
        ),
        notes=found.notes + _notes_on_tests(n, deviation, p_t, p_flip, at),
    )


def word(pairs: Pairs, at: float) -> Verdict:
    """The verdict alone, which takes no time.

    Args:
        pairs: the differences.
        at: the level of the interval that decides.
    """
    if pairs.not_applicable or pairs.refusal:
        return "n/a" if pairs.not_applicable else "refused"
    interval = t_interval(np.asarray(pairs.differences, dtype=float), at)
    if interval is None:
        return "inconclusive"
    return verdict(interval, pairs.contrast["equivalence"], pairs.direction)


def verdict(interval: Interval, equivalence: float, direction: str) -> Verdict:
    """The word for an interval of treatment - control; the package's docstring has the table."""
    low, high = interval.low, interval.high
    if direction == "lower":
        low, high = -high, -low
    if low > equivalence:
        return "better"
    if high < -equivalence:
        return "worse"
    if low >= -equivalence and high <= equivalence:
        return "equivalent"
    return "inconclusive"


def p_verdict(pairs: Pairs) -> float:
    """The smallest level at which the interval decides; 1 where there is no interval."""
    d = np.asarray(pairs.differences)
    return p_against(d, pairs.contrast["equivalence"]) if len(d) > 1 else 1.0


def _improvement(d: Array, direction: str) -> float:
    oriented = -d if direction == "lower" else d
    return float(np.mean((oriented > 0) + 0.5 * (oriented == 0)))


def _notes_on_pairs(pairs: Pairs) -> tuple[str, ...]:
    if pairs.not_applicable or pairs.refusal:
        return (pairs.not_applicable or pairs.refusal,)
    notes = [f"missing pairs: {'; '.join(pairs.missing)}"] if pairs.missing else []
    if len(pairs.differences) == 1:
        notes.append("one paired seed: no interval and no test")
    return tuple(notes)


def _notes_on_tests(
    n: int, deviation: float, p_t: float, p_flip: float, at: float
) -> tuple[str, ...]:
    notes = []
    floor = 2.0 ** (1 - n)
    if floor > at:
        notes.append(
            f"with {n} paired seeds the exact sign-flip test cannot go below {floor:.3g} and so "
            f"cannot reach the level in force, which takes {seeds_to_reach(at)} seeds: the verdict "
            "rests on the t distribution alone"
        )
    elif (p_t <= at) != (p_flip <= at):
        notes.append(
            f"the t test (p = {p_t:.2g}) and the sign-flip test (p = {p_flip:.2g}) disagree "
            f"at the level {at:.3g}"
        )
    if deviation == 0:
        notes.append("all differences are equal: the interval has no width and understates doubt")
    if n > EXACT_SEEDS:
        notes.append(f"sign-flip p from {DRAWS:,} drawn sign patterns")
    return tuple(notes)
