"""Runs a study: ``python -m bench.run study=NAME key=value ...``.

Exit status: 0 all trials done; 1 a trial failed or diverged (the study went on); 2 bad input, said
before any computing; 3 the study is being run by somebody else; 130 or 143 interrupted.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from bench.config import Execution, Study
    from bench.plan import Trial, World
    from bench.store import Result, Store
    from bench.tuning import Ledger
    from reports.statistics import Answer

USAGE = """\
usage: python -m bench.run study=NAME [key=value ...]

Trains every arm and baseline of a study, evaluates them, and leaves runs/NAME/report.html.
Run the same command again to continue; finished trials are never run twice.

  study=NAME|PATH       what to run
  budget=NAME           how much to spend
  seeds=5               how many seeds (or a list of them)
  arms=[a,b]            some of the study's arms; baselines=[a,b] likewise
  model.latent_dim=100  any key of the study, as nested as it is; ~key deletes one
  data.root=DIR         where full data sets are looked for first
  trainer.steps=1000    optimiser steps of each trial
  device=auto|cpu|cuda|mps   workers=N   threads=N   runs=DIR   keep=last|none|all
  dry_run=true          show what would run, and stop
  retry=failed          run failed and diverged trials again
  tracking.enabled=false, tracking.uri=URI   MLflow
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or "--help" in arguments or "-h" in arguments:
        print(usage())
        return 0 if arguments else 2
    from bench.config import ConfigError
    from bench.interrupts import Interrupted, Interrupts
    from bench.resolve import resolve

    errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    try:
        with Interrupts():
            study, execution = resolve(arguments)
            return Session(study, execution, f"python -m bench.run {shlex.join(arguments)}").run()
    except ConfigError as error:
        for problem in error.problems:
            errors.print(f"error: {problem}")
        return 2
    except Owned as error:
        errors.print(f"error: {error}")
        return 3
    except Interrupted as error:
        return 128 + error.signal


