"""A process per trial: whatever becomes of one is recorded, and costs that one alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from harness import REPOSITORY, bench, installed, study, trials, until

from bench.execute import local
from bench.execute.base import Finished, Job
from bench.execute.contract import ExecutorContract
from bench.execute.local import LocalExecutor
from bench.plan import machine
from bench.store import TrialFolder
from reports import manifest, rows


class TestLocalExecutor(ExecutorContract):
    """The local executor keeps what every executor promises."""

    def executor(self, workers=1, seconds=None):
        return LocalExecutor(workers, seconds)


def told(ran) -> dict[str, dict]:
    """Arm -> what the manifest says of its trial."""
    return {trial["arm"]: trial for trial in manifest.load(ran.store)["trials"]}


def test_a_study_with_failures_goes_on_and_says_so(faults):
    assert faults.status == 1
    statuses = {arm: trial["status"] for arm, trial in told(faults).items()}
    assert statuses == {
        "raises": "failed",
        "killed": "failed",
        "restarted": "done",
        "memory": "failed",
        "diverges": "diverged",
        "vae": "done",
    }
    assert (faults.store / "report.html").is_file()
    assert set(rows.load(faults.store).arm) == {"restarted", "vae"}
    assert "1 diverged, 3 failed" in faults.out.splitlines()


def test_an_error_leaves_its_reason_and_traceback(faults):
    trial = told(faults)["raises"]
    assert trial["reason"] == "RuntimeError: the sixth batch is bad"
    traceback = faults.store / "trials" / trial["trial"] / "traceback.txt"
    assert "faulty.py" in traceback.read_text()
    assert f"failed: raises seed 0: {trial['reason']} (" in faults.out
    assert "traceback.txt)" in faults.out


KILLED = "its process was killed by signal 9 (SIGKILL)"


def test_a_worker_that_is_killed_every_time_is_named_with_its_signal(faults):
    """It gets nowhere: started three times, it is killed at its first step."""
    trial = told(faults)["killed"]
    reason = f"{KILLED}, 3 times, as the system does when memory runs out"
    assert trial["reason"] == reason
    assert f"FAILED ({reason})" in faults.out
    assert trial["notes"] == [f"{KILLED}; continued"] * 2


def test_a_worker_that_was_killed_goes_on_from_its_checkpoint(faults):
    """Killed at the sixth step, it needs only four more: the result says that it happened."""
    trial = told(faults)["restarted"]
    assert (trial["status"], trial["notes"]) == ("done", [f"{KILLED}; continued"])
    folder = faults.store / "trials" / trial["trial"]
    steps = [json.loads(line)["step"] for line in (folder / "curve.jsonl").read_text().splitlines()]
    assert steps == [2, 4, 6, 8]


def test_memory_that_runs_out_is_named(faults):
    trial = told(faults)["memory"]
    assert trial["reason"].startswith("out of memory: RuntimeError: ")
    assert "can't allocate memory" in trial["reason"]
    assert "faulty.py" in (faults.store / "trials" / trial["trial"] / "traceback.txt").read_text()


def test_divergence_is_told_with_its_step(faults):
    """At a learning rate of 1e30 the first step leaves no finite weight."""
    assert told(faults)["diverges"]["reason"] == "the loss is not finite at step 1"
    assert "DIVERGED (the loss is not finite at step 1)" in faults.out


def test_failures_run_again_on_request_only(faults):
    arguments = ("study=tiny.yaml", "tracking.enabled=false", "dry_run=true")
    assert "6 trials, 0 to run" in bench(faults.folder, *arguments).out
    assert "6 trials, 4 to run" in bench(faults.folder, *arguments, "retry=failed").out


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """The tiny study's jobs, in a folder where its second trial waits."""
    monkeypatch.chdir(tmp_path)
    given = study("tracking.enabled=false", folder=tmp_path)
    out = []
    for trial in trials(given, machine.look(given)):
        folder = tmp_path / trial.training_key
        folder.mkdir()
        out.append(Job(trial, folder, {"mnist": given.data.source("mnist")}, "last"))
    (tmp_path / "gate").touch()
    with installed():
        yield out


def steps(folder: TrialFolder) -> list[int]:
    """Of the checkpoints in a trial's folder."""
    return sorted(int(path.name[5:14]) for path in folder.path.glob("step-*.safetensors"))


def test_who_does_not_stop_when_asked_is_killed(jobs, tmp_path, monkeypatch):
    """It waits in its sixth step for good; its checkpoint of the fourth is what is left."""
    monkeypatch.setattr(local, "PATIENCE", 0.5)
    executor = LocalExecutor(1)
    events = executor.run(jobs[1:2])
    next(events)
    process = executor.running[0].process
    until((tmp_path / "waiting").exists, 60, "the sixth step")
    events.close()
    assert process.exitcode == -signal.SIGKILL
    folder = TrialFolder(jobs[1].folder)
    assert folder.result() is None
    assert steps(folder) == [4]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_somebody_kills_is_started_again(jobs, tmp_path, number):
    """From outside, whichever way: it ends like one that was left alone, and says so."""
    executor = LocalExecutor(1)
    events = executor.run(jobs[1:2])
    next(events)
    until((tmp_path / "waiting").exists, 60, "the sixth step")
    os.kill(executor.running[0].process.pid, number)
    (tmp_path / "gate").unlink()
    *_, last = events
    assert isinstance(last, Finished)
    assert last.result.status == "done"
    (note,) = last.result.notes
    assert note == f"its process was killed by signal {number} ({number.name}); continued"


def test_what_a_killed_worker_left_half_written_is_removed(jobs):
    vae = jobs[0]
    litter = vae.folder / ".weights.safetensors.12345"
    litter.write_bytes(b"half")
    (vae.folder / "result.json").write_text('{"status": "done"')
    (finish,) = [e for e in LocalExecutor(1).run([vae]) if isinstance(e, Finished)]
    assert finish.result.status == "done"
    assert not litter.exists()


def test_a_corrupt_checkpoint_is_passed_over_and_noted(jobs):
    """A trial that finds only rubbish where it left off starts again, and says so."""
    vae = jobs[0]
    corrupt = vae.folder / f"step-000000004-{'0' * 64}.safetensors"
    corrupt.write_bytes(b"rubbish")
    (finish,) = [e for e in LocalExecutor(1).run([vae]) if isinstance(e, Finished)]
    assert finish.result.status == "done"
    assert len(finish.result.notes) == 1
    assert str(corrupt) in finish.result.notes[0]
    assert finish.result.measurements


@pytest.mark.parametrize("length", [60, 75, 114, 250])
def test_a_temporary_folder_with_a_long_path(length):
    """A socket's address has 107 bytes; what is made instead is gone afterwards."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        long = Path(short) / ("x" * (length - len(short) - 1))
        long.mkdir()
        before = set(Path("/tmp").glob("pymp-*"))
        program = (
            "import tempfile; from bench.execute import local; local.PRELOAD = []; "
            f"assert len(tempfile.gettempdir()) == {length}; "
            "process = local.LocalExecutor(1).context.Process(target=print, args=('it ran',)); "
            "process.start(); process.join(); assert process.exitcode == 0"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(long)},
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stdout) == (0, "it ran\n"), done.stderr
        assert not list(long.glob("pymp-*"))
    assert set(Path("/tmp").glob("pymp-*")) <= before
