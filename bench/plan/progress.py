"""How far a study is: its plan, replayed with what the store knows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.plan.looks import DECIDED, Looks, ask
from bench.plan.trials import Trial, World, plan
from bench.plan.tuning import WATCHED, Candidate, Outcome, Search, chosen, searches
from bench.store import Result, Store
from bench.study.setup import Study

if TYPE_CHECKING:
    from reports.statistics.records import Verdict

LEFT_OPEN = Result("interrupted", "has not ended")


@dataclass(frozen=True)
class Ending:
    """A trial and how it ended, as the study sees it: all of a pruned candidate's are pruned."""

    trial: Trial
    result: Result


class Progress:
    """Where a study stands.

    `advance` tells the tuning what has ended and says what has to run next: generation by
    generation while arms are tuned, then the confirmation of every winner, which ends at the first
    look that decides. A driver that starts anew gets to where the one before it was by the same
    way.

    Args:
        study: resolved.
        world: what it meets.
        store: its results.
        again: statuses of stored results that do not count: those trials run again.
    """

    def __init__(self, study: Study, world: World, store: Store, again: Iterable[str] = ()) -> None:
        self.study, self.world, self.store = study, world, store
        self.again = {"interrupted", *again}
        self.searches = searches(study, world)
        self.generations: dict[str, list[Candidate]] = {s.name: [] for s in self.searches}
        self.results: dict[str, Result] = {}
        self.curves: dict[str, dict[int, float]] = {}
        self.looked_up: set[tuple[str, str]] = set()
        self.confirmation: list[Trial] = []
        self.keys: dict[int, set[str]] = {}
        self.passed: list[Verdict] = []

    @property
    def confirmed_study(self) -> Study:
        """The study with what tuning chose, as far as that is known."""
        return chosen(self.study, [s for s in self.searches if not s.left])

    def advance(self) -> list[Trial]:
        """The trials that have to run now, each training once; empty: the study is finished.

        Where there are looks, those of all that are open, the next one's first: what a look that
        decides makes needless is known late.
        """
        todo = [trial for search in self.searches for trial in self._tuning(search)]
        if not todo and not self.confirmation:
            self.confirmation = plan(self.confirmed_study, self.world)
            for trial in self.confirmation:
                self.keys.setdefault(trial.seed, set()).add(trial.training_key)
        if not todo:
            self._look_up(self.confirmation)
            needless = self.needless
            todo = [
                trial
                for trial in self.confirmation
                if trial.training_key not in self.results and trial.seed not in needless
            ]
        # arms that are configured alike share a folder and run once
        return list({trial.training_key: trial for trial in todo}.values())

    def _tuning(self, search: Search) -> list[Trial]:
        """What has to run before the next generation of an arm can be told."""
        while search.left:
            generation = self.generations[search.name] or search.ask()
            self.generations[search.name] = generation
            for candidate in generation:
                self._look_up(candidate.trials)
            outcomes = [self.settle(candidate) for candidate in generation]
            if None in outcomes:
                return [
                    trial
                    for candidate, outcome in zip(generation, outcomes, strict=True)
                    for trial in candidate.trials
                    if outcome is None and trial.training_key not in self.results
                ]
            search.tell([outcome for outcome in outcomes if outcome is not None])
            self.generations[search.name] = []
        return []

    def _look_up(self, trials: Iterable[Trial]) -> None:
        """Take from the store what it knows of these trials, once."""
        for trial in trials:
            key = trial.training_key, trial.evaluation_key
            if key in self.looked_up:
                continue
            self.looked_up.add(key)
            folder = self.store.trial(trial.training_key)
            result = folder.result()
            if result and result.evaluation == key[1] and not self._runs_again(result):
                self.results[key[0]] = result
            if trial.stage == "tune" and self.study.tune.pruner != "none":
                for record in folder.records():
                    self.recorded(trial, record)

    def _runs_again(self, result: Result) -> bool:
        return result.status in self.again or ("failed" in self.again and bool(result.unmeasured))

    def recorded(self, trial: Trial, record: dict[str, float]) -> None:
        """A trial's training went on to `record`."""
        if WATCHED in record:
            curve = self.curves.setdefault(trial.training_key, {})
            curve[int(record["step"])] = record[WATCHED]

    def finished(self, trial: Trial, result: Result) -> None:
        """A trial ended."""
        if result.status != "interrupted":
            self.results[trial.training_key] = result

    def settle(self, candidate: Candidate) -> Outcome | None:
        """What became of a candidate of the generation that is out, or None while that is open."""
        (search,) = (s for s in self.searches if s.name == candidate.arm)
        return search.settle(candidate, self.results, self.curves)

    def given_up(self, trial: Trial) -> list[Trial]:
        """The trials that need not go on now that `trial` recorded something: the pruner says so.

        A training that a candidate still in the race shares goes on.
        """
        if self.study.tune.pruner == "none" or trial.stage != "tune":
            return []
        out = [c for generation in self.generations.values() for c in generation]
        pruned = {
            c.number: (settled := self.settle(c)) is not None and settled.status == "pruned"
            for c in out
            if c.arm == trial.arm
        }
        mine = [c for c in out if c.arm == trial.arm]
        needed = {t.training_key for c in mine if not pruned[c.number] for t in c.trials}
        return [
            t for c in mine if pruned[c.number] for t in c.trials if t.training_key not in needed
        ]

    @property
    def looks(self) -> Looks:
        """How far the looks are: each is asked once, when the last of its trials has ended.

        A trial that failed or diverged has ended; its pair is missing.
        """
        planned = tuple(self.study.looks)
        while self.confirmation and len(self.passed) < len(planned):
            if self.passed and self.passed[-1] in DECIDED:
                break
            seeds = self.study.seeds[: planned[len(self.passed)]]
            if not self.results.keys() >= set().union(*(self.keys[seed] for seed in seeds)):
                break
            self.passed.append(ask(self.study, self.endings(), seeds))
        return Looks(planned, tuple(self.passed))

    @property
    def needless(self) -> set[int]:
        """The seeds after the look that decided, whether or not their trials have ended."""
        looks = self.looks
        return {*self.study.seeds[looks.counted :]} if looks.decided else set()

    def counted(self) -> list[Ending]:
        """The `endings` that count: of confirmation, those of the looks that were passed.

        Before the first look, those that there are of it. What was run ahead of a look never
        counts, so that no result depends on the order in which trials end.
        """
        seeds = {*self.study.seeds[: self.looks.counted]}
        return [e for e in self.endings() if e.trial.stage == "tune" or e.trial.seed in seeds]

    def endings(self) -> list[Ending]:
        """Every trial proposed so far and how it ended: tuning by arm and candidate, then seeds."""
        found = []
        for search in self.searches:
            for candidate, outcome in zip(search.candidates, self._outcomes(search), strict=True):
                for trial in candidate.trials:
                    result = self.results.get(trial.training_key, LEFT_OPEN)
                    if outcome is not None and outcome.status == "pruned":
                        result = Result("pruned", outcome.reason, trial.evaluation_key)
                    found.append(Ending(trial, result))
        planned = self.confirmation or plan(self.confirmed_study, self.world)
        for trial in planned:
            found.append(Ending(trial, self.results.get(trial.training_key, LEFT_OPEN)))
        return found

    @staticmethod
    def _outcomes(search: Search) -> list[Outcome | None]:
        out = len(search.candidates) - len(search.outcomes)
        return [*search.outcomes, *[None] * out]

    def to_come(self) -> list[Trial]:
        """The trials that will run after those of `advance`, as far as the plan can tell.

        What tuning will propose is not known; the defaults stand for it.
        """
        found: list[Trial] = []
        for search in self.searches:
            more = search.budget - len(search.candidates)
            if search.left and search.candidates:
                found += [
                    replace(trial, candidate=None)
                    for trial in search.candidates[0].trials
                    for _ in range(more)
                ]
        if any(search.left for search in self.searches):
            found += plan(self.study, self.world)
        return found
