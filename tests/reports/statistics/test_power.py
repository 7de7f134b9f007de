"""What a number of seeds can tell, against simulated studies."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from reports.statistics import power, verdicts
from reports.words import sentence
from tests.reports.statistics.paired import LEVEL, pairs_of


def test_the_detectable_difference_is_found_in_four_of_five_simulated_studies():
    n, deviation, level = 6, 2.0, 0.01
    difference = power.detectable(n, deviation, level)
    draws = np.random.default_rng(0).normal(difference, deviation, (20_000, n))
    rate = np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue <= level)
    assert rate == pytest.approx(0.8, abs=0.01)


def test_seeds_needed_would_decide_and_one_fewer_would_not():
    found = verdicts.judge(pairs_of([0.30, -0.20, 0.40, 0.05]), LEVEL, LEVEL)

    def decided(n):
        half = stats.t.ppf(0.975, n - 1) * found.deviation / math.sqrt(n)
        return found.mean - half > 0.1 or abs(found.mean) + half < 0.1

    assert found.seeds_needed > 4
    assert decided(found.seeds_needed)
    assert not decided(found.seeds_needed - 1)
    assert str(found.seeds_needed) in sentence(found)


def test_no_number_of_seeds_is_said_to_be_so():
    found = verdicts.judge(pairs_of([0.0, 0.2, 0.0, 0.2], 0.1), LEVEL, LEVEL)
    assert found.seeds_needed is None  # the mean lies on the edge of the region
    assert "would not decide" in sentence(found)
