"""The words of the verdict table, each reached from real rows, and the family that shares a level.

A wrong word here is a wrong claim about the paper.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from reports.statistics import intervals, verdicts
from reports.statistics.pairs import pair
from reports.statistics.records import Pairs
from reports.statistics.tests import holm_levels
from tests.reports.statistics.paired import DIFFERENCES, LEVEL, contrast, pairs_of, rows_of


@pytest.mark.parametrize("shift", [0.0, 0.3, -2.0])
def test_the_levels_come_from_the_smallest_level_at_which_an_interval_decides(shift):
    d = DIFFERENCES - DIFFERENCES.mean() + shift
    p = verdicts.p_verdict(pairs_of(d, 0.9))

    def word(level):
        return verdicts.verdict(intervals.t_interval(d, level), 0.9, "higher")

    assert word(p * 1.001) != "inconclusive"
    assert word(p * 0.999) == "inconclusive"


def test_the_family_is_adjusted_together_and_its_words_follow_holm():
    rng = np.random.default_rng(11)
    shifts = {"a": 3.0, "b": 1.2, "c": 0.5, "d": 0.0}
    old = dict(enumerate(rng.normal(0, 1, 6)))
    values = {arm: {s: old[s] + x for s, x in enumerate(rng.normal(shift, 0.6, 6))}
              for arm, shift in shifts.items()}  # fmt: skip
    family = [contrast(treatment=arm, equivalence=0.0) for arm in shifts]
    found = verdicts.family(rows_of({**values, "old": old}), family, LEVEL)
    t = [stats.ttest_rel(list(values[arm].values()), list(old.values())).pvalue for arm in shifts]
    rejected = multipletests(t, alpha=LEVEL, method="holm")[0]
    assert [one.verdict != "inconclusive" for one in found] == list(rejected)
    assert True in rejected
    assert False in rejected
    flips = [one.p_flip for one in found]
    assert [one.p_holm for one in found] == pytest.approx(multipletests(flips, method="holm")[1])
    assert found[0].adjusted.level == pytest.approx(LEVEL / 4)
    assert found[0].adjusted.half > found[0].interval.half


def test_a_wrong_verdict_in_the_family_is_as_rare_as_the_level_says():
    """All true differences lie at the edge of the region, where every verdict is wrong."""
    rng, families, wrong = np.random.default_rng(5), 400, 0
    for _ in range(families):
        d = rng.normal(0.5, 1, (5, 6))
        every = [
            Pairs(contrast(equivalence=0.5), (), tuple(one), (), "points", "higher") for one in d
        ]
        p = [verdicts.p_verdict(pairs) for pairs in every]
        levels = holm_levels(p, LEVEL)
        wrong += any(
            verdicts.verdict(intervals.t_interval(one, at), 0.5, "higher") != "inconclusive"
            for one, at in zip(d, levels, strict=True)
        )
    assert wrong / families < LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / families)


@pytest.mark.parametrize(
    ("differences", "word"),
    [
        ([0.50, 0.52, 0.48, 0.51], "better"),
        ([-0.50, -0.52, -0.48, -0.51], "worse"),
        ([0.01, -0.02, 0.00, 0.01], "equivalent"),
        ([0.30, -0.20, 0.40, 0.05], "inconclusive"),
    ],
)
def test_each_word_of_the_table_is_reached_and_flips_where_lower_is_better(differences, word):
    flipped = {"better": "worse", "worse": "better"}
    higher = verdicts.judge(pairs_of(differences), LEVEL, LEVEL)
    lower = verdicts.judge(pairs_of(differences, direction="lower"), LEVEL, LEVEL)
    assert higher.verdict == word
    assert lower.verdict == flipped.get(word, word)
    assert lower.mean == higher.mean  # the difference itself does not flip
    assert lower.improvement == pytest.approx(1 - higher.improvement, abs=0.2)


def test_beyond_zero_but_not_beyond_the_region_is_inconclusive():
    found = verdicts.judge(pairs_of([0.12, 0.10, 0.14, 0.08], 0.1), LEVEL, LEVEL)
    assert found.interval.low > 0
    assert found.verdict == "inconclusive"


def test_a_metric_that_does_not_apply_does_not_count_in_the_family():
    rows = rows_of({"new": {1: 1.0, 2: 1.2, 3: 1.3}, "old": {1: 0.0, 2: 0.1, 3: 0.0},
                    "plain": dict.fromkeys((1, 2, 3), math.nan)})  # fmt: skip
    found = verdicts.family(rows, [contrast(), contrast(control="plain")], LEVEL)
    assert [one.verdict for one in found] == ["better", "n/a"]
    assert found[0].adjusted.level == LEVEL  # m = 1
    assert found[0].p_holm == found[0].p_flip
    assert "does not apply to plain" in found[1].notes[0]


def test_a_level_out_of_reach_of_the_seeds_is_said():
    few = verdicts.judge(pairs_of([0.5, 0.52, 0.48]), LEVEL, LEVEL)
    enough = verdicts.judge(pairs_of([0.5, 0.52, 0.48, 0.5, 0.51, 0.49]), LEVEL, LEVEL)
    assert any("cannot go below 0.25" in note for note in few.notes)
    assert not enough.notes


def test_the_remark_on_an_unreachable_level_says_how_many_seeds_would_reach_it():
    few = verdicts.judge(pairs_of([0.5, 0.52, 0.48]), LEVEL, LEVEL)
    assert any("takes 6 seeds" in note for note in few.notes)
    adjusted = verdicts.judge(pairs_of([0.5, 0.52, 0.48]), LEVEL, LEVEL / 18)
    assert any("takes 10 seeds" in note for note in adjusted.notes)


def test_a_family_can_be_judged_from_its_pairs():
    rows = rows_of({"new": {1: 1.0, 2: 1.2, 3: 1.3}, "old": {1: 0.0, 2: 0.1, 3: 0.0}})
    every = [contrast(), contrast("old", "new")]
    pairs = [pair(rows, one) for one in every]
    assert verdicts.judge_family(pairs, LEVEL) == verdicts.family(rows, every, LEVEL)
    assert verdicts.judge_family([], LEVEL) == ()


def test_disagreement_of_the_two_tests_is_said():
    d = np.array([0.3] * 6 + [-0.1] + [4.0])  # one large seed: t hesitates, signs do not
    found = verdicts.judge(pairs_of(d, 0.0), LEVEL, LEVEL)
    assert found.p_t > LEVEL > found.p_flip
    assert any("disagree" in note for note in found.notes)


def test_equal_differences_are_remarked_on():
    found = verdicts.judge(pairs_of([0.5, 0.5, 0.5]), LEVEL, LEVEL)
    assert found.effect is None
    assert any("no width" in note for note in found.notes)
