"""Paired comparisons over seeds, and the one table that turns an interval into a word.

The unit is a seed: arms share seeds, so a contrast is the difference treatment - control at each
seed where both have a value. Everything here works on plain arrays and frames and knows no arm and
no metric by name.

Legend: `n` paired seeds, `d` their differences, `s` the standard deviation of d, `R` the half-width
of the region of practical equivalence, `a` a two-sided significance level.

**Verdict.** The paired t interval at level a, oriented so that positive is the metric's better
side: wholly above R is *better*, wholly below -R *worse*, within +-R *equivalent*, otherwise
*inconclusive*.

**Level.** The primary contrast stands alone at the study's level. In the declared family of m
contrasts the level follows Holm's step-down. Its p-value for a contrast is the smallest level at
which the interval decides, ``p = 2 P(t_{n-1} > ||mean(d)| - R| / (s / sqrt n))``, which for R = 0
is the paired t test's; the k-th smallest (k = 0, 1, ...) is read at ``level / (m - k)`` until one
fails to decide, and all later ones keep the level at which that happened. A wrong verdict needs an
interval that misses the true difference, so the chance of any wrong verdict in the family is at
most `level` (Holm 1979 applied to verdicts instead of to differences from zero).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from reports.rows import Contrast, Study, confirmed

if TYPE_CHECKING:
    import pandas as pd

Verdict = Literal["better", "worse", "equivalent", "inconclusive", "refused", "n/a"]

EXACT_SEEDS = 20  # 2^20 sign patterns take 10 ms; more are sampled
DRAWS = 99_999  # of the bootstrap, and of sampled sign patterns
MOST_SEEDS = 10_000  # nobody runs more; beyond it the report says so
POWER = 0.8


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

    contrast: Contrast
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    missing: tuple[str, ...]  # one sentence fragment per seed without a pair
    unit: str
    direction: str
    refusal: str = ""  # the values must not be compared, and why
    not_applicable: str = ""  # one side does not have this metric, and which


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
    bootstrap: Interval | None  # percentile, over seeds, at the study's level: shown, not decisive
    p_t: float | None  # two-sided paired t test against 0
    p_flip: float | None  # two-sided sign-flip test against 0
    p_flip_exact: bool  # all 2^n patterns were enumerated
    p_holm: float | None  # p_flip, adjusted by Holm within the declared family
    improvement: float | None  # share of seeds on the better side, ties count half
    effect: float | None  # mean / deviation, Cohen's d_z
    detectable: float | None  # smallest |true difference| found with power 0.8 at adjusted.level
    seeds_needed: int | None  # pairs that would decide at the observed mean and spread
    notes: tuple[str, ...]

    @property
    def n(self) -> int:
        """Paired seeds."""
        return len(self.pairs.differences)

    @property
    def contrast(self) -> Contrast:
        """What was compared."""
        return self.pairs.contrast


@dataclass(frozen=True)
class Answer:
    """The study's answer, as the console's last lines and the head of the report give it."""

    sentence: str
    primary: Comparison
    secondary: tuple[Comparison, ...]
    warning: str  # of the budget; empty where there is none

    @property
    def verdict(self) -> Verdict:
        """The primary contrast's."""
        return self.primary.verdict


def answer(study: Study, rows: pd.DataFrame) -> Answer:
    """Compare as the study declared: the primary contrast alone, the secondary ones as a family.

    Args:
        study: the study's declaration.
        rows: its rows, as `reports.rows.load` gives them.
    """
    primary = compare(rows, study["primary"], study["level"], seeds=study["seeds"])
    secondary = family(rows, study["secondary"], study["level"], seeds=study["seeds"])
    return Answer(sentence(primary), primary, secondary, study["budget_warning"])


def compare(
    rows: pd.DataFrame, contrast: Contrast, level: float, *, seeds: Sequence[int] | None = None
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
    contrasts: Sequence[Contrast],
    level: float,
    *,
    seeds: Sequence[int] | None = None,
) -> tuple[Comparison, ...]:
    """A declared family of contrasts, Holm-adjusted; arguments as of `compare`."""
    return judge_family([pair(rows, contrast, seeds) for contrast in contrasts], level)


def judge_family(every: Sequence[Pairs], level: float) -> tuple[Comparison, ...]:
    """What follows from the pairs of a family, Holm-adjusted; those not applicable do not count."""
    from statsmodels.stats.multitest import multipletests

    counted = [i for i, pairs in enumerate(every) if not pairs.not_applicable]
    levels = dict.fromkeys(range(len(every)), level)
    levels |= zip(counted, holm_levels([_p_verdict(every[i]) for i in counted], level), strict=True)
    found = [judge(pairs, level, levels[i]) for i, pairs in enumerate(every)]
    if counted:
        p = [1.0 if found[i].p_flip is None else found[i].p_flip for i in counted]
        for i, adjusted in zip(counted, multipletests(p, method="holm")[1], strict=True):
            if found[i].p_flip is not None:
                found[i] = replace(found[i], p_holm=float(adjusted))
    return tuple(found)


