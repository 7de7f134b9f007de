"""Optuna's view of a study: a trial per arm and seed, with the value that is in the rows.

A projection of what has ended: a driver that is killed leaves nothing half told, and the next one
tells what nobody did, once.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3

import optuna
import pytest
from harness import WORLD, bench, study, trials, write
from optuna.trial import TrialState

from bench.plan.progress import Ending
from bench.plan.tuning import Outcome, Search
from bench.store import Result
from bench.watch.base import Guarded
from bench.watch.optuna_file import OptunaFile
from reports import manifest, rows


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
    bench(finished.folder, "study=tiny.yaml", "workers=1")
    assert table(finished.store / "optuna.db") == before


def test_after_a_killed_driver(resumed, finished):
    """Nothing of what it left running; every pair is complete once."""
    found = table(resumed.ran.store / "optuna.db")
    assert sorted(found) == sorted(table(finished.store / "optuna.db"))


def test_one_arm_left_and_a_lost_database(finished, tmp_path):
    """What is told is not told again, even if its trial ran again; a lost database is made anew."""
    shutil.copytree(finished.store, tmp_path / "runs" / "tiny")
    write(tmp_path)
    path = tmp_path / "runs" / "tiny" / "optuna.db"
    frame = rows.load(tmp_path / "runs" / "tiny")
    trial = frame[(frame.arm == "additive") & (frame.seed == 1)].trial.iloc[0]
    before = table(path)
    arguments = ("study=tiny.yaml", "tracking.enabled=false")

    (path.parent / "trials" / trial / "result.json").unlink()
    assert "1 to run" in bench(tmp_path, *arguments).out
    assert table(path) == before

    (path.parent / "trials" / trial / "result.json").unlink()
    path.unlink()
    assert "1 to run" in bench(tmp_path, *arguments).out
    assert sorted(table(path)) == sorted(before)


def test_failures_are_told(faults):
    states = {row[0]: row[2] for row in table(faults.store / "optuna.db")}
    bad = dict.fromkeys(("raises", "killed", "memory", "diverges"), "FAIL")
    assert states == {**bad, "restarted": "COMPLETE", "vae": "COMPLETE"}
    attributes = {t.params["arm"]: t.user_attrs for t in load(faults.store / "optuna.db").trials}
    assert attributes["diverges"]["status"] == "diverged"


def test_a_tuned_study_has_an_optuna_study_for_each_arm(tuned):
    """With the candidates, objectives and values that are in the manifest."""
    storage = f"sqlite:///{tuned.store / 'optuna.db'}"
    names = {name.split("/")[1]: name for name in optuna.get_all_study_names(storage)
             if name.split("/")[1] != "tune"}  # fmt: skip
    assert set(names) == {"confirm"}
    tuning = manifest.load(tuned.store)["study"]["tuning"]
    arms = {name.split("/")[2]: name for name in optuna.get_all_study_names(storage)
            if name.split("/")[1] == "tune"}  # fmt: skip
    assert set(arms) == {"vae", "additive"}
    for arm, name in arms.items():
        found = optuna.load_study(study_name=name, storage=storage)
        assert found.direction.name == "MINIMIZE"
        assert found.user_attrs["metric"] == "nll"
        assert [(t.state.name, t.value, t.params) for t in found.get_trials()] == [
            ("COMPLETE", c["objective"], c["values"]) for c in tuning["candidates"][arm]
        ]
        assert found.best_trial.number == tuning["chosen"][arm]


# --- the file alone ---------------------------------------------------------------------------


@pytest.fixture
def given(tmp_path):
    tune = {"trials": 4, "generation": 2}
    return study(folder=tmp_path, family="rotation", tune=tune)


@pytest.fixture
def planned(given):
    return trials(given)


@pytest.fixture
def opened(tmp_path, given):
    """A function that opens the file as a new driver would."""
    return lambda: OptunaFile(tmp_path / "optuna.db", given)


def done(value: float | None) -> Result:
    return Result("done", measurements=[{"name": "nll", "value": value}])


def test_an_outcome_that_nobody_told_is_told_once(opened, planned, tmp_path):
    for _ in range(2):
        file = opened()
        for _ in range(2):
            file.ended(Ending(planned[0], done(1.0)))
            file.ended(Ending(planned[1], Result("failed", "x")))
    assert [row[:3] for row in table(tmp_path / "optuna.db")] == [
        ("vae", 0, "COMPLETE"),
        ("additive", 0, "FAIL"),
    ]


def test_a_failed_trial_that_ran_again_is_told_again(opened, planned, tmp_path):
    opened().ended(Ending(planned[0], Result("failed", "x")))
    second = opened()
    second.ended(Ending(planned[0], Result("failed", "x")))
    second.ended(Ending(planned[0], done(3.0)))
    assert [row[2:] for row in table(tmp_path / "optuna.db")] == [("FAIL", None), ("COMPLETE", 3.0)]


def test_a_trial_that_was_measured_anew_is_told_again(opened, planned, given, tmp_path):
    """The same training under another evaluation key gives another value."""
    opened().ended(Ending(planned[0], done(1.0)))
    metrics = {**given.metrics, "likelihood": {"k": 3, "images": 4}}
    (other, *_) = trials(given.model_copy(update={"metrics": metrics}))
    assert other.training_key == planned[0].training_key
    opened().ended(Ending(other, done(2.0)))
    assert [row[3] for row in table(tmp_path / "optuna.db")] == [1.0, 2.0]


def test_a_value_that_does_not_apply_is_no_value(opened, planned, tmp_path):
    opened().ended(Ending(planned[0], done(None)))
    (trial,) = load(tmp_path / "optuna.db").get_trials()
    assert (trial.state, trial.user_attrs["status"]) == (TrialState.FAIL, "done")


def test_a_file_that_cannot_be_written_costs_the_study_nothing(opened, planned, given, tmp_path):
    """Not even a traceback: it says why, once, and is left alone."""
    (tmp_path / "optuna.db").write_bytes(b"no database" * 500)
    file = opened()
    watched = Guarded(file)
    watched.ended(Ending(planned[0], done(1.0)))
    assert "not a database" in watched.problems[file]
    (tmp_path / "optuna.db").unlink()
    watched.ended(Ending(planned[1], done(1.0)))
    watched.tell(lambda watcher: watcher.tuned(searched(given, 1)))
    assert not (tmp_path / "optuna.db").exists()


def test_opening_says_nothing(opened, planned, recwarn):
    opened().ended(Ending(planned[0], done(1.0)))
    assert [
        str(w.message) for w in recwarn if "optuna" in w.filename or "Experimental" in str(w)
    ] == []


OUTCOMES = [
    Outcome("done", 4.0, "", {1: -9.0, 2: -8.0}),
    Outcome("pruned", None, "given up at step 1", {1: -99.0}),
    Outcome("failed", None, "seed 3: x", {}),
    Outcome("done", 2.0, "", {}),
]


def searched(given, generations: int, outcomes=OUTCOMES) -> Search:
    search = Search(given, WORLD, "additive")
    for first in range(0, 2 * generations, 2):
        search.ask()
        search.tell(outcomes[first : first + 2])
    return search


def tuning(path) -> list[tuple]:
    """(state, value, curve, status, reason) of the tuning's trials."""
    storage = f"sqlite:///{path}"
    (name,) = [n for n in optuna.get_all_study_names(storage) if "/tune/additive/" in n]
    return [
        (t.state.name, t.value, t.intermediate_values, t.user_attrs["status"])
        for t in optuna.load_study(study_name=name, storage=storage).get_trials()
    ]


