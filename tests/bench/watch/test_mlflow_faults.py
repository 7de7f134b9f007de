"""What people do to MLflow's data, and names that it does not take, cost a study nothing for good.

Told directly, without training; read back with MLflow's own client.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from harness import study, trials, with_database

from bench.plan.progress import Ending
from bench.store import Result, Store
from bench.watch.base import End, Guarded
from bench.watch.mlflow_runs import MLflowRuns, accepted, address

NAMES = {"nll": 300.0, "top@5 (%)": 81.25, "top@5 [%]": 18.75, "a//b": 1.0, "../up": 2.0, "x/": 3.0,
         "精度": 4.0, "knn/affnist": 0.5, "n" * 400: 6.0}  # fmt: skip


@pytest.fixture
def folder(fresh, tmp_path, monkeypatch):
    """The working folder, with an empty MLflow database."""
    made = tmp_path / "work"
    made.mkdir()
    monkeypatch.chdir(with_database(fresh, made))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return made


def tell(folder: Path, *, names=("nll",), uri=None) -> dict[str, str]:
    """An execution of the tiny study is told; returns name -> problem of whoever failed."""
    given = study(folder=folder)
    store = Store(folder / "runs", given.name)
    (store.path / "trials").mkdir(parents=True, exist_ok=True)
    document = store.path / "study.yaml"
    document.write_text("name: tiny")
    measured = [
        {"name": n, "value": NAMES[n], "unit": "u", "direction": "none", "source": "s"}
        for n in names
    ]
    runs = MLflowRuns(given, store, "python -m bench.run study=tiny.yaml", uri)
    watched = Guarded(runs)
    watched.tell(lambda watcher: watcher.begins())
    for trial in trials(given)[:2]:
        result = Result("done", "", trial.evaluation_key, measured, {"seconds": 1.0})
        watched.ended(Ending(trial, result))
    watched.tell(lambda watcher: watcher.ends(End("FINISHED", [document])))
    return {watcher.name: why for watcher, why in watched.problems.items()}


def seen(database: Path) -> dict[str, list]:
    """Experiment -> its finished children."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{database}")
    found = {e.name: e.experiment_id for e in client.search_experiments() if e.name != "Default"}
    return {
        name: [
            run
            for run in client.search_runs([number])
            if run.info.status == "FINISHED" and "evaluation" in run.data.tags
        ]
        for name, number in found.items()
    }


def test_names_that_mlflow_refuses_are_told_under_others(folder):
    assert tell(folder, names=tuple(NAMES)) == {}
    for run in seen(folder / "mlflow.db")["tiny"]:
        assert sorted(run.data.metrics.values()) == sorted(NAMES.values()), "two names stay two"
        assert run.data.metrics["nll"] == 300.0
        assert run.data.metrics["knn/affnist"] == 0.5


@pytest.mark.parametrize(
    "name", ["nll", "knn/affnist", "T/r2", "label_efficiency/a/10", "a b:c.d-e"]
)
def test_names_that_mlflow_takes_stay(name):
    assert accepted(name) == name


def test_a_trial_that_mlflow_refuses_costs_that_one_alone(folder, monkeypatch):
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

    tell_one, told = MLflowRuns._trial, []

    def refusing(self, ending):
        told.append(ending)
        if len(told) == 1:
            self._run("half", {}, 0.0)
            raise MlflowException("no such thing", error_code=INVALID_PARAMETER_VALUE)
        tell_one(self, ending)

    monkeypatch.setattr(MLflowRuns, "_trial", refusing)
    assert tell(folder) == {"MLflow": "ValueError: refused vae seed 0: no such thing"}
    assert [r.data.tags["arm"] for r in seen(folder / "mlflow.db")["tiny"]] == ["additive"]
    monkeypatch.setattr(MLflowRuns, "_trial", tell_one)
    assert tell(folder) == {}
    assert {r.data.tags["arm"] for r in seen(folder / "mlflow.db")["tiny"]} == {"vae", "additive"}


def test_an_experiment_that_was_deleted_is_restored(folder):
    from mlflow import MlflowClient

    assert tell(folder) == {}
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    client.delete_experiment(client.get_experiment_by_name("tiny").experiment_id)
    assert tell(folder) == {}
    assert len(seen(folder / "mlflow.db")["tiny"]) == 2, "restored with what it had"


def test_a_folder_that_was_moved_takes_its_files_along(folder, monkeypatch):
    assert tell(folder) == {}
    moved = folder.with_name("moved")
    folder.rename(moved)
    monkeypatch.chdir(moved)
    assert tell(moved) == {}
    assert not folder.exists(), "nothing is written where the folder was"
    found = seen(moved / "mlflow.db")
    assert len(found.pop("tiny")) == 2
    ((old, _),) = found.items()
    assert str(folder) in old, "the old runs are still there, and say where their files were"
    assert list(moved.glob("mlruns/**/study.yaml"))


def test_an_experiment_whose_files_a_server_keeps(folder):
    """Made by `mlflow server` on the same database: its files go through the server alone."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    client.create_experiment("tiny", artifact_location="mlflow-artifacts:/7")
    assert tell(folder) == {}
    assert len(seen(folder / "mlflow.db")["tiny"]) == 2
    assert list(folder.glob("mlruns/**/study.yaml"))


def test_everything_is_in_the_folder_whatever_it_is_called(fresh, tmp_path, monkeypatch):
    odd = "a?b #c%41 d'e"
    folder = tmp_path / "beside" / odd
    folder.mkdir(parents=True)
    monkeypatch.chdir(with_database(fresh, folder))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tell(folder) == {}
    assert [path.name for path in folder.parent.iterdir()] == [odd], "nothing lies beside it"
    assert list(folder.glob("mlruns/**/study.yaml"))
    database = sqlite3.connect(folder / "mlflow.db")
    (count,) = database.execute("SELECT count(*) FROM metrics WHERE key = 'nll'").fetchone()
    database.close()
    assert count == 2


def test_the_surroundings_server_is_obeyed_and_named(folder, monkeypatch):
    given = study(folder=folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    from bench.study.schema import Tracking

    assert address(Tracking()) == "http://127.0.0.1:9"
    assert address(Tracking(uri="sqlite:///x.db")) == "sqlite:///x.db", "the study says otherwise"
    runs = MLflowRuns(given, Store(folder, "tiny"), "", address(Tracking()))
    assert "MLFLOW_TRACKING_URI" in runs.note
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert address(Tracking()) is None


def test_an_old_mlruns_is_named_with_the_command_that_works(folder):
    given = study(folder=folder)
    assert MLflowRuns(given, Store(folder, "tiny"), "").note == ""
    (folder / "mlruns" / "0").mkdir(parents=True)
    (folder / "mlruns" / "0" / "meta.yaml").touch()
    note = MLflowRuns(given, Store(folder, "tiny"), "").note
    assert "mlflow ui --backend-store-uri sqlite:///mlflow.db" in note