def pair(rows: pd.DataFrame, contrast: Contrast, seeds: Sequence[int] | None = None) -> Pairs:
    """The differences of a contrast at each seed, with what is missing or forbids them."""
    expected = rows.seed[rows.stage == "confirm"].unique() if seeds is None else seeds
    measured = confirmed(rows)
    measured = measured[measured.metric == contrast["metric"]]
    sides = [measured[measured.arm == contrast[side]] for side in ("treatment", "control")]
    both = measured[measured.arm.isin([contrast["treatment"], contrast["control"]])]
    unit, direction = (both[name].iloc[0] if len(both) else "" for name in ("unit", "direction"))
    empty = Pairs(contrast, (), (), (), unit, direction)

    without = [
        side.arm.iloc[0] for side in sides if len(side) and side.value.isna().all()
    ]  # has the rows, and NaN in all of them: does not apply to this arm
    if without:
        return replace(
            empty, not_applicable=f"{contrast['metric']} does not apply to {' and '.join(without)}"
        )
    refusal = incomparable(both, contrast["metric"])
    if refusal:
        return replace(empty, refusal=refusal)

    treatment, control = (side.set_index("seed").value for side in sides)
    paired, differences, missing = [], [], []
    for seed in sorted({int(seed) for seed in expected}):
        values = {
            contrast["treatment"]: float(treatment.get(seed, math.nan)),
            contrast["control"]: float(control.get(seed, math.nan)),
        }
        absent = [arm for arm, value in values.items() if not math.isfinite(value)]
        if absent:
            missing.append(f"seed {seed}: no value of {' and '.join(absent)}")
        else:
            paired.append(seed)
            differences.append(values[contrast["treatment"]] - values[contrast["control"]])
    return replace(
        empty, seeds=tuple(paired), differences=tuple(differences), missing=tuple(missing)
    )


def incomparable(measured: pd.DataFrame, metric: str) -> str:
    """Why these values of a metric must not be compared; empty where they may be."""
    for column, why in (
        ("fingerprint", "was not measured in the same way everywhere"),
        ("unit", "has more than one unit"),
        ("direction", "has more than one better side"),
    ):
        values = sorted(measured[column].unique())
        if len(values) > 1:
            return f"{metric} {why} ({column} {', '.join(values)})"
    if len(measured) and measured.direction.iloc[0] not in ("higher", "lower"):
        return f"{metric} has no better side"
    return ""


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
        verdict="n/a" if pairs.not_applicable else "refused" if pairs.refusal else "inconclusive",
        mean=float(d.mean()) if n else None,
        deviation=None,
        interval=None,
        adjusted=None,
        bootstrap=None,
        p_t=None,
        p_flip=None,
        p_flip_exact=n <= EXACT_SEEDS,
        p_holm=None,
        improvement=_improvement(d, pairs.direction) if n else None,
        effect=None,
        detectable=None,
        seeds_needed=None,
        notes=_notes_on_pairs(pairs),
    )
    adjusted = t_interval(d, at)
    if adjusted is None:
        return found
    mean, deviation = float(d.mean()), float(d.std(ddof=1))
    word = verdict(adjusted, margin, pairs.direction)
    p_t, p_flip = _p_against(d, 0.0), sign_flip(d)
    return replace(
        found,
        verdict=word,
        deviation=deviation,
        interval=t_interval(d, level),
        adjusted=adjusted,
        bootstrap=bootstrap(d, level),
        p_t=p_t,
        p_flip=p_flip,
        effect=mean / deviation if deviation else None,
        detectable=detectable(n, deviation, at),
        seeds_needed=(
            seeds_to_decide(mean, deviation, margin, at, beyond=n)
            if word == "inconclusive"
            else None
        ),
        notes=found.notes + _notes_on_tests(n, deviation, p_t, p_flip, at),
    )


def verdict(interval: Interval, equivalence: float, direction: str) -> Verdict:
    """The word for an interval of treatment - control; see the table at the head of this module."""
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


