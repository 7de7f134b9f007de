"""What a study with looks would come to, against the verdict's own table value by value."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reports.statistics import looks, planning, power
from reports.statistics.intervals import t_interval
from reports.statistics.verdicts import verdict

LEVEL = 0.05
LOOKS = (4, 8, 12)


def studied(mean, deviation, equivalence, studies=1_000):
    """Word (or inconclusive) and look at which each study of single values ends."""
    at = looks.per_look(LOOKS, LEVEL)
    for values in np.random.default_rng(8).normal(mean, deviation, (studies, LOOKS[-1])):
        for n in LOOKS:
            word = verdict(t_interval(values[:n], at), equivalence, "higher")
            if word != "inconclusive":
                break
        yield word, n


TRUTHS = [(0.0, 1.0, 0.0), (-3.0, 2.0, 0.1), (0.1, 1.0, 1.4), (1.0, 1.0, 1.0)]


@pytest.mark.parametrize("truth", TRUTHS)
def test_shares_and_seeds_are_those_of_studies_value_by_value(truth):
    found = planning.expected(LOOKS, LEVEL, *truth)
    ended = list(studied(*truth))
    off = 3.5 * math.sqrt(0.25 / len(ended))
    for word, chances in found.stops.items():
        for n, chance in zip(LOOKS, chances, strict=True):
            assert chance == pytest.approx(ended.count((word, n)) / len(ended), abs=off)
    open_ = ended.count(("inconclusive", LOOKS[-1])) / len(ended)
    assert found.inconclusive == pytest.approx(open_, abs=off)
    assert found.seeds == pytest.approx(np.mean([n for _, n in ended]), abs=12 * off)
    assert sum(map(sum, found.stops.values())) + found.inconclusive == pytest.approx(1)


def test_right_and_wrong_are_told_by_the_true_mean():
    def total(found, word):
        return sum(found.stops[word])

    for mean, right in ((1.0, "better"), (-1.0, "worse"), (0.0, "equivalent")):
        found = planning.expected(LOOKS, LEVEL, mean, 1.0, 0.5)
        assert found.right == total(found, right) > found.wrong
        assert found.right + found.wrong + found.inconclusive == pytest.approx(1)
    edge = planning.expected(LOOKS, LEVEL, 0.5, 1.0, 0.5)
    assert (edge.right, edge.fixed) == (0, None)
    assert edge.wrong == total(edge, "better") + total(edge, "worse")
    none = planning.expected(LOOKS, LEVEL, 0.0, 1.0)
    assert 0 < none.wrong <= LEVEL + 3 * math.sqrt(LEVEL / planning.STUDIES)


def test_a_single_look_is_a_fixed_design():
    found = planning.expected([16], LEVEL, 0.7, 1.0, 0.1)
    assert found.at == LEVEL
    assert found.right == pytest.approx(power.chance(16, 0.7, 1.0, 0.1, LEVEL), abs=0.012)
    assert found.seeds == 16
    assert abs(found.fixed - 16) <= 1
    assert planning.detectable([16], LEVEL) == pytest.approx(
        power.detectable(16, 1.0, LEVEL), rel=0.02
    )


def test_a_fixed_design_of_the_same_power_needs_more_seeds_than_looks_take_on_average():
    found = planning.expected((4, 8, 12, 16), LEVEL, 1.0, 1.0)
    assert found.fixed == power.seeds_to_decide(1.0, 1.0, 0.0, LEVEL, found.right)
    assert found.seeds < found.fixed < 16
    sure = planning.expected((4, 8, 12, 16), LEVEL, 5.0, 1.0)
    assert sure.fixed == power.seeds_to_decide(5.0, 1.0, 0.0, LEVEL, planning.SURE)


def test_the_detectable_difference_is_found_in_four_of_five_studies():
    difference = planning.detectable(LOOKS, LEVEL)
    assert planning.expected(LOOKS, LEVEL, difference, 1.0).right == pytest.approx(0.8, abs=0.002)
    assert difference > power.detectable(LOOKS[-1], 1.0, LEVEL)  # what looks cost
    assert difference < power.detectable(LOOKS[-1], 1.0, looks.per_look(LOOKS, LEVEL))


def test_it_is_the_same_every_time_and_in_every_unit():
    once, again = (planning.expected(LOOKS, LEVEL, s, s, s / 4) for s in (1.0, 8.0))
    assert once == again


@pytest.mark.parametrize(("deviation", "equivalence"), [(0, 0), (-1, 0), (math.nan, 0), (1, -0.1)])
def test_what_cannot_be_is_refused(deviation, equivalence):
    with pytest.raises(ValueError, match="deviation"):
        planning.expected(LOOKS, LEVEL, 0.0, deviation, equivalence)
