"""What every executor promises, as a pytest class to be subclassed.

A subclass says how the executor is made (`ExecutorContract.executor`) and is collected where a
fixture ``scene`` gives the jobs that it is tried on.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bench.execute.base import (
    CannotWrite,
    Event,
    Executor,
    Finished,
    Job,
    Measuring,
    Recorded,
    Started,
)
from bench.store import LOCK, Result, TrialFolder
from tvae import registry

KILLED = "its process was killed by signal 9 (SIGKILL)"


@dataclass(frozen=True)
class Scene(ABC):
    """The jobs that an executor is tried on.

    Each trains for 8 steps with a record after every second and a checkpoint after every fourth.

    Attributes:
        jobs: by what becomes of them: ``clean`` and ``another``, which are done; ``waits``, in its
            sixth step, until `release`; ``raises`` an error in its sixth step; ``killed``, its
            process in its first step; ``restarted``, likewise in its sixth, which a process that
            goes on from a checkpoint has not; ``diverges``.
    """

    jobs: Mapping[str, Job]

    @abstractmethod
    def reach(self) -> None:
        """Return when ``waits`` is in its sixth step."""

    @abstractmethod
    def release(self, seconds: float = 0.0) -> None:
        """Let ``waits`` go on, at once or in a while."""

    def moved(self, name: str, folder: Path) -> Job:
        """A job in another folder."""
        folder.mkdir(parents=True)
        return replace(self.jobs[name], folder=folder)


class ExecutorContract(ABC):
    """The promises of an executor."""

    @abstractmethod
    def executor(self, workers: int = 1, seconds: float | None = None) -> Executor:
        """One for so many jobs at once, each of which may take so long."""

    def ran(self, jobs: Sequence[Job], **how: Any) -> list[Event]:
        """All that happens to the jobs; how far their evaluation is may be told or not."""
        events = self.executor(**how).run(jobs)
        return [event for event in events if not isinstance(event, Measuring)]

    def results(self, jobs: Sequence[Job], **how: Any) -> list[Result]:
        """How the jobs ended, in their order; each finishes once."""
        found = [event for event in self.ran(jobs, **how) if isinstance(event, Finished)]
        assert len(found) == len(jobs)
        by_trial = {event.trial.evaluation_key: event.result for event in found}
        return [by_trial[job.trial.evaluation_key] for job in jobs]

    def test_events_come_in_order_and_agree_with_the_files(self, scene: Scene) -> None:
        """Started, a record for each line of the curve, finished with what the folder says."""
        clean = scene.jobs["clean"]
        events = self.ran([clean])
        assert [type(event) for event in events] == [Started, *[Recorded] * 4, Finished]
        assert all(event.trial == clean.trial for event in events)
        folder = TrialFolder(clean.folder)
        lines = folder.curve.read_text().splitlines()
        records = [event.record for event in events if isinstance(event, Recorded)]
        assert [json.loads(line) for line in lines] == records
        last = events[-1]
        assert isinstance(last, Finished)
        assert last.result == folder.result()
        assert last.result.status == "done"

    def test_no_job_is_no_event(self) -> None:
        """Who has nothing to run is not kept waiting."""
        assert self.ran([]) == []

    def test_jobs_are_taken_when_there_is_room_for_them(self, scene: Scene) -> None:
        """So that whoever makes them can decide late."""
        taken: list[str] = []

        def late() -> Iterator[Job]:
            for name in ("clean", "another"):
                taken.append(name)
                yield scene.jobs[name]

        started = 0
        for event in self.executor().run(late()):
            if isinstance(event, Started):
                started += 1
                assert len(taken) == started
        assert started == 2

    def test_a_cancelled_job_is_interrupted_and_the_others_go_on(self, scene: Scene) -> None:
        """Nobody is told that it failed."""
        waits, clean = scene.jobs["waits"], scene.jobs["clean"]
        executor, results = self.executor(), {}
        for event in executor.run([waits, clean]):
            if isinstance(event, Recorded) and event.trial == waits.trial:
                scene.reach()
                executor.cancel(waits.trial)
            elif isinstance(event, Finished):
                results[event.trial.name] = event.result.status
        assert results == {waits.trial.name: "interrupted", clean.trial.name: "done"}

    def test_who_stops_iterating_stops_the_jobs_with_a_checkpoint(self, scene: Scene) -> None:
        """And they can be continued: the result is that of a job that was left alone."""
        waits = scene.jobs["waits"]
        events = self.executor().run([waits])
        assert isinstance(next(events), Started)
        scene.reach()
        # the wish comes while it waits, and is heard at the end of the step
        scene.release(0.5)
        events.close()
        folder = TrialFolder(waits.folder)
        assert not folder.running
        left = folder.result()
        assert left is not None
        assert (left.status, left.reason) == ("interrupted", "was asked to stop")
        assert list(waits.folder.glob("step-*.safetensors")), "there is a checkpoint"
        (result,) = self.results([waits])
        assert result.status == "done"
        assert [record["step"] for record in folder.records()] == [2, 4, 6, 8]

    def test_what_becomes_of_one_costs_that_one_alone(self, scene: Scene) -> None:
        """An error, a kill, a loss that is not finite: each is recorded with its reason."""
        names = ("raises", "killed", "restarted", "diverges", "clean")
        found = dict(zip(names, self.results([scene.jobs[n] for n in names]), strict=True))
        assert {name: result.status for name, result in found.items()} == {
            "raises": "failed",
            "killed": "failed",
            "restarted": "done",
            "diverges": "diverged",
            "clean": "done",
        }
        assert found["raises"].reason == "RuntimeError: the sixth batch is bad"
        assert (
            "the sixth batch is bad"
            in TrialFolder(scene.jobs["raises"].folder).traceback.read_text()
        )
        assert found["killed"].reason.startswith(f"{KILLED}, 3 times")
        assert found["killed"].notes == [f"{KILLED}; continued"] * 2
        assert found["restarted"].notes == [f"{KILLED}; continued"]
        assert found["diverges"].reason == "the loss is not finite at step 1"
        for name, result in found.items():
            assert TrialFolder(scene.jobs[name].folder).result() == result

    def test_a_job_that_takes_too_long_fails(self, scene: Scene) -> None:
        """With the time that it had."""
        events = self.executor(seconds=3.6).run([scene.jobs["waits"]])
        assert isinstance(next(events), Started)
        scene.reach()
        scene.release(4.0)
        *_, last = events
        assert isinstance(last, Finished)
        result = last.result
        assert (result.status, result.reason) == ("failed", "took longer than 0.001 hours")

    def test_the_number_of_workers_changes_no_result(self, scene: Scene, tmp_path: Path) -> None:
        """Measurements are equal bit for bit, whatever ran beside a job."""
        names = ("clean", "another")
        alone = self.results([scene.moved(n, tmp_path / "one" / n) for n in names], workers=1)
        beside = self.results([scene.moved(n, tmp_path / "two" / n) for n in names], workers=2)

        def numbers(result: Result) -> list[tuple[str, float | None]]:
            return [
                (m["name"], m["value"])
                for m in result.measurements
                if registry.metrics.get(m["source"]).comparable
            ]

        assert [numbers(result) for result in alone] == [numbers(result) for result in beside]
        assert numbers(alone[0])

    def test_files_that_cannot_be_written_end_the_run(self, scene: Scene) -> None:
        """Nothing can be recorded of any trial then, so it is no failure of this one."""
        job = scene.jobs["clean"]
        (job.folder / LOCK).mkdir()  # in the place of a file
        with pytest.raises(CannotWrite):
            self.ran([job])
