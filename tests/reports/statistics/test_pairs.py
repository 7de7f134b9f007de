"""Pairs: what is missing is named, and what must not be compared is refused."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from reports.statistics import verdicts
from reports.words import sentence
from tests.reports.statistics.paired import LEVEL, contrast, rows_of


def test_a_missing_pair_is_named_and_left_out():
    rows = rows_of({"new": {1: 2.0, 2: 2.1, 3: math.nan}, "old": {1: 1.0, 3: 1.0}})
    found = verdicts.compare(rows, contrast(), LEVEL, seeds=[1, 2, 3, 4])
    assert found.pairs.seeds == (1,)
    assert found.pairs.missing == (
        "seed 2: no value of old",
        "seed 3: no value of new",
        "seed 4: no value of new and old",
    )
    assert found.interval is None
    assert found.verdict == "inconclusive"
    assert "no interval" in sentence(found)


def test_only_finished_confirmation_on_test_data_is_compared():
    good = rows_of({"new": {1: 2.0, 2: 2.2}, "old": {1: 1.0, 2: 1.0}})
    others = [
        rows_of({"new": {7: 9.0}, "old": {7: 0.0}}, **change)
        for change in ({"stage": "tune"}, {"status": "diverged"}, {"split": "validation"})
    ]
    found = verdicts.compare(pd.concat([good, *others]), contrast(), LEVEL, seeds=[1, 2])
    assert found.pairs.differences == pytest.approx((1.0, 1.2))


def test_values_measured_in_different_ways_are_refused():
    rows = pd.concat([
        rows_of({"new": {1: 1.0, 2: 1.0}}, fingerprint="k=5"),
        rows_of({"old": {1: 0.0, 2: 0.0}}, fingerprint="k=9"),
    ])  # fmt: skip
    found = verdicts.compare(rows, contrast(), LEVEL)
    assert found.verdict == "refused"
    assert found.mean is None
    assert "fingerprint k=5, k=9" in sentence(found)


def test_a_metric_without_a_better_side_is_refused():
    rows = rows_of({"new": {1: 1.0, 2: 1.0}, "old": {1: 0.0, 2: 0.0}}, direction="none")
    assert verdicts.compare(rows, contrast(), LEVEL).verdict == "refused"
