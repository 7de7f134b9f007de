"""Trials as tasks of a Ray cluster.

Nothing but messages passes between the driver and a node (`bench.execute.node`): a trial's files
travel to it, and come home as they are written, so the driver stays the one writer of the store,
and a trial whose node is lost goes on elsewhere from its last checkpoint.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.execute.base import CannotWrite, ClusterLost, Event, Executor, Finished, Job
from bench.execute.node import (
    Cargo,
    Parcel,
    Shipment,
    Unfit,
    accept,
    cargo,
    files_of,
    shipped,
    unlike,
    versions,
    work,
)
from bench.execute.worker import CANCELLED, Ended, checkpoints, verdict
from bench.plan.trials import Trial
from bench.store import LOCK, Result
from bench.study.problems import ConfigError, Problem

STOPS = "the study stops"
"""Why all trials are asked to stop."""

PATIENCE = 7.0
"""Seconds that trials have to send home a checkpoint when they are asked to stop."""

TURN = 1.0
"""Seconds that the driver waits for something to come."""

LOOK = 5.0
"""Seconds between two looks at the nodes, and at whether the head answers."""

AWAY = 20.0
"""Seconds after which a head that does not answer counts as lost. Ray ends the process of a driver
whose head is away for a minute."""

PROBE = 120.0
"""Seconds in which a node has to say what it is made of: its first worker imports torch."""


def connect(address: str, threads: int) -> frozenset[str]:
    """Join a cluster, once; the device types that its nodes have.

    Args:
        address: ``auto``: the one whose node this machine is; ``HOST:PORT`` of its head; ``local``:
            one of this machine alone, which ends with this process.
        threads: CPUs that a trial takes.

    Raises:
        ConfigError: Ray is not installed, nobody answers there, its Ray or Python is another, no
            node has so many CPUs, or a node has another torch or project than the driver.
    """
    try:
        import ray
    except ImportError as error:
        message = "ray needs the package ray: pip install 'tvae-bench[ray]'"
        raise ConfigError([Problem("executor", message)]) from error
    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        _reachable(address)
        # all users of a cluster see the list of its jobs, and a command may hold a password
        ray._private.utils.get_entrypoint_name = lambda: "python -m bench.run"
        # Ray has handlers of its own for what asks a driver to stop
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level="ERROR",
                **({"include_dashboard": False} if address == "local" else {}),
            )
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            said = " ".join(str(error).split())
            mend = (
                "say export RAY_AUTH_MODE=token first, and copy the head's ~/.ray/auth_token here"
                if isinstance(error, ray.exceptions.AuthenticationError)
                else "a cluster is started by: ray start --head"
            )
            message = f"{address}: {said}; {mend}"
            raise ConfigError([Problem("ray.address", message)]) from error
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        # of a node that is lost Ray shows pages of its log, whatever log_to_driver says
        ray._private.worker.print_to_stdstream = lambda *_, **__: None
    nodes = _nodes()
    if not any(node["Resources"].get("CPU", 0) >= threads for node in nodes):
        most = max((node["Resources"].get("CPU", 0) for node in nodes), default=0)
        message = f"{threads}, but no node of the cluster has more than {most:g} CPUs"
        raise ConfigError([Problem("threads", message)])
    with _interruptible():
        _alike(nodes)
    gpus = any(
        node["Resources"].get("GPU", 0) and node["Resources"].get("CPU", 0) >= threads
        for node in nodes
    )
    return frozenset({"cpu", "cuda"} if gpus else {"cpu"})


@contextmanager
def _interruptible() -> Iterator[None]:
    """Within: what a signal's handler raises while Ray waits, Ray passes on as a SystemError."""
    try:
        yield
    except SystemError as error:
        if error.__cause__ is None or isinstance(error.__cause__, Exception):
            raise
        raise error.__cause__ from None


def _reachable(address: str) -> None:
    """Refuse an address at which nobody answers; Ray itself would try for minutes.

    Raises:
        ConfigError: nobody answers, or it is no address.
    """
    if address in ("auto", "local"):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        message = f"{address} is no address: auto, local, or HOST:PORT of the head, such as a:6379"
        raise ConfigError([Problem("ray.address", message)])
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        message = f"nobody answers at {address} ({error}); there: ray start --head --port={port}"
        raise ConfigError([Problem("ray.address", message)]) from error


