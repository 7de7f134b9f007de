"""One study from command to report, killed and continued, with real processes.

The promises that a user builds on: what is finished never runs again, a study that was killed at
any point ends with the rows of one that was not, and two drivers never share a study.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
from pathlib import Path

import pytest
from harness import TINY, bench, installed, stop, write

from bench.driver import Session
from bench.execute import local
from bench.plan.machine import hardware
from bench.plan.progress import Progress
from bench.plan.trials import World
from bench.store import Owned, owned
from bench.study.resolve import resolve
from reports import manifest as manifests
from reports import rows
from tvae.streams import derive_seed

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")


def test_a_study_runs_to_its_report(finished):
    assert finished.status == 0
    assert finished.err == ""
    lines = finished.out.splitlines()
    assert lines[0] == "tiny: 4 trials (2 arms, 0 baselines, 2 seeds), 4 to run"
    assert lines[1].startswith("note: with 2 seeds the exact sign-flip test cannot reach")
    assert [line.split(":")[0] for line in lines[2:6]] == [
        "[1/4] vae seed 0",
        "[2/4] additive seed 0",
        "[3/4] vae seed 1",
        "[4/4] additive seed 1",
    ]
    assert lines[-1].startswith("runs/tiny/report.html")


def test_rows_and_manifest_are_what_the_report_reads(finished):
    frame = rows.load("tiny", finished.folder / "runs")
    assert set(zip(frame.arm, frame.seed, strict=True)) == {
        (arm, seed) for arm in ("vae", "additive") for seed in (0, 1)
    }
    assert set(frame.status) == {"done"}
    gap = frame[frame.metric == "coherence/gap"].set_index("arm").value
    assert gap["vae"].isna().all(), "a model without T has no coherence"
    assert gap["additive"].notna().all()
    assert frame[~frame.metric.isin(["coherence/gap"])].value.notna().all()
    assert (frame[frame.metric == "nll"].value > 0).all()
    manifest = manifests.load("tiny", finished.folder / "runs")
    weights = {name: arm["weights"] for name, arm in manifest["study"]["arms"].items()}
    assert weights["vae"] == {"prior": 1.0}
    assert weights["additive"] == pytest.approx({"coherence": 1.0, "prior": 1.913}, rel=1e-3)
    assert [trial["status"] for trial in manifest["trials"]] == ["done"] * 4
    for trial in manifest["trials"]:
        assert trial["machines"] == [hardware("cpu")]
        assert set(trial["metric_seconds"]) == {"coherence", "likelihood", "cost"}
        assert all(seconds > 0 for seconds in trial["metric_seconds"].values())
    for trial in manifest["trials"]:
        for file in (trial["curve"], trial["pictures"]):
            assert (finished.store / file).is_file()


def test_a_job_of_full_data_is_given_its_variants(tmp_path):
    """A trial's data section is plain data, of which the sources are made for its process."""
    data = {"train": "mnist", "transfer": ["affnist"], "size": "full", "root": str(tmp_path)}
    path = write(tmp_path, data=data)
    given = [f"study={path}", "data.variants={train: 3, test: 2}", f"runs={tmp_path}"]
    with installed():
        session = Session(*resolve(given), "")
        world = World({"mnist": "0" * 16, "affnist": "1" * 16}, "2.0", "cpu")
        session.progress = Progress(session.study, world, session.store)
        todo = session.progress.advance()
        (session.store.path / "trials").mkdir(parents=True)
        job = next(session._jobs(todo))
    assert job.trial == todo[0]
    root = str(tmp_path)
    assert job.sources == {
        "mnist": {"name": "mnist", "root": root},
        "affnist": {"name": "affnist", "root": root, "variants": {"train": 3, "test": 2}},
    }


def test_the_report_names_the_arms(finished):
    text = (finished.store / "report.html").read_text()
    assert "additive" in text
    assert "vae" in text
    assert "untrained: shows that everything runs, decides nothing" in text


def test_the_command_in_the_manifest_repeats_the_run(finished):
    command = manifests.load(finished.store)["study"]["command"]
    program, *arguments = command.removeprefix("python -m ").split()
    assert program == "bench.run"
    again = bench(finished.folder, *arguments, "dry_run=true")
    assert "4 trials, 0 to run" in again.out


def test_the_study_that_a_run_wrote_is_read_back_equal(finished):
    with installed():
        first = resolve([f"study={finished.folder / 'tiny.yaml'}"])[0]
        assert resolve([f"study={finished.store / 'study.yaml'}"])[0] == first


