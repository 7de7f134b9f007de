"""What MLflow shows of a study: the projection is whole, and its failure costs the study nothing.

Read back with MLflow's own client, from the database that a bare ``mlflow ui`` opens.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
from pathlib import Path
from xml.etree import ElementTree

import pytest
from harness import TINY, bench, installed, start, with_database, write

from bench import status
from reports import manifest as manifests
from reports import rows

PARENT = "mlflow.parentRunId"


def experiments(folder) -> tuple[object, dict[str, list]]:
    """(client, experiment -> its runs in their order), without MLflow's own experiment."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    return client, {
        e.name: client.search_runs([e.experiment_id], order_by=["attributes.start_time ASC"])
        for e in client.search_experiments()
        if e.name != "Default"
    }


def runs(folder) -> tuple[object, list]:
    """(client, runs) of the tiny study's experiment, which is the only one."""
    client, found = experiments(folder)
    assert list(found) == ["tiny"]
    return client, found["tiny"]


def ended(found) -> list[tuple[str, str]]:
    """(evaluation, status) of the children that were told to their end, sorted."""
    return sorted(
        (run.data.tags["evaluation"], run.data.tags["status"])
        for run in found
        if PARENT in run.data.tags and run.info.status in ("FINISHED", "FAILED")
    )


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
    bench(finished.folder, "study=tiny.yaml", "workers=1")
    assert [run.info.run_id for run in runs(finished.folder)[1]] == before


def test_without_a_tracking_server_the_study_ends_all_the_same(faults):
    """Nothing listens; one arm is done, and the end of the output says what MLflow lacks."""
    assert "vae seed 0: nll" in faults.out
    (line,) = [line for line in faults.out.splitlines() if "MLflow" in line]
    assert line.startswith("MLflow was not told of this run: ")
    later = "study=tiny.yaml workers=2 'tracking.uri=http://me:***@127.0.0.1:9' sync=true"
    assert f"python -m bench.status {later} tells it later" in faults.out.splitlines()
    assert "127.0.0.1" in line
    assert faults.out.index(line) < faults.out.index(TINY["question"])
    assert not (faults.folder / "mlflow.db").exists()


# --- tuning -------------------------------------------------------------------------------------


def test_the_history_of_tuning_is_in_the_parent_run(tuned):
    """For each arm the objective of every candidate, and the best until then."""
    client, found = runs(tuned.folder)
    (parent,) = [run for run in found if PARENT not in run.data.tags]
    tuning = manifests.load(tuned.store)["study"]["tuning"]
    for arm, candidates in tuning["candidates"].items():
        values = [c["objective"] for c in candidates]
        best = [min(values[: i + 1]) for i in range(len(values))]
        for name, expected in (("objective", values), ("best", best)):
            history = client.get_metric_history(parent.info.run_id, f"tuning/{arm}/{name}")
            assert [(m.step, m.value) for m in history] == list(enumerate(expected))
    names = {a.path for a in client.list_artifacts(parent.info.run_id, "tuning")}
    assert names == {
        f"tuning/tuning-{what}-{arm}.svg"
        for what in ("history", "importance")
        for arm in ("vae", "additive")
    }
    for name in sorted(names):
        copy = client.download_artifacts(parent.info.run_id, name)
        assert ElementTree.parse(copy).getroot().tag.endswith("svg")


def test_a_candidate_s_trials_are_children_of_their_own(tuned):
    _, found = runs(tuned.folder)
    tags = [run.data.tags for run in found if run.data.tags.get("stage") == "tune"]
    assert sorted((t["arm"], t["candidate"], t["seed"]) for t in tags) == [
        (arm, str(number), str(seed))
        for arm in ("additive", "vae")
        for number in range(3)
        for seed in (1_000_000, 1_000_001)
    ]
    confirmed = [run.data.tags for run in found if run.data.tags.get("stage") == "confirm"]
    assert len(confirmed) == 2
    assert not any("candidate" in t for t in confirmed)


# --- told later ---------------------------------------------------------------------------------


def synced(folder: Path, capsys) -> str:
    """What ``python -m bench.status ... sync=true`` says in a folder."""
    with installed(), contextlib.chdir(folder):
        assert status.main(["study=tiny.yaml", "sync=true"]) == 0
    return capsys.readouterr().out.splitlines()[-1]


@pytest.fixture
def missed(fresh, tmp_path):
    """A function that copies a study's folder to where MLflow knows nothing of it."""

    def copy(ran) -> Path:
        ignore = shutil.ignore_patterns("mlflow*", "mlruns")
        folder = shutil.copytree(ran.folder, tmp_path / "copy", ignore=ignore)
        return with_database(fresh, folder)

    return copy


