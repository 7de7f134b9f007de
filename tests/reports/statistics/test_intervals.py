"""The intervals, against SciPy and against resampling by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from reports.statistics import intervals, verdicts
from tests.reports.statistics.paired import DIFFERENCES, LEVEL, RNG, contrast, rows_of


def test_the_interval_and_p_are_those_of_scipys_paired_t_test():
    new, old = RNG.normal(1, 1, 8), RNG.normal(0.5, 1, 8)
    found = verdicts.compare(
        rows_of({"new": dict(enumerate(new)), "old": dict(enumerate(old))}), contrast(), LEVEL
    )
    truth = stats.ttest_rel(new, old)
    interval = truth.confidence_interval(1 - LEVEL)
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(interval))
    assert found.p_t == pytest.approx(truth.pvalue)
    assert found.effect == pytest.approx((new - old).mean() / (new - old).std(ddof=1))
    assert found.improvement == pytest.approx(np.mean(new > old))


def test_the_bootstrap_interval_is_the_percentiles_of_resampled_means():
    found = intervals.bootstrap(DIFFERENCES, LEVEL)
    rng = np.random.default_rng(123)
    means = rng.choice(DIFFERENCES, (100_000, len(DIFFERENCES))).mean(axis=1)
    truth = np.percentile(means, [2.5, 97.5])
    assert (found.low, found.high) == pytest.approx(tuple(truth), abs=0.02)
    assert found == intervals.bootstrap(DIFFERENCES, LEVEL)
