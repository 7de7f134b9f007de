"""Main effects and two-way interactions of a crossed study, and the marginal means behind them.

Every arm of a crossing is a cell: one level of each factor, the first level being the reference.
Legend: `n` seeds, `F`, `G` levels of a factor; ``y[s, i, j, ...]`` is the primary metric at seed s
in the cell of levels i, j, ... of the factors in their order, and m the mean of y over all factors
that are not named::

    main effect of level i        m[s, i] - m[s, 0]
    interaction of i with j       m[s, i, j] - m[s, i, 0] - m[s, 0, j] + m[s, 0, 0]

The first says what a level adds on average over all that it is crossed with; the second, by how
much that differs at j from what it is at the other factor's reference: 0 where effects add up.
(Treatment coding on marginal means; in a balanced crossing, ordinary least squares gives the same
estimates.) Each is one number a seed, so `reports.statistics` judges it like any paired contrast,
and needs no model of how cells vary: what a seed shares among its cells cancels. All of them are
one declared family, within the primary contrast's region of practical equivalence.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reports.manifest import StudyEntry
from reports.rows import confirmed
from reports.statistics.intervals import t_interval
from reports.statistics.pairs import incomparable
from reports.statistics.records import Comparison, Pairs
from reports.statistics.verdicts import judge_family

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Factors = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Term:
    """A main effect (of one factor) or a two-way interaction (of two): which levels it sets apart.

    `levels` and `references` hold one level of each factor.
    """

    factors: tuple[str, ...]
    levels: tuple[str, ...]
    references: tuple[str, ...]

    @property
    def sides(self) -> tuple[str, str]:
        """What is subtracted from what: levels, or the differences of two levels at others."""
        if len(self.factors) == 1:
            return self.levels[0], self.references[0]
        differs = f"{self.levels[0]} − {self.references[0]}"
        return f"{differs}, at {self.levels[1]}", f"{differs}, at {self.references[1]}"

    @property
    def name(self) -> str:
        """In words, such as ``b − a`` or ``b − a, at y − at x``."""
        treatment, control = self.sides
        return f"{treatment} − {control if len(self.factors) == 1 else f'at {self.references[1]}'}"


@dataclass(frozen=True)
class Effect:
    """A term of the crossing, and what is said of it."""

    term: Term
    found: Comparison


@dataclass(frozen=True)
class Means:
    """Marginal means of two factors, averaged over the others and over seeds."""

    factors: tuple[str, str]
    levels: tuple[tuple[str, ...], tuple[str, ...]]
    mean: Array  # F G
    half: Array  # F G: half the t interval over seeds at the study's level; NaN from a single seed


@dataclass(frozen=True)
class Factorial:
    """All that is said of a crossing on the primary metric, or in `problem` why nothing can be."""

    metric: str
    unit: str
    direction: str
    equivalence: float
    level: float
    factors: dict[str, tuple[str, ...]]
    seeds: tuple[int, ...] = ()  # those with a value in every cell
    missing: tuple[str, ...] = ()  # one sentence fragment per seed without
    effects: tuple[Effect, ...] = ()  # main effects, then interactions: one family
    means: tuple[Means, ...] = ()  # of every pair of factors
    problem: str = ""

    @property
    def main(self) -> tuple[Effect, ...]:
        """The main effects."""
        return tuple(effect for effect in self.effects if len(effect.term.factors) == 1)

    @property
    def interactions(self) -> tuple[Effect, ...]:
        """The two-way interactions."""
        return tuple(effect for effect in self.effects if len(effect.term.factors) == 2)


def analyse(study: StudyEntry, rows: pd.DataFrame) -> Factorial | None:
    """Effects and marginal means of a crossed study; None where nothing is crossed.

    Args:
        study: its declaration, with `factors` and the arms' `levels`.
        rows: its rows, as `reports.rows.load` gives them.
    """
    factors = {factor: tuple(levels) for factor, levels in study.get("factors", {}).items()}
    if not factors:
        return None
    primary, cells = study["primary"], _cells(study, factors)
    measured = confirmed(rows)
    measured = measured[(measured.metric == primary["metric"]) & measured.arm.isin(cells.values())]
    empty = Factorial(
        metric=primary["metric"],
        unit=measured.unit.iloc[0] if len(measured) else "",
        direction=measured.direction.iloc[0] if len(measured) else "",
        equivalence=primary["equivalence"],
        level=study["level"],
        factors=factors,
    )
    problem = _problem(empty, cells, measured)
    if problem:
        return replace(empty, problem=problem)
    seeds, missing, y = _crossed(measured, study["seeds"], cells, factors)
    found = replace(empty, seeds=seeds, missing=missing)
    if not seeds:
        problem = f"no seed has a value of {empty.metric} in every cell of the crossing"
        return replace(found, problem=problem)
    return replace(
        found,
        effects=_effects(found, y),
        means=tuple(_means(factors, y, study["level"])),
    )


def _cells(study: StudyEntry, factors: Factors) -> dict[tuple[str, ...], str]:
    """The arm of each cell that has one."""
    return {
        tuple(levels[factor] for factor in factors): name
        for name, arm in study["arms"].items()
        if (levels := arm.get("levels"))
    }


def _problem(found: Factorial, cells: Mapping[tuple[str, ...], str], measured: pd.DataFrame) -> str:
    """Why the crossing cannot be analysed; empty where it can."""
    lacking = [
        " with ".join(cell)
        for cell in itertools.product(*found.factors.values())
        if cell not in cells
    ]
    if lacking:
        return f"the crossing is incomplete: there is no arm of {'; '.join(lacking)}"
    without = [arm for arm, own in measured.groupby("arm") if own.value.isna().all()]
    if without:  # the rows are there, with NaN in all of them
        return f"{found.metric} does not apply to {', '.join(without)}"
    return incomparable(measured, found.metric)


def _crossed(
    measured: pd.DataFrame,
    seeds: Sequence[int],
    cells: Mapping[tuple[str, ...], str],
    factors: Factors,
) -> tuple[tuple[int, ...], tuple[str, ...], Array]:
    """The seeds that have a value in every cell, what the others lack, and y: n F G ..."""
    arms = [cells[cell] for cell in itertools.product(*factors.values())]
    table = measured.pivot(index="seed", columns="arm", values="value")
    values = table.reindex(index=sorted(set(seeds)), columns=arms).to_numpy(float)
    finite = np.isfinite(values)
    kept, missing = [], []
    for seed, there in zip(sorted(set(seeds)), finite, strict=True):
        absent = [arm for arm, has in zip(arms, there, strict=True) if not has]
        if absent:
            who = ", ".join(absent) if len(absent) < len(arms) else "any cell"
            missing.append(f"seed {seed}: no value of {who}")
        else:
            kept.append(seed)
    y = values[finite.all(axis=1)].reshape(-1, *map(len, factors.values()))
    return tuple(kept), tuple(missing), y


def _effects(found: Factorial, y: Array) -> tuple[Effect, ...]:
    terms = [*_main_effects(found.factors, y), *_interactions(found.factors, y)]
    judged = judge_family([_pairs(found, term, d) for term, d in terms], found.level)
    return tuple(Effect(term, one) for (term, _), one in zip(terms, judged, strict=True))


def _pairs(found: Factorial, term: Term, differences: Array) -> Pairs:
    treatment, control = term.sides
    return Pairs(
        contrast={
            "treatment": treatment,
            "control": control,
            "metric": found.metric,
            "equivalence": found.equivalence,
        },
        seeds=found.seeds,
        differences=tuple(map(float, differences)),
        missing=found.missing,
        unit=found.unit,
        direction=found.direction,
    )


def _main_effects(factors: Factors, y: Array) -> Iterator[tuple[Term, Array]]:
    for axis, (factor, (reference, *others)) in enumerate(factors.items()):
        m = _marginal(y, axis)
        for i, level in enumerate(others, start=1):
            yield Term((factor,), (level,), (reference,)), m[:, i] - m[:, 0]


def _interactions(factors: Factors, y: Array) -> Iterator[tuple[Term, Array]]:
    for (a, f), (b, g) in itertools.combinations(enumerate(factors), 2):
        m = _marginal(y, a, b)
        references = factors[f][0], factors[g][0]
        for i, j in itertools.product(range(1, m.shape[1]), range(1, m.shape[2])):
            double = m[:, i, j] - m[:, i, 0] - m[:, 0, j] + m[:, 0, 0]
            yield Term((f, g), (factors[f][i], factors[g][j]), references), double


def _means(factors: Factors, y: Array, level: float) -> Iterator[Means]:
    for (a, f), (b, g) in itertools.combinations(enumerate(factors), 2):
        m = _marginal(y, a, b)
        intervals = [t_interval(cell, level) for cell in m.reshape(len(m), -1).T]
        halves = [interval.half if interval else np.nan for interval in intervals]
        yield Means(
            factors=(f, g),
            levels=(tuple(factors[f]), tuple(factors[g])),
            mean=m.mean(axis=0),
            half=np.reshape(halves, m.shape[1:]),
        )


def _marginal(y: Array, *kept: int) -> Array:
    """The mean over all factors but those `kept`, by their place: n F, or n F G."""
    m: Array = y.mean(axis=tuple(axis for axis in range(1, y.ndim) if axis - 1 not in kept))
    return m
