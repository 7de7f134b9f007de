"""One execution of a study: the only process that writes what is not a trial's own.

Tunes, confirms, collects, reports; tells Optuna, MLflow and the display. Everything that it decides
follows from the study and the store, so it can be killed at any moment.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.console import console
from bench.plan.keys import digest, source_digests
from bench.plan.progress import Ending, Progress
from bench.plan.trials import World, tuning_metric
from bench.store import Store
from bench.study.schema import Execution
from bench.study.setup import Study
from bench.study.tree import flatten
from bench.watch.mlflow_runs import Guarded, MLflowTracker, tracker
from bench.watch.optuna_file import Ledger
from tvae import registry
from tvae.faultpoints import reach

if TYPE_CHECKING:
    from bench.execute.base import Event, Job
    from bench.plan.estimate import Estimate
    from bench.plan.trials import Trial
    from reports.statistics import Answer

TOLD = ("done", "diverged", "failed")
"""Trials that Optuna and MLflow are told of."""

ANSWER = "answer.json"
"""What the last execution came to, and from what."""


class Owned(RuntimeError):
    """Somebody else runs this study."""


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Within: this process alone runs the study in `folder`.

    The lock is the operating system's, so that it dies with its holder.

    Raises:
        Owned: another process holds it; the message says who and since when.
    """
    from filelock import FileLock, Timeout

    note = folder / ".owner.json"
    try:
        # not at once: whoever asks after the study takes the lock for a moment
        with FileLock(folder / ".lock", timeout=0.2):
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
            note.write_text(json.dumps(owner))
            yield
    except Timeout as error:
        try:
            owner = json.loads(note.read_text())
            who = f"process {owner['pid']} on {owner['host']} since {owner['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            who = "another process"
        raise Owned(f"{folder} is being run by {who}") from error