def t_interval(values: Sequence[float] | NDArray[np.float64], level: float) -> Interval | None:
    """The interval mean +- t_{n-1, 1 - level/2} s / sqrt n; None from fewer than two values."""
    from scipy.stats import t

    n = len(values)
    if n < 2:
        return None
    half = float(t.ppf(1 - level / 2, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
    mean = float(np.mean(values))
    return Interval(mean - half, mean + half, level)


def bootstrap(values: NDArray[np.float64], level: float) -> Interval:
    """Percentile bootstrap interval of the mean over at least two seeds; the same every time."""
    from scipy import stats

    found = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=1 - level,
        n_resamples=DRAWS,
        batch=max(1, 2**20 // len(values)),
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Interval(float(found.low), float(found.high), level)


def sign_flip(values: NDArray[np.float64]) -> float:
    """Two-sided p of the mean under flips of each difference's sign.

    All 2^n patterns up to `EXACT_SEEDS` differences; above, `DRAWS` drawn ones and the pattern
    observed, ``(1 + hits) / (1 + draws)``, the same every time.
    """
    slack = 1e-12 * np.abs(values).sum()  # sums of the same numbers in another order are ties
    reached = abs(values.sum()) - slack
    if len(values) > EXACT_SEEDS:
        signs = 2 * np.random.default_rng(0).integers(0, 2, (DRAWS, len(values)), np.int8) - 1
        return float((1 + np.sum(np.abs(signs @ values) >= reached)) / (1 + DRAWS))
    sums = np.zeros(1)
    for value in values:
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


def detectable(n: int, deviation: float, level: float) -> float:
    """The smallest |true difference| that the paired t test finds with power 0.8.

    Solves ``P(|t_{n-1}(delta)| > t_{n-1, 1 - level/2}) = 0.8`` for the noncentrality
    ``delta = difference sqrt(n) / deviation``, leaving out the far tail (below 1e-4 at that power).
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

    n = np.arange(max(beyond + 1, 2), MOST_SEEDS + 1)
    decides = t.ppf(1 - level / 2, n - 1) * deviation / np.sqrt(n) < abs(abs(mean) - equivalence)
    return int(n[decides.argmax()]) if decides.any() else None


def sentence(found: Comparison) -> str:
    """A comparison in one or two sentences of plain English."""
    contrast, pairs = found.contrast, found.pairs
    who = f"{contrast['treatment']} and {contrast['control']}"
    if pairs.not_applicable:
        return f"No answer: {who} cannot be compared, since {pairs.not_applicable}."
    if pairs.refusal:
        return f"No answer: comparing {who} was refused, since {pairs.refusal}."
    if found.mean is None:
        return f"No answer: no seed has a value of {contrast['metric']} for both {who}."
    if found.interval is None or found.adjusted is None:
        return (
            f"No verdict: one paired seed gives a difference of {number(found.mean, signed=True)} "
            f"{pairs.unit} in {contrast['metric']} between {who}, and no interval."
        )
    shown = found.interval
    middle = (
        f"the mean difference over {found.n} paired seeds is "
        f"{number(found.mean, shown.half, signed=True)} {pairs.unit} "
        f"({shown.coverage} interval {interval_text(shown)}; {pairs.direction} is better; "
        f"practically equivalent within ±{contrast['equivalence']:g})."
    )
    if found.verdict == "inconclusive":
        opening = f"Inconclusive: whether {contrast['treatment']} is better than "
        opening += f"{contrast['control']} on {contrast['metric']} is open"
        return f"{opening}; {middle} {needed_text(found)}"
    word = {
        "better": "better than",
        "worse": "worse than",
        "equivalent": "practically equivalent to",
    }[found.verdict]
    return (
        f"{contrast['treatment']} is {word} {contrast['control']} on {contrast['metric']}: {middle}"
    )


def needed_text(found: Comparison) -> str:
    """How many seeds would decide an inconclusive comparison, as a sentence."""
    if found.seeds_needed is None:
        return f"At this mean and spread even {MOST_SEEDS:,} seeds would not decide it."
    return f"About {found.seeds_needed:,} seeds would decide it at this mean and spread."


def number(value: float, resolution: float | None = None, *, signed: bool = False) -> str:
    """A number to read: to two digits of `resolution` where given, else to three of its own."""
    if not math.isfinite(value):
        return "n/a"
    if value == 0 and not resolution:
        return "0"
    scale = abs(resolution) if resolution else abs(value)
    if scale == 0 or not math.isfinite(scale):
        scale = abs(value) or 1.0
    wanted = 1 if resolution else 2
    digits = wanted - math.floor(math.log10(scale))
    if digits > 7:
        return f"{value:{'+' if signed else ''}.{1 if resolution else 2}e}"
    return f"{value:{'+' if signed else ''},.{max(digits, 0)}f}"


def interval_text(
    interval: Interval | None, resolution: float | None = None, *, signed: bool = True
) -> str:
    """``[low, high]`` to two digits of `resolution`, by default its half-width; or ``n/a``."""
    if interval is None:
        return "n/a"
    digits = resolution or interval.half
    low, high = (number(end, digits, signed=signed) for end in (interval.low, interval.high))
    return f"[{low}, {high}]"


def _p_against(d: NDArray[np.float64], margin: float) -> float:
    """2 P(t_{n-1} > ||mean d| - margin| / (s / sqrt n)); 0 where d does not vary."""
    from scipy.stats import t

    away, error = abs(abs(d.mean()) - margin), d.std(ddof=1) / math.sqrt(len(d))
    if error == 0:
        return 1.0 if away == margin == 0 else 0.0
    return float(2 * t.sf(away / error, len(d) - 1))


def _p_verdict(pairs: Pairs) -> float:
    """The smallest level at which the interval decides; 1 where there is no interval."""
    d = np.asarray(pairs.differences)
    return _p_against(d, pairs.contrast["equivalence"]) if len(d) > 1 else 1.0


def _improvement(d: NDArray[np.float64], direction: str) -> float:
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
