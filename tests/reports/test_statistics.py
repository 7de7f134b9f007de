"""The statistics behind every verdict, checked against scipy, statsmodels and brute force.

A wrong interval or a wrong word here is a wrong claim about the paper, so each quantity is compared
with an independent computation, and each word of the verdict table is reached from real rows.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from reports import statistics
from reports.rows import COLUMNS

LEVEL = 0.05
RNG = np.random.default_rng(7)
DIFFERENCES = RNG.normal(0.4, 1.0, 9)


def rows_of(values, metric="score", direction="higher", fingerprint="f", **changes):
    """Rows for {arm: {seed: value}}."""
    records = [
        {
            "study": "s", "arm": arm, "role": "arm", "seed": seed, "stage": "confirm",
            "status": "done", "trial": f"{arm}{seed}", "evaluation": "e", "metric": metric,
            "value": value, "unit": "points", "direction": direction, "fingerprint": fingerprint,
            "split": "test", **changes,
        }
        for arm, by_seed in values.items()
        for seed, value in by_seed.items()
    ]  # fmt: skip
    return pd.DataFrame(records, columns=list(COLUMNS)).astype(COLUMNS)


def contrast(treatment="new", control="old", metric="score", equivalence=0.1):
    return {
        "treatment": treatment,
        "control": control,
        "metric": metric,
        "equivalence": equivalence,
    }


def pairs_of(differences, equivalence=0.1, direction="higher"):
    n = len(differences)
    values = {
        "new": {i: 5.0 + d for i, d in enumerate(differences)},
        "old": dict.fromkeys(range(n), 5.0),
    }
    return statistics.pair(rows_of(values, direction=direction), contrast(equivalence=equivalence))


def test_the_interval_and_p_are_those_of_scipys_paired_t_test():
    new, old = RNG.normal(1, 1, 8), RNG.normal(0.5, 1, 8)
    found = statistics.compare(
        rows_of({"new": dict(enumerate(new)), "old": dict(enumerate(old))}), contrast(), LEVEL
    )
    truth = stats.ttest_rel(new, old)
    interval = truth.confidence_interval(1 - LEVEL)
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(interval))
    assert found.p_t == pytest.approx(truth.pvalue)
    assert found.effect == pytest.approx((new - old).mean() / (new - old).std(ddof=1))
    assert found.improvement == pytest.approx(np.mean(new > old))


@pytest.mark.parametrize("n", [2, 3, 6, 9])
def test_sign_flip_p_is_that_of_all_sign_patterns(n):
    d = DIFFERENCES[:n]
    means = [abs(np.mean(d * signs)) for signs in itertools.product((1, -1), repeat=n)]
    brute = np.mean([mean >= abs(d.mean()) - 1e-12 for mean in means])
    assert statistics.sign_flip(d) == pytest.approx(brute)
    scipys = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert statistics.sign_flip(d) == pytest.approx(scipys.pvalue)


def test_sign_flip_counts_ties_and_reaches_its_floor():
    assert statistics.sign_flip(np.array([0.1, 0.2, 0.3, 0.4])) == 2 / 2**4
    assert statistics.sign_flip(np.zeros(5)) == 1


def test_sampled_sign_flip_is_near_the_normal_limit_and_repeats():
    d = np.random.default_rng(0).normal(0.25, 1, 60)
    p = statistics.sign_flip(d)
    z = d.sum() / np.sqrt(np.sum(d**2))  # variance of the sum under sign flips is sum d^2
    assert p == pytest.approx(2 * stats.norm.sf(abs(z)), rel=0.1)
    assert p == statistics.sign_flip(d)
    found = statistics.judge(pairs_of(d), LEVEL, LEVEL)
    assert not found.p_flip_exact
    assert any("drawn sign patterns" in note for note in found.notes)


@pytest.mark.parametrize("seed", range(20))
def test_holm_levels_reject_what_statsmodels_rejects(seed):
    p = np.random.default_rng(seed).beta(0.3, 3, 6)
    levels = statistics.holm_levels(list(p), LEVEL)
    rejected = multipletests(p, alpha=LEVEL, method="holm")[0]
    assert [value <= at for value, at in zip(p, levels, strict=True)] == list(rejected)


def test_holm_levels_by_hand():
    # sorted: 0.001 <= .05/4, 0.03 > .05/3 stops; the rest stay at .05/3 though 0.04 <= .05/1
    assert statistics.holm_levels([0.03, 0.001, 0.04, 0.035], 0.05) == pytest.approx(
        [0.05 / 3, 0.05 / 4, 0.05 / 3, 0.05 / 3]
    )


@pytest.mark.parametrize("shift", [0.0, 0.3, -2.0])
def test_the_levels_come_from_the_smallest_level_at_which_an_interval_decides(shift):
    d = DIFFERENCES - DIFFERENCES.mean() + shift
    p = statistics._p_verdict(pairs_of(d, 0.9))

    def word(level):
        return statistics.verdict(statistics.t_interval(d, level), 0.9, "higher")

    assert word(p * 1.001) != "inconclusive"
    assert word(p * 0.999) == "inconclusive"


def test_the_family_is_adjusted_together_and_its_words_follow_holm():
    rng = np.random.default_rng(11)
    shifts = {"a": 3.0, "b": 1.2, "c": 0.5, "d": 0.0}
    old = dict(enumerate(rng.normal(0, 1, 6)))
    values = {arm: {s: old[s] + x for s, x in enumerate(rng.normal(shift, 0.6, 6))}
              for arm, shift in shifts.items()}  # fmt: skip
    family = [contrast(treatment=arm, equivalence=0.0) for arm in shifts]
    found = statistics.family(rows_of({**values, "old": old}), family, LEVEL)
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
            statistics.Pairs(contrast(equivalence=0.5), (), tuple(one), (), "points", "higher")
            for one in d
        ]
        p = [statistics._p_verdict(pairs) for pairs in every]
        levels = statistics.holm_levels(p, LEVEL)
        wrong += any(
            statistics.verdict(statistics.t_interval(one, at), 0.5, "higher") != "inconclusive"
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
    higher = statistics.judge(pairs_of(differences), LEVEL, LEVEL)
    lower = statistics.judge(pairs_of(differences, direction="lower"), LEVEL, LEVEL)
    assert higher.verdict == word
    assert lower.verdict == flipped.get(word, word)
    assert lower.mean == higher.mean  # the difference itself does not flip
    assert lower.improvement == pytest.approx(1 - higher.improvement, abs=0.2)


def test_beyond_zero_but_not_beyond_the_region_is_inconclusive():
    found = statistics.judge(pairs_of([0.12, 0.10, 0.14, 0.08], 0.1), LEVEL, LEVEL)
    assert found.interval.low > 0
    assert found.verdict == "inconclusive"


def test_seeds_needed_would_decide_and_one_fewer_would_not():
    found = statistics.judge(pairs_of([0.30, -0.20, 0.40, 0.05]), LEVEL, LEVEL)

    def decided(n):
        half = stats.t.ppf(0.975, n - 1) * found.deviation / math.sqrt(n)
        return found.mean - half > 0.1 or abs(found.mean) + half < 0.1

    assert found.seeds_needed > 4
    assert decided(found.seeds_needed)
    assert not decided(found.seeds_needed - 1)
    assert str(found.seeds_needed) in statistics.sentence(found)


def test_no_number_of_seeds_is_said_to_be_so():
    found = statistics.judge(pairs_of([0.0, 0.2, 0.0, 0.2], 0.1), LEVEL, LEVEL)
    assert found.seeds_needed is None  # the mean lies on the edge of the region
    assert "would not decide" in statistics.sentence(found)


def test_the_detectable_difference_is_found_in_four_of_five_simulated_studies():
    n, deviation, level = 6, 2.0, 0.01
    difference = statistics.detectable(n, deviation, level)
    draws = np.random.default_rng(0).normal(difference, deviation, (20_000, n))
    power = np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue <= level)
    assert power == pytest.approx(0.8, abs=0.01)


def test_the_bootstrap_interval_is_the_percentiles_of_resampled_means():
    found = statistics.bootstrap(DIFFERENCES, LEVEL)
    rng = np.random.default_rng(123)
    means = rng.choice(DIFFERENCES, (100_000, len(DIFFERENCES))).mean(axis=1)
    truth = np.percentile(means, [2.5, 97.5])
    assert (found.low, found.high) == pytest.approx(tuple(truth), abs=0.02)
    assert found == statistics.bootstrap(DIFFERENCES, LEVEL)


def test_a_missing_pair_is_named_and_left_out():
    rows = rows_of({"new": {1: 2.0, 2: 2.1, 3: math.nan}, "old": {1: 1.0, 3: 1.0}})
    found = statistics.compare(rows, contrast(), LEVEL, seeds=[1, 2, 3, 4])
    assert found.pairs.seeds == (1,)
    assert found.pairs.missing == (
        "seed 2: no value of old",
        "seed 3: no value of new",
        "seed 4: no value of new and old",
    )
    assert found.interval is None
    assert found.verdict == "inconclusive"
    assert "no interval" in statistics.sentence(found)


def test_only_finished_confirmation_on_test_data_is_compared():
    good = rows_of({"new": {1: 2.0, 2: 2.2}, "old": {1: 1.0, 2: 1.0}})
    others = [
        rows_of({"new": {7: 9.0}, "old": {7: 0.0}}, **change)
        for change in ({"stage": "tune"}, {"status": "diverged"}, {"split": "validation"})
    ]
    found = statistics.compare(pd.concat([good, *others]), contrast(), LEVEL, seeds=[1, 2])
    assert found.pairs.differences == pytest.approx((1.0, 1.2))


def test_a_metric_that_does_not_apply_does_not_count_in_the_family():
    rows = rows_of({"new": {1: 1.0, 2: 1.2, 3: 1.3}, "old": {1: 0.0, 2: 0.1, 3: 0.0},
                    "plain": dict.fromkeys((1, 2, 3), math.nan)})  # fmt: skip
    found = statistics.family(rows, [contrast(), contrast(control="plain")], LEVEL)
    assert [one.verdict for one in found] == ["better", "n/a"]
    assert found[0].adjusted.level == LEVEL  # m = 1
    assert found[0].p_holm == found[0].p_flip
    assert "does not apply to plain" in found[1].notes[0]


def test_values_measured_in_different_ways_are_refused():
    rows = pd.concat([
        rows_of({"new": {1: 1.0, 2: 1.0}}, fingerprint="k=5"),
        rows_of({"old": {1: 0.0, 2: 0.0}}, fingerprint="k=9"),
    ])  # fmt: skip
    found = statistics.compare(rows, contrast(), LEVEL)
    assert found.verdict == "refused"
    assert found.mean is None
    assert "fingerprint k=5, k=9" in statistics.sentence(found)


def test_a_metric_without_a_better_side_is_refused():
    rows = rows_of({"new": {1: 1.0, 2: 1.0}, "old": {1: 0.0, 2: 0.0}}, direction="none")
    assert statistics.compare(rows, contrast(), LEVEL).verdict == "refused"


def test_a_level_out_of_reach_of_the_seeds_is_said():
    few = statistics.judge(pairs_of([0.5, 0.52, 0.48]), LEVEL, LEVEL)
    enough = statistics.judge(pairs_of([0.5, 0.52, 0.48, 0.5, 0.51, 0.49]), LEVEL, LEVEL)
    assert any("cannot go below 0.25" in note for note in few.notes)
    assert not enough.notes


@pytest.mark.parametrize("level", [0.5, 0.25, math.nextafter(0.25, 0), 0.05, 0.05 / 18, 1e-6])
def test_the_seeds_that_reach_a_level_do_and_one_fewer_do_not(level):
    """By flipping the signs of as many equal differences, which is as far as the test can go."""
    n = statistics.seeds_to_reach(level)
    assert statistics.sign_flip(np.ones(min(n, 20))) == 2.0 ** (1 - min(n, 20))
    assert 2.0 ** (1 - n) <= level < 2.0 ** (2 - n)


def test_the_remark_on_an_unreachable_level_says_how_many_seeds_would_reach_it():
    few = statistics.judge(pairs_of([0.5, 0.52, 0.48]), LEVEL, LEVEL)
    assert any("takes 6 seeds" in note for note in few.notes)
    adjusted = statistics.judge(pairs_of([0.5, 0.52, 0.48]), LEVEL, LEVEL / 18)
    assert any("takes 10 seeds" in note for note in adjusted.notes)


def test_a_family_can_be_judged_from_its_pairs():
    rows = rows_of({"new": {1: 1.0, 2: 1.2, 3: 1.3}, "old": {1: 0.0, 2: 0.1, 3: 0.0}})
    every = [contrast(), contrast("old", "new")]
    pairs = [statistics.pair(rows, one) for one in every]
    assert statistics.judge_family(pairs, LEVEL) == statistics.family(rows, every, LEVEL)
    assert statistics.judge_family([], LEVEL) == ()


def test_disagreement_of_the_two_tests_is_said():
    d = np.array([0.3] * 6 + [-0.1] + [4.0])  # one large seed: t hesitates, signs do not
    found = statistics.judge(pairs_of(d, 0.0), LEVEL, LEVEL)
    assert found.p_t > LEVEL > found.p_flip
    assert any("disagree" in note for note in found.notes)


def test_equal_differences_are_remarked_on():
    found = statistics.judge(pairs_of([0.5, 0.5, 0.5]), LEVEL, LEVEL)
    assert found.effect is None
    assert any("no width" in note for note in found.notes)


@pytest.mark.parametrize(
    ("value", "resolution", "signed", "text"),
    [
        (0.8123, None, False, "0.812"),
        (1234567.0, None, False, "1,234,567"),
        (0.01234, 0.004, True, "+0.0123"),
        (92.345, 1.8, False, "92.3"),
        (0.0, None, False, "0"),
        (3.2e-12, None, False, "3.20e-12"),
        (math.nan, None, False, "n/a"),
    ],
)
def test_numbers_show_the_digits_that_their_interval_warrants(value, resolution, signed, text):
    assert statistics.number(value, resolution, signed=signed) == text
