"""The verdict on a trial whose process has ended, case by case; `test_local` has real processes."""

from __future__ import annotations

import errno
import signal
from dataclasses import replace

import pytest

from bench.execute.base import CannotWrite
from bench.execute.worker import ATTEMPTS, CANCELLED, UNKNOWN, Ended, verdict
from bench.store import Result, TrialFolder

CRASH = Ended(code=1, attempt=1, further=False)


@pytest.fixture
def job(scene):
    return scene.jobs["clean"]


@pytest.mark.parametrize(
    ("ended", "status", "reason"),
    [
        (CRASH, "failed", "its process ended with status 1"),
        (replace(CRASH, code=-signal.SIGSEGV), "failed", "killed by signal 11 (SIGSEGV)"),
        (replace(CRASH, code=-42), "failed", "its process was killed by signal 42"),
        (replace(CRASH, why=CANCELLED), "interrupted", CANCELLED),
        (replace(CRASH, why="took longer than 1 hours"), "failed", "took longer than 1 hours"),
        (replace(CRASH, code=-9, attempt=ATTEMPTS), "failed", "SIGKILL), 3 times, as the system"),
        (replace(CRASH, code=UNKNOWN, attempt=ATTEMPTS), "failed", "killed by nobody knows whom"),
    ],
)
def test_a_process_that_left_no_word(job, ended, status, reason):
    result = verdict(job, ended)
    assert (result.status, result.evaluation) == (status, job.trial.evaluation_key)
    assert reason in result.reason
    assert TrialFolder(job.folder).result() == result, "the folder says so, too"


@pytest.mark.parametrize("code", [-signal.SIGKILL, -signal.SIGTERM, UNKNOWN])
def test_who_was_killed_goes_on_until_it_gets_nowhere(job, code):
    for attempt in range(1, ATTEMPTS):
        assert verdict(job, Ended(code, attempt, further=False)) is None
    assert verdict(job, Ended(code, ATTEMPTS, further=True)) is None, "it got to a checkpoint"
    assert verdict(job, Ended(code, ATTEMPTS, further=False)).status == "failed"
    assert len(TrialFolder(job.folder).notes()) == ATTEMPTS


def test_what_the_trial_says_of_itself_counts(job):
    """Even if its process was killed a moment later."""
    said = Result("diverged", "the loss is not finite at step 3", job.trial.evaluation_key)
    TrialFolder(job.folder).write_result(said)
    assert verdict(job, replace(CRASH, code=-9, why=CANCELLED)) == said


def test_files_that_cannot_be_written_are_no_verdict_on_the_trial(job):
    with pytest.raises(CannotWrite) as caught:
        verdict(job, replace(CRASH, error=OSError(errno.ENOSPC, "No space left on device")))
    assert caught.value.errno == errno.ENOSPC
    assert str(job.folder) in str(caught.value)
    assert TrialFolder(job.folder).result() is None
