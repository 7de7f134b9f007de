"""What every executor shares: the body of a trial's process, and the verdict on how it ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.execute.base import CannotWrite, Job
from bench.store import LOCK, Result, TrialFolder

Word = dict[str, float] | tuple[str, int, int] | OSError
"""What a process says of its trial: a record of training, (what, done, total) of its evaluation, or
that its files cannot be written."""

CANCELLED = "cancelled"
"""Why a trial was stopped, when nobody wants it any more."""

UNKNOWN = 255
"""multiprocessing's exit status of a process whose fork server was killed before it ended."""
KILLED = (-signal.SIGKILL, -signal.SIGTERM, UNKNOWN)

ATTEMPTS = 3
"""How often a trial whose process is killed is started without getting any further, before it
counts as failed. Whoever kills it - a person, or the system short of memory - says nothing about
the trial itself."""


def body(job: Job, say: Callable[[Word], None]) -> None:
    """Run a job in this process, which ends with it.

    Whatever happens, the trial's folder holds a result in the end, unless its files cannot be
    written, which is said, or the process is killed. SIGTERM is a wish to stop, with a checkpoint.

    Args:
        job: what to run.
        say: is given what there is to say, in its order.
    """
    from filelock import FileLock

    from bench.execute.trial import main
    from tvae import registry

    # a terminal sends it to the whole group; the driver says what becomes of the workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if job.gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = job.gpu  # read when CUDA is first used, here later
    try:
        # the worker of a driver that was just killed may still be about to end
        with FileLock(job.folder / LOCK):
            for left in job.folder.glob(".*"):
                if left.name != LOCK:
                    left.unlink()
            for file in job.plugins:
                registry.add_file(file)
            main(job.trial, job.folder, job.sources, job.keep, say)
    except OSError as error:
        say(OSError(error.errno, error.strerror))


def checkpoints(job: Job) -> frozenset[str]:
    """What a trial can go on from, by name."""
    return frozenset(path.name for path in job.folder.glob("*.safetensors"))


@dataclass(frozen=True)
class Ended:
    """How the process of a trial ended.

    Attributes:
        code: its exit status; below 0: minus the signal that killed it; `UNKNOWN`.
        attempt: which it was, counted from 1, anew when one got to another checkpoint.
        further: whether it got to another checkpoint than it found.
        why: it was asked to stop (`CANCELLED`, or in words); empty: it was not.
        error: it could not write its files.
        lost: nobody knows how it ended, and why not, in words; `code` says nothing then.
    """

    code: int
    attempt: int
    further: bool
    why: str = ""
    error: OSError | None = None
    lost: str = ""


def verdict(job: Job, ended: Ended) -> Result | None:
    """What became of a trial whose process has ended; None: it was killed, and has to go on.

    What the process could not say itself is written into the trial's folder.

    Raises:
        CannotWrite: what it says.
    """
    folder, key = TrialFolder(job.folder), job.trial.evaluation_key
    if ended.error is not None:
        raise CannotWrite(*ended.error.args, str(folder.path))
    left = folder.result()
    if left is not None and left.status != "interrupted":
        return left
    if ended.why == CANCELLED:
        result = Result("interrupted", CANCELLED, key)
    elif ended.why:
        result = Result("failed", ended.why, key)
    elif ended.lost or ended.code in KILLED or left is not None:
        how = ended.lost or f"its process was killed by {_killer(ended.code)}"
        if ended.further or ended.attempt < ATTEMPTS:
            folder.note(f"{how}; continued")
            return None
        how += f", {ATTEMPTS} times"
        how += "" if ended.lost else ", as the system does when memory runs out"
        result = Result("failed", how, key)
    else:
        how = (
            f"was killed by {_signal(-ended.code)}"
            if ended.code < 0
            else f"ended with status {ended.code}"
        )
        result = Result("failed", f"its process {how}", key)
    folder.write_result(result)
    return replace(result, notes=folder.notes())


def _killer(code: int) -> str:
    return "nobody knows whom" if code == UNKNOWN else _signal(abs(code) or signal.SIGTERM)


def _signal(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:  # a real-time signal
        return f"signal {number}"
