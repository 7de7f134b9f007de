"""The projection of a study into MLflow: what ``mlflow ui`` shows in the same folder.

The truth is in the store. If the tracking server is down the study goes on without.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from bench.plan.progress import Ending
from bench.plan.tuning import Search
from bench.store import Store, slug
from bench.study.schema import Tracking
from bench.study.setup import Study
from bench.study.tree import flatten
from bench.study.uris import masked
from bench.watch.base import End, Watcher, sqlite
from tvae.faultpoints import reach

if TYPE_CHECKING:
    from mlflow import MlflowClient

VARIABLE = "MLFLOW_TRACKING_URI"
"""Names MLflow's server for all who use MLflow, ``mlflow ui`` among them."""
LOCK_SECONDS = 120
MOST_RUNS = 50_000  # that MLflow finds at once
REFUSALS = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS")
"""MLflow's codes for what it will never take; others may be better another time."""


class MLflowRuns(Watcher):
    """One experiment per study, a parent run per execution, a child run per trial.

    It opens MLflow when it is told that an execution begins, or when it looks, which takes seconds.

    Args:
        study: resolved.
        store: of its results.
        command: what a person typed.
        uri: of the tracking server; None: ``mlflow.db`` in the current folder, which is what a
            bare ``mlflow ui`` shows.

    Attributes:
        shown: (evaluation key, status) of the trials that are shown whole.
        complete: there is an execution that was told to its end.
    """

    name = "MLflow"

    def __init__(self, study: Study, store: Store, command: str, uri: str | None = None) -> None:
        self.study, self.store, self.command, self.uri = study, store, command, uri
        self.remedy = f"{command.replace('bench.run', 'bench.status', 1)} sync=true tells it later"
        self.folder = str(store.path.resolve())
        if uri is None and Path("mlruns/0/meta.yaml").exists():
            self.note = (
                "note: an older MLflow left mlruns/ here, which a bare `mlflow ui` stumbles over: "
                "`mlflow ui --backend-store-uri sqlite:///mlflow.db` shows this study"
            )
        elif uri and uri == os.environ.get(VARIABLE):
            self.note = (
                f"note: MLflow is {masked(uri)}, as {VARIABLE} says; tracking.uri= names another"
            )
        self.experiment = ""
        self.parent = self.last = ""
        self.shown: set[tuple[str, str]] = set()
        self.complete = False
        self.refused: list[str] = []

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow, opened."""
        return opened(self.uri)

    def look(self) -> None:
        """See what is shown of the study already: `shown` and `complete`.

        What an earlier driver was killed over is marked so.
        """
        self.experiment = self._experiment()
        for run in self.client.search_runs([self.experiment], max_results=MOST_RUNS):
            known, status = run.data.tags, run.info.status
            if run.info.run_id == self.parent:
                continue
            if status == "RUNNING" and known.get("folder") == self.folder:
                self.client.set_terminated(run.info.run_id, "KILLED")
            # KILLED: a driver was, half way through telling
            elif status in ("FINISHED", "FAILED"):
                if "evaluation" in known:
                    self.shown.add((known["evaluation"], known["status"]))
                elif known.get("folder") == self.folder:
                    self.complete = True

    def _experiment(self) -> str:
        """The id of the study's experiment, which is there and can take files."""
        name, there = self.study.name, Path("mlruns").resolve()
        found = self.client.get_experiment_by_name(name)
        if found is not None and self.uri is None and not _beside(found.artifact_location, there):
            # the folder was moved, or a server kept the files: they are where nobody would look
            old = f"{name} (files in {found.artifact_location}, {found.experiment_id})"
            if found.lifecycle_stage == "deleted":
                self.client.restore_experiment(found.experiment_id)
            self.client.rename_experiment(found.experiment_id, old)
            found = None
        if found is None:
            # its own guess is wrong where the path has a ? or a %
            where = None if self.uri else (there / uuid4().hex).as_uri()
            return str(self.client.create_experiment(name, artifact_location=where))
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def begins(self) -> None:
        """See `Watcher.begins`; one driver at a time has the study's folder."""
        self.look()
        self.refused = []
        if not self.parent:
            tags = {"command": self.command, "question": self.study.question, "folder": self.folder}
            self.parent = self._run(time.strftime("%Y-%m-%d %H:%M:%S"), tags, time.time())
        shared = self.study.model_dump(exclude={"arms", "baselines", "question"})
        self._batch(self.parent, flatten(shared))

    def ended(self, ending: Ending) -> None:
        """See `Watcher.ended`; nothing where it is shown already.

        What MLflow refuses of one trial costs that one alone; it is said in the end.
        """
        from mlflow.exceptions import MlflowException

        self.last = ""
        try:
            self._trial(ending)
        except MlflowException as error:
            if error.error_code not in REFUSALS:
                raise
            self.refused.append(f"{ending.trial.name}: {str(error).splitlines()[0]}")
            if self.last:
                self.client.set_terminated(self.last, "KILLED")

    def _trial(self, ending: Ending) -> None:
        trial, result = ending.trial, ending.result
        if (trial.evaluation_key, result.status) in self.shown:
            return
        from mlflow.entities import Metric

        folder = self.store.trial(trial.training_key)
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
            "machines": "; ".join(result.machines)[:4000],
        }
        if trial.candidate is not None:
            tags["candidate"] = str(trial.candidate)
        # known only now that it has ended
        began = time.time() - result.facts.get("seconds", 0.0)
        run = self._run(trial.name, tags, began)
        params = {"arm": trial.arm, "seed": trial.seed, **flatten(trial.config)}
        now = int(time.time() * 1000)
        metrics = [
            Metric(accepted(name), float(value), now, int(record["step"]))
            for record in folder.records()
            for name, value in record.items()
            if name != "step"
        ]
        metrics += [
            Metric(accepted(m["name"]), float(m["value"]), now, 0)
            for m in result.measurements
            if m["value"] is not None
        ]
        self._batch(run, params, metrics)
        for path in (folder.path / "trial.json", folder.pictures, folder.traceback):
            if path.exists():
                self.client.log_artifact(run, str(path))
        finished = "FINISHED" if result.status == "done" else "FAILED"
        self.client.set_terminated(run, finished)

    def _tuning(self, search: Search, figures: Sequence[Path]) -> None:
        """Objective and best so far by candidate, of the parent run, and figures of it."""
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

    def ends(self, end: End) -> None:
        """See `Watcher.ends`; nothing of what did not begin."""
        from mlflow.entities import Metric

        if not self.parent:
            return
        for search, figures in end.searches:
            self._tuning(search, figures)
        now = int(time.time() * 1000)
        self._batch(
            self.parent, {}, [Metric(name, value, now, 0) for name, value in end.headline.items()]
        )
        for path in end.documents:
            folder = "figures" if path.suffix in (".png", ".svg") else None
            self.client.log_artifact(self.parent, str(path), folder)
        self.client.set_terminated(self.parent, end.status)
        if self.refused:
            more = f", and {len(self.refused) - 1} more" if len(self.refused) > 1 else ""
            raise ValueError(f"refused {self.refused[0]}{more}")

    def _run(self, name: str, tags: Mapping[str, str], began: float) -> str:
        run = self.client.create_run(
            self.experiment, start_time=int(began * 1000), run_name=name, tags=dict(tags)
        )
        self.last = str(run.info.run_id)
        reach("mlflow/run")
        return self.last

    def _batch(self, run: str, params: Mapping[str, Any], metrics: Sequence[Any] = ()) -> None:
        """Everything in as few calls as MLflow's limits allow (1,000 metrics, 100 params)."""
        from mlflow.entities import Param

        reach("mlflow/begin")
        entries = [Param(accepted(name), str(value)[:6000]) for name, value in params.items()]
        for i in range(0, len(entries), 100):
            self.client.log_batch(run, params=entries[i : i + 100])
        for i in range(0, len(metrics), 1000):
            self.client.log_batch(run, metrics=metrics[i : i + 1000])
        reach("mlflow/end")


