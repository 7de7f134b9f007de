"""One study from command to report, killed and continued, with real processes.

The promises that a user builds on: what is finished never runs again, a study that was killed at
any point ends with the rows of one that was not, and two drivers never share a study.
"""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path

import pytest
from harness import bench, stop, write

from bench.run import Owned, owned
from reports import rows

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")


def test_a_study_runs_to_its_report(finished):
    assert finished.status == 0
    assert finished.err == ""
    lines = finished.out.splitlines()
    assert lines[0] == "tiny: 4 trials (2 arms, 0 baselines, 2 seeds), 4 to run"
    assert [line.split(":")[0] for line in lines[1:5]] == [
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
    manifest = rows.load_manifest("tiny", finished.folder / "runs")
    assert [trial["status"] for trial in manifest["trials"]] == ["done"] * 4
    for trial in manifest["trials"]:
        for file in (trial["curve"], trial["pictures"]):
            assert (finished.store / file).is_file()


def test_the_report_names_the_arms(finished):
    text = (finished.store / "report.html").read_text()
    assert "additive" in text
    assert "vae" in text
    assert "untrained: shows that everything runs, decides nothing" in text


def test_the_command_in_the_manifest_repeats_the_run(finished):
    command = rows.load_manifest(finished.store)["study"]["command"]
    program, *arguments = command.removeprefix("python -m ").split()
    assert program == "bench.run"
    again = bench(finished.folder, *arguments, "dry_run=true")
    assert "4 trials, 0 to run" in again.out


def test_what_is_finished_never_runs_again(finished):
    files = {p: p.stat().st_mtime_ns for p in finished.store.glob("trials/*/*")}
    before = finished.rows()
    again = bench(finished.folder, "study=tiny.yaml", "workers=1")
    assert again.status == 0
    assert "4 trials (2 arms, 0 baselines, 2 seeds), 0 to run" in again.out
    assert "seed 0:" not in again.out
    assert {p: p.stat().st_mtime_ns for p in finished.store.glob("trials/*/*")} == files
    assert again.rows() == before


def test_a_dry_run_writes_nothing(tmp_path):
    write(tmp_path)
    shown = bench(tmp_path, "study=tiny.yaml", "dry_run=true")
    assert shown.status == 0
    assert "4 trials, 4 to run, 32 steps, on cpu" in shown.out
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


def test_a_changed_metric_evaluates_without_training(finished, tmp_path_factory):
    """In a copy of one trial's study: weights and curve stay as they are."""
    import shutil

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
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_study_in_good_order(tmp_path, number):
    stopped = stop(tmp_path, number, "tracking.enabled=false")
    assert stopped.status == 128 + number
    assert stopped.seconds < 10
    assert stopped.left == []
    assert stopped.err == ""
    assert "interrupted, 3 trials to go: the same command continues" in stopped.out
    manifest = rows.load_manifest(stopped.store)
    assert [trial["status"] for trial in manifest["trials"]] == ["done"] + ["interrupted"] * 3
    assert set(rows.load(stopped.store).arm) == {"vae"}


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
