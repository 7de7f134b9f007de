"""Optuna: every trial of a study is an Optuna trial, written by the driver alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.keys import digest
from bench.plan import Trial
from bench.store import Result

if TYPE_CHECKING:
    import optuna


class Ledger:
    """The Optuna study of a study's confirmation: arm and seed are its parameters.

    Trials are asked for when they start and told when they finish; what an earlier, killed driver
    left running is told ``FAIL`` and asked for again.

    Args:
        path: of the sqlite file.
        name: the study's.
        metric: the primary metric, whose value a trial reports.
        direction: of that metric.
        trials: the plan.
    """

    def __init__(
        self, path: Path, name: str, metric: str, direction: str, trials: Sequence[Trial]
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.metric = metric
        self.arms = sorted({trial.arm for trial in trials})
        # Optuna refuses to change the choices of a parameter: other arms, another Optuna study
        self.study = optuna.create_study(
            storage=f"sqlite:///{path.resolve()}",
            study_name=f"{name}/confirm/{digest(self.arms, 8)}",
            direction="maximize" if direction == "higher" else "minimize",
            sampler=optuna.samplers.RandomSampler(seed=0),
            load_if_exists=True,
        )
        self.study.set_user_attr("metric", metric)
        for stale in self.study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
            self.study.tell(stale.number, state=optuna.trial.TrialState.FAIL)
        # a trial has a status from when its outcome is told
        self.told = {
            trial.user_attrs["evaluation"]
            for trial in self.study.get_trials()
            if "status" in trial.user_attrs
        }
        self.asked: dict[str, optuna.Trial] = {}

    def ask(self, trial: Trial) -> None:
        """The trial starts."""
        self.study.enqueue_trial({"arm": trial.arm, "seed": trial.seed})
        asked = self.study.ask()
        asked.suggest_categorical("arm", self.arms)
        asked.suggest_int("seed", 0, 2**31 - 1)
        asked.set_user_attr("trial", trial.training_key)
        asked.set_user_attr("evaluation", trial.evaluation_key)
        self.asked[trial.evaluation_key] = asked

    def tell(self, trial: Trial, result: Result) -> None:
        """The trial ended; what an earlier driver did not come to tell is asked for first."""
        import optuna

        if trial.evaluation_key not in self.asked:
            if trial.evaluation_key in self.told:
                return
            self.ask(trial)
        asked = self.asked.pop(trial.evaluation_key)
        asked.set_user_attr("status", result.status)
        value: Any = next(
            (m["value"] for m in result.measurements if m["name"] == self.metric), None
        )
        self.told.add(trial.evaluation_key)
        if result.status == "done" and value is not None:
            self.study.tell(asked, value)
        else:
            self.study.tell(asked, state=optuna.trial.TrialState.FAIL)
