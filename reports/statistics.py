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
most `level` (Holm 1979 applied to verdicts instead of to differences from zero; that stepping down
keeps errors of direction within the level too is Shaffer 1980's for independent contrasts, and
measured in ``tests/reports/test_statistics_simulated.py`` for contrasts that share a control).

**Bad ends.** A trial that diverged or failed has no value, so its seed makes no pair. It may have
come to that because of its arm; `sensitivity` says whether the primary verdict would survive if it
counted as the worst value seen.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from reports.rows import Contrast, Study, Trial, confirmed, load_clusters

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Outcomes = tuple[Array, Array]
"""What each original gave at one seed, in the metric's unit: the treatment's N, the control's N."""

Verdict = Literal["better", "worse", "equivalent", "inconclusive", "refused", "n/a"]

EXACT_SEEDS = 20  # 2^19 sign patterns take 6 ms; more are sampled
DRAWS = 99_999  # of sampled sign patterns
RESAMPLES = 19_999  # of seeds: they leave the ends unsure by 1% of the interval's half-width
ORIGINALS_DRAWN = 2_000  # resamples of the originals: half a second for 10,000 of them
SEEDS_DRAWN = 50  # resamples of the seeds beside each of the originals
BAD_ENDS = ("diverged", "failed")
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
    bootstrap: Interval | None  # percentile, at the study's level: shown, not decisive
    bootstrap_over: Literal["seeds", "seeds and originals"]  # what it draws
    p_t: float | None  # two-sided paired t test against 0
    p_flip: float | None  # two-sided sign-flip test against 0
    p_flip_exact: bool  # all 2^n patterns were enumerated
    p_holm: float | None  # p_flip, adjusted by Holm within the declared family
    improvement: float | None  # share of seeds on the better side, ties count half
    effect: float | None  # mean / deviation, Cohen's d_z
    detectable: float | None  # true |difference| told from 0 with power 0.8 at adjusted.level
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
    sensitivity: str  # would the verdict survive the bad ends? empty where there were none

    @property
    def verdict(self) -> Verdict:
        """The primary contrast's."""
        return self.primary.verdict


def answer(
    study: Study, rows: pd.DataFrame, trials: Sequence[Trial] = (), folder: Path | None = None
) -> Answer:
    """Compare as the study declared: the primary contrast alone, the secondary ones as a family.

    Args:
        study: the study's declaration.
        rows: its rows, as `reports.rows.load` gives them.
        trials: the manifest's, for what became of each; without them no sensitivity is known.
        folder: the study's, for what the trials left of each original; without it the bootstrap
            draws seeds alone.
    """
    primary = compare(rows, study["primary"], study["level"], seeds=study["seeds"])
    secondary = family(rows, study["secondary"], study["level"], seeds=study["seeds"])
    survives = sensitivity(primary, rows, trials, study["level"])
    if folder is not None:
        primary, *others = (with_originals(one, trials, folder) for one in (primary, *secondary))
        secondary = tuple(others)
    return Answer(sentence(primary), primary, secondary, study["budget_warning"], survives)


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
    measured, expected = confirmed(rows), _expected(rows, seeds)
    return judge_family([_paired(measured, one, expected) for one in contrasts], level)


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
    return _paired(confirmed(rows), contrast, _expected(rows, seeds))


def _expected(rows: pd.DataFrame, seeds: Sequence[int] | None) -> list[int]:
    found = rows.seed[rows.stage == "confirm"] if seeds is None else seeds
    return sorted({int(seed) for seed in found})


def _paired(measured: pd.DataFrame, contrast: Contrast, expected: Sequence[int]) -> Pairs:
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
    for seed in expected:
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
        bootstrap_over="seeds",
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


