"""What a number of seeds can tell, against simulated studies."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from reports.statistics import power, verdicts
from reports.words import decides, sentence
from tests.reports.statistics.paired import LEVEL, pairs_of


def test_the_detectable_difference_is_found_in_four_of_five_simulated_studies():
    n, deviation, level = 6, 2.0, 0.01
    difference = power.detectable(n, deviation, level)
    draws = np.random.default_rng(0).normal(difference, deviation, (20_000, n))
    rate = np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue <= level)
    assert rate == pytest.approx(0.8, abs=0.01)


def simulated(n, mean, deviation, equivalence, level, studies=40_000):
    """How often n pairs come to the right word: the verdict's table, spelled out on arrays."""
    draws = np.random.default_rng(n).normal(mean, deviation, (studies, n))
    half = stats.t.ppf(1 - level / 2, n - 1) * draws.std(1, ddof=1) / math.sqrt(n)
    low, high = draws.mean(1) - half, draws.mean(1) + half
    if abs(mean) < equivalence:
        return np.mean((low >= -equivalence) & (high <= equivalence))
    return np.mean(low > equivalence if mean > 0 else high < -equivalence)


TRUTHS = [
    (0.5, 1.0, 0.0, 0.05),
    (-0.8, 1.0, 0.1, 0.05),
    (0.9, 0.5, 0.1, 0.01),  # Holm-adjusted
    (0.0, 1.0, 1.0, 0.05),
    (0.3, 1.0, 0.8, 0.05),
    (-0.2, 0.7, 0.9, 0.01),
]


@pytest.mark.parametrize("truth", TRUTHS)
def test_the_seeds_quoted_decide_in_four_of_five_simulated_studies_and_fewer_do_not(truth):
    found = power.seeds_to_decide(*truth)
    rates = {n: simulated(n, *truth) for n in (found - 1, found)}
    print(f"{truth}: {', '.join(f'{n} seeds decide in {r:.1%}' for n, r in rates.items())}")
    off = 3 * math.sqrt(0.8 * 0.2 / 40_000)
    assert rates[found] >= 0.8 - off
    assert rates[found - 1] <= 0.8 + off
    assert rates[found] <= 0.89, "a seed is worth no more than this"
    for n, rate in rates.items():
        assert power.chance(n, *truth) == pytest.approx(rate, abs=off)


def test_power_against_zero_is_that_of_statsmodels():
    theirs = TTestPower().power(0.6, 20, 0.025, alternative="larger")
    assert power.chance(20, 0.6 * 3, 3.0, 0.0, 0.05) == pytest.approx(theirs, rel=1e-6)


def test_the_seeds_at_which_the_interval_would_decide_are_too_few():
    """Where the interval at the true mean and spread just decides, half of all studies do not."""
    mean, deviation, level = 0.5, 1.0, 0.05
    just = next(
        n for n in range(2, 99)
        if stats.t.ppf(1 - level / 2, n - 1) * deviation / math.sqrt(n) < mean
    )  # fmt: skip
    assert simulated(just, mean, deviation, 0.0, level) < 0.6
    assert just < 0.6 * power.seeds_to_decide(mean, deviation, 0.0, level)


def test_the_range_is_that_of_the_spread():
    """The interval of a deviation by its chi-square law, here from the other tail."""
    needed = power.seeds_needed(4, 0.5, 1.0, 0.1, 0.05, 0.1)
    low, high = (math.sqrt(3 / stats.chi2(3).isf(q)) for q in (0.05, 0.95))
    assert low < 1 < high
    at = [power.seeds_to_decide(0.5, s, 0.1, 0.05) for s in (1.0, low, high)]
    assert (needed.pairs, needed.fewest, needed.most) == tuple(at)
    assert needed.fewest < needed.pairs < needed.most


def test_the_interval_of_the_spread_holds_the_true_one_as_often_as_it_says():
    """And with it the number of seeds that a study would have needed, since that grows with it."""
    truth = power.seeds_to_decide(1.0, 1.0, 0.0, 0.05)
    draws = np.random.default_rng(0).normal(1.0, 1.0, (150, 6)).std(1, ddof=1)
    held = [
        needed.fewest <= truth <= (needed.most or math.inf)
        for needed in (power.seeds_needed(6, 1.0, s, 0.0, 0.05, 0.2) for s in draws)
    ]
    assert np.mean(held) == pytest.approx(0.8, abs=3 * math.sqrt(0.8 * 0.2 / len(held)))


def test_an_inconclusive_comparison_says_how_many_and_that_they_are_a_study_of_their_own():
    found = verdicts.judge(pairs_of([0.30, -0.20, 0.40, 0.05]), LEVEL, LEVEL)
    assert found.needed == power.seeds_needed(4, found.mean, found.deviation, 0.1, LEVEL, LEVEL)
    said = sentence(found)
    assert f"takes about {found.needed.pairs} seeds ({found.needed.fewest} to " in said
    assert "80% power" in said
    assert "in a study of its own" in said
    few = decides(found)
    assert few.startswith(f"about {found.needed.pairs} seeds ({found.needed.fewest} to ")


def test_a_decided_comparison_needs_none():
    found = verdicts.judge(pairs_of([0.30, 0.31, 0.30, 0.32]), LEVEL, LEVEL)
    assert found.verdict == "better"
    assert found.needed is None
    assert decides(found) == ""


def test_no_number_of_seeds_is_said_to_be_so():
    found = verdicts.judge(pairs_of([0.0, 0.2, 0.0, 0.2], 0.1), LEVEL, LEVEL)
    assert found.needed.fewest is None  # the mean lies on the edge of the region
    assert "would not decide" in sentence(found)
    assert decides(found) == "no number of seeds would do"
