"""Every trial of a study for Optuna's tools, written by the driver alone.

Into ``optuna.db`` in the study's folder, or a database that studies share.

A projection of the store like the one into MLflow: it is written, never read for a decision.
Trials are added when they have ended, so a driver that is killed leaves none half told.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from bench.plan.keys import digest
from bench.plan.progress import Ending
from bench.plan.trials import Trial, direction, tuning_metric
from bench.plan.tuning import Search, value_of
from bench.store import Result
from bench.study.schema import LARGEST_SEED
from bench.study.setup import Study
from bench.watch.base import Watcher, sqlite
from tvae.faultpoints import reach
from tvae.files import write_atomically

if TYPE_CHECKING:
    import optuna
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

TRIES = 3
SECONDS = 5  # for a server to answer, at each try


class OptunaFile(Watcher):
    """The Optuna studies of a study: one of its confirmation, one of each arm's tuning.

    Args:
        path: of the sqlite file, in the folder of the study.
        study: resolved.
        uri: of a database that is written instead, and may hold other studies.
    """

    name = "Optuna"

    def __init__(self, path: Path, study: Study, uri: str | None = None) -> None:
        self.path, self.study, self.uri = path, study, uri
        self.remedy = (
            "the same command tells it later"
            if uri
            else f"without {path} the same command makes it anew"
        )

    def begins(self) -> None:
        """See `Watcher.begins`: what a failure left half told is read again."""
        for name in ("_storage", "_confirmation"):
            self.__dict__.pop(name, None)

    def ended(self, ending: Ending) -> None:
        """See `Watcher.ended`: of the confirmation; nothing where that was told before."""
        if ending.trial.stage == "confirm":
            self._confirmed(ending.trial, ending.result)

    @cached_property
    def _confirmation(self) -> tuple[optuna.Study, set[tuple[str, str]]]:
        """The study of the confirmation, and which (evaluation key, status) it has been told."""
        # values of two metrics are never compared, and Optuna refuses to change the choices of a
        # parameter: another metric or other arms, another Optuna study
        metric = self.study.primary.metric
        setting = {"arms": sorted(self.study.setups), "metric": metric}
        found = self._open(f"confirm/{digest(setting, 8)}", metric)
        there = found.get_trials(deepcopy=False)
        return found, {(t.user_attrs["evaluation"], t.user_attrs["status"]) for t in there}

    def _open(self, name: str, metric: str) -> optuna.Study:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        found = optuna.create_study(
            storage=self._storage,
            study_name=f"{self._whose}/{name}",
            direction="minimize" if direction(self.study, metric) == "lower" else "maximize",
            load_if_exists=True,
        )
        found.set_user_attr("metric", metric)
        if self.uri:
            found.set_user_attr("folder", str(self.path.parent.resolve()))
        return found

    @property
    def _whose(self) -> str:
        """What the names of the Optuna studies begin with.

        Studies of one name in two folders may tell one database; the folders may have one path on
        two machines.
        """
        if self.uri is None:
            return self.study.name
        mark = self.path.with_name("ledger")
        if not mark.exists():
            write_atomically(mark, uuid4().hex[:8].encode())
        return f"{self.study.name}/{mark.read_text()}"

    @cached_property
    def _storage(self) -> RDBStorage:
        """Opened. Two drivers that open a fresh database both set it up, and one of them crashes.

        A server that is away must not hold up a study.
        """
        from optuna.storages import RDBStorage
        from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

        uri, options = self.uri or sqlite(self.path), {}
        if uri.startswith("postgresql"):
            # SQLAlchemy 2.1 means psycopg 3 where no driver is named
            uri = uri.replace("postgresql://", "postgresql+psycopg2://", 1)
            within = {"connect_timeout": SECONDS, "tcp_user_timeout": SECONDS * 1000}
            options = {"pool_pre_ping": True, "connect_args": within}
        tries = 0
        while True:
            try:
                return RDBStorage(uri, engine_kwargs=options)
            except (IntegrityError, OperationalError, ProgrammingError):
                tries += 1
                if tries == TRIES:
                    raise
                time.sleep(0.5)

    def _confirmed(self, trial: Trial, result: Result) -> None:
        from optuna.distributions import CategoricalDistribution, IntDistribution
        from optuna.trial import TrialState, create_trial

        study, known = self._confirmation
        told = trial.evaluation_key, result.status
        if told in known:
            return
        value = value_of(result, self.study.primary.metric) if result.status == "done" else None
        self._tell(
            study,
            create_trial(
                state=TrialState.FAIL if value is None else TrialState.COMPLETE,
                value=value,
                params={"arm": trial.arm, "seed": trial.seed},
                distributions={
                    "arm": CategoricalDistribution(sorted(self.study.setups)),
                    "seed": IntDistribution(0, LARGEST_SEED),
                },
                user_attrs={
                    "trial": trial.training_key,
                    "evaluation": trial.evaluation_key,
                    "status": result.status,
                },
            ),
        )
        known.add(told)

    def tuned(self, search: Search) -> None:
        """See `Watcher.tuned`: the arm's Optuna study holds what `search` does."""
        import optuna

        space = {path: repr(where) for path, where in search.space.items()}
        metric, tune = tuning_metric(self.study), self.study.tune.model_dump()
        setting = digest({"space": space, "tune": tune, "metric": metric}, 8)
        name = f"tune/{search.name}/{setting}"
        found, wanted = self._open(name, metric), _as_told(search)
        there = found.get_trials(deepcopy=False)
        if not _begins(wanted, there):
            # something ran again and ended otherwise
            optuna.delete_study(study_name=found.study_name, storage=self._storage)
            found, there = self._open(name, metric), []
        for trial in wanted[len(there) :]:
            self._tell(found, trial)

    @staticmethod
    def _tell(study: optuna.Study, trial: FrozenTrial) -> None:
        reach("optuna/begin")
        study.add_trial(trial)
        reach("optuna/end")


def _as_told(search: Search) -> list[FrozenTrial]:
    """The candidates whose outcome is known, as Optuna's finished trials."""
    from optuna.trial import TrialState, create_trial

    found = []
    for candidate, outcome, asked in zip(
        search.candidates, search.outcomes, search.asked, strict=False
    ):
        told = search.optuna.trials[asked.number]
        state = told.state
        found.append(
            create_trial(
                state=state,
                value=None if state == TrialState.FAIL else told.value,
                params=dict(candidate.values),
                distributions=search.space,
                intermediate_values=told.intermediate_values,
                user_attrs={
                    "trials": [trial.training_key for trial in candidate.trials],
                    "status": outcome.status,
                    "reason": outcome.reason,
                },
            )
        )
    return found


def _begins(wanted: Sequence[FrozenTrial], there: Sequence[FrozenTrial]) -> bool:
    """Whether `there` are the first of `wanted`."""

    def content(trial: FrozenTrial) -> tuple[object, ...]:
        return trial.user_attrs, trial.state, trial.value, trial.params

    return [content(t) for t in there] == [content(t) for t in wanted[: len(there)]]
