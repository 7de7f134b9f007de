"""Bad ends: would a verdict survive if they counted as the worst value seen?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from reports.manifest import TrialEntry
from reports.rows import confirmed
from reports.statistics.intervals import t_interval
from reports.statistics.records import Comparison, Pairs, Verdict
from reports.statistics.verdicts import verdict
from reports.words import number

if TYPE_CHECKING:
    import pandas as pd

BAD_ENDS = ("diverged", "failed")


def sensitivity(
    found: Comparison, rows: pd.DataFrame, trials: Sequence[TrialEntry], level: float
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
