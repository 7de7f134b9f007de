"""What is bold and why.

A table is what gets copied into a paper, so bold has to mean something: it is checked against a
plain reading of Holm's procedure, and on noise it must stay rare.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from reports.statistics import best


def holm_by_hand(values, level):
    """Row 0 against every other row, in the order of p, until one is not below its level."""
    p = sorted(stats.ttest_1samp(values[0] - other, 0).pvalue for other in values[1:])
    return all(one <= level / (len(p) - i) for i, one in enumerate(p))


@pytest.mark.parametrize("gap", [0.0, 0.5, 1.0, 1.5, 2.0, 4.0])
def test_bold_is_what_holms_procedure_supports(gap):
    for seed in range(20):
        values = np.random.default_rng(seed).normal(0, 1, (5, 6))
        values[0] += gap
        found = best.supported_best(values, "higher", 0.05)
        if values.mean(axis=1).argmax() == 0:
            assert found == (0 if holm_by_hand(values, 0.05) else None)
        turned = best.supported_best(-values, "lower", 0.05)
        assert turned == found


def test_bold_is_rare_where_all_arms_are_alike():
    rng = np.random.default_rng(1)
    bold = [
        best.supported_best(rng.normal(0, 1, (4, 6)), "higher", 0.05) is not None
        for _ in range(400)
    ]
    assert np.mean(bold) < 0.05


@pytest.mark.parametrize(
    ("values", "direction"),
    [
        ([[2.0], [1.0]], "higher"),  # one seed
        ([[2.0, 2.1, 2.0]], "higher"),  # nobody to be better than
        ([[2.0, 2.1, 2.0], [0.0, 0.1, 0.3]], "none"),  # no better side
        ([[2.0, math.nan, 2.0], [0.0, 0.1, math.nan]], "higher"),  # one pair
        ([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], "higher"),  # no difference
        ([[math.nan] * 3, [math.nan] * 3], "higher"),
    ],
)
def test_nothing_is_bold_where_nothing_can_be_said(values, direction):
    assert best.supported_best(np.array(values), direction, 0.05) is None


def test_a_difference_without_spread_is_supported():
    assert best.supported_best(np.array([[1.0, 2.0], [2.0, 3.0]]), "lower", 0.05) == 0
