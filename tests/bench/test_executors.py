"""A process per trial: whatever becomes of one is recorded, and costs that one alone."""

from __future__ import annotations

import json
import signal

import pytest
from harness import bench, installed, study, trials, until

from bench import world
from bench.executors.base import Finished, Job, Recorded, Started
from bench.executors.local import LocalExecutor
from bench.store import TrialFolder
from reports import rows


def told(ran) -> dict[str, dict]:
    """Arm -> what the manifest says of its trial."""
    return {trial["arm"]: trial for trial in rows.load_manifest(ran.store)["trials"]}


def test_a_study_with_failures_goes_on_and_says_so(faults):
    assert faults.status == 1
    statuses = {arm: trial["status"] for arm, trial in told(faults).items()}
    assert statuses == {
        "raises": "failed",
        "killed": "failed",
        "diverges": "diverged",
        "vae": "done",
    }
    assert (faults.store / "report.html").is_file()
    assert set(rows.load(faults.store).arm) == {"vae"}


def test_an_error_leaves_its_reason_and_traceback(faults):
    trial = told(faults)["raises"]
    assert trial["reason"] == "RuntimeError: the sixth batch is bad"
    traceback = faults.store / "trials" / trial["trial"] / "traceback.txt"
    assert "faulty.py" in traceback.read_text()
    assert f"failed: raises seed 0: {trial['reason']} (" in faults.out
    assert "traceback.txt)" in faults.out


def test_a_killed_worker_is_named_with_its_signal(faults):
    trial = told(faults)["killed"]
    assert trial["reason"] == "its process was killed by signal 9 (SIGKILL)"
    assert "FAILED (its process was killed by signal 9 (SIGKILL))" in faults.out


def test_divergence_is_told_with_its_step(faults):
    """At a learning rate of 1e30 the first step leaves no finite weight."""
    assert told(faults)["diverges"]["reason"] == "the loss is not finite at step 1"
    assert "DIVERGED (the loss is not finite at step 1)" in faults.out


def test_failures_run_again_on_request_only(faults):
    arguments = ("study=tiny.yaml", "tracking.enabled=false", "dry_run=true")
    assert "4 trials, 0 to run" in bench(faults.folder, *arguments).out
    assert "4 trials, 3 to run" in bench(faults.folder, *arguments, "retry=failed").out


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """The tiny study's jobs, in a folder where its second trial waits."""
    monkeypatch.chdir(tmp_path)
    given = study("tracking.enabled=false", folder=tmp_path)
    out = []
    for trial in trials(given, world.look(given)):
        folder = tmp_path / trial.training_key
        folder.mkdir()
        out.append(Job(trial, folder, {"mnist": given.data.source("mnist")}, "last"))
    (tmp_path / "gate").touch()
    with installed():
        yield out


def test_events_come_in_order_and_a_trial_can_be_cancelled(jobs, tmp_path):
    vae, additive = jobs[:2]
    executor = LocalExecutor(1)
    events = []
    for event in executor.run([vae, additive]):
        events.append(event)
        if isinstance(event, Recorded) and event.trial == additive.trial:
            until((tmp_path / "waiting").exists, 60, "the sixth step")
            executor.cancel(event.trial)
    mine = [event for event in events if event.trial == vae.trial]
    assert [type(event) for event in mine] == [Started, *[Recorded] * 4, Finished]
    assert [event.record["step"] for event in mine if isinstance(event, Recorded)] == [2, 4, 6, 8]
    lines = TrialFolder(vae.folder).curve.read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        event.record for event in mine if isinstance(event, Recorded)
    ]
    last = events[-1]
    assert isinstance(last, Finished)
    assert (last.trial, last.result.status) == (additive.trial, "interrupted")
    assert mine[-1].result.status == "done"


def test_whoever_stops_iterating_stops_the_workers(jobs, tmp_path):
    executor = LocalExecutor(1)
    events = executor.run(jobs[1:2])
    assert isinstance(next(events), Started)
    process = executor.running[0].process
    until((tmp_path / "waiting").exists, 60, "the sixth step")
    events.close()
    assert process.exitcode == -signal.SIGTERM
    assert executor.running == []
    assert TrialFolder(jobs[1].folder).result() is None


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