def address(tracking: Tracking) -> str | None:
    """Where MLflow is: as the study says, else as the surroundings do; None: in this folder."""
    return tracking.uri or os.environ.get(VARIABLE) or None


def accepted(name: str) -> str:
    """A name that MLflow takes for a metric or a parameter: itself, or one that is like it.

    It takes letters, digits and ``_ - . space : /``, as a path that goes nowhere. What was changed
    ends in a hash, so that two names stay two.
    """
    plain = re.sub(r"[^A-Za-z0-9_\-. :/]", "_", name)[:200]
    plain = "/".join(part for part in plain.split("/") if part.strip(". ")) or "_"
    if plain == name:
        return name
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _beside(location: str, folder: Path) -> bool:
    """Whether an experiment's files are in `folder`."""
    scheme, _, _ = location.partition(":")
    if scheme == "file":
        path = Path(unquote(urlsplit(location).path))
    elif "://" in location or scheme == "mlflow-artifacts":
        return False
    else:
        path = Path(location)
    return path.is_relative_to(folder)


def _here(database: Path) -> str:
    """The address of a database in the current folder: absolute, unless the path is odd.

    MLflow makes folders of what is quoted in it.
    """
    address = sqlite(database)
    return address if address == f"sqlite:///{database}" else f"sqlite:///{database.name}"


def opened(uri: str | None = None) -> MlflowClient:
    """A client of the tracking server at `uri`; None: of ``mlflow.db`` in the current folder."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    # two lines for every trial, with the server's password
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    # a server that does not answer must not hold up a study: `Guarded.again` is what tries again
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from filelock import FileLock
        from mlflow import MlflowClient

        # its import sets up logging anew; a migration is of no interest to whoever runs a study
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        if uri is None:
            database = Path("mlflow.db").resolve()
            uri = _here(database)
            # two processes that open a fresh database both set it up, and one crashes
            with FileLock(f"{database}.lock", timeout=LOCK_SECONDS):
                if not database.exists():
                    # under its name only when it is whole: a half made one is never mended
                    fresh = database.with_name("mlflow.db.fresh")
                    fresh.unlink(missing_ok=True)
                    MlflowClient(_here(fresh)).search_experiments(max_results=1)
                    fresh.rename(database)
        return MlflowClient(uri)
