"""The tests of paired differences, against brute force, SciPy and statsmodels."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from reports.statistics import verdicts
from reports.statistics.tests import holm_adjusted, holm_levels, seeds_to_reach, sign_flip
from tests.reports.statistics.paired import DIFFERENCES, LEVEL, pairs_of


@pytest.mark.parametrize("n", [2, 3, 6, 9])
def test_sign_flip_p_is_that_of_all_sign_patterns(n):
    d = DIFFERENCES[:n]
    means = [abs(np.mean(d * signs)) for signs in itertools.product((1, -1), repeat=n)]
    brute = np.mean([mean >= abs(d.mean()) - 1e-12 for mean in means])
    assert sign_flip(d) == pytest.approx(brute)
    scipys = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip(d) == pytest.approx(scipys.pvalue)


def test_sign_flip_counts_ties_and_reaches_its_floor():
    assert sign_flip(np.array([0.1, 0.2, 0.3, 0.4])) == 2 / 2**4
    assert sign_flip(np.zeros(5)) == 1


def test_sampled_sign_flip_is_near_the_normal_limit_and_repeats():
    d = np.random.default_rng(0).normal(0.25, 1, 60)
    p = sign_flip(d)
    z = d.sum() / np.sqrt(np.sum(d**2))  # variance of the sum under sign flips is sum d^2
    assert p == pytest.approx(2 * stats.norm.sf(abs(z)), rel=0.1)
    assert p == sign_flip(d)
    found = verdicts.judge(pairs_of(d), LEVEL, LEVEL)
    assert not found.p_flip_exact
    assert any("drawn sign patterns" in note for note in found.notes)


@pytest.mark.parametrize("seed", range(20))
def test_holm_levels_reject_what_statsmodels_rejects(seed):
    p = np.random.default_rng(seed).beta(0.3, 3, 6)
    levels = holm_levels(list(p), LEVEL)
    rejected = multipletests(p, alpha=LEVEL, method="holm")[0]
    assert [value <= at for value, at in zip(p, levels, strict=True)] == list(rejected)


@pytest.mark.parametrize("seed", range(20))
def test_holms_p_values_are_those_of_statsmodels(seed):
    p = np.random.default_rng(seed).beta(0.3, 3, 7).round(2)  # with ties and zeros
    assert holm_adjusted(list(p)) == pytest.approx(multipletests(p, method="holm")[1])


def test_holm_levels_by_hand():
    # sorted: 0.001 <= .05/4, 0.03 > .05/3 stops; the rest stay at .05/3 though 0.04 <= .05/1
    assert holm_levels([0.03, 0.001, 0.04, 0.035], 0.05) == pytest.approx(
        [0.05 / 3, 0.05 / 4, 0.05 / 3, 0.05 / 3]
    )


@pytest.mark.parametrize("level", [0.5, 0.25, math.nextafter(0.25, 0), 0.05, 0.05 / 18, 1e-6])
def test_the_seeds_that_reach_a_level_do_and_one_fewer_do_not(level):
    """By flipping the signs of as many equal differences, which is as far as the test can go."""
    n = seeds_to_reach(level)
    assert sign_flip(np.ones(min(n, 20))) == 2.0 ** (1 - min(n, 20))
    assert 2.0 ** (1 - n) <= level < 2.0 ** (2 - n)
