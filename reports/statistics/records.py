"""What the statistics say, as frozen records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reports.manifest import ContrastEntry

Array = NDArray[np.float64]
Outcomes = tuple[Array, Array]
"""What each original gave at one seed, in the metric's unit: the treatment's N, the control's N."""
Verdict = Literal["better", "worse", "equivalent", "inconclusive", "refused", "n/a"]


@dataclass(frozen=True)
class Interval:
    """An interval at two-sided significance level `level`: it covers with probability 1 - level."""

    low: float
    high: float
    level: float

    @property
    def half(self) -> float:
        """Half its width."""
        return (self.high - self.low) / 2

    @property
    def coverage(self) -> str:
        """Its coverage in words, such as ``95%``."""
        return f"{100 * (1 - self.level):.4g}%"


@dataclass(frozen=True)
class Pairs:
    """The differences of one contrast, seed by seed, or why there are none to be had."""

    contrast: ContrastEntry
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    missing: tuple[str, ...]  # one sentence fragment per seed without a pair
    unit: str
    direction: str
    refusal: str = ""  # the values must not be compared, and why
    not_applicable: str = ""  # one side does not have this metric, and which


@dataclass(frozen=True)
class Needed:
    """Pairs with which a study of its own decides with power 0.8; None: more than anybody runs.

    At the observed mean and spread, and at the ends of the interval that the pairs leave for the
    true spread at two-sided level `level`.
    """

    pairs: int | None
    fewest: int | None
    most: int | None
    level: float


@dataclass(frozen=True)
class Comparison:
    """All that is said of one contrast. Differences are treatment - control in the metric's unit.

    Fields that the number of pairs or their spread does not allow are None.
    """

    pairs: Pairs
    verdict: Verdict
    mean: float | None  # of the differences
    deviation: float | None  # their standard deviation, n - 1
    interval: Interval | None  # paired t at the study's level
    adjusted: Interval | None  # paired t at the Holm-adjusted level: the one that decides
    bootstrap: Interval | None  # percentile, at the study's level: shown, not decisive
    bootstrap_over: Literal["seeds", "seeds and originals"]  # what it draws
    p_t: float | None  # two-sided paired t test against 0
    p_flip: float | None  # two-sided sign-flip test against 0
    p_flip_exact: bool  # all 2^n patterns were enumerated
    p_holm: float | None  # p_flip, adjusted by Holm within the declared family
    improvement: float | None  # share of seeds on the better side, ties count half
    effect: float | None  # mean / deviation, Cohen's d_z
    detectable: float | None  # true |difference| told from 0 with power 0.8 at adjusted.level
    needed: Needed | None  # to decide, where it is inconclusive
    notes: tuple[str, ...]

    @property
    def n(self) -> int:
        """Paired seeds."""
        return len(self.pairs.differences)

    @property
    def contrast(self) -> ContrastEntry:
        """What was compared."""
        return self.pairs.contrast


@dataclass(frozen=True)
class Answer:
    """The study's answer, as the console's last lines and the head of the report give it."""

    sentence: str
    primary: Comparison
    secondary: tuple[Comparison, ...]
    warning: str  # of the budget; empty where there is none
    sensitivity: str  # would the verdict survive the bad ends? empty where there were none

    @property
    def verdict(self) -> Verdict:
        """The primary contrast's."""
        return self.primary.verdict


def ends(interval: Interval | None) -> tuple[float, ...]:
    """Both ends of an interval; none where there is none."""
    return () if interval is None else (interval.low, interval.high)