def test_what_a_dead_server_missed_is_told_later(faults, missed, capsys):
    """All of it, failures included, once; what is not shown whole is told again."""
    folder = missed(faults)
    assert synced(folder, capsys) == "MLflow was told 6 of 6 trials"
    client, found = runs(folder)
    manifest = manifests.load(folder / "runs" / "tiny")
    children = {r.data.tags["arm"]: r for r in found if PARENT in r.data.tags}
    assert {arm: (r.data.tags["trial"], r.data.tags["status"]) for arm, r in children.items()} == {
        t["arm"]: (t["trial"], t["status"]) for t in manifest["trials"]
    }
    (parent,) = [run for run in found if PARENT not in run.data.tags]
    assert parent.info.status == "FAILED", "as the study did"
    assert "report.html" in {a.path for a in client.list_artifacts(parent.info.run_id)}
    before = ended(found)
    assert len(before) == 6

    assert synced(folder, capsys) == "MLflow has all 6 trials"
    assert [r.info.run_id for r in runs(folder)[1]] == [r.info.run_id for r in found]

    # as drivers leave them that are killed while they tell
    client.set_terminated(children["vae"].info.run_id, "KILLED")
    client.update_run(children["raises"].info.run_id, status="RUNNING")
    assert synced(folder, capsys) == "MLflow was told 2 of 6 trials"
    _, after = runs(folder)
    assert ended(after) == before
    assert [r.info.status for r in after if r.info.run_id == children["raises"].info.run_id] == [
        "KILLED"
    ]
    assert synced(folder, capsys) == "MLflow has all 6 trials"


def test_metrics_and_params_go_in_batches(tuned, missed, capsys, monkeypatch):
    """One by one they would take a server minutes; and sync tells of tuning, too."""
    from mlflow import MlflowClient

    calls = []
    for name in ("log_metric", "log_param", "log_batch"):
        given = getattr(MlflowClient, name)

        def spy(self, *arguments, given=given, name=name, **options):
            calls.append(name)
            return given(self, *arguments, **options)

        monkeypatch.setattr(MlflowClient, name, spy)
    folder = missed(tuned)
    assert synced(folder, capsys) == "MLflow was told 14 of 14 trials"
    assert set(calls) == {"log_batch"}
    assert len(calls) <= 2 * (14 + 3)
    client, found = runs(folder)
    (parent,) = [run for run in found if PARENT not in run.data.tags]
    assert len(client.get_metric_history(parent.info.run_id, "tuning/vae/objective")) == 3


def test_nothing_to_tell_and_nobody_to_tell(tmp_path, capsys):
    write(tmp_path)
    with installed(), contextlib.chdir(tmp_path):
        assert status.main(["study=tiny.yaml", "sync=true"]) == 2
        assert capsys.readouterr().err == "error: runs/tiny has no trials\n"
        assert status.main(["study=tiny.yaml", "sync=true", "tracking.enabled=false"]) == 2
        assert "there is nobody to tell" in capsys.readouterr().err


def test_a_server_that_is_still_down_is_named(faults, missed, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    folder = missed(faults)
    arguments = ["study=tiny.yaml", "sync=true", "tracking.uri=http://127.0.0.1:9"]
    with installed(), contextlib.chdir(folder):
        assert status.main(arguments) == 2
    err = capsys.readouterr().err
    assert "127.0.0.1" in err
    assert "Traceback" not in err


# --- two at once --------------------------------------------------------------------------------


def test_two_studies_started_at_once_in_a_fresh_folder(tmp_path):
    """Both make MLflow's database, one of them first; both are shown whole."""
    small = {"seeds": 1, "trainer": {**TINY["trainer"], "steps": 2}}
    for name in ("one", "two"):
        write(tmp_path, **small).rename(tmp_path / f"{name}.yaml")
    drivers = [start(tmp_path, f"study={name}.yaml", "workers=1") for name in ("one", "two")]
    try:
        said = [driver.communicate(timeout=180) for driver in drivers]
    finally:
        for driver in drivers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(driver.pid, signal.SIGKILL)
    assert [driver.returncode for driver in drivers] == [0, 0], said
    assert not any("MLflow was not told" in out for out, _ in said)
    client, found = experiments(tmp_path)
    assert set(found) == {"one", "two"}
    for name, mine in found.items():
        assert {run.info.status for run in mine} == {"FINISHED"}
        (parent,) = [run for run in mine if PARENT not in run.data.tags]
        children = {run.data.tags["arm"]: run for run in mine if PARENT in run.data.tags}
        assert set(children) == {"vae", "additive"}
        frame = rows.load(tmp_path / "runs" / name)
        nll = frame[frame.metric == "nll"].set_index("arm").value
        for arm, run in children.items():
            assert run.data.tags[PARENT] == parent.info.run_id
            assert run.data.metrics["nll"] == pytest.approx(nll[arm])
        assert "report.html" in {a.path for a in client.list_artifacts(parent.info.run_id)}