def usage() -> str:
    """The help, with the names of all that can be named; imports no plugin."""
    from bench.studyfiles import budget_names, study_names
    from tvae import registry

    kinds = {
        "studies": study_names(),
        "budgets": budget_names(),
        "latent transforms": registry.latent_transforms.names(),
        "divergences": registry.divergences.names(),
        "families": registry.families.names(),
        "models": registry.models.names(),
        "metrics": registry.metrics.names(),
    }
    width = max(map(len, kinds))
    return USAGE + "\n" + "\n".join(f"{k:{width}}  {', '.join(v)}" for k, v in kinds.items())


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
        with FileLock(folder / ".lock", timeout=0):
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
    from bench.config import ConfigError, Problem

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
    """One execution of a study: plan, run what is missing, collect, report.

    Attributes:
        study: the question.
        execution: how to run.
        command: what a person typed.
    """

    study: Study
    execution: Execution
    command: str

    def run(self) -> int:
        """Everything; returns the exit status.

        Raises:
            ConfigError: data that are missing or corrupt, a device that is not there, or a folder
                that cannot be written.
            Owned: the study is being run by another process.
            Interrupted: somebody asked it to stop; what has ended is collected.
        """
        from bench import world
        from bench.plan import plan
        from bench.store import Store

        self.console = Console(highlight=False, markup=False, soft_wrap=True)
        self.started = time.monotonic()
        self.world: World = world.look(self.study)
        self.trials: list[Trial] = plan(self.study, self.world)
        self.store: Store = Store(Path(self.execution.runs), self.study.name)
        if self.execution.dry_run:
            return self._show_plan(self._todo())
        check_writable(self.store.path)
        with owned(self.store.path):
            return self._run(self._todo())

    def _todo(self) -> list[Trial]:
        """The trials that have to run; the results of the others are known from now on."""
        self.results: dict[str, Result] = self._known()
        # arms that are configured alike share a folder and run once
        unique = {trial.training_key: trial for trial in self.trials}
        return [trial for key, trial in unique.items() if key not in self.results]

    def _known(self) -> dict[str, Result]:
        """Training key -> result, of the trials that need not run (again)."""
        again = {"interrupted"}
        if self.execution.retry == "failed":
            again |= {"failed", "diverged"}
        known = {}
        for trial in self.trials:
            result = self.store.trial(trial.training_key).result()
            if result is None or result.status in again:
                continue
            if result.evaluation == trial.evaluation_key:
                known[trial.training_key] = result
        return known

    def _show_plan(self, todo: list[Trial]) -> int:
        """Say what would run: arms, seeds, steps, what is cached."""
        from rich.table import Column, Table

        from bench.plan import differing

        waiting = {trial.training_key for trial in todo}
        table = Table(
            "arm", "role", "seeds to run", "done", "steps", Column("differs in", overflow="fold")
        )
        differ = differing(self.study)
        for name in {trial.arm: None for trial in self.trials}:
            mine = [trial for trial in self.trials if trial.arm == name]
            left = [str(trial.seed) for trial in mine if trial.training_key in waiting]
            told = ", ".join(
                f"{path.removeprefix('model.')}={value}"
                for path, value in differ[name].items()
                if value is not None
            )
            each = f"{mine[0].config['trainer']['steps']:,}"
            done = str(len(mine) - len(left))
            table.add_row(name, mine[0].role, ", ".join(left) or "-", done, each, told)
        self.console.print(table)
        steps = sum(int(trial.config["trainer"]["steps"]) for trial in todo)
        self.console.print(
            f"{self.study.name}, budget {self.study.budget}: {len(self.trials)} trials, "
            f"{len(todo)} to run, {steps:,} steps, on {self.world.device}"
        )
        return 0

    def _run(self, todo: list[Trial]) -> int:
        import yaml

        from bench.interrupts import Interrupted
        from bench.tracking import Guarded, MLflowTracker, NullTracker

        study, tracking = self.study, self.execution.tracking
        self.console.print(
            f"{study.name}: {len(self.trials)} trials ({len(study.arms)} arms, "
            f"{len(study.baselines)} baselines, {len(study.seeds)} seeds), {len(todo)} to run"
        )
        resolved = study.model_dump(mode="json")
        self.store.write("study.yaml", yaml.safe_dump(resolved, sort_keys=False))
        self.tracker = Guarded(
            (lambda: MLflowTracker(tracking.uri)) if tracking.enabled else NullTracker
        )
        try:
            self._execute(todo)
        except Interrupted:
            self._collect()
            self.tracker.finish("KILLED", [self.store.path / "study.yaml"], {})
            left = len({t.training_key for t in self.trials} - set(self.results))
            self.console.print(f"interrupted, {left} trials to go: the same command continues")
            raise
        self._collect()
        return self._answer(bool(todo))

    def _collect(self) -> None:
        """Write rows and manifest of what has ended."""
        from bench import collect, world

        environment = world.describe(self.study, self.world)
        described = collect.manifest(
            self.study, self.trials, self.results, self.store, environment, self.command
        )
        collect.write(self.store, collect.rows(self.study, self.trials, self.results), described)

    def _execute(self, todo: list[Trial]) -> None:
        """Run the trials; tell display, Optuna and MLflow what happens."""
        from bench.display import display
        from bench.executors.base import Finished, Job, Started
        from bench.executors.local import LocalExecutor
        from bench.tracking import flatten
        from bench.tuning import Ledger
        from bench.world import count_workers

        if not todo:
            return
        study = self.study
        sources = {label: study.data.source(label) for label in study.data.labels}
        jobs = []
        for trial in todo:
            path = self.store.trial(trial.training_key).path
            path.mkdir(exist_ok=True)
            jobs.append(Job(trial, path, sources, self.execution.keep))
        workers = self.execution.workers or count_workers(study, self.world)
        metric = study.primary.metric
        ledger = None
        events = LocalExecutor(min(workers, len(jobs))).run(jobs)
        try:
            with display(todo, metric, self.console) as shown:
                for event in events:
                    shown.show(event)
                    if ledger is None:
                        # these take seconds to wake, and the workers are busy by now
                        ledger = Ledger(
                            self.store.path / "optuna.db",
                            study.name,
                            metric,
                            self._direction(metric),
                            self.trials,
                        )
                        shared = study.model_dump(exclude={"arms", "baselines", "question"})
                        tags = {
                            "command": self.command,
                            "question": study.question,
                            "folder": str(self.store.path.resolve()),
                        }
                        self.tracker.start(study.name, flatten(shared), tags)
                        self._tell_known(ledger)
                    if isinstance(event, Started):
                        ledger.ask(event.trial)
                    elif isinstance(event, Finished):
                        self.results[event.trial.training_key] = event.result
                        self._tell(ledger, event.trial)
        finally:
            events.close()

    def _tell_known(self, ledger: Ledger) -> None:
        """Tell Optuna and MLflow what an earlier driver was killed before it told."""
        for trial in {trial.training_key: trial for trial in self.trials}.values():
            if trial.training_key in self.results:
                self._tell(ledger, trial)

    def _tell(self, ledger: Ledger, trial: Trial) -> None:
        result = self.results[trial.training_key]
        ledger.tell(trial, result)
        self.tracker.trial(trial, result, self.store.trial(trial.training_key))

    def _direction(self, metric: str) -> str:
        """Which way of a metric is better."""
        from tvae import registry

        for name, settings in self.study.metrics.items():
            directions = registry.metrics.make(name, **settings).directions(self.study.data.labels)
            if metric in directions:
                return str(directions[metric])
        raise AssertionError(f"no metric gives {metric}, which was checked")

    def _answer(self, ran: bool) -> int:
        """Build the report, tell MLflow, and say what came out; returns the exit status."""
        from bench.display import duration
        from reports import rows, statistics
        from reports.build import build

        report = build(self.store.path)
        manifest = rows.load_manifest(self.store.path)
        answer = statistics.answer(manifest["study"], rows.load(self.store.path))
        bad = [trial for trial in manifest["trials"] if trial["status"] != "done"]
        if ran:
            documents = [report, *(self.store.path / n for n in ("study.yaml", "manifest.json"))]
            status = "FAILED" if bad else "FINISHED"
            self.tracker.finish(status, [*documents, *self._figures(answer)], headline(answer))
        for trial in bad:
            folder = self.store.trial(trial["trial"])
            where = folder.traceback if folder.traceback.exists() else folder.path
            name = f"{trial['arm']} seed {trial['seed']}"
            self.console.print(f"{trial['status']}: {name}: {trial['reason']} ({where})")
        if self.tracker.problem:
            self.console.print(f"MLflow was not told of this run: {self.tracker.problem}")
        took = duration(time.monotonic() - self.started)
        self.console.print(f"\n{self.study.question}")
        self.console.print(answer.sentence, style="bold")
        if answer.warning:
            self.console.print(f"({answer.warning})")
        self.console.print(f"{report}  ({took})")
        return 1 if bad else 0

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
        folder = self.store.path / "figures"
        folder.mkdir(exist_ok=True)
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


if __name__ == "__main__":
    sys.exit(main())
