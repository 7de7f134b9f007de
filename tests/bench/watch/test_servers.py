"""Servers as they are named, and what a study does about one that is away, without any server.

What is checked: an address that cannot be meant is refused before any computing, no password is
written down, two folders in one ledger keep apart, and whoever was away is told once what it
missed. `tests/cluster` does the same with PostgreSQL and MLflow's server.
"""

from __future__ import annotations

import json
import sqlite3
import time

import optuna
import pytest
from harness import study, trials, with_database

from bench.plan.progress import Ending
from bench.run import main
from bench.store import Result, Store
from bench.study import uris
from bench.watch.base import End, Guarded
from bench.watch.mlflow_runs import MLflowRuns
from bench.watch.optuna_file import OptunaFile

LEDGERS = "must begin with one of postgresql://, sqlite://, and have no spaces"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("ledger.uri=mysql://me:***@h/d", f'ledger.uri: {LEDGERS}, got "mysql://me:***@h/d"'),
        ("ledger.uri=postgres://h/d", f'ledger.uri: {LEDGERS}, got "postgres://h/d"'),
        ("ledger.uri=optuna.db", f'ledger.uri: {LEDGERS}, got "optuna.db"'),
        ("ledger.uri=7", "ledger.uri: must be text, got 7"),
        ("ledger.url=sqlite:///x", "ledger.url: unknown key 'url'; did you mean 'uri'?"),
        (
            "tracking.uri=localhost:5000",
            "tracking.uri: must begin with one of databricks://, http:",
        ),
        ("tracking.uri=htp://me:***@h", 'spaces, got "htp://me:***@h"'),
        ("trackng.uri=http://me:***@h", "trackng: unknown key 'trackng'; did you"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused(given, said, capsys):
    assert main(["study=smoke", given.replace("***", "a/secret@" + 60 * "x")]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "secret" not in err


def test_postgresql_without_its_library_names_the_extra(capsys, monkeypatch):
    monkeypatch.setattr(uris, "find_spec", lambda name: None)
    assert main(["study=smoke", "ledger.uri=postgresql://me:secret@h/d"]) == 2
    err = capsys.readouterr().err
    assert "ledger.uri: PostgreSQL needs psycopg2: pip install 'tvae-bench[server]'" in err
    assert "secret" not in err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("http://h:5000/x", "http://h:5000/x"),
        ("postgresql://me@h/d", "postgresql://me@h/d"),
        ("uri=http://me:p@h:1 seeds=3", "uri=http://me:***@h:1 seeds=3"),
        ("http://me:p@ss/w:rd@h/d", "http://me:***@h/d"),
        ("http://:p@h", "http://:***@h"),
        ("uri=https://token@h/x", "uri=https://***@h/x"),
        ("postgresql://h/d?user=me&password=p&x=1", "postgresql://h/d?user=me&password=***&x=1"),
        ("{uri:http://me:p@h,enabled:true}", "{uri:http://me:***@h,enabled:true}"),
    ],
)
def test_passwords_are_masked(text, told):
    assert uris.masked(text) == told


def test_a_study_writes_no_password_down(faults):
    """Nobody listens there; what is told in vain holds the address, too."""
    assert "'tracking.uri=http://me:***@127.0.0.1:9'" in faults.out
    manifest = json.loads((faults.store / "manifest.json").read_text())
    assert manifest["study"]["command"].endswith("'tracking.uri=http://me:***@127.0.0.1:9'")
    files = [path.read_bytes() for path in faults.folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert b"secret" not in b"".join(files)
    assert "secret" not in faults.out + faults.err


def done(value: float) -> Result:
    return Result("done", measurements=[{"name": "nll", "value": value}])


def test_studies_of_one_name_keep_apart_in_a_ledger(tmp_path):
    """And one whose folder was moved goes on with what it told."""
    given, uri = study(folder=tmp_path), f"sqlite:///{tmp_path}/ledger.db"
    (first, *_) = trials(given)
    for value, name in enumerate(("a", "b", "a", "moved")):
        folder = tmp_path / name
        if name == "moved":
            (tmp_path / "a").rename(folder)
        folder.mkdir(exist_ok=True)
        file = OptunaFile(folder / "optuna.db", given, uri)
        watched = Guarded(file)
        watched.ended(Ending(first, done(value)))
        assert watched.problems == {}
        assert not (folder / "optuna.db").exists()
    names = optuna.get_all_study_names(uri)
    assert len({name.split("/")[1] for name in names}) == len(names) == 2
    found = [optuna.load_study(study_name=name, storage=uri) for name in names]
    assert [[trial.value for trial in one.get_trials()] for one in found] == [[0.0], [1.0]]
    assert found[1].user_attrs["folder"] == str(tmp_path / "b")


class Told:
    """A progress: what has ended."""

    searches = ()

    def __init__(self, endings) -> None:
        self.endings = lambda: endings


def test_a_server_that_was_away_is_told_once_what_it_missed(fresh, tmp_path, monkeypatch):
    """It falls while a trial is told; the execution goes on under the run that it has."""
    monkeypatch.chdir(with_database(fresh, tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    given = study(folder=tmp_path)
    endings = [Ending(trial, done(number)) for number, trial in enumerate(trials(given))]
    runs = MLflowRuns(given, Store(tmp_path / "runs", "tiny"), "python -m bench.run")
    watched, log_batch = Guarded(runs), runs.client.log_batch
    watched.catch_up(Told(endings[:1]))

    def away(*arguments, **named):
        raise ConnectionError("away")

    monkeypatch.setattr(runs.client, "log_batch", away)
    watched.ended(endings[1])
    watched.ended(endings[2])
    assert [why for _, why in watched.missed] == ["ConnectionError: away"]
    watched.again(Told(endings[:3]))
    assert watched.missed, "it is left alone for a while"
    watched.again(Told(endings[:3]), pause=0)
    assert [why for _, why in watched.missed] == ["ConnectionError: away"]

    monkeypatch.setattr(runs.client, "log_batch", log_batch)
    watched.failed = time.monotonic() - 301
    watched.again(Told(endings[:3]))
    watched.ended(endings[3])
    watched.tell(lambda watcher: watcher.ends(End("FINISHED")))
    assert watched.problems == {}
    database = sqlite3.connect(tmp_path / "mlflow.db")
    ended = database.execute(
        "SELECT t.value, r.status FROM runs r LEFT JOIN tags t"
        " ON t.run_uuid = r.run_uuid AND t.key = 'trial' ORDER BY r.start_time"
    ).fetchall()
    database.close()
    whole = [trial for trial, status in ended if status == "FINISHED" and trial]
    assert sorted(whole) == sorted(ending.trial.training_key for ending in endings)
    assert [status for trial, status in ended if trial is None] == ["FINISHED"]
    assert {status for _, status in ended} == {"FINISHED", "KILLED"}
