"""Trials as processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from bench.executors.base import Event, Executor, Finished, Job, Recorded, Started
from bench.plan import Trial
from bench.store import Result, TrialFolder

MALLOC = {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "1073741824"}
"""glibc gives every large tensor back to the system and takes it again, page by page; keeping the
memory makes a training step about a fifth faster."""

PRELOAD = [
    "bench.trial",
    # imported by torch's optimisers and by metrics at their first use: seconds, for every trial
    "torch._dynamo",
    "sklearn.linear_model",
    "sklearn.model_selection",
    "sklearn.neighbors",
    "sklearn.pipeline",
]
"""What the fork server has loaded when a trial starts."""

LOCK = ".lock"
"""In a trial's folder: held by the process that writes there."""


@dataclass
class Worker:
    """One running job."""

    job: Job
    process: Any
    pipe: Connection
    cancelled: bool = False


class LocalExecutor(Executor):
    """A process per trial: a crash, a leak or a kill costs that trial alone.

    A fork server that has torch loaded makes starting one cheap.

    Args:
        workers: processes at once, at least 1; with the threads of a trial they should fill the
            cores and no more.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.running: list[Worker] = []
        os.environ.update({name: os.environ.get(name, value) for name, value in MALLOC.items()})
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(PRELOAD)

    def run(self, jobs: Sequence[Job]) -> Generator[Event, None, None]:
        """See `Executor.run`."""
        waiting = list(reversed(jobs))
        try:
            while waiting or self.running:
                while waiting and len(self.running) < self.workers:
                    worker = self._start(waiting.pop())
                    self.running.append(worker)
                    yield Started(worker.job.trial)
                by_pipe = {worker.pipe: worker for worker in self.running}
                for pipe in wait(list(by_pipe)):
                    worker = by_pipe[pipe]  # type: ignore[index]
                    try:
                        yield Recorded(worker.job.trial, worker.pipe.recv())
                    except EOFError:
                        self.running.remove(worker)
                        yield Finished(worker.job.trial, self._result(worker))
        finally:
            self._stop()

    def cancel(self, trial: Trial) -> None:
        """See `Executor.cancel`."""
        for worker in self.running:
            if worker.job.trial == trial:
                worker.cancelled = True
                worker.process.terminate()

    def _start(self, job: Job) -> Worker:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[name] = str(job.trial.threads)
        receiving, sending = self.context.Pipe(duplex=False)
        # whatever an earlier attempt said about how it ended is over now
        (job.folder / "result.json").unlink(missing_ok=True)
        process = self.context.Process(target=_work, args=(job, sending), daemon=True)
        process.start()
        sending.close()  # so that the pipe ends when the process does
        return Worker(job, process, receiving)

    @staticmethod
    def _result(worker: Worker) -> Result:
        """What the trial left; without a result, what became of its process."""
        worker.process.join()
        worker.pipe.close()
        folder = TrialFolder(worker.job.folder)
        result = folder.result()
        if result is None:
            code = worker.process.exitcode
            if worker.cancelled:
                result = Result("interrupted", "cancelled")
            else:
                how = f"was killed by {_signal(-code)}" if code < 0 else f"ended with status {code}"
                result = Result("failed", f"its process {how}", worker.job.trial.evaluation_key)
            folder.write_result(result)
        return result

    def _stop(self) -> None:
        for worker in self.running:
            worker.process.terminate()
        for worker in self.running:
            worker.process.join(5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
        self.running.clear()


def _work(job: Job, pipe: Connection) -> None:
    """The body of a worker process, which does not outlive its driver."""
    from filelock import FileLock

    from bench.trial import main

    def emit(record: dict[str, float]) -> None:
        try:
            pipe.send(record)
        except BrokenPipeError:
            os._exit(1)

    # a terminal sends it to the whole group; the driver says what becomes of the workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_driver, daemon=True).start()
    # the worker of a driver that was just killed may still be about to end
    with FileLock(job.folder / LOCK):
        for left in job.folder.glob(".*"):
            if left.name != LOCK:
                left.unlink()
        main(job.trial, job.folder, job.sources, job.keep, emit)


def _end_with_driver() -> None:
    driver = multiprocessing.parent_process()
    assert driver is not None
    driver.join()
    os._exit(1)


def _signal(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:  # a real-time signal
        return f"signal {number}"
