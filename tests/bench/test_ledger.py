"""Optuna's view of a study: a trial per arm and seed, with the value that is in the rows.

Written by one driver at a time, which may be killed: the next one tells what was left running that
it failed, and tells outcomes that nobody told.
"""

from __future__ import annotations

import shutil

import optuna
import pytest
from harness import bench, study, trials, write
from optuna.trial import TrialState

from bench.store import Result
from bench.tuning import Ledger
from reports import rows


def load(path) -> optuna.Study:
    storage = f"sqlite:///{path}"
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage)


def table(path) -> list[tuple]:
    """(arm, seed, state, value) of every Optuna trial, as numbered."""
    return [
        (t.params.get("arm"), t.params.get("seed"), t.state.name, t.value)
        for t in load(path).get_trials()
    ]


def test_every_trial_has_its_value(finished):
    path = finished.store / "optuna.db"
    frame = rows.load(finished.store)
    nll = frame[frame.metric == "nll"]
    assert table(path) == [
        (arm, seed, "COMPLETE", nll[(nll.arm == arm) & (nll.seed == seed)].value.item())
        for seed in (0, 1)
        for arm in ("vae", "additive")
    ]
    found = load(path)
    assert found.direction.name == "MINIMIZE"
    assert found.user_attrs["metric"] == "nll"
    assert {t.user_attrs["trial"] for t in found.get_trials()} == {*frame.trial}


def test_a_second_run_adds_nothing(finished):
    before = table(finished.store / "optuna.db")
    bench(finished.folder, "study=tiny.yaml")
    assert table(finished.store / "optuna.db") == before


def test_after_a_killed_driver(resumed, finished):
    """What it left running is failed, and asked for again; every pair is complete once."""
    found = table(resumed.ran.store / "optuna.db")
    assert [row for row in found if row[2] != "COMPLETE"] == [("additive", 0, "FAIL", None)]
    complete = [row for row in found if row[2] == "COMPLETE"]
    assert sorted(complete) == sorted(table(finished.store / "optuna.db"))


def test_one_arm_left_and_a_lost_database(finished, tmp_path):
    """The Optuna study is the plan's, whatever is left to do; what is known is told again."""
    shutil.copytree(finished.store, tmp_path / "runs" / "tiny")
    write(tmp_path)
    path = tmp_path / "runs" / "tiny" / "optuna.db"
    frame = rows.load(tmp_path / "runs" / "tiny")
    trial = frame[(frame.arm == "additive") & (frame.seed == 1)].trial.iloc[0]
    before = table(path)
    arguments = ("study=tiny.yaml", "tracking.enabled=false")

    (path.parent / "trials" / trial / "result.json").unlink()
    assert "1 to run" in bench(tmp_path, *arguments).out
    assert table(path) == [*before, before[-1]]

    (path.parent / "trials" / trial / "result.json").unlink()
    path.unlink()
    assert "1 to run" in bench(tmp_path, *arguments).out
    assert sorted(table(path)) == sorted(before)


def test_failures_are_told(faults):
    states = {row[0]: row[2] for row in table(faults.store / "optuna.db")}
    assert states == {"raises": "FAIL", "killed": "FAIL", "diverges": "FAIL", "vae": "COMPLETE"}
    attributes = {t.params["arm"]: t.user_attrs for t in load(faults.store / "optuna.db").trials}
    assert attributes["diverges"]["status"] == "diverged"


# --- the ledger alone ---------------------------------------------------------------------------


@pytest.fixture
def planned(tmp_path):
    return trials(study(folder=tmp_path))


@pytest.fixture
def opened(tmp_path, planned):
    """A function that opens the ledger as a new driver would."""
    return lambda: Ledger(tmp_path / "optuna.db", "tiny", "nll", "lower", planned)


def done(value: float | None) -> Result:
    return Result("done", measurements=[{"name": "nll", "value": value}])


def test_stale_trials_fail_even_if_only_some_arms_are_left(opened, planned, tmp_path):
    """The Optuna study is the plan's: what is still to do must not decide which one it is."""
    first = opened()
    first.ask(planned[0])
    first.tell(planned[0], done(1.0))
    first.ask(planned[1])
    second = opened()
    second.ask(planned[1])
    second.tell(planned[1], done(2.0))
    assert table(tmp_path / "optuna.db") == [
        ("vae", 0, "COMPLETE", 1.0),
        ("additive", 0, "FAIL", None),
        ("additive", 0, "COMPLETE", 2.0),
    ]


def test_an_outcome_that_nobody_told_is_told_once(opened, planned, tmp_path):
    for _ in range(2):
        ledger = opened()
        ledger.tell(planned[0], done(1.0))
        ledger.tell(planned[1], Result("failed", "x"))
    assert [row[:3] for row in table(tmp_path / "optuna.db")] == [
        ("vae", 0, "COMPLETE"),
        ("additive", 0, "FAIL"),
    ]


def test_a_failed_trial_that_ran_again_is_told_again(opened, planned, tmp_path):
    first = opened()
    first.ask(planned[0])
    first.tell(planned[0], Result("failed", "x"))
    second = opened()
    second.tell(planned[0], Result("failed", "x"))
    second.ask(planned[0])
    second.tell(planned[0], done(3.0))
    assert [row[2:] for row in table(tmp_path / "optuna.db")] == [("FAIL", None), ("COMPLETE", 3.0)]


def test_a_value_that_does_not_apply_is_no_value(opened, planned, tmp_path):
    ledger = opened()
    ledger.tell(planned[0], done(None))
    (trial,) = load(tmp_path / "optuna.db").get_trials()
    assert (trial.state, trial.user_attrs["status"]) == (TrialState.FAIL, "done")


def test_opening_says_nothing(opened, recwarn):
    opened()
    assert [
        str(w.message) for w in recwarn if "optuna" in w.filename or "Experimental" in str(w)
    ] == []
