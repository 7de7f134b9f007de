"""What the schema reads in more than one way."""

from __future__ import annotations

from harness import smoke


def test_seeds_are_a_number_or_a_list():
    assert smoke("seeds=4").seeds == [0, 1, 2, 3]
    assert smoke("seeds=[7,3]").seeds == [7, 3]


def test_tuning_seeds_are_counted_from_beyond_the_confirmation_seeds():
    assert smoke("tune.seeds=2").tune.seeds == [1_000_000, 1_000_001]
    assert smoke("tune.seeds=[50,40]").tune.seeds == [50, 40]
    assert smoke().tune.trials == 0
