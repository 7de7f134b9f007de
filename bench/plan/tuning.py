"""Tuning: every arm gets the same number of candidates, seeds and steps.

Optuna proposes and prunes; here it works in memory. What it proposes is a function of the study and
of the outcomes told before, nothing else: candidates come in generations of a fixed size, the
sampler is seeded anew for each, and outcomes are told in the order of the candidates. So a driver
that was killed proposes the same again when it is fed what the store knows, whatever the number of
workers; and since nothing is read back from Optuna's database, no pickle of its samplers is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor, isfinite, log
from typing import TYPE_CHECKING, Any

from bench.plan.trials import Trial, World, direction, trial, tuning_metric
from bench.store import Result, Status
from bench.study.setup import Setup, Study
from bench.study.space import search_space
from bench.study.tree import Tree, at
from tvae.space import Choice, Float, Int
from tvae.streams import derive_seed

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

WATCHED = "validation/elbo"
"""The value of a training curve that a pruner looks at, higher is better: all arms have it."""

VERY_BAD = -1e30
"""Stands for a value of `WATCHED` that is not finite."""

Curve = Mapping[int, float]
"""Step -> `WATCHED`."""


@dataclass(frozen=True)
class Candidate:
    """Values to try for one arm.

    Attributes:
        arm: whose.
        number: in the order of proposal; 0 is the arm as the study has it.
        values: dotted configuration path -> value, of what is searched.
        trials: one for each tuning seed.
    """

    arm: str
    number: int
    values: Mapping[str, Any]
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a candidate.

    Attributes:
        status: ``done`` if every seed finished.
        objective: mean of the tuning metric over the seeds; None unless it is known for all.
        reason: why there is none.
        curve: what the pruner saw, the mean over the seeds of `WATCHED`.
    """

    status: Status
    objective: float | None
    reason: str
    curve: Curve


def distributions(setup: Setup, fixed: Iterable[str] = ()) -> dict[str, BaseDistribution]:
    """Where a setup is tuned, in Optuna's terms; see `bench.study.space.search_space`."""
    return {path: _distribution(where) for path, where in search_space(setup, fixed).items()}


def _distribution(where: Float | Int | Choice) -> BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(where, Float):
        return FloatDistribution(where.low, where.high, log=where.log)
    if isinstance(where, Int):
        return IntDistribution(where.low, where.high)
    return CategoricalDistribution(where.options)  # type: ignore[arg-type]