def test_what_is_finished_never_runs_again(finished):
    files = {p: p.stat().st_mtime_ns for p in finished.store.glob("trials/*/*")}
    before = finished.rows()
    again = bench(finished.folder, "study=tiny.yaml", "workers=1")
    assert again.status == 0
    assert "4 trials (2 arms, 0 baselines, 2 seeds), 0 to run" in again.out
    assert "seed 0:" not in again.out
    assert {p: p.stat().st_mtime_ns for p in finished.store.glob("trials/*/*")} == files
    assert again.rows() == before


def copied(ran, folder: Path) -> Path:
    """A copy of a study's folder, with its file and without MLflow."""
    ignore = shutil.ignore_patterns("mlflow*", "mlruns")
    return shutil.copytree(ran.folder, folder / "copy", ignore=ignore)


def test_a_finished_study_says_what_it_said_and_writes_nothing(finished, tmp_path):
    """Unless something is missing of what it wrote, or not as it was."""
    folder = copied(finished, tmp_path)
    arguments = ("study=tiny.yaml", "tracking.enabled=false")
    store = folder / "runs" / "tiny"
    first = bench(folder, *arguments)
    written = ("report.html", "rows.parquet", "manifest.json", "answer.json")

    def times() -> dict[str, int]:
        return {name: (store / name).stat().st_mtime_ns for name in written}

    before = times()
    again = bench(folder, *arguments)
    assert times() == before
    assert again.out.splitlines()[:-1] == first.out.splitlines()[:-1], "all but how long it took"
    content = (store / "report.html").read_bytes()
    for spoil in (
        lambda: (store / "report.html").unlink(),
        lambda: (store / "report.html").write_text("half"),
        lambda: (store / "rows.parquet").write_bytes(b""),
        lambda: (store / "answer.json").write_text("{"),
    ):
        spoil()
        assert bench(folder, *arguments).out.splitlines()[:-1] == first.out.splitlines()[:-1]
        assert (store / "report.html").read_bytes() == content
        assert len(rows.load(store)) == len(rows.load(finished.store))


def test_a_dry_run_writes_nothing(tmp_path):
    write(tmp_path)
    shown = bench(tmp_path, "study=tiny.yaml", "dry_run=true")
    assert shown.status == 0
    assert 'understood: study = "tiny.yaml"; dry_run = true' in shown.out
    assert "4 trials, 4 to run, 32 steps, on cpu" in shown.out
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


def test_a_changed_metric_evaluates_without_training(finished, tmp_path_factory):
    """In a copy of one trial's study: weights and curve stay as they are."""
    folder = tmp_path_factory.mktemp("metric")
    shutil.copytree(finished.store, folder / "runs" / "tiny")
    write(folder)
    weights = {
        path: path.stat().st_mtime_ns
        for name in ("weights.safetensors", "curve.jsonl")
        for path in folder.glob(f"runs/tiny/trials/*/{name}")
    }
    arguments = ("arms=[additive,vae]", "metrics.likelihood.k=3", "tracking.enabled=false")
    ran = bench(folder, "study=tiny.yaml", "seeds=1", *arguments)
    assert ran.status == 0
    assert "2 trials (2 arms, 0 baselines, 1 seeds), 2 to run" in ran.out
    assert {path: path.stat().st_mtime_ns for path in weights} == weights
    old = {row[:2]: row[2] for row in finished.rows("arm", "metric", "value", "seed")
           if row[3] == "0"}  # fmt: skip
    new = {row[:2]: row[2] for row in ran.rows("arm", "metric", "value")}
    assert new["vae", "nll"] != old["vae", "nll"]
    assert new["additive", "coherence/gap"] == old["additive", "coherence/gap"]
    assert not (folder / "mlflow.db").exists()


