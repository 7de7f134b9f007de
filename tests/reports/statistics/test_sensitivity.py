"""The line on trials that diverged or failed: would the verdict survive the worst case?

Leaving out a seed whose trial broke can flatter the arm that broke it. Each case is small enough to
be counted by hand; the verdict that the line names is checked against a comparison of rows in which
the worst value really stands.
"""

from __future__ import annotations

import math

import pandas as pd
import pytest

from reports.rows import COLUMNS
from reports.statistics import sensitivity
from reports.statistics.answers import answer

CONTRAST = {"treatment": "new", "control": "old", "metric": "m", "equivalence": 0.05}
SEEDS = [1, 2, 3, 4, 5]
OLD = dict(zip(SEEDS, (0.50, 0.51, 0.49, 0.50, 0.52), strict=True))
BETTER = {seed: value + 0.2 + 0.002 * seed for seed, value in OLD.items()}
SAME = {seed: value + 0.002 * seed - 0.005 for seed, value in OLD.items()}


def study_of(values, bad=(), direction="higher", seeds=SEEDS, **rest):
    """A declaration, rows and trials; `bad` maps (arm, seed) to how the trial ended instead."""
    records, trials = [], []
    for arm, by_seed in values.items():
        for seed in seeds:
            status = dict(bad).get((arm, seed), "done")
            trials.append({"arm": arm, "seed": seed, "stage": "confirm", "status": status})
            if status == "done":
                records.append(
                    ("s", arm, "arm", seed, "confirm", status, f"{arm}{seed}", "e", "m",
                     by_seed[seed], "u", direction, rest.get(arm, "f"), "test")
                )  # fmt: skip
    study = {
        "primary": CONTRAST, "secondary": [], "level": 0.05, "seeds": seeds, "budget_warning": "",
    }  # fmt: skip
    rows = pd.DataFrame(records, columns=list(COLUMNS)).astype(COLUMNS)
    return study, rows, trials


def line(values, bad=(), **rest):
    return answer(*study_of(values, bad, **rest)).sensitivity


def judged(values, **rest):
    return answer(*study_of(values, **rest)).verdict


def test_nothing_is_said_where_every_trial_is_done():
    assert line({"new": BETTER, "old": OLD}) == ""


def test_nothing_is_said_of_interruptions_and_of_tuning():
    study, rows, trials = study_of({"new": BETTER, "old": OLD}, {("new", 2): "interrupted"})
    trials.append({"arm": "new", "seed": 9, "stage": "tune", "status": "diverged"})
    found = answer(study, rows, trials)
    assert found.sensitivity == ""
    assert found.primary.pairs.missing == ("seed 2: no value of new",)


def test_without_trials_nothing_is_known():
    study, rows, _ = study_of({"new": BETTER, "old": OLD}, {("new", 2): "failed"})
    assert answer(study, rows).sensitivity == ""


@pytest.mark.parametrize("status", sensitivity.BAD_ENDS)
def test_a_verdict_that_turns_is_told_with_both_words(status):
    values = {"new": BETTER, "old": OLD}
    assert line(values, {("new", 2): status}) == (
        "If the trial that diverged or failed counts as the worst value seen (0.490), the verdict "
        "turns from better to inconclusive."
    )
    assert judged({"new": BETTER | {2: 0.49}, "old": OLD}) == "inconclusive"


def test_a_verdict_that_stays_is_told_with_the_worst_of_all_arms():
    """It stays, since it is the control that broke; the worst value is a third arm's."""
    values = {"new": BETTER, "old": OLD, "third": dict.fromkeys(SEEDS, 0.4)}
    bad = {("old", 2): "failed", ("old", 4): "diverged"}
    assert line(values, bad) == (
        "If the 2 trials that diverged or failed count as the worst value seen (0.400), the "
        "verdict stays better."
    )
    assert judged(values | {"old": OLD | {2: 0.4, 4: 0.4}}) == "better"


def test_the_worst_value_is_the_largest_where_lower_is_better():
    values = {"new": OLD, "old": BETTER, "third": dict.fromkeys(SEEDS, 0.9)}
    text = line(values, {("new", 3): "failed"}, direction="lower")
    assert "worst value seen (0.900)" in text
    again = judged(values | {"new": OLD | {3: 0.9}}, direction="lower")
    assert text.endswith(f"turns from better to {again}.")


def test_a_seed_at_which_both_broke_enters_as_no_difference():
    values = {"new": SAME, "old": OLD}
    text = line(values, {("new", 3): "failed", ("old", 3): "diverged"})
    assert text == (
        "If the 2 trials that diverged or failed count as the worst value seen (0.497; both did "
        "at seed 3, difference 0), the verdict stays equivalent."
    )


def test_an_interrupted_partner_is_named_and_not_made_up():
    bad = {("new", 2): "failed", ("old", 2): "interrupted", ("new", 4): "failed"}
    text = line({"new": SAME, "old": OLD}, bad)
    assert text.startswith("If the trial that diverged or failed counts")
    assert text.endswith("; still missing: seed 2: no value of new and old.")
    del bad["new", 4]
    assert "has a partner" in line({"new": SAME, "old": OLD}, bad)


def test_values_measured_in_another_way_are_not_the_worst_seen():
    values = {"new": SAME, "old": OLD, "third": dict.fromkeys(SEEDS, 0.1)}
    assert "(0.490)" in line(values, {("new", 2): "failed"}, third="another")


def test_values_that_are_not_finite_are_not_the_worst_seen():
    values = {"new": SAME, "old": OLD, "third": dict.fromkeys(SEEDS, -math.inf)}
    assert "(0.490)" in line(values, {("new", 2): "failed"})


def test_bad_ends_of_other_arms_do_not_touch_the_verdict():
    values = {"new": SAME, "old": OLD, "third": OLD}
    assert line(values, {("third", 2): "failed"}) == (
        "No trial behind the verdict diverged or failed; some of third did."
    )


def test_a_trial_that_broke_and_was_run_again_counts_by_its_value():
    study, rows, trials = study_of({"new": SAME, "old": OLD})
    trials.insert(0, trials[0] | {"status": "failed"})
    assert "No trial behind the verdict" in answer(study, rows, trials).sensitivity


@pytest.mark.parametrize("broken", [["new"], ["old"], ["new", "old"]])
def test_an_arm_that_always_broke_is_never_called_equivalent(broken):
    """Made up of the other's worst value alone, it would be as good as the other's worst."""
    bad = {(arm, seed): "diverged" for arm in broken for seed in SEEDS}
    values = {"new": SAME, "old": SAME, "third": OLD}
    assert line(values, bad) == (
        f"No verdict can be tried on trials that diverged or failed: {broken[0]} has no value."
    )


def test_a_metric_that_does_not_apply_has_no_verdict_to_survive():
    values = {"new": dict.fromkeys(SEEDS, math.nan), "old": OLD}
    assert line(values, {("old", 2): "failed"}) == ""