def _nodes() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def _alike(nodes: Iterable[Mapping[str, Any]]) -> None:
    """Refuse a cluster of whose nodes one would compute something else.

    Raises:
        ConfigError: nodes and versions are named.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def probe() -> dict[str, str]:
        # not of a module that may be missing there
        try:
            from bench.execute.node import versions
        except ImportError as error:
            return {"missing": str(error)}
        return versions()

    task = ray.remote(num_cpus=0, max_retries=0)(probe)
    # a host may have several nodes, as containers do
    asked = [
        (
            node["NodeManagerHostname"],
            task.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(),
        )
        for node in nodes
        if node["Resources"].get("CPU", 0)
    ]
    problems = []
    for name, ref in asked:
        try:
            found = ray.get(ref, timeout=PROBE)
        except ray.exceptions.RayError as error:
            problems.append(f"{name} does not say what it has: {type(error).__name__}")
            continue
        if "missing" in found:
            problems.append(f"{name} cannot import this project ({found['missing']})")
        elif differ := unlike(versions(), found):
            problems.append(f"{name} has {differ}")
    if problems:
        told = [f"{problem}; install there what is here" for problem in problems]
        raise ConfigError([Problem("ray.address", message) for message in told])


@dataclass
class Task:
    """One job that was handed to Ray.

    Attributes:
        job: what it runs.
        parcels: the task's stream.
        lock: of the trial's folder.
        attempt: counts from 1, anew when the one before got to another checkpoint.
        begins: the checkpoints that it went off with.
        here: it has a process, as far as the driver knows.
        why: it was asked to stop; empty: it was not.
        result: how it ended, once it did.
    """

    job: Job
    parcels: Any
    lock: Any
    attempt: int
    begins: frozenset[str]
    here: bool = False
    why: str = ""
    result: Result | None = None


@dataclass
class RayExecutor(Executor):
    """A task per trial, on whatever node has room.

    Args:
        threads: CPUs that a trial takes.
        gpus: of a GPU that a trial takes, such as 0.25; 0: none.
        workers: trials at once; None: as many as the nodes have room for.
        seconds: that a trial may take once it has a process; None: as long as it wants.
        ship: whether data sets travel with the first trial of a node; or each has them already.
    """

    threads: int = 1
    gpus: float = 0.0
    workers: int | None = None
    seconds: float | None = None
    ship: bool = True
    running: list[Task] = field(default_factory=list)

    def __post_init__(self) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.cargo: dict[str, Cargo] = {}
        self.looked = self.answered = time.monotonic()
        self.places = 1
        self.head = ray.get_runtime_context().gcs_address
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        self.wishes = ray.remote(
            num_cpus=0, max_restarts=-1, max_concurrency=100_000, scheduling_strategy=here
        )(_Wishes).remote()
        self.task = ray.remote(
            num_returns="streaming",
            num_cpus=self.threads,
            num_gpus=self.gpus,
            max_retries=0,  # with the checkpoints that have come home, which Ray does not know of
            max_calls=0,  # its worker has loaded torch; by default one that had a GPU ends
        )(work)
        self._look()

    def room(self) -> int:
        """See `Executor.room`."""
        return self.workers or self.places

    def run(self, jobs: Iterable[Job]) -> Generator[Event, None, None]:
        """See `Executor.run`.

        Raises:
            CannotWrite: what it says.
            ClusterLost: the head does not answer any more.
            ConfigError: a node that joined is not like the driver, or the object store cannot hold
                the data.
        """
        waiting = iter(jobs)
        try:
            with _interruptible():
                yield from self._turns(waiting)
        finally:
            self._stop()

    def _turns(self, waiting: Iterator[Job]) -> Generator[Event, None, None]:
        import ray

        more = True
        while True:
            while more and len(self.running) < self.room():
                job = next(waiting, None)
                if job is None:
                    more = False
                    break
                self._start(job)
            if not self.running:
                break
            streams = [task.parcels for task in self.running]
            ready, _ = ray.wait(streams, num_returns=1, timeout=TURN)
            for stream in ready:
                task = next(task for task in self.running if task.parcels is stream)
                yield from self._came(task)
            if time.monotonic() - self.looked >= LOOK:
                self._look()

    def cancel(self, trial: Trial) -> None:
        """See `Executor.cancel`."""
        for task in self.running:
            if task.job.trial == trial and not task.why:
                self._ask(task, CANCELLED)

    def close(self) -> None:
        """See `Executor.close`."""
        import ray

        ray.shutdown()

    # --- out and home ---------------------------------------------------------------------------

    def _start(self, job: Job) -> None:
        from filelock import FileLock

        lock = FileLock(job.folder / LOCK)
        try:
            lock.acquire()
            for name in ("result.json", "traceback.txt"):
                (job.folder / name).unlink(missing_ok=True)
            for half in job.folder.glob(".*"):  # of a driver that was killed while it wrote
                if half.name != LOCK:
                    half.unlink(missing_ok=True)
        except OSError as error:
            raise CannotWrite(error.errno, error.strerror, str(job.folder)) from error
        self.running.append(Task(job, self._sent(job), lock, 1, checkpoints(job)))

    def _sent(self, job: Job) -> Any:
        """The stream of a task that has just been handed to Ray."""
        name = job.trial.evaluation_key
        shipment = Shipment(
            job.trial,
            files_of(job),
            {label: self._cargo(source) for label, source in job.sources.items()},
            job.keep,
            {path.name: path.read_bytes() for path in job.plugins},
            self.seconds,
            versions(),
        )
        # in a list, or Ray would wait for it before the task starts
        return self.task.remote(shipment, [self.wishes.wished.remote(name)])

    def _cargo(self, source: Mapping[str, Any] | Path) -> Cargo:
        """A data set as a trial on a node finds it; put into the object store once.

        Raises:
            ConfigError: the object store cannot hold it.
        """
        import ray

        name = json.dumps(source, sort_keys=True, default=str)
        if name not in self.cargo:
            if not self.ship and not isinstance(source, Path):
                self.cargo[name] = cargo(source)
                return self.cargo[name]
            packed = shipped(source)
            size = sum(a.nbytes for split in packed.splits.values() for a in split.values())
            try:
                self.cargo[name] = Cargo(packed.content, (ray.put(packed),))
            except (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError) as error:
                message = (
                    f"the object store of this node cannot hold {packed.name} ({size >> 20} MiB): "
                    "start Ray with a larger --object-store-memory, or put the data on every node "
                    "and say ray.data=there"
                )
                raise ConfigError([Problem("ray.data", message)]) from error
        return self.cargo[name]

    def _came(self, task: Task) -> Generator[Event, None, None]:
        """What a task sent, or that there is no more."""
        import ray

        try:
            parcel: Parcel = ray.get(next(task.parcels))
        except StopIteration:
            yield from self._ended(task, "")
            return
        except ray.exceptions.RayTaskError as error:
            if not isinstance(error.cause, ray.exceptions.RayError):
                raise _fault(error.cause) from error
            if type(error.cause) is ray.exceptions.RaySystemError:
                said = str(error.cause).strip().splitlines()[0]
                message = f"a node cannot read its trial ({said}); install there what is here"
                raise ConfigError([Problem("ray.address", message)]) from error
            yield from self._ended(task, _loss(error.cause))
            return
        except ray.exceptions.LocalRayletDiedError as error:
            raise ClusterLost("the node of this machine is away") from error
        except ray.exceptions.RayError as error:
            yield from self._ended(task, _loss(error))
            return
        task.here = True
        try:
            accept(task.job.folder, parcel)
        except OSError as error:
            raise CannotWrite(error.errno, error.strerror, str(task.job.folder)) from error
        if isinstance(parcel.event, Finished):
            # told when the task has ended and its CPUs are free
            task.result = parcel.event.result
        elif parcel.event is not None:
            yield parcel.event

    def _ended(self, task: Task, loss: str) -> Generator[Event, None, None]:
        """A task's stream is over; a trial that was lost with its node goes on."""
        self.running.remove(task)
        # or its question would stay with the actor
        self.wishes.wish.remote(task.job.trial.evaluation_key, "it has ended")
        result = task.result
        if result is None:
            further = checkpoints(task.job) != task.begins
            lost = loss or "its node sent no result"
            result = verdict(task.job, Ended(0, task.attempt, further, task.why, lost=lost))
            if result is None:
                attempt = 1 if further else task.attempt + 1
                again = self._sent(task.job)
                self.running.append(
                    Task(task.job, again, task.lock, attempt, checkpoints(task.job))
                )
                return
        task.lock.release()
        yield Finished(task.job.trial, result)

    # --- asking to stop -------------------------------------------------------------------------

    def _ask(self, task: Task, why: str) -> None:
        import ray

        task.why = why
        self.wishes.wish.remote(task.job.trial.evaluation_key, why)
        if not task.here:  # it may not have a node yet
            ray.cancel(task.parcels)

    def _stop(self) -> None:
        """Let every trial send home a checkpoint, and forget those that do not in time."""
        import ray

        ends = time.monotonic() + PATIENCE
        with suppress(ray.exceptions.RayError, OSError, ClusterLost):
            for task in self.running:
                self._ask(task, STOPS)
            # of one without a process nothing can come, and to ask for it would wait for its node
            while here := [task.parcels for task in self.running if task.here]:
                if (left := ends - time.monotonic()) <= 0:
                    break
                ready, _ = ray.wait(here, num_returns=1, timeout=left)
                for stream in ready:
                    task = next(task for task in self.running if task.parcels is stream)
                    self._last(task)
        for task in self.running:
            with suppress(ray.exceptions.RayError, OSError):
                ray.cancel(task.parcels, force=True)
            task.lock.release()
        self.running.clear()

    def _last(self, task: Task) -> None:
        """What a task that was asked to stop sent, or that there is no more."""
        import ray

        try:
            accept(task.job.folder, ray.get(next(task.parcels)))
        except (StopIteration, ray.exceptions.RayError):
            self.running.remove(task)
            task.lock.release()

    # --- the cluster ----------------------------------------------------------------------------

    def _look(self) -> None:
        """How many places there are now.

        Raises:
            ClusterLost: the head has not answered for a while.
        """
        self.looked = time.monotonic()
        host, _, port = self.head.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=2).close()
        except OSError as error:
            if time.monotonic() - self.answered > AWAY:
                raise ClusterLost(f"the head of the cluster, {self.head}, is away") from error
            return
        self.answered = time.monotonic()
        self.places = max(1, sum(self._places(node["Resources"]) for node in _nodes()))

    def _places(self, resources: Mapping[str, float]) -> int:
        places = int(resources.get("CPU", 0) // self.threads)
        if self.gpus:
            places = min(places, int(resources.get("GPU", 0) * int(1 / self.gpus)))
        return places


def _fault(cause: BaseException) -> BaseException:
    """What an error on a node means to the driver."""
    if isinstance(cause, Unfit):
        return ConfigError([Problem("ray.address", str(cause))])
    if isinstance(cause, OSError):  # the node's disk is full
        return CannotWrite(cause.errno, f"{cause.strerror} (on a node)", cause.filename)
    return cause


LOSSES = {
    "NodeDiedError": "its node was lost",
    "WorkerCrashedError": "its worker was killed",
    "LocalRayletDiedError": "its node was lost",
    "OutOfMemoryError": "its node ran out of memory",
    "TaskCancelledError": "it was cancelled",
}
"""What Ray says of a task that did not end by itself, in our words."""


def _loss(error: Exception) -> str:
    name = type(error).__name__
    return LOSSES.get(name, f"what it sent was lost ({name})")


class _Wishes:
    """An actor that holds why trials should stop until they ask."""

    def __init__(self) -> None:
        self.why: dict[str, str] = {}
        self.asking: dict[str, list[Any]] = {}

    async def wished(self, name: str) -> str:
        """Why the trial of that name should stop, as soon as it should."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.asking.setdefault(name, []).append(answer)
        return await answer

    async def wish(self, name: str, why: str) -> None:
        """Ask the trial of that name to stop; one that comes later is not meant."""
        for answer in self.asking.pop(name, []):
            if not answer.done():
                answer.set_result(why)