def check_writable(folder: Path) -> None:
    """Make the study's folder.

    Raises:
        ConfigError: it cannot be made or written to.
    """
    from bench.study.problems import ConfigError, Problem

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
        self.tracker: Guarded = tracker(self.execution.tracking)
        self.ledger = Ledger(self.store.path / "optuna.db", self.study)
        self.awake = False
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
        from bench.plan import machine

        self.world: World = machine.look(self.study)
        if self.execution.dry_run:
            from bench.watch.dry_run import show

            show(self.study, self.execution, self._progress(), self.console)
            return 0
        check_writable(self.store.path)
        with owned(self.store.path):
            return self._run()

    def sync(self) -> str:
        """Tell MLflow what it lacks of this study; returns what was done, in words.

        Raises:
            ConfigError: as `run`.
            Owned: the study is being run by another process.
            ValueError: tracking is switched off, or MLflow does not answer.
        """
        from bench.plan import machine

        tracking = self.execution.tracking
        if not tracking.enabled:
            raise ValueError("tracking.enabled=false: there is nobody to tell")
        self.world = machine.look(self.study)
        if not self.store.keys():
            raise ValueError(f"{self.store.path} has no trials")
        with owned(self.store.path):
            self.progress = self._progress()
            self.progress.advance()
            told = [e for e in self.progress.endings() if e.result.status in TOLD]
            try:
                shown = MLflowTracker(tracking.uri)
                shown.look(self.study.name, str(self.store.path.resolve()))
            except Exception as error:  # a tracking server fails in as many ways as it is plugged
                raise ValueError(f"MLflow: {str(error).splitlines()[0]}") from error
            keys = {(e.trial.evaluation_key, e.result.status) for e in told}
            lacking = keys - shown.shown
            if shown.complete and not lacking:
                return f"MLflow has all {len(keys)} trials"
            self.tracker = Guarded(lambda: shown)
            self._collect()
            self._report(self._inputs())
            if self.tracker.problem:
                raise ValueError(f"MLflow: {self.tracker.problem}")
            return f"MLflow was told {len(lacking)} of {len(keys)} trials"

    def _progress(self) -> Progress:
        again = ("failed", "diverged") if self.execution.retry == "failed" else ()
        return Progress(self.study, self.world, self.store, again)

    def _run(self) -> int:
        import yaml

        from bench.execute.interrupts import Interrupted
        from bench.watch.dry_run import opening, remark_on_seeds

        self.progress = self._progress()
        todo = self.progress.advance()
        self.console.print(opening(self.study, self.progress, todo))
        for line in remark_on_seeds(self.study):
            self.console.print(line)
        self.store.write(
            "study.yaml", yaml.safe_dump(self.study.model_dump(mode="json"), sort_keys=False)
        )
        try:
            time_is_up = self._work_off(todo)
        except Interrupted:
            self._collect()
            self.tracker.finish("KILLED", [self.store.path / "study.yaml"], {})
            self.console.print(f"interrupted, {self._left()}: the same command continues")
            raise
        return self._answer(time_is_up)

    # --- trials ---------------------------------------------------------------------------------

    def _work_off(self, todo: list[Trial]) -> bool:
        """Run what has to run, batch after batch; returns whether the time is up before the end."""
        while todo:
            before = {trial.evaluation_key for trial in todo}
            if self._execute(todo):
                return True
            todo = self.progress.advance()
            reach("driver/advanced")
            for search in self.progress.searches:
                self.ledger.tuned(search)
            assert {trial.evaluation_key for trial in todo} != before, "nothing has ended"
        return False

    def _execute(self, todo: list[Trial]) -> bool:
        """Run trials, and tell who wants to know; returns whether time left some of them out."""
        from bench.execute.base import Finished, Recorded
        from bench.execute.local import LocalExecutor
        from bench.plan.machine import count_workers
        from bench.watch.display import display

        stage = todo[0].stage
        metric = tuning_metric(self.study) if stage == "tune" else self.study.primary.metric
        if stage == "tune":
            waiting = sum(search.left for search in self.progress.searches)
            self.console.print(f"tuning: {len(todo)} trials now, {waiting} candidates to settle")
        workers = self.execution.workers or count_workers(self.study, self.world)
        hours = self.execution.trial_hours
        executor = LocalExecutor(min(workers, len(todo)), None if hours is None else hours * 3600)
        self.dropped, self.too_long = set(), []
        events = executor.run(self._jobs(todo))
        try:
            with display(todo, metric, self.console) as shown:
                for event in events:
                    shown.show(event)
                    self._wake()
                    if isinstance(event, Recorded):
                        self.progress.recorded(event.trial, event.record)
                        for trial in self.progress.given_up(event.trial):
                            self.dropped.add(trial.training_key)
                            executor.cancel(trial)
                    elif isinstance(event, Finished):
                        self._finished(event)
        finally:
            events.close()
        return bool(self.too_long)

    def _jobs(self, todo: list[Trial]) -> Iterator[Job]:
        """Jobs, decided on one by one: given up ones and those that take too long are left out."""
        from bench.execute.base import Job

        if self.execution.max_hours and self.estimate is None:
            from bench.plan.estimate import Estimate

            self.estimate = Estimate(self.study, self.progress.endings())
        for trial in todo:
            if trial.training_key in self.dropped:
                continue
            if self.estimate and self._too_late_for(self.estimate.seconds(trial)):
                self.too_long.append(trial)
                continue
            path = self.store.trial(trial.training_key).path
            path.mkdir(exist_ok=True)
            data = self.study.data.model_copy(update=dict(trial.data))
            sources = {label: data.source(label) for label in data.labels}
            yield Job(trial, path, sources, self.execution.keep, tuple(registry.files()))

    def _too_late_for(self, seconds: float) -> bool:
        assert self.execution.max_hours is not None
        used = time.monotonic() - self.started
        return used + seconds > self.execution.max_hours * 3600

    def _finished(self, event: Event) -> None:
        from bench.execute.base import Finished

        assert isinstance(event, Finished)
        self.progress.finished(event.trial, event.result)
        if self.estimate is not None:
            self.estimate.learn(Ending(event.trial, event.result))
        if event.result.status in TOLD:
            self._tell(Ending(event.trial, event.result))
        reach("driver/finished")

    # --- who wants to know ----------------------------------------------------------------------

    def _wake(self) -> None:
        """Open Optuna and MLflow, which takes seconds: when the workers are busy, or at the end."""
        if self.awake:
            return
        self.awake = True
        shared = self.study.model_dump(exclude={"arms", "baselines", "question"})
        tags = {
            "command": self.command,
            "question": self.study.question,
            "folder": str(self.store.path.resolve()),
        }
        self.tracker.start(self.study.name, flatten(shared), tags)
        # an earlier driver may have been killed before it told
        for search in self.progress.searches:
            self.ledger.tuned(search)
        for ending in self.progress.endings():
            if ending.result.status in TOLD:
                self._tell(ending)

    def _tell(self, ending: Ending) -> None:
        if ending.trial.stage == "confirm":
            self.ledger.confirmed(ending.trial, ending.result)
        folder = self.store.trial(ending.trial.training_key)
        self.tracker.trial(ending.trial, ending.result, folder)

    # --- the end --------------------------------------------------------------------------------

    def _left(self) -> str:
        """How much there is still to do, in words."""
        from bench.watch.dry_run import count_left

        return f"{count_left(self.progress):,} trials to go"

    def _collect(self) -> None:
        """Write rows and manifest of what has ended."""
        from bench import collect
        from bench.plan import machine

        environment = machine.describe(self.study, self.world)
        described = collect.manifest(self.progress, environment, self.command)
        collect.write(self.store, collect.rows(self.progress), described)

    def _answer(self, time_is_up: bool) -> int:
        """Rows, report, and what came out; returns the exit status."""
        from bench.watch.display import duration

        inputs = self._inputs()
        said = self._said(inputs)
        if said is None:
            self._collect()
            said = self._report(inputs)
        for line in said["bad"]:
            self.console.print(line)
        if self.tracker.problem:
            self.console.print(
                f"MLflow was not told of this run: {self.tracker.problem}\n"
                f"{self.command.replace('bench.run', 'bench.status', 1)} sync=true tells it later"
            )
        if self.ledger.problem:
            self.console.print(
                f"Optuna was not told of this run: {self.ledger.problem}\n"
                f"without {self.ledger.path} the same command makes it anew"
            )
        self.console.print(f"\n{self.study.question}")
        self.console.print(said["sentence"], style="bold")
        if said["sensitivity"]:
            self.console.print(said["sensitivity"])
        if said["warning"]:
            self.console.print(f"({said['warning']})")
        took = duration(time.monotonic() - self.started)
        self.console.print(f"{said['report']}  ({took})")
        if time_is_up:
            self.console.print(
                f"max_hours={self.execution.max_hours:g} is up, {self._left()}: "
                "the same command continues"
            )
            return 4
        return 1 if said["bad"] else 0

    def _inputs(self) -> str:
        """Digest of all that rows, report and answer follow from."""
        from bench.plan import machine

        return digest(
            {
                "study": self.study.model_dump(mode="json"),
                "command": self.command,
                "trials": [
                    (e.trial.evaluation_key, e.result.status, e.result.reason)
                    for e in self.progress.endings()
                ],
                "environment": machine.describe(self.study, self.world),
                "source": source_digests(["bench.driver", "reports.build"]),
                "page": {path.name: _sha256(path) for path in _page_files()},
                "tracking": self.execution.tracking.model_dump(),
            }
        )

    def _said(self, inputs: str) -> dict[str, Any] | None:
        """What the last execution said, if nothing has changed since and its files are intact."""
        try:
            said = json.loads((self.store.path / ANSWER).read_text())
            files = {name: _sha256(self.store.path / name) for name in said["files"]}
        except (OSError, ValueError, KeyError, TypeError):
            return None
        same = said.get("inputs") == inputs and files == said["files"]
        wanted = {"bad", "sentence", "sensitivity", "warning", "report"}
        return said if same and wanted <= {*said} else None

    def _report(self, inputs: str) -> dict[str, Any]:
        """Build the report, tell MLflow the end, and remember what came out."""
        from reports import rows, statistics
        from reports.build import build

        self._wake()
        reach("report/begin")
        report = build(self.store.path)
        reach("report/end")
        manifest = rows.load_manifest(self.store.path)
        answer = statistics.answer(
            manifest["study"], rows.load(self.store.path), manifest["trials"], self.store.path
        )
        bad = list(self._bad())
        documents = [report, *(self.store.path / n for n in ("study.yaml", "manifest.json"))]
        self._tell_tuning()
        self.tracker.finish(
            "FAILED" if bad else "FINISHED",
            [*documents, *self._figures(answer)],
            headline(answer),
        )
        said = {
            "inputs": inputs,
            "sentence": answer.sentence,
            "sensitivity": answer.sensitivity,
            "warning": answer.warning,
            "bad": bad,
            "report": str(report),
            "files": {
                path.name: _sha256(path)
                for path in (report, self.store.path / "rows.parquet", documents[2])
            },
        }
        if not self.tracker.problem and not self.ledger.problem:
            # what nobody was told is told by the next execution
            self.store.write(ANSWER, json.dumps(said, indent=1))
        return said

    def _bad(self) -> Iterator[str]:
        """What went wrong, a line each, the counts last."""
        counts: dict[str, int] = {}
        for ending in self.progress.endings():
            status = ending.result.status
            if status in ("done", "pruned"):
                continue
            counts[status] = counts.get(status, 0) + 1
            if status != "interrupted":
                folder = self.store.trial(ending.trial.training_key)
                where = folder.traceback if folder.traceback.exists() else folder.path
                yield f"{status}: {ending.trial.name}: {ending.result.reason} ({where})"
        if counts:
            yield ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))

    def _tell_tuning(self) -> None:
        """The history of every arm's tuning and Optuna's figures of it, for MLflow."""
        from bench.watch.tuning_figures import draw

        for search in self.progress.searches:
            figures = draw(search, self._figures_folder())
            self.tracker.tuning(search, figures)

    def _figures_folder(self) -> Path:
        folder = self.store.path / "figures"
        folder.mkdir(exist_ok=True)
        return folder

    def _figures(self, answer: Answer) -> list[Path]:
        """The report's figures as files, for MLflow."""
        from reports import figures, rows

        study = rows.load_manifest(self.store.path)["study"]
        frame = rows.load(self.store.path)
        drawn = {
            "primary": figures.primary_pairs(answer.primary, frame),
            "arms": figures.primary_values(study, frame),
            "contrasts": figures.forest((answer.primary, *answer.secondary)),
        }
        folder = self._figures_folder()
        paths = []
        for name, figure in drawn.items():
            if figure is not None:
                paths.append(folder / f"{name}.svg")
                paths[-1].write_bytes(base64.b64decode(figure.uri.partition(",")[2]))
        return paths


def headline(answer: Answer) -> dict[str, float]:
    """The primary contrast as metrics of the execution."""
    found = answer.primary
    values = {"n": float(found.n), "difference": found.mean, "p": found.p_flip}
    return {f"primary/{name}": float(v) for name, v in values.items() if v is not None}


def _page_files() -> list[Path]:
    """What the report is made with besides its code: templates, style, script."""
    import reports

    (folder,) = reports.__path__
    return sorted(p for p in Path(folder).iterdir() if p.suffix in (".j2", ".css", ".js"))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
