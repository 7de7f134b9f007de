"""Ranges that nothing could search are refused where a plugin declares them.

Optuna would refuse them too, in the middle of a study's tuning and in its own words.
"""

from __future__ import annotations

import math

import pytest
from optuna import distributions

from tvae.space import Choice, Factor, Float, Int

SEARCHABLE = [(0.1, 10.0, True), (-1.0, 1.0, False), (0.0, 1e-9, False), (1e-300, 1e300, True)]
UNSEARCHABLE = [(0.0, 1.0, True), (-1.0, 1.0, True), (2.0, 1.0, False), (math.nan, 1.0, False),
                (0.0, math.inf, False)]  # fmt: skip


@pytest.mark.parametrize(("low", "high", "log"), SEARCHABLE)
def test_what_optuna_can_search_is_taken(low, high, log):
    distributions.FloatDistribution(low, high, log=log)
    assert Float(low, high, default=high, log=log).high == high
    if log:
        assert Factor(low, high).low == low


@pytest.mark.parametrize(("low", "high", "log"), UNSEARCHABLE)
def test_what_it_cannot_search_is_refused(low, high, log):
    with pytest.raises(ValueError, match=r"search needs low"):
        Float(low, high, default=1.0, log=log)
    if log:
        with pytest.raises(ValueError, match="low > 0"):
            Factor(low, high)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Float(0.0, 1.0, default=2.0),
        lambda: Float(0.0, 1.0, default=math.nan),
        lambda: Int(1, 8, default=9),
        lambda: Int(1, 8, default=2.5),
        lambda: Choice((), default=None),
        lambda: Choice(("a", "a"), default="a"),
        lambda: Choice(("a", "b"), default="c"),
        lambda: Choice((("a", 1), "b"), default="b"),
    ],
)
def test_a_default_must_be_where_the_search_is(wrong):
    with pytest.raises((ValueError, TypeError), match=r"default|whole|options|option comes"):
        wrong()