# nll is minimised, so Optuna sees the curves of the ELBO with the other sign
TOLD = [
    ("COMPLETE", 4.0, {1: 9.0, 2: 8.0}, "done"),
    ("PRUNED", 99.0, {1: 99.0}, "pruned"),
    ("FAIL", None, {}, "failed"),
    ("COMPLETE", 2.0, {}, "done"),
]


def test_tuning_is_told_generation_by_generation(opened, given, tmp_path):
    """By one driver, or by others that tell again what they replayed."""
    path = tmp_path / "optuna.db"
    file = opened()
    for generations in (0, 1, 1, 2):
        file.tuned(searched(given, generations))
        if generations:
            assert tuning(path) == TOLD[: 2 * generations]
    opened().tuned(searched(given, 2))
    assert tuning(path) == TOLD
    search = searched(given, 2)
    storage = f"sqlite:///{path}"
    (name,) = [n for n in optuna.get_all_study_names(storage) if "/tune/" in n]
    found = optuna.load_study(study_name=name, storage=storage).get_trials()
    assert [t.params for t in found] == [dict(c.values) for c in search.candidates]


def test_a_killed_driver_that_told_half_a_generation_is_completed(opened, given, tmp_path):
    file, half = opened(), searched(given, 1)
    tell, told = file._tell, []

    def killed(*arguments):
        if told:
            raise SystemExit
        told.append(tell(*arguments))

    file._tell = killed
    with pytest.raises(SystemExit):
        file.tuned(half)
    assert tuning(tmp_path / "optuna.db") == TOLD[:1]
    opened().tuned(half)
    assert tuning(tmp_path / "optuna.db") == TOLD[:2]


def test_what_ran_again_and_ended_otherwise_replaces_what_was_told(opened, given, tmp_path):
    opened().tuned(searched(given, 2))
    again = [*OUTCOMES[:2], Outcome("done", 1.0, "", {}), OUTCOMES[3]]
    opened().tuned(searched(given, 2, again))
    assert tuning(tmp_path / "optuna.db") == [*TOLD[:2], ("COMPLETE", 1.0, {}, "done"), TOLD[3]]


def test_another_primary_metric_is_another_optuna_study(given, planned, tmp_path):
    """Nats beside accuracies in one would make the worst the best."""
    measured = [
        {"name": name, "value": value} for name, value in (("nll", 300.0), ("elbo", -310.0))
    ]
    ended = Ending(planned[0], Result("done", measurements=measured))
    for metric in ("nll", "elbo"):
        primary = given.primary.model_copy(update={"metric": metric})
        asked = given.model_copy(update={"primary": primary})
        OptunaFile(tmp_path / "optuna.db", asked).ended(ended)
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    found = [
        optuna.load_study(study_name=name, storage=storage)
        for name in optuna.get_all_study_names(storage)
    ]
    told = {
        s.user_attrs["metric"]: ([t.value for t in s.get_trials()], s.direction.name) for s in found
    }
    assert told == {"nll": ([300.0], "MINIMIZE"), "elbo": ([-310.0], "MAXIMIZE")}


@pytest.mark.parametrize("odd", ["a?b", "a#b", "a%41b", "a b'c", "ü中", "a&b=c;d"])
def test_the_file_is_where_it_belongs_whatever_its_folder_is_called(given, planned, tmp_path, odd):
    folder = tmp_path / odd
    folder.mkdir()
    OptunaFile(folder / "optuna.db", given).ended(Ending(planned[0], done(1.0)))
    with contextlib.closing(sqlite3.connect(folder / "optuna.db")) as database:
        assert database.execute("SELECT state FROM trials").fetchall() == [("COMPLETE",)]
    assert {path.name for path in tmp_path.iterdir()} <= {odd, "tiny.yaml"}
