"""What MLflow shows of a study: the projection is whole, and its failure costs the study nothing.

Read back with MLflow's own client, from the database that a bare ``mlflow ui`` opens.
"""

from __future__ import annotations

import json
import math

import pytest
from harness import TINY, bench

from bench.store import Result
from bench.tracking import Guarded, NullTracker, flatten
from reports import rows

PARENT = "mlflow.parentRunId"


def runs(folder) -> tuple[object, list]:
    """(client, runs) of the study's experiment; it is the only one besides MLflow's own."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    names = {e.name: e.experiment_id for e in client.search_experiments()}
    assert set(names) - {"Default"} == {"tiny"}
    return client, client.search_runs([names["tiny"]], order_by=["attributes.start_time ASC"])


@pytest.fixture(scope="module")
def shown(finished):
    return runs(finished.folder)


@pytest.fixture(scope="module")
def children(shown) -> dict:
    return {
        (run.data.tags["arm"], run.data.tags["seed"]): run
        for run in shown[1]
        if PARENT in run.data.tags
    }


def test_two_studies_may_open_a_fresh_database_at_once(fresh):
    assert fresh.statuses == [0, 0]
    assert sorted(p.name for p in fresh.folder.iterdir() if p.suffix != ".lock") == ["mlflow.db"]


def test_one_parent_run_with_a_child_per_trial(shown, children):
    (parent,) = [run for run in shown[1] if PARENT not in run.data.tags]
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["question"] == TINY["question"]
    assert parent.data.tags["command"] == "python -m bench.run study=tiny.yaml workers=1"
    assert set(children) == {(arm, seed) for arm in ("vae", "additive") for seed in "01"}
    for run in children.values():
        assert run.data.tags[PARENT] == parent.info.run_id
        assert run.info.status == "FINISHED"
        assert run.data.tags["stage"] == "confirm"
        assert run.data.tags["status"] == "done"


def test_params_are_the_resolved_configuration(shown, children):
    additive = children["additive", "0"].data.params
    assert additive["model.latent_transform.name"] == "additive"
    assert additive["model.latent_dim"] == "4"
    assert additive["trainer.steps"] == "8"
    assert additive["seed"] == "0"
    (parent,) = [run for run in shown[1] if PARENT not in run.data.tags]
    assert parent.data.params["data.train"] == "mnist"
    assert parent.data.params["budget"] == "smoke"


def test_histories_are_the_curves(shown, children, finished):
    client = shown[0]
    for run in children.values():
        folder = finished.store / "trials" / run.data.tags["trial"]
        records = [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]
        assert len(records) == 4
        for name in records[0].keys() - {"step"}:
            history = client.get_metric_history(run.info.run_id, name)
            assert [(m.step, m.value) for m in history] == [(r["step"], r[name]) for r in records]


def test_measurements_are_the_rows(children, finished):
    frame = rows.load(finished.store)
    for (arm, seed), run in children.items():
        mine = frame[(frame.arm == arm) & (frame.seed == int(seed))]
        for row in mine.itertuples():
            if math.isnan(row.value):
                assert row.metric not in run.data.metrics
            else:
                assert run.data.metrics[row.metric.replace("=", "_")] == pytest.approx(row.value)


def test_artifacts(shown, children, finished):
    client, found = shown
    (parent,) = [run for run in found if PARENT not in run.data.tags]
    names = {a.path for a in client.list_artifacts(parent.info.run_id)}
    assert names == {"report.html", "study.yaml", "manifest.json", "figures"}
    figures = {a.path for a in client.list_artifacts(parent.info.run_id, "figures")}
    assert figures == {"figures/primary.svg", "figures/arms.svg", "figures/contrasts.svg"}
    copy = client.download_artifacts(parent.info.run_id, "study.yaml")
    with open(copy) as file:
        assert file.read() == (finished.store / "study.yaml").read_text()
    for run in children.values():
        names = {a.path for a in client.list_artifacts(run.info.run_id)}
        assert names == {"trial.json", "pictures.npz"}


def test_a_killed_execution_and_what_it_did_not_come_to_tell(resumed):
    """The next one says so of its predecessor, and every trial is shown exactly once."""
    _, found = runs(resumed.ran.folder)
    parents = [run.info.status for run in found if PARENT not in run.data.tags]
    assert sorted(parents) == ["FINISHED", "KILLED"]
    children = [run for run in found if PARENT in run.data.tags]
    done = [run.data.tags["trial"] for run in children if run.info.status == "FINISHED"]
    assert sorted(done) == sorted({row[0] for row in resumed.ran.rows("trial")})
    assert not [run for run in found if run.info.status == "RUNNING"]


def test_a_second_run_adds_nothing(finished):
    before = [run.info.run_id for run in runs(finished.folder)[1]]
    bench(finished.folder, "study=tiny.yaml")
    assert [run.info.run_id for run in runs(finished.folder)[1]] == before


def test_without_a_tracking_server_the_study_ends_all_the_same(faults):
    """Nothing listens; one arm is done, and the end of the output says what MLflow lacks."""
    assert "vae seed 0: nll" in faults.out
    (line,) = [line for line in faults.out.splitlines() if "MLflow" in line]
    assert line.startswith("MLflow was not told of this run: ")
    assert "127.0.0.1" in line
    assert faults.out.index(line) < faults.out.index(TINY["question"])
    assert not (faults.folder / "mlflow.db").exists()


class Falling:
    """Falls at the second trial, and must not be asked again."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def start(self, *_):
        self.calls.append("start")

    def trial(self, *_):
        self.calls.append("trial")
        if len(self.calls) > 2:
            raise ConnectionError("gone\nfor good")

    def finish(self, *_):
        self.calls.append("finish")


def test_a_tracker_that_fails_is_left_alone():
    falling = Falling()
    guarded = Guarded(lambda: falling)
    guarded.start("study", {}, {})
    for _ in range(3):
        guarded.trial(None, Result("done"), None)
    guarded.finish("FINISHED", [], {})
    assert falling.calls == ["start", "trial", "trial"]
    assert guarded.problem == "ConnectionError: gone"


def test_a_tracker_is_made_when_it_is_first_told_something():
    """An interrupted study must not wait for a database that it never wrote to."""
    made = []
    guarded = Guarded(lambda: made.append(1) or NullTracker())
    guarded.finish("KILLED", [], {})
    assert not made
    guarded.start("study", {}, {})
    guarded.finish("FINISHED", [], {})
    assert made == [1]


def test_an_interrupt_is_no_failure_of_the_tracker():
    def interrupted():
        raise KeyboardInterrupt

    guarded = Guarded(interrupted)
    with pytest.raises(KeyboardInterrupt):
        guarded.start("study", {}, {})


def test_flatten():
    assert flatten({"a": {"b": {"c": 1}}, "d": [1, 2]}) == {"a.b.c": 1, "d": [1, 2]}