def t_interval(values: Sequence[float] | Array, level: float) -> Interval | None:
    """The interval mean +- t_{n-1, 1 - level/2} s / sqrt n; None from fewer than two values."""
    from scipy.stats import t

    n = len(values)
    if n < 2:
        return None
    half = float(t.ppf(1 - level / 2, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
    mean = float(np.mean(values))
    return Interval(mean - half, mean + half, level)


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

    ``pytest -s tests/reports/test_statistics_simulated.py -k bootstrap`` measures it again.
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


def hierarchical_bootstrap(outcomes: Sequence[Outcomes], level: float) -> Interval:
    """Percentile bootstrap interval of the mean difference over seeds and originals.

    Legend: ``S`` seeds, ``N`` originals, ``D[s, i]`` the treatment's mean outcome over the variants
    of original i at seed s, minus the control's. A draw counts how often it took each seed, u (S),
    and each original, v (N), both with replacement, and gives::

        sum_s sum_i u[s] v[i] D[s, i] / (S N)

    Variants never part: their original is drawn or not. Both arms of a pair are read on the same
    originals, and so are all seeds of a draw, because every seed is tested on the same set: what
    is hard about an original is hard at every seed and does not average out over them. (Drawing
    originals anew within each seed treats it as if it did, and widens the interval too little.)
    The plain `bootstrap` is about these very originals; this one is about others like them, and
    errs on the wide side where neither varies much by itself. (Simulated with 10 seeds, half of the
    mean's variance from each: it covers 93% at 95%, the plain one 77%.)

    Source: Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1 (2007), 386-411.

    Args:
        outcomes: of each seed, the i-th entry always of the same original.
        level: two-sided significance level.

    Returns:
        The same every time.

    Raises:
        ValueError: the sides or the seeds have different numbers of originals.
    """
    shapes = {side.shape for both in outcomes for side in both}
    if len(shapes) != 1:
        raise ValueError("the seeds and sides have different numbers of originals")
    differences = np.stack([treatment - control for treatment, control in outcomes])
    seeds, originals = differences.shape
    rng, chunk, means = np.random.default_rng(0), max(1, 2**20 // originals), []
    for start in range(0, ORIGINALS_DRAWN, chunk):  # the counts of all draws would take 160 MB
        size = min(chunk, ORIGINALS_DRAWN - start)
        of_seeds = _counts(rng, size, originals) @ differences.T / originals  # size S
        drawn = _counts(rng, size * SEEDS_DRAWN, seeds).reshape(size, SEEDS_DRAWN, seeds)
        means.append(np.einsum("dks,ds->dk", drawn, of_seeds) / seeds)
    low, high = np.quantile(np.concatenate(means), [level / 2, 1 - level / 2])
    return Interval(float(low), float(high), level)


def with_originals(found: Comparison, trials: Sequence[Trial], folder: Path) -> Comparison:
    """The comparison with its bootstrap over seeds and originals, where every trial left both.

    Where only some did, or what they left does not fit the rows, the bootstrap stays over seeds
    alone and a note says why.

    Args:
        found: a comparison.
        trials: the manifest's.
        folder: the study's.
    """
    kept = {
        (trial["arm"], trial["seed"]): folder / path
        for trial in trials
        if trial["stage"] == "confirm" and trial["status"] == "done"
        if (path := trial.get("clusters"))
    }
    if found.interval is None or not kept:
        return found
    try:
        outcomes = _outcomes(found.pairs, kept)
        if not outcomes:
            return found
        interval = hierarchical_bootstrap(outcomes, found.interval.level)
    except ValueError as error:
        note = f"the bootstrap draws seeds alone: {error}"
        return replace(found, notes=(*found.notes, note))
    return replace(found, bootstrap=interval, bootstrap_over="seeds and originals")


def _outcomes(pairs: Pairs, kept: Mapping[tuple[str, int], Path]) -> list[Outcomes]:
    """Of each pair; none where no trial has the metric by original.

    Raises:
        ValueError: some have it and others do not, or it does not give the rows' differences.
    """
    contrast, found, lacking = pairs.contrast, list[Outcomes](), list[str]()
    for seed, difference in zip(pairs.seeds, pairs.differences, strict=True):
        sides = []
        for arm in (contrast["treatment"], contrast["control"]):
            path = kept.get((arm, seed))
            outcomes = load_clusters(path, contrast["metric"]) if path else None
            if outcomes is None:
                lacking.append(f"{arm} at seed {seed}")
            else:
                sides.append(outcomes)
        if len(sides) < 2:
            continue
        treatment, control = sides
        if not math.isclose(treatment.mean() - control.mean(), difference, abs_tol=1e-6):
            raise ValueError(f"the originals at seed {seed} do not average to the rows' difference")
        found.append((treatment, control))
    if lacking and len(lacking) < 2 * len(pairs.seeds):
        raise ValueError(f"no outcomes by original of {', '.join(lacking)}")
    return found


def _counts(rng: np.random.Generator, draws: int, size: int) -> Array:
    """How often each of `size` things is taken, `size` times with replacement (draws size)."""
    taken = rng.integers(0, size, (draws, size), np.int32) + np.arange(draws)[:, None] * size
    counts = np.bincount(taken.ravel(), minlength=draws * size)
    return counts.reshape(draws, size).astype(float)


def sensitivity(
    found: Comparison, rows: pd.DataFrame, trials: Sequence[Trial], level: float
) -> str:
    """Whether a verdict survives if trials that diverged or failed count as the worst value seen.

    Of a seed without a pair, a side that came to a bad end enters with the worst finite value of
    the metric that any arm reached in confirmation, measured in the same way; where both sides did,
    the difference is 0. A seed that lacks a value for another reason, such as an interruption,
    stays out and is named.

    Args:
        found: the comparison.
        rows: the study's.
        trials: the manifest's.
        level: at which `found` was judged.

    Returns:
        A sentence; empty where nothing in confirmation diverged or failed, and where the comparison
        is refused or does not apply.
    """
    pairs, arms = found.pairs, (found.contrast["treatment"], found.contrast["control"])
    every = {
        (trial["arm"], trial["seed"])
        for trial in trials
        if trial["stage"] == "confirm" and trial["status"] in BAD_ENDS
    }
    if not every or pairs.refusal or pairs.not_applicable:
        return ""
    values, worst = _seen(rows, pairs)
    bad = {(arm, seed) for arm, seed in every if arm in arms} - values.keys()
    if not bad:
        others = ", ".join(sorted({arm for arm, _ in every}))
        return f"No trial behind the verdict diverged or failed; some of {others} did."
    for arm in arms:  # made up of nothing but the worst value, it might even seem equivalent
        if not any(arm == other for other, _ in values):
            return f"No verdict can be tried on trials that diverged or failed: {arm} has no value."
    known = dict.fromkeys(bad, worst) | values
    entered = {
        seed: known[arms[0], seed] - known[arms[1], seed]
        for seed in sorted({seed for _, seed in bad})
        if all((arm, seed) in known for arm in arms)
    }
    interval, word = t_interval([*pairs.differences, *entered.values()], level), found.verdict
    if interval:  # from a single pair there is none, and no verdict either
        word = verdict(interval, found.contrast["equivalence"], pairs.direction)
    counted = sorted((seed, arm) for arm, seed in bad if seed in entered)
    return _survival(found, word, worst, [seed for seed, _ in counted])


def _seen(rows: pd.DataFrame, pairs: Pairs) -> tuple[dict[tuple[str, int], float], float]:
    """A contrast's finite values by arm and seed, and the worst that any arm has of its metric."""
    contrast, measured = pairs.contrast, confirmed(rows)
    measured = measured[(measured.metric == contrast["metric"]) & np.isfinite(measured.value)]
    own = measured[measured.arm.isin([contrast["treatment"], contrast["control"]])]
    alike = measured.value[measured.fingerprint.isin(own.fingerprint)]
    worst = float(alike.min() if pairs.direction == "higher" else alike.max())
    return {(row.arm, row.seed): row.value for row in own.itertuples()}, worst


def _survival(found: Comparison, word: Verdict, worst: float, counted: Sequence[int]) -> str:
    """What the verdict becomes, as a sentence; `counted` is the seed of each trial that counts."""
    if not counted:
        return "No trial that diverged or failed has a partner to be compared with."
    who, count = (f"{len(counted)} trials", "count") if len(counted) > 1 else ("trial", "counts")
    twice = ", ".join(str(seed) for seed in dict.fromkeys(counted) if counted.count(seed) == 2)
    both = f"; both did at seed {twice}, difference 0" if twice else ""
    change = "stays" if word == found.verdict else f"turns from {found.verdict} to"
    seeds = tuple(f"seed {seed}:" for seed in counted)
    still = "; ".join(gap for gap in found.pairs.missing if not gap.startswith(seeds))
    return (
        f"If the {who} that diverged or failed {count} as the worst value seen ({number(worst)}"
        f"{both}), the verdict {change} {word}{f'; still missing: {still}' if still else ''}."
    )


def sign_flip(values: Array) -> float:
    """Two-sided p of the mean under flips of each difference's sign.

    All 2^n patterns up to `EXACT_SEEDS` differences; above, `DRAWS` drawn ones and the pattern
    observed, ``(1 + hits) / (1 + draws)``, the same every time.
    """
    slack = 1e-12 * np.abs(values).sum()  # sums of the same numbers in another order are ties
    reached = abs(values.sum()) - slack
    if len(values) > EXACT_SEEDS:
        signs = 2 * np.random.default_rng(0).integers(0, 2, (DRAWS, len(values)), np.int8) - 1
        return float((1 + np.sum(np.abs(signs @ values) >= reached)) / (1 + DRAWS))
    sums = values[:1]  # a pattern and its mirror have one size: the first sign can stay
    for value in values[1:]:
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


def _p_against(d: Array, margin: float) -> float:
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
