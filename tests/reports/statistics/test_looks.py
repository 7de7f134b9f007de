"""The level of each look, against Pocock's constants, normal integrals and plain simulation."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from reports.statistics import looks

LEVEL = 0.05
POCOCK = {2: 2.178, 3: 2.289, 4: 2.361, 5: 2.413}
"""Critical values of equally spaced looks at known variance, two-sided 0.05 (Pocock 1977)."""


@pytest.mark.parametrize("count", POCOCK)
def test_many_seeds_a_look_give_the_constants_of_pocock(count):
    found = looks.per_look([5_000 * k for k in range(1, count + 1)], LEVEL)
    nominal = 2 * stats.norm.sf(POCOCK[count])
    assert 0.97 * nominal < found < 1.005 * nominal


@pytest.mark.parametrize(("at", "level"), [((900, 4_000, 5_000), 0.01), ((800, 1_000), 0.1)])
def test_many_seeds_keep_the_level_by_the_normal_integral(at, level):
    """Means of the first n_j and n_k values correlate by sqrt(n_j / n_k)."""
    n = np.array(at)
    z = stats.norm.isf(looks.per_look(at, level) / 2)
    law = stats.multivariate_normal(cov=np.sqrt(np.minimum.outer(n, n) / np.maximum.outer(n, n)))
    missed = 1 - law.cdf(np.full(len(n), z), lower_limit=np.full(len(n), -z))
    error = math.sqrt((1 - level) / (looks.PATHS * level))  # relative, of the simulated level
    given_away = (level - missed) / level
    assert 0 < given_away < 2 * stats.norm.isf(looks.DOUBT) * error


def smallest_p(at, studies, seed):
    """The smallest p over the looks of SciPy's t test, on every single value of another RNG."""
    rng = np.random.RandomState(seed)
    values = rng.standard_normal((studies, at[-1]))
    return np.min([stats.ttest_1samp(values[:, :n], 0, axis=1).pvalue for n in at], axis=0)


@pytest.mark.parametrize("at", [(2, 3), (4, 8, 12, 16), (3, 4, 10), tuple(range(4, 13))])
def test_studies_simulated_value_by_value_keep_the_level_and_use_it(at):
    studies = 40_000
    smallest = smallest_p(at, studies, seed=at[-1])
    for level in (0.1, LEVEL, 0.01):
        rate = np.mean(smallest <= looks.per_look(at, level))
        print(f"looks {at} at {level}: the interval of some look misses in {rate:.2%}")
        off = 3.5 * math.sqrt(level / studies)
        assert 0.94 * level - off <= rate <= level + off


def test_naive_testing_does_not_keep_the_level():
    assert np.mean(smallest_p((4, 8, 12, 16), 20_000, seed=1) <= LEVEL) > 0.11


def test_a_single_look_has_the_whole_level():
    assert looks.per_look([7], 0.03) == 0.03


def test_a_level_stays_between_bonferronis_and_the_whole_and_grows():
    at = (4, 9, 16)
    found = [looks.per_look(at, level) for level in (1e-6, 0.001, 0.01, LEVEL, 0.2, 0.5)]
    assert found == sorted(found)
    for level, one in zip((1e-6, 0.001, 0.01, LEVEL, 0.2, 0.5), found, strict=True):
        assert level / 3 <= one < level
    assert found[0] == 1e-6 / 3  # a million paths cannot tell


def test_more_looks_cost_more():
    every = [(4, 16), (4, 10, 16), (4, 7, 10, 13, 16), tuple(range(4, 17))]
    found = [looks.per_look(at, LEVEL) for at in every]
    assert found == sorted(found, reverse=True)


def test_a_simulated_level_is_safe_but_for_one_in_a_thousand():
    """By the law of an order statistic of uniform values, which is a beta."""
    for level in (0.001, 0.01, LEVEL, 0.3):
        k, n = looks._rank(level), looks.PATHS
        assert stats.beta.sf(level, k, n + 1 - k) <= looks.DOUBT
        assert stats.beta.sf(level, k + 1, n - k) > looks.DOUBT


@pytest.mark.parametrize(
    ("most", "expected"),
    [(2, (2,)), (3, (3,)), (7, (7,)), (8, (4, 8)), (16, (4, 8, 12, 16)), (18, (6, 10, 14, 18))],
)
def test_the_default_schedule_ends_with_the_most_seeds(most, expected):
    assert looks.schedule(most) == expected


@pytest.mark.parametrize("wrong", [[], [1], [1, 4], [4, 4], [8, 4], [0, 5]])
def test_what_cannot_be_looks_is_refused(wrong):
    with pytest.raises(ValueError, match="ascend from at least 2"):
        looks.per_look(wrong, LEVEL)


@pytest.mark.parametrize("level", [0, 1, -0.1, math.nan])
def test_what_cannot_be_a_level_is_refused(level):
    with pytest.raises(ValueError, match="between 0 and 1"):
        looks.per_look([4, 8], level)


def test_no_seeds_make_no_schedule():
    with pytest.raises(ValueError, match="at least 2"):
        looks.schedule(1)


@pytest.fixture(scope="module")
def script():
    path = Path(__file__).parents[3] / "scripts" / "make_looks.py"
    spec = importlib.util.spec_from_file_location("make_looks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_has_the_default_schedules_and_what_the_function_gives(
    script, monkeypatch, capsys
):
    every = list(script.declared())
    assert {looks.schedule(most) for most in range(8, 65)} <= set(every)
    assert set(looks.table()) == {(at, level) for at in every for level in script.LEVELS}
    monkeypatch.setattr(script, "declared", lambda: iter([(4, 8), (4, 8, 12, 16)]))
    assert script.main(["--check"]) == 0
    monkeypatch.setitem(looks.table(), ((4, 8), 0.05), 0.02)
    assert script.main(["--check"]) == 1
    assert "[4, 8] at 0.05: 0.02, simulated 0.0" in capsys.readouterr().out


def test_the_table_is_written_as_it_is_read(script, monkeypatch, tmp_path):
    monkeypatch.setattr(script, "declared", lambda: iter([(4, 8)]))
    monkeypatch.setattr(looks, "TABLE", tmp_path / "looks.json")
    assert script.main([]) == 0
    written = looks.table.__wrapped__()
    assert written == {key: at for key, at in looks.table().items() if key[0] == (4, 8)}
