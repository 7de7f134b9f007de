"""Trials as processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from math import inf
from multiprocessing import process, util
from multiprocessing.connection import Connection, wait
from typing import Any

from bench.execute.base import (
    Event,
    Executor,
    Finished,
    Idle,
    Job,
    Measuring,
    Recorded,
    Started,
)
from bench.execute.worker import ATTEMPTS, CANCELLED, Ended, Word, body, checkpoints, verdict
from bench.plan.trials import Trial
from bench.store import Result

MALLOC = {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "1073741824"}
"""glibc gives every large tensor back to the system and takes it again, page by page; keeping the
memory spares a large batch thousands of page faults a step."""

PRELOAD = [
    "bench.execute.trial",
    # imported by torch's optimisers and by metrics at their first use: seconds, for every trial
    "torch._dynamo",
    "sklearn.linear_model",
    "sklearn.model_selection",
    "sklearn.neighbors",
    "sklearn.pipeline",
    "bench.execute.forkserver",
]
"""What the fork server has loaded when a trial starts."""

LONGEST = 107 - len("/pymp-12345678/listener-12345678")
"""Bytes of a temporary folder's path that leave room for multiprocessing's sockets on Linux."""

SPARE = 4
"""Bytes fewer that other systems than Linux take."""

PATIENCE = 5.0
"""Seconds that a process has to leave a checkpoint when it is asked to stop."""


def room_for_sockets() -> None:
    """Where the temporary folder's path is long, let multiprocessing's sockets have one of ours.

    A cluster's TMPDIR often is long. The folder is removed when this process ends.
    """
    config = process.current_process()._config  # type: ignore[attr-defined]  # where it looks
    if "tempdir" in config or len(os.fsencode(tempfile.gettempdir())) <= LONGEST - SPARE:
        return
    for parent in ("/tmp", "/var/tmp", "/dev/shm", os.getcwd()):
        if len(os.fsencode(parent)) <= LONGEST - SPARE and os.access(parent, os.W_OK | os.X_OK):
            own = tempfile.mkdtemp(prefix="pymp-", dir=parent)
            # not before its processes have ended, as multiprocessing itself does
            util.Finalize(None, shutil.rmtree, args=(own, True), exitpriority=-100)
            config["tempdir"] = own
            return


@dataclass
class Worker:
    """One running job.

    Attributes:
        job: what it runs.
        process: of this attempt.
        pipe: what it says.
        attempt: counts from 1, anew when the one before got to another checkpoint.
        begins: the checkpoints that it found.
        ends: when something is done about it, by the monotonic clock.
        why: it was asked to stop; empty: it was not.
        error: it could not write its files.
    """

    job: Job
    process: Any
    pipe: Connection
    attempt: int
    begins: frozenset[str]
    ends: float
    why: str = ""
    error: OSError | None = None

    def stop(self, why: str) -> None:
        """Ask the process to stop, with a checkpoint."""
        self.why, self.ends = why, time.monotonic() + PATIENCE
        self.process.terminate()


class LocalExecutor(Executor):
    """A process per trial: a crash, a leak or a kill costs that trial alone.

    A fork server that has torch loaded makes starting one cheap.

    Args:
        workers: processes at once, at least 1; with the threads of a trial they should fill the
            cores and no more.
        seconds: that a trial may take; None: as long as it wants.
        gpus: a GPU for each of the workers, which share it where it comes several times; empty:
            nothing is dealt out.
    """

    def __init__(
        self, workers: int, seconds: float | None = None, gpus: Sequence[str] = ()
    ) -> None:
        self.workers, self.seconds = workers, seconds
        self.gpus = list(gpus)
        self.running: list[Worker] = []
        os.environ.update({name: os.environ.get(name, value) for name, value in MALLOC.items()})
        room_for_sockets()
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(PRELOAD)

    def room(self) -> int:
        """See `Executor.room`."""
        return self.workers

    def run(self, jobs: Iterable[Job]) -> Generator[Event, None, None]:
        """See `Executor.run`."""
        with closing(self.turns(jobs)) as events:
            for event in events:
                if not isinstance(event, Idle):
                    yield event

    def turns(
        self, jobs: Iterable[Job], every: float | None = None
    ) -> Generator[Event | Idle, None, None]:
        """As `run`, for one who has something to look after between the events.

        Args:
            jobs: as for `run`.
            every: seconds after which an `Idle` comes if nothing else does; None: it may never.
        """
        waiting, more = iter(jobs), True
        try:
            while True:
                while more and len(self.running) < self.workers:
                    job = next(waiting, None)
                    if job is None:
                        more = False
                        break
                    self._start(self._seated(job))
                    yield Started(job.trial)
                if not self.running:
                    break
                by_pipe = {worker.pipe: worker for worker in self.running}
                ready = wait(list(by_pipe), self._patience(every))
                if not ready:
                    yield Idle()
                for pipe in ready:
                    worker = by_pipe[pipe]  # type: ignore[index]
                    try:
                        said = worker.pipe.recv()
                        if isinstance(said, OSError):
                            worker.error = said
                        elif isinstance(said, tuple):
                            yield Measuring(worker.job.trial, *said)
                        else:
                            yield Recorded(worker.job.trial, said)
                    except EOFError:
                        result = self._ended(worker)
                        if result is not None:
                            yield Finished(worker.job.trial, result)
                self._look_at_the_clock()
        finally:
            self._stop()

    def cancel(self, trial: Trial) -> None:
        """See `Executor.cancel`."""
        for worker in self.running:
            if worker.job.trial == trial and not worker.why:
                worker.stop(CANCELLED)

    def close(self) -> None:
        """See `Executor.close`: the fork server ends with this process."""

    def _seated(self, job: Job) -> Job:
        """The job with the GPU that the fewest have, where GPUs are dealt out."""
        if not self.gpus or job.trial.device != "cuda":
            return job
        free = list(self.gpus)
        for worker in self.running:
            if worker.job.gpu in free:
                free.remove(worker.job.gpu)
        return replace(job, gpu=max(free, key=free.count))

    def _patience(self, every: float | None) -> float | None:
        """Seconds until something has to be done about a worker, `every` at most."""
        ends = min((worker.ends for worker in self.running), default=inf)
        left = min(max(0.0, ends - time.monotonic()), inf if every is None else every)
        return None if left == inf else left

    def _look_at_the_clock(self) -> None:
        for worker in self.running:
            if time.monotonic() >= worker.ends:
                if worker.why:
                    worker.process.kill()
                    worker.ends = inf
                else:
                    assert self.seconds is not None
                    worker.stop(f"took longer than {self.seconds / 3600:g} hours")

    def _start(self, job: Job, attempt: int = 1) -> None:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[name] = str(job.trial.threads)
        receiving, sending = self.context.Pipe(duplex=False)
        # whatever an earlier attempt said about how it ended is over now
        (job.folder / "result.json").unlink(missing_ok=True)
        process = self._process(job, sending)
        sending.close()  # so that the pipe ends when the process does
        ends = inf if self.seconds is None else time.monotonic() + self.seconds
        self.running.append(Worker(job, process, receiving, attempt, checkpoints(job), ends))

    def _process(self, job: Job, sending: Connection) -> Any:
        """A process that has started, in spite of whoever kills the fork server."""
        for attempt in range(1, ATTEMPTS + 1):
            process = self.context.Process(target=_work, args=(job, sending), daemon=True)
            try:
                process.start()
            except (EOFError, ConnectionError):
                if attempt == ATTEMPTS:
                    raise
            else:
                break
        return process

    def _ended(self, worker: Worker) -> Result | None:
        """What became of the trial; None: its process was killed, and another one goes on.

        Raises:
            CannotWrite: what it says.
        """
        worker.process.join()
        worker.pipe.close()
        self.running.remove(worker)
        further = checkpoints(worker.job) != worker.begins
        ended = Ended(worker.process.exitcode, worker.attempt, further, worker.why, worker.error)
        result = verdict(worker.job, ended)
        if result is None:
            self._start(worker.job, 1 if further else worker.attempt + 1)
        return result

    def _stop(self) -> None:
        for worker in self.running:
            worker.stop("the study stops")
        for worker in self.running:
            worker.process.join(max(0.0, worker.ends - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
        self.running.clear()


def _work(job: Job, pipe: Connection) -> None:
    """A worker's process, which does not outlive its driver."""

    def say(word: Word) -> None:
        try:
            pipe.send(word)
        except BrokenPipeError:
            os._exit(1)

    threading.Thread(target=_end_with_driver, daemon=True).start()
    body(job, say)


def _end_with_driver() -> None:
    driver = multiprocessing.parent_process()
    assert driver is not None
    driver.join()
    os._exit(1)
