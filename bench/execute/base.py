"""The interface of an executor: trials in, what happens to them out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.plan.trials import Trial
from bench.store import Result


@dataclass(frozen=True)
class Job:
    """A trial with what the machine must know to run it.

    Attributes:
        trial: what to run.
        folder: the trial's folder, which exists.
        sources: label -> what `bench.execute.trial.dataset` takes, the training set first.
        keep: which checkpoints stay.
        plugins: plugin files that the process must know, see `tvae.registry.add_file`.
        gpu: the only one that the process may see, as ``CUDA_VISIBLE_DEVICES`` names it; empty: it
            sees all that there are.
    """

    trial: Trial
    folder: Path
    sources: Mapping[str, Mapping[str, Any] | Path]
    keep: str
    plugins: tuple[Path, ...] = ()
    gpu: str = ""


@dataclass(frozen=True)
class Started:
    """The trial has a process."""

    trial: Trial


@dataclass(frozen=True)
class Recorded:
    """The trial's training went on to `record`."""

    trial: Trial
    record: dict[str, float]


@dataclass(frozen=True)
class Measuring:
    """The trial is being measured: `done` of `total` of the work on `what`."""

    trial: Trial
    what: str
    done: int
    total: int


@dataclass(frozen=True)
class Finished:
    """The trial ended."""

    trial: Trial
    result: Result


Event = Started | Recorded | Measuring | Finished


class Idle:
    """Nothing has happened for a while; whoever asked for it may look at something else."""


class CannotWrite(OSError):
    """A trial's files cannot be written any more; nothing that was written is lost."""


class ClusterLost(RuntimeError):
    """What runs the trials does not answer any more; what has come home is kept."""


class Executor(ABC):
    """Runs jobs somewhere.

    An executor is made once for an execution of a study, and runs its batches one after the other.
    """

    @abstractmethod
    def room(self) -> int:
        """How many jobs it would run at once now, at least 1."""

    @abstractmethod
    def run(self, jobs: Iterable[Job]) -> Generator[Event, None, None]:
        """Run all jobs and yield what happens, until the last has finished.

        A job is taken from `jobs` when there is room for it, so that whoever makes them can decide
        late. A caller that stops iterating (closes the generator) stops every running job, which
        leaves a checkpoint.

        Raises:
            CannotWrite: a job could not write its files.
        """

    @abstractmethod
    def cancel(self, trial: Trial) -> None:
        """Stop one running trial; it finishes as ``interrupted``."""

    @abstractmethod
    def close(self) -> None:
        """Let go of whatever it holds; called when nothing runs."""
