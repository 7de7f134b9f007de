"""The projection of a study into MLflow: what ``mlflow ui`` shows in the same folder.

The truth is in the store. If the tracking server is down the study goes on without.
"""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from bench.plan.trials import Trial
from bench.plan.tuning import Search
from bench.store import Result, TrialFolder, slug
from bench.study.schema import Tracking
from bench.study.tree import flatten
from tvae.faultpoints import reach

logger = logging.getLogger(__name__)

LOCK_SECONDS = 120
MOST_RUNS = 50_000  # that MLflow finds at once


class Tracker(Protocol):
    """Told what happens to a study."""

    def start(self, study: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """An execution of the study begins; a tag is the study's ``folder``."""

    def trial(self, trial: Trial, result: Result, folder: TrialFolder) -> None:
        """A trial has ended."""

    def tuning(self, search: Search, figures: Sequence[Path]) -> None:
        """An arm was tuned; `figures` show how."""

    def finish(self, status: str, artifacts: Sequence[Path], metrics: Mapping[str, float]) -> None:
        """The execution ends."""


class NullTracker:
    """Tells nobody."""

    def start(self, study: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Nothing."""

    def trial(self, trial: Trial, result: Result, folder: TrialFolder) -> None:
        """Nothing."""

    def tuning(self, search: Search, figures: Sequence[Path]) -> None:
        """Nothing."""

    def finish(self, status: str, artifacts: Sequence[Path], metrics: Mapping[str, float]) -> None:
        """Nothing."""


class MLflowTracker:
    """One experiment per study, a parent run per execution, a child run per trial.

    Args:
        uri: of the tracking server; None: ``mlflow.db`` in the current folder, which is what a
            bare ``mlflow ui`` shows.

    Attributes:
        shown: (evaluation key, status) of the trials that are shown whole.
        complete: there is an execution that was told to its end.
    """

    def __init__(self, uri: str | None = None) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
        # a server that does not answer must not hold up a study; what it misses is told later
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from filelock import FileLock
            from mlflow import MlflowClient

            # its import sets up logging anew; a migration is of no interest to whoever runs a study
            for name in ("mlflow", "alembic"):
                logging.getLogger(name).setLevel(logging.WARNING)
            if uri is None:
                database = Path("mlflow.db").resolve()
                uri = f"sqlite:///{database}"
                # two processes that open a fresh database both set it up, and one crashes
                with FileLock(f"{database}.lock", timeout=LOCK_SECONDS):
                    if not database.exists():
                        # under its name only when it is whole: a half made one is never mended
                        fresh = database.with_name("mlflow.db.fresh")
                        fresh.unlink(missing_ok=True)
                        MlflowClient(f"sqlite:///{fresh}").search_experiments(max_results=1)
                        fresh.rename(database)
            self.client = MlflowClient(uri)
        self.experiment = ""
        self.parent = ""
        self.folder = ""
        self.shown: set[tuple[str, str]] = set()
        self.complete = False

    def look(self, study: str, folder: str) -> None:
        """See what is shown of the study in `folder` already: `shown` and `complete`.

        What an earlier driver was killed over is marked so.
        """
        found = self.client.get_experiment_by_name(study)
        self.experiment = found.experiment_id if found else self.client.create_experiment(study)
        self.folder = folder
        for run in self.client.search_runs([self.experiment], max_results=MOST_RUNS):
            known, status = run.data.tags, run.info.status
            if status == "RUNNING" and known.get("folder") == folder:
                self.client.set_terminated(run.info.run_id, "KILLED")
            # KILLED: a driver was, half way through telling
            elif status in ("FINISHED", "FAILED"):
                if "evaluation" in known:
                    self.shown.add((known["evaluation"], known["status"]))
                elif known.get("folder") == folder:
                    self.complete = True

    def start(self, study: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """See `Tracker.start`; one driver at a time has the study's folder."""
        self.look(study, tags["folder"])
        self.parent = self._run(time.strftime("%Y-%m-%d %H:%M:%S"), tags, time.time())
        self._batch(self.parent, params)

    def trial(self, trial: Trial, result: Result, folder: TrialFolder) -> None:
        """See `Tracker.trial`; nothing where it is shown already."""
        if (trial.evaluation_key, result.status) in self.shown:
            return
        from mlflow.entities import Metric

        tags = {
            "mlflow.parentRunId": self.parent,
            "arm": trial.arm,
            "role": trial.role,
            "seed": str(trial.seed),
            "stage": trial.stage,
            "status": result.status,
            "trial": trial.training_key,
            "evaluation": trial.evaluation_key,
            "folder": self.folder,
            "reason": result.reason[:4000],
        }
        if trial.candidate is not None:
            tags["candidate"] = str(trial.candidate)
        # known only now that it has ended
        began = time.time() - result.facts.get("seconds", 0.0)
        run = self._run(trial.name, tags, began)
        params = {"arm": trial.arm, "seed": trial.seed, **flatten(trial.config)}
        now = int(time.time() * 1000)
        metrics = [
            Metric(name, float(value), now, int(record["step"]))
            for record in folder.records()
            for name, value in record.items()
            if name != "step"
        ]
        metrics += [
            Metric(m["name"], float(m["value"]), now, 0)
            for m in result.measurements
            if m["value"] is not None
        ]
        self._batch(run, params, metrics)
        for path in (folder.path / "trial.json", folder.pictures, folder.traceback):
            if path.exists():
                self.client.log_artifact(run, str(path))
        finished = "FINISHED" if result.status == "done" else "FAILED"
        self.client.set_terminated(run, finished)

    def tuning(self, search: Search, figures: Sequence[Path]) -> None:
        """See `Tracker.tuning`: objective and best so far by candidate, of the parent run."""
        from mlflow.entities import Metric

        now, name = int(time.time() * 1000), slug(search.name)
        best: float | None = None
        metrics = []
        for number, outcome in enumerate(search.outcomes):
            value = outcome.objective
            if value is None:
                continue
            best = value if best is None else (min if search.lower else max)(best, value)
            metrics.append(Metric(f"tuning/{name}/objective", value, now, number))
            metrics.append(Metric(f"tuning/{name}/best", best, now, number))
        self._batch(self.parent, {}, metrics)
        for path in figures:
            self.client.log_artifact(self.parent, str(path), "tuning")

    def finish(self, status: str, artifacts: Sequence[Path], metrics: Mapping[str, float]) -> None:
        """See `Tracker.finish`."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._batch(
            self.parent, {}, [Metric(name, value, now, 0) for name, value in metrics.items()]
        )
        for path in artifacts:
            folder = "figures" if path.suffix in (".png", ".svg") else None
            self.client.log_artifact(self.parent, str(path), folder)
        self.client.set_terminated(self.parent, status)

    def _run(self, name: str, tags: Mapping[str, str], began: float) -> str:
        run = self.client.create_run(
            self.experiment, start_time=int(began * 1000), run_name=name, tags=dict(tags)
        )
        run_id: str = run.info.run_id
        reach("mlflow/run")
        return run_id

    def _batch(self, run: str, params: Mapping[str, Any], metrics: Sequence[Any] = ()) -> None:
        """Everything in as few calls as MLflow's limits allow (1,000 metrics, 100 params)."""
        from mlflow.entities import Param

        reach("mlflow/begin")
        entries = [Param(name, str(value)[:6000]) for name, value in params.items()]
        for i in range(0, len(entries), 100):
            self.client.log_batch(run, params=entries[i : i + 100])
        for i in range(0, len(metrics), 1000):
            self.client.log_batch(run, metrics=metrics[i : i + 1000])
        reach("mlflow/end")


class Guarded:
    """A tracker whose failure costs the study nothing but the projection.

    Args:
        make: makes the tracker, when it is first told something.
    """

    def __init__(self, make: Any) -> None:
        self.make = make
        self.tracker: Tracker | None = None
        self.problem = ""

    def start(self, study: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """See `Tracker.start`."""
        self._tell("start", study, params, tags)

    def trial(self, trial: Trial, result: Result, folder: TrialFolder) -> None:
        """See `Tracker.trial`."""
        self._tell("trial", trial, result, folder)

    def tuning(self, search: Search, figures: Sequence[Path]) -> None:
        """See `Tracker.tuning`."""
        self._tell("tuning", search, figures)

    def finish(self, status: str, artifacts: Sequence[Path], metrics: Mapping[str, float]) -> None:
        """See `Tracker.finish`; nothing where nothing was started."""
        if self.tracker is not None:
            self._tell("finish", status, artifacts, metrics)

    def _tell(self, method: str, *arguments: Any) -> None:
        if self.problem:
            return
        try:
            if self.tracker is None:
                self.tracker = self.make()
            getattr(self.tracker, method)(*arguments)
        except Exception as error:  # a tracking server fails in as many ways as it is plugged
            self.problem = f"{type(error).__name__}: {error}".splitlines()[0]


def tracker(tracking: Tracking) -> Guarded:
    """What a study tells, as its execution says."""
    return Guarded((lambda: MLflowTracker(tracking.uri)) if tracking.enabled else NullTracker)
