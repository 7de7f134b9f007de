"""The comparison with another commit: what it says where there is none, and its arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests.benchmarks import regression
from tests.benchmarks.apart import Broken, compare
from tests.benchmarks.turns import ratio


class Fake:
    """A tree that answers without a process."""

    def __init__(self, answer):
        self.answer = answer

    def run(self, name):
        return self.answer


def test_an_unknown_commit_is_named(capsys):
    assert regression.main(["nosuchcommit"]) == 2
    assert "no commit 'nosuchcommit'" in capsys.readouterr().err


def test_without_a_tag_it_says_what_to_give(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(regression, "ROOT", tmp_path)
    assert regression.main([]) == 2
    assert "tox -e regression -- COMMIT" in capsys.readouterr().err


def test_one_start_is_refused():
    with pytest.raises(SystemExit):
        regression.main(["HEAD", "--starts=1"])


def test_what_the_other_commit_cannot_run_is_no_failure(capsys):
    trees = {"here": Fake(1.0), "here again": Fake(1.0), "there": Fake("AttributeError: views")}
    found = {"views": [compare(trees, dict.fromkeys(trees, "views"), 3, ["there"])] * 2}
    assert regression.table(found) == {}
    assert "not there: AttributeError: views" in capsys.readouterr().out


def test_what_this_checkout_cannot_run_is_one():
    trees = {"here": Fake("TypeError: no"), "here again": Fake(1.0), "there": Fake(1.0)}
    with pytest.raises(Broken, match="TypeError"):
        compare(trees, dict.fromkeys(trees, "views"), 3, ["there"])


def test_an_interval_is_students_of_the_logarithm():
    ours, theirs = np.random.default_rng(0).lognormal(size=(2, 12))
    logs = np.log(ours) - np.log(theirs)
    low, high = stats.t.interval(0.95, 11, logs.mean(), stats.sem(logs))
    found = ratio(ours, theirs)
    assert np.log([found.value, found.low, found.high]) == pytest.approx([logs.mean(), low, high])


def test_equal_times_have_no_interval():
    found = ratio([2.0, 2.0], [1.0, 1.0])
    assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))