class Search:
    """The tuning of one arm.

    Args:
        study: resolved.
        world: what it meets.
        name: of the arm.
    """

    def __init__(self, study: Study, world: World, name: str) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study, self.world, self.name = study, world, name
        self.tune, self.setup = study.tune, study.setups[name]
        self.metric = tuning_metric(study)
        self.lower = direction(study, self.metric) == "lower"
        self.space = distributions(self.setup, study.tune.fixed)
        # without anything to search there is one candidate, the arm as it is
        self.budget = self.tune.trials if self.space else min(1, self.tune.trials)
        self.optuna = optuna.create_study(direction="minimize" if self.lower else "maximize")
        self.asked: list[optuna.Trial] = []
        self.candidates: list[Candidate] = []
        self.outcomes: list[Outcome] = []
        self.history: list[optuna.trial.FrozenTrial] = []

    def ask(self) -> list[Candidate]:
        """The next generation; empty when the budget is spent.

        Raises:
            AssertionError: outcomes of the one before were not told.
        """
        assert len(self.outcomes) == len(self.candidates), "a generation is still out"
        first = len(self.candidates)
        self.optuna.sampler = self._sampler(first // self.tune.generation)
        if first == 0 and self.budget:
            self.optuna.enqueue_trial(self._defaults())
        for number in range(first, min(first + self.tune.generation, self.budget)):
            asked = self.optuna.ask(self.space)
            values = asked.params if number else self._defaults()
            self.asked.append(asked)
            self.candidates.append(
                Candidate(self.name, number, values, self._trials(number, values))
            )
        return self.candidates[first:]

    def _defaults(self) -> Tree:
        return {path: at(self.setup.config, path) for path in self.space}

    def _trials(self, number: int, values: Mapping[str, Any]) -> tuple[Trial, ...]:
        setup = self.setup.having(values)
        if self.tune.steps is not None:
            setup = setup.having({"trainer.steps": self.tune.steps})
        return tuple(
            trial(self.study, self.world, setup, seed, "tune", number) for seed in self.tune.seeds
        )

    def _sampler(self, generation: int) -> optuna.samplers.BaseSampler:
        from optuna import samplers

        seed = derive_seed(self.tune.seed, f"sampler/{generation}") % 2**32
        startup = self.tune.generation  # the first generation has nothing to go by
        if self.tune.sampler == "tpe":
            return samplers.TPESampler(seed=seed, n_startup_trials=startup)
        if self.tune.sampler == "cmaes":
            return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
        if self.tune.sampler == "gp":
            return samplers.GPSampler(seed=seed, n_startup_trials=startup)
        return samplers.RandomSampler(seed=seed)

    def _pruner(self, candidate: Candidate) -> optuna.pruners.BasePruner | None:
        from optuna import pruners

        trainer = candidate.trials[0].config["trainer"]
        every, steps = trainer["record_every"], trainer["steps"]
        if self.tune.pruner == "median":
            return pruners.MedianPruner(n_startup_trials=self.tune.generation)
        if self.tune.pruner == "hyperband":
            return pruners.HyperbandPruner(min_resource=every, max_resource=max(every, steps))
        return None

    def pruned_at(self, candidate: Candidate, curve: Curve) -> int | None:
        """The first step at which the pruner gives the candidate up, or None.

        It is held against the generations before its own alone, so that it does not matter who of
        its own generation got how far.

        Args:
            candidate: of the generation that is out.
            curve: the mean over the seeds of `WATCHED`.
        """
        return self._watch(candidate, curve)[0]

    def _watch(self, candidate: Candidate, curve: Curve) -> tuple[int | None, Mapping[str, Any]]:
        """`pruned_at`, and what Optuna's pruner notes of the candidate on the way."""
        import optuna

        pruner = self._pruner(candidate)
        if pruner is None:
            return None, {}
        # the name and the number decide on a bracket of Hyperband
        alone = optuna.create_study(direction="maximize", study_name=self.name, pruner=pruner)
        alone.add_trials(self.history)
        while len(alone.trials) < candidate.number:
            alone.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL))
        running = alone.ask()
        stopped = None
        for step, value in sorted(curve.items()):
            running.report(value, step)
            if running.should_prune():
                stopped = step
                break
        return stopped, alone.trials[candidate.number].system_attrs

    def settle(
        self, candidate: Candidate, results: Mapping[str, Result], curves: Mapping[str, Curve]
    ) -> Outcome | None:
        """What became of a candidate, or None while that is open.

        Args:
            candidate: of the generation that is out.
            results: training key -> result, of trials that have ended.
            curves: training key -> curve so far.
        """
        curve = mean_curve([curves.get(t.training_key, {}) for t in candidate.trials])
        step = self.pruned_at(candidate, curve)
        if step is not None:
            seen = {at: value for at, value in curve.items() if at <= step}
            return Outcome("pruned", None, f"given up at step {step}", seen)
        mine = [results.get(t.training_key) for t in candidate.trials]
        ended = [result for result in mine if result and result.status != "interrupted"]
        if len(ended) < len(mine):
            return None
        for result, of in zip(ended, candidate.trials, strict=True):
            if result.status != "done":
                return Outcome(result.status, None, f"seed {of.seed}: {result.reason}", curve)
        values = [value_of(result, self.metric) for result in ended]
        if None in values:
            return Outcome("failed", None, f"{self.metric} has no value for this arm", curve)
        return Outcome("done", sum(values) / len(values), "", curve)  # type: ignore[arg-type]

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Tell what became of the generation that is out, in its order."""
        from optuna.trial import TrialState, create_trial

        history = []  # the pruner holds nobody against others of the same generation
        for outcome in outcomes:
            number = len(self.outcomes)
            candidate, asked = self.candidates[number], self.asked[number]
            state = {"done": TrialState.COMPLETE, "pruned": TrialState.PRUNED}.get(
                outcome.status, TrialState.FAIL
            )
            sign = -1 if self.lower else 1
            for step, value in sorted(outcome.curve.items()):
                asked.report(sign * value, step)
            _, noted = self._watch(candidate, outcome.curve)
            last = outcome.curve[max(outcome.curve)] if outcome.curve else None
            self.optuna.tell(asked, outcome.objective, state=state)
            history.append(
                create_trial(
                    state=state,
                    value=None if state == TrialState.FAIL else last,
                    intermediate_values=dict(outcome.curve),
                    system_attrs=dict(noted),
                )
                if last is not None
                else create_trial(state=TrialState.FAIL)
            )
            self.outcomes.append(outcome)
        self.history += history

    @property
    def notes(self) -> list[str]:
        """What a reader of its outcome has to know."""
        if not self.space:
            return ["there is nothing to tune"]
        notes, n = [], len(self.space)
        if self.tune.sampler == "cmaes" and n < 2:
            notes.append("one value to tune, which CMA-ES cannot search: drawn at random")
        elif self.tune.sampler == "cmaes" and self.budget <= (population := 4 + floor(3 * log(n))):
            notes.append(f"CMA-ES learns after {population} candidates: these are drawn at random")
        if not self.left and self.best is None:
            notes.append("no candidate finished: the arm is confirmed as the study has it")
        return notes

    @property
    def left(self) -> int:
        """Candidates still to be told."""
        return self.budget - len(self.outcomes)

    @property
    def best(self) -> int | None:
        """The number of the best candidate, the earlier of equals; None: none finished."""
        found = [
            (objective if self.lower else -objective, number)
            for number, outcome in enumerate(self.outcomes)
            if (objective := outcome.objective) is not None
        ]
        return min(found)[1] if found else None

    @property
    def chosen(self) -> Setup:
        """The setup to be confirmed: with the winner's values, or as it is."""
        if self.best is None:
            return self.setup
        return self.setup.having(self.candidates[self.best].values)


def searches(study: Study, world: World) -> list[Search]:
    """One for each arm and baseline that is trained; none where nothing is tuned."""
    if not study.tune.trials:
        return []
    trained = (s.name for s in study.setups.values() if s.role != "reference")
    return [Search(study, world, name) for name in trained]


def chosen(study: Study, found: Sequence[Search]) -> Study:
    """The study to be confirmed: every arm with its winner's values."""
    for search in found:
        study = study.having(search.chosen)
    return study


def mean_curve(curves: Sequence[Curve]) -> dict[int, float]:
    """The mean at the steps that all have reached; not finite values count as very bad."""
    steps = set.intersection(*({*curve} for curve in curves))

    def at(step: int) -> float:
        values = [curve[step] if isfinite(curve[step]) else VERY_BAD for curve in curves]
        return sum(values) / len(values)

    return {step: at(step) for step in sorted(steps)}


def value_of(result: Result, metric: str) -> float | None:
    """The value of a metric in a result, if it has one."""
    return next((m["value"] for m in result.measurements if m["name"] == metric), None)
