"""The loop of one execution of a study: the only process that writes what is not a trial's own.

Everything that it decides follows from the study and the store, so it can be killed at any moment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import answer
from bench.console import console
from bench.plan.progress import Ending, Progress
from bench.plan.trials import tuning_metric
from bench.store import Store, owned
from bench.study.problems import ConfigError, Problem
from bench.study.schema import Data, Execution
from bench.study.setup import Study
from bench.study.text import dump
from bench.watch.base import End, Guarded
from bench.watch.display import Display, duration
from bench.watch.mlflow_runs import MLflowRuns, address
from bench.watch.optuna_file import OptunaFile
from tvae import registry
from tvae.faultpoints import reach

if TYPE_CHECKING:
    from bench.execute.base import Event, Job
    from bench.plan.estimate import Estimate
    from bench.plan.trials import Trial


def check_writable(folder: Path) -> None:
    """Make the study's folder.

    Raises:
        ConfigError: it cannot be made or written to.
    """
    try:
        (folder / "trials").mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        message = f"{folder} cannot be written: {error.strerror}"
        raise ConfigError([Problem("runs", message)]) from error


@dataclass
class Session:
    """One execution of a study.

    Attributes:
        study: the question.
        execution: how to run.
        command: what a person typed.
    """

    study: Study
    execution: Execution
    command: str

    def __post_init__(self) -> None:
        self.console = console()
        self.started = time.monotonic()
        self.store = Store(Path(self.execution.runs), self.study.name)
        tracking = self.execution.tracking
        self.watched = Guarded(
            Display(self.console),
            *([MLflowRuns(self.study, self.store, self.command, address(tracking))]
              if tracking.enabled else []),
            OptunaFile(self.store.path / "optuna.db", self.study, self.execution.ledger.uri),
        )  # fmt: skip
        self.told = False
        self.said = 0
        self.estimate: Estimate | None = None
        self.dropped: set[str] = set()
        self.too_long: list[Trial] = []

    def run(self) -> int:
        """Everything; returns the exit status.

        Raises:
            ConfigError: data that are missing or corrupt, a device that is not there, or a folder
                that cannot be written.
            Owned: the study is being run by another process.
            Interrupted: somebody asked it to stop; what has ended is collected.
            OSError: the disk is full; what has ended is kept.
        """
        from bench.execute import make
        from bench.plan import machine

        again = ("failed", "diverged") if self.execution.retry == "failed" else ()
        world = machine.look(self.study, make.devices(self.study, self.execution))
        self.progress = Progress(self.study, world, self.store, again)
        answer.check_looks(self.progress)
        if self.execution.dry_run:
            from bench.watch.dry_run import show

            room = make.executor(self.study, self.execution, world).room
            show(self.study, self.progress, room, self.console)
            return 0
        check_writable(self.store.path)
        with owned(self.store.path):
            self.executor = make.executor(self.study, self.execution, world)
            with closing(self.executor):
                return self._run()

    def _run(self) -> int:
        from bench.execute.interrupts import Interrupted
        from bench.watch.dry_run import opening, remark_on_seeds

        todo = self.progress.advance()
        self.console.print(opening(self.study, self.progress, todo))
        for line in remark_on_seeds(self.study):
            self.console.print(line)
        for note in filter(None, (answer.replaced(self.progress), answer.enlarged(self.progress))):
            self.console.print(note)
        study = self.study.model_dump(mode="json")
        self.store.write("study.yaml", dump(study))
        try:
            time_is_up = self._work_off(todo)
        except Interrupted:
            answer.collect(self.progress, self.command)
            end = End("KILLED", [self.store.path / "study.yaml"])
            self.watched.tell(lambda watcher: watcher.ends(end))
            self.console.print(f"interrupted, {self._left()}: the same command continues")
            raise
        return self._answer(time_is_up)

    def _work_off(self, todo: list[Trial]) -> bool:
        """Run what has to run, batch after batch; returns whether the time is up before the end."""
        self._say_looks()
        while todo:
            before = {trial.evaluation_key for trial in todo}
            if self._execute(todo):
                return True
            todo = self.progress.advance()
            reach("driver/advanced")
            self.watched.tuned(self.progress)
            assert {trial.evaluation_key for trial in todo} != before, "nothing has ended"
        return False

    def _execute(self, todo: list[Trial]) -> bool:
        """Run trials, and tell who wants to know; returns whether time left some of them out."""
        from bench.execute.base import Finished, Recorded

        stage = todo[0].stage
        metric = tuning_metric(self.study) if stage == "tune" else self.study.primary.metric
        if stage == "tune":
            waiting = sum(search.left for search in self.progress.searches)
            self.console.print(f"tuning: {len(todo)} trials now, {waiting} candidates to settle")
        self.dropped, self.too_long = set(), []
        events = self.executor.run(self._jobs(todo))
        # an interrupt may come at any point
        with closing(events), self._watching(todo, metric):
            for event in events:
                self._happens(event)
                if isinstance(event, Recorded):
                    self.progress.recorded(event.trial, event.record)
                    for trial in self.progress.given_up(event.trial):
                        self.dropped.add(trial.training_key)
                        self.executor.cancel(trial)
                elif isinstance(event, Finished):
                    self._finished(Ending(event.trial, event.result))
                    self._say_looks()
                    needless = self.progress.needless
                    for trial in todo:
                        if trial.seed in needless:
                            self.executor.cancel(trial)
        needless = self.progress.needless
        return any(trial.seed not in needless for trial in self.too_long)

    def _say_looks(self) -> None:
        """Say what was found at each look that nobody was told of."""
        lines = self.progress.looks.said
        for line in lines[self.said :]:
            self.console.print(line)
        if len(lines) > self.said:
            self.said = len(lines)
            reach("driver/looked")

    def _jobs(self, todo: list[Trial]) -> Iterator[Job]:
        """Jobs, decided on one by one: given up ones and those that take too long are left out."""
        from bench.execute.base import Job

        if self.execution.max_hours and self.estimate is None:
            from bench.plan.estimate import Estimate

            self.estimate = Estimate(self.study, self.progress.endings())
        for trial in todo:
            if trial.training_key in self.dropped or trial.seed in self.progress.needless:
                continue
            # where time is up, no look after the open one is for this execution
            seeds = self.progress.looks.open
            late = self.too_long and seeds is not None and trial.seed in self.study.seeds[seeds:]
            if late or (self.estimate and self._too_late_for(self.estimate.seconds(trial))):
                self.too_long.append(trial)
                continue
            path = self.store.trial(trial.training_key).path
            path.mkdir(exist_ok=True)
            data = Data.model_validate(trial.data)
            sources = {label: self.progress.world.source(data, label) for label in data.labels}
            yield Job(trial, path, sources, self.execution.keep, tuple(registry.files()))

    def _too_late_for(self, seconds: float) -> bool:
        assert self.execution.max_hours is not None
        used = time.monotonic() - self.started
        return used + seconds > self.execution.max_hours * 3600

    def _finished(self, ending: Ending) -> None:
        self.progress.finished(ending.trial, ending.result)
        if self.estimate is not None:
            self.estimate.learn(ending)
        self.watched.ended(ending)
        self.watched.again(self.progress)
        reach("driver/finished")

    # --- who looks on ---------------------------------------------------------------------------

    @contextmanager
    def _watching(self, todo: list[Trial], metric: str) -> Iterator[None]:
        """Within: whoever looks on is told of a batch."""
        try:
            self.watched.tell(lambda watcher: watcher.batch(todo, metric))
            yield
        finally:
            self.watched.tell(lambda watcher: watcher.rest())

    def _happens(self, event: Event) -> None:
        self.watched.tell(lambda watcher: watcher.happens(event))
        # opening what is told takes seconds: when the workers are busy
        self._begin()

    def _begin(self) -> None:
        """Let whoever looks on begin; once."""
        if not self.told:
            self.told = True
            self.watched.catch_up(self.progress)

    # --- the end --------------------------------------------------------------------------------

    def _left(self) -> str:
        """How much there is still to do, in words."""
        from bench.watch.dry_run import to_go

        return to_go(self.progress)

    def _answer(self, time_is_up: bool) -> int:
        """Rows, report, and what came out; returns the exit status."""
        known = answer.inputs(self.progress, self.command, self.execution)
        said = answer.recall(self.store, known)
        if said is None:
            answer.collect(self.progress, self.command)
            self._begin()
            self.watched.again(self.progress, pause=0)
            said = answer.build(self.progress, known, self.watched)
        said.show(self.study.question, self.watched, self.console)
        self.console.print(f"{said.report}  ({duration(time.monotonic() - self.started)})")
        if time_is_up:
            self.console.print(
                f"max_hours={self.execution.max_hours:g} is up, {self._left()}: "
                "the same command continues"
            )
            return 4
        return 1 if said.bad else 0