def test_the_number_of_workers_changes_no_result(finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("workers")
    write(folder)
    two = bench(folder, "study=tiny.yaml", "workers=2", "tracking.enabled=false")
    assert two.status == 0
    assert two.rows() == finished.rows()
    curves = "trials/*/curve.jsonl"
    for path in finished.store.glob(curves):
        other = two.store / path.relative_to(finished.store)
        for a, b in zip(path.read_text().splitlines(), other.read_text().splitlines(), strict=True):
            first, second = json.loads(a), json.loads(b)
            assert first.pop("seconds") > 0
            assert second.pop("seconds") > 0
            assert first == second
    assert not (folder / "mlflow.db").exists(), "tracking was switched off"


def test_arms_of_one_seed_are_trained_on_the_same_bytes(tmp_path):
    """In the processes of a real run: x, x_1 and x_2 of every step, whatever else the arms draw."""
    vae, additive = (TINY["arms"][name]["model"] for name in ("vae", "additive"))
    write(
        tmp_path,
        family={"name": "faulty", "fault": "note", "at": 1},
        arms={
            "vae": {"model": {**vae, "views": True}},
            "additive": {"model": additive},
            "matrix": {"model": {**additive, "latent_transform": "matrix", "coherence": "mmd"}},
        },
        trainer={**TINY["trainer"], "steps": 5},
        metrics={"likelihood": {"k": 1, "images": 2}},
    )
    ran = bench(tmp_path, "study=tiny.yaml", "tracking.enabled=false", "workers=2")
    assert ran.status == 0
    seen = {}
    for seed in (0, 1):
        stream = derive_seed(seed, "views")
        files = sorted(tmp_path.glob(f"seen-{stream}-*"))
        assert len(files) == 3, "a process for each arm"
        batches = [path.read_text().splitlines()[:5] for path in files]
        assert batches[0] == batches[1] == batches[2]
        assert len({*batches[0]}) == 5
        seen[seed] = batches[0]
    assert not {*seen[0]} & {*seen[1]}


# --- limits -------------------------------------------------------------------------------------


def test_a_trial_that_takes_too_long_fails_alone(finished, tmp_path, monkeypatch):
    """One waits for good; what runs again on request goes on from its checkpoint."""
    monkeypatch.setattr(local, "PATIENCE", 0.5)
    write(tmp_path)
    (tmp_path / "gate").touch()
    arguments = ("study=tiny.yaml", "seeds=1", "workers=2", "tracking.enabled=false")
    ran = bench(tmp_path, *arguments, "trial_hours=0.0025")
    assert ran.status == 1
    assert "failed: additive seed 0: took longer than 0.0025 hours" in ran.out
    statuses = {t["arm"]: t["status"] for t in manifests.load(ran.store)["trials"]}
    assert statuses == {"vae": "done", "additive": "failed"}
    (tmp_path / "gate").unlink()
    assert bench(tmp_path, *arguments).status == 1, "not without being asked to"
    again = bench(tmp_path, *arguments, "retry=failed")
    assert again.status == 0
    assert again.rows() == [row for row in finished.rows() if row[3] == "0"]


# --- killed and continued -----------------------------------------------------------------------


@linux
def test_a_killed_driver_leaves_no_worker_and_no_verdict(resumed):
    """Its worker ends with it, and calls its unfinished trial neither done nor failed."""
    assert resumed.killed.status == -signal.SIGKILL
    assert resumed.killed.left == []
    assert list(resumed.results.values()) == ["done"]


def test_the_same_command_ends_with_the_rows_of_an_undisturbed_run(resumed, finished):
    assert resumed.ran.status == 0
    assert "4 trials (2 arms, 0 baselines, 2 seeds), 3 to run" in resumed.ran.out
    assert resumed.ran.rows() == finished.rows()
    curve = "step", "train/loss", "validation/elbo"
    for path in finished.store.glob("trials/*/curve.jsonl"):
        other = resumed.ran.store / path.relative_to(finished.store)
        told = [[json.loads(line)[key] for key in curve] for line in path.read_text().splitlines()]
        again = [
            [json.loads(line)[key] for key in curve] for line in other.read_text().splitlines()
        ]
        assert told == again
    assert not list(resumed.ran.store.glob("trials/*/step-*")), "checkpoints of finished trials"


@linux
def test_a_signal_ends_the_study_in_good_order(tmp_path):
    stopped = stop(tmp_path, signal.SIGINT, "tracking.enabled=false")
    assert stopped.status == 128 + signal.SIGINT
    assert stopped.seconds < 10
    assert stopped.left == []
    assert stopped.err == ""
    assert "interrupted, 3 trials to go: the same command continues" in stopped.out
    manifest = manifests.load(stopped.store)
    assert [trial["status"] for trial in manifest["trials"]] == ["done"] + ["interrupted"] * 3
    assert set(rows.load(stopped.store).arm) == {"vae"}
    (checkpoint,) = stopped.store.glob("trials/*/step-000000006-*")
    assert json.loads((checkpoint.parent / "result.json").read_text())["status"] == "interrupted"


def test_a_second_driver_is_told_who_runs_the_study(resumed):
    second, driver = resumed.killed.second, resumed.killed.pid
    assert second.status == 3
    (line,) = second.err.splitlines()
    assert line.startswith(
        f"error: runs/tiny is being run by process {driver} on {socket.gethostname()} since 20"
    )


def test_the_lock_ends_with_its_holder(tmp_path):
    with owned(tmp_path), pytest.raises(Owned, match="is being run by process"), owned(tmp_path):
        pass
    with owned(tmp_path):
        pass


def test_a_lock_without_a_readable_note(tmp_path):
    with owned(tmp_path):
        (tmp_path / ".owner.json").write_text("{")
        with pytest.raises(Owned, match="is being run by another process"), owned(tmp_path):
            pass
