"""Tuning: the same budget for every arm, and the same proposals however the work was spread.

An arm that is searched more widely, or on the images that decide, wins for the wrong reason. And a
study that was killed, or had more workers, must not propose other candidates: then it would end
with other rows. Searches are fed made-up results; two real studies stand at the end.
"""

from __future__ import annotations

import copy
import json
import math
import random
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest
from harness import PLUGIN, REPOSITORY, TINY, TUNED, WORLD, bench, study, write
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from bench.plan.progress import Progress
from bench.plan.trials import plan
from bench.plan.tuning import VERY_BAD, Outcome, Search, chosen, distributions, mean_curve
from bench.store import Result, Store
from bench.study import setup as setups
from bench.study.problems import ConfigError
from reports import manifest as manifests
from reports import rows
from tvae import registry
from tvae.space import Choice, Float, Int

WATCHED = "validation/elbo"
SAMPLERS = ("tpe", "random", "cmaes", "gp")


def tuned_study(folder, *arguments: str, baselines=("vae_plus",), arms=None, **tune):
    """The tiny study with rotations for a family, 4 candidates in generations of 2."""
    return study(
        *arguments,
        folder=folder,
        family="rotation",
        baselines=list(baselines),
        arms=arms or TINY["arms"],
        tune={"trials": 4, "generation": 2, "seeds": 2, **tune},
    )


def done(search: Search, trial, value: float | None) -> Result:
    measured = {"name": search.metric, "value": value, "unit": "", "direction": "lower"}
    return Result("done", evaluation=trial.evaluation_key, measurements=[measured])


def made_up(values) -> float:
    """An objective with its minimum inside the space."""
    return sum((math.log(abs(value)) - i / 3) ** 2 for i, value in enumerate(values.values()))


def settled(search: Search, objective=made_up, curve=None) -> list[Outcome]:
    """One generation asked for, and what became of it, not yet told."""
    outcomes = []
    for candidate in search.ask():
        value = objective(candidate.values)
        results = {t.training_key: done(search, t, value) for t in candidate.trials}
        curves = (
            {t.training_key: curve(candidate.number) for t in candidate.trials} if curve else {}
        )
        outcomes.append(search.settle(candidate, results, curves))
    return outcomes


def played(given, name: str = "additive", objective=made_up, curve=None) -> Search:
    """An arm's tuning from its first to its last generation."""
    search = Search(given, WORLD, name)
    while search.left:
        search.tell(settled(search, objective, curve))
    return search


def proposals(search: Search) -> list[dict]:
    return [dict(candidate.values) for candidate in search.candidates]


# --- where an arm is searched -------------------------------------------------------------------


def space(given, name: str) -> dict:
    return distributions(given.setups[name], given.tune.fixed)


def around(default: float, low: float = 0.1, high: float = 10.0) -> FloatDistribution:
    return FloatDistribution(low * default, high * default, log=True)


def test_the_space_is_what_plugins_declare_around_each_arm_s_own_defaults(tmp_path):
    """Weights are in units of the divergences' own; the budget's rate is 1e-3."""
    given = tuned_study(tmp_path)
    kl = FloatDistribution(0.05, 1.0, log=True)
    rate = {"trainer.learning_rate": around(1e-3, 0.1, 3.0)}
    assert space(given, "additive") == {
        **rate,
        "model.w_coherence": around(1.0),
        "model.w_prior": around(1.0),
        "model.beta": around(1.0),
        "model.coherence.scale": kl,
    }
    # the prior's deviation is that of N(0, I): the scale of ours would be a dead dimension
    vae = {**rate, "model.w_prior": around(1.0)}
    assert space(given, "vae") == vae
    assert space(given, "vae_plus") == vae


def test_what_there_is_not_is_not_searched(tmp_path):
    given = tuned_study(tmp_path, baselines=["ae_plus"])
    assert list(space(given, "ae_plus")) == ["trainer.learning_rate"]


@pytest.mark.parametrize(
    ("argument", "without"),
    [
        ("arms.additive.model.beta=1.0", {"model.beta"}),
        ("model.w_prior=3.0", {"model.w_prior"}),
        ("arms.additive.model.coherence={name: kl, scale: 0.2}", {"model.coherence.scale"}),
        ("arms.additive.trainer.learning_rate=0.01", {"trainer.learning_rate"}),
        ("trainer.learning_rate=0.01", set()),  # comes with the budget
        ("tune.fixed=[model.beta,trainer.learning_rate]", {"model.beta", "trainer.learning_rate"}),
        ("tune.fixed=[model.coherence.scale]", {"model.coherence.scale"}),
    ],
)
def test_what_the_study_says_is_left_alone(tmp_path, argument, without):
    whole = tuned_study(tmp_path)
    given = tuned_study(tmp_path, argument)
    everything = set(space(whole, "additive"))
    assert set(space(given, "additive")) == everything - without
    if "arms.additive" in argument:
        assert space(given, "vae") == space(whole, "vae")


def test_the_range_follows_what_the_default_is_for_this_arm(tmp_path):
    given = tuned_study(tmp_path, "trainer.learning_rate=0.01")
    found = space(given, "vae")
    assert found["trainer.learning_rate"] == around(0.01, 0.1, 3.0)


def test_every_kind_of_range(tmp_path, monkeypatch):
    """As a third party's plugin may declare them."""
    declared = {
        "sides": Choice(("left", "both"), "both"),
        "width": Int(2, 9, 4),
        "bend": Float(-1.0, 1.0, 0.0),
    }
    additive = registry.latent_transforms.get("additive")
    monkeypatch.setattr(additive, "space", declared)
    completed, more = setups._with_defaults, {"sides": "both", "width": 4, "bend": 0.0}
    monkeypatch.setattr(
        setups,
        "_with_defaults",
        lambda plugins, options: (
            completed(plugins, options) | (more if options["name"] == "additive" else {})
        ),
    )
    monkeypatch.setattr(registry.models.get("tvae"), "space", {})
    monkeypatch.setattr(registry.divergences.get("kl"), "space", {})
    given = tuned_study(tmp_path)
    found = space(given, "additive")
    del found["trainer.learning_rate"]
    assert found == {
        "model.latent_transform.sides": CategoricalDistribution(("left", "both")),
        "model.latent_transform.width": IntDistribution(2, 9),
        "model.latent_transform.bend": FloatDistribution(-1.0, 1.0),
    }


# --- the same budget ----------------------------------------------------------------------------


def test_every_arm_and_baseline_gets_the_same_budget(tmp_path):
    """Candidates x seeds x steps, whatever there is to search."""
    given = tuned_study(tmp_path, trials=5, steps=3, seeds=[70, 80])
    spent = {}
    for name in given.setups:
        search = played(given, name)
        spent[name] = [
            (candidate.number, t.seed, t.steps, t.stage, t.arm == name)
            for candidate in search.candidates
            for t in candidate.trials
        ]
    expected = [(n, seed, 3, "tune", True) for n in range(5) for seed in (70, 80)]
    assert spent == dict.fromkeys(("vae", "additive", "vae_plus"), expected)


def test_without_steps_of_its_own_tuning_trains_as_long_as_confirmation(tmp_path):
    given = tuned_study(tmp_path)
    (candidate, *_) = Search(given, WORLD, "vae").ask()
    assert {t.steps for t in candidate.trials} == {TINY["trainer"]["steps"]}


def test_the_first_candidate_is_the_arm_itself(tmp_path):
    given = tuned_study(tmp_path)
    for name, setup in given.setups.items():
        first, second = Search(given, WORLD, name).ask()
        for trial in first.trials:
            assert trial.config == setup.config
        assert all(trial.config != setup.config for trial in second.trials)


def test_a_candidate_s_values_are_in_its_configuration_and_in_no_other_place(tmp_path):
    given = tuned_study(tmp_path)
    _, second = Search(given, WORLD, "additive").ask()
    config = second.trials[0].config
    expected = copy.deepcopy(given.setups["additive"].config)
    for path, value in second.values.items():
        *parents, last = path.split(".")
        inner = expected
        for part in parents:
            inner = inner[part]
        assert inner[last] != value
        inner[last] = value
    assert config == expected


def test_nothing_to_search_is_one_candidate_and_a_note(tmp_path):
    given = tuned_study(tmp_path, baselines=["ae_plus"], fixed=["trainer.learning_rate"])
    search = played(given, "ae_plus")
    assert [candidate.number for candidate in search.candidates] == [0]
    assert search.notes == ["there is nothing to tune"]
    assert search.chosen == given.setups["ae_plus"]


def test_one_value_is_too_few_for_cma_es(tmp_path):
    given = tuned_study(tmp_path, baselines=["ae_plus"], sampler="cmaes")
    search = played(given, "ae_plus")
    assert len(search.candidates) == 4
    assert search.notes == ["one value to tune, which CMA-ES cannot search: drawn at random"]


# --- nothing of the confirmation is seen --------------------------------------------------------


def test_tuning_seeds_are_beyond_the_confirmation_seeds(tmp_path):
    given = tuned_study(tmp_path, "seeds=10000", "max_trials=100000")
    assert given.tune.seeds == [1_000_000, 1_000_001]
    assert not {*given.tune.seeds} & {*given.seeds}
    with pytest.raises(ConfigError, match=r"tune.seeds: \[3\] are confirmation seeds"):
        tuned_study(tmp_path, "seeds=[2,3]", seeds=[3, 4])


def test_tuning_looks_at_validation_data_confirmation_at_test_data(tmp_path):
    given = tuned_study(tmp_path)
    tune = [t for c in Search(given, WORLD, "vae").ask() for t in c.trials]
    confirm = plan(given, WORLD)
    assert {(t.stage, t.split) for t in tune} == {("tune", "validation")}
    assert {(t.stage, t.split) for t in confirm} == {("confirm", "test")}
    prints = ({t.fingerprints["likelihood"] for t in some} for some in (tune, confirm))
    assert set.isdisjoint(*prints), "their numbers never share a table"


def test_a_tuning_trial_measures_what_is_optimised_alone(tmp_path):
    given = tuned_study(tmp_path, metrics={"likelihood": {"k": 3}})
    (candidate, *_) = Search(given, WORLD, "vae").ask()
    assert candidate.trials[0].metrics == {"likelihood": {"k": 3, "images": 4}}
    assert plan(given, WORLD)[0].metrics == TINY["metrics"]


# --- what becomes of a candidate ----------------------------------------------------------------


@pytest.fixture
def generation(tmp_path):
    """(search, its first two candidates)."""
    search = Search(tuned_study(tmp_path), WORLD, "additive")
    return search, search.ask()


def test_the_objective_is_the_mean_over_the_seeds(generation):
    search, (first, _) = generation
    a, b = first.trials
    results = {a.training_key: done(search, a, 3.0)}
    assert search.settle(first, results, {}) is None
    results[b.training_key] = done(search, b, 4.0)
    assert search.settle(first, results, {}) == Outcome("done", 3.5, "", {})


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_a_candidate_that_fails_at_one_seed_has_no_objective(generation, status):
    search, (first, _) = generation
    a, b = first.trials
    results = {
        a.training_key: done(search, a, -1e9),
        b.training_key: Result(status, "it broke", b.evaluation_key),
    }
    outcome = search.settle(first, results, {})
    assert (outcome.status, outcome.objective) == (status, None)
    assert outcome.reason == f"seed {b.seed}: it broke"


def test_a_value_that_does_not_apply_is_a_failure(generation):
    search, (first, _) = generation
    results = {t.training_key: done(search, t, None) for t in first.trials}
    outcome = search.settle(first, results, {})
    assert (outcome.status, outcome.objective) == ("failed", None)
    assert outcome.reason == "nll has no value for this arm"


def test_an_interrupted_trial_leaves_its_candidate_open(generation):
    search, (first, _) = generation
    a, b = first.trials
    results = {a.training_key: done(search, a, 1.0), b.training_key: Result("interrupted")}
    assert search.settle(first, results, {}) is None


def told(search: Search, objectives: list[float | None], status="failed") -> Search:
    """Candidates with these objectives, None: with that status."""
    while search.left:
        search.tell(
            [
                Outcome("done", objectives[c.number], "", {})
                if objectives[c.number] is not None
                else Outcome(status, None, "x", {})
                for c in search.ask()
            ]
        )
    return search


@pytest.mark.parametrize(
    ("objectives", "lower", "higher"),
    [
        ([4.0, 2.0, 3.0, 9.0], 1, 3),
        ([2.0, 2.0, 9.0, 9.0], 0, 2),  # ties go to the earlier
        ([None, 5.0, None, 7.0], 1, 3),
        ([None, None, None, 7.0], 3, 3),
        ([-1.0, None, 0.0, 0.0], 0, 2),
    ],
)
@pytest.mark.parametrize("status", ["failed", "diverged", "pruned"])
def test_the_best_candidate_wins(tmp_path, objectives, lower, higher, status):
    """Of nll that is the lowest, of elbo the highest."""
    for arguments, best in (((), lower), (("tune.metric=elbo",), higher)):
        given = tuned_study(tmp_path, *arguments)
        search = told(Search(given, WORLD, "additive"), objectives, status)
        assert search.best == best
        winner = given.having(search.chosen)
        assert winner == chosen(given, [search])
        expected = search.candidates[best].trials[0].config
        assert winner.setups["additive"].config == expected
        assert search.notes == []


def test_where_all_fail_the_arm_is_confirmed_as_it_is(tmp_path):
    given = tuned_study(tmp_path)
    search = told(Search(given, WORLD, "additive"), [None] * 4)
    assert search.best is None
    assert search.chosen == given.setups["additive"]
    assert search.notes == ["no candidate finished: the arm is confirmed as the study has it"]


def test_the_winner_s_confirmation_trains_the_winner_s_values_for_its_own_steps(tmp_path):
    given = tuned_study(tmp_path, steps=3)
    search = told(Search(given, WORLD, "additive"), [4.0, 2.0, 3.0, 9.0])
    trial = next(t for t in plan(chosen(given, [search]), WORLD) if t.arm == "additive")
    values = search.candidates[1].values
    assert trial.config["model"]["w_prior"] == values["model.w_prior"]
    assert trial.config["model"]["coherence"]["scale"] == values["model.coherence.scale"]
    assert trial.config["trainer"]["learning_rate"] == values["trainer.learning_rate"]
    assert trial.steps == TINY["trainer"]["steps"]


# --- the same proposals again -------------------------------------------------------------------

SCRIPT = """
import json, sys
sys.path[:0] = sys.argv[1:]
from pathlib import Path
from test_tuning import SAMPLERS, played, proposals, tuned_study
for sampler in SAMPLERS:
    found = played(tuned_study(Path.cwd(), trials=5, sampler=sampler))
    print(json.dumps(proposals(found)))
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory) -> dict[str, list[dict]]:
    """Sampler -> what another process proposes, fed with the same results."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            SCRIPT,
            str(Path(__file__).parent),
            str(PLUGIN.parent),
            str(REPOSITORY),
        ],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(SAMPLERS, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_another_process_proposes_the_same(elsewhere, tmp_path, sampler):
    here = played(tuned_study(tmp_path, trials=5, sampler=sampler))
    assert proposals(here) == elsewhere[sampler]


@pytest.mark.parametrize("generation", [1, 2, 3, 7])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_driver_that_was_killed_proposes_the_same_again(tmp_path, sampler, generation):
    """Whatever the generation's size: outcomes alone, told anew, lead to the same place."""
    given = tuned_study(tmp_path, trials=7, sampler=sampler, generation=generation)
    search = played(given)
    assert len(search.candidates) == 7
    again = Search(given, WORLD, "additive")
    while again.left:
        first = len(again.candidates)
        asked = again.ask()
        assert len(asked) == min(generation, 7 - first)
        again.tell(search.outcomes[first : first + len(asked)])
    assert proposals(again) == proposals(search)
    assert (again.best, again.chosen) == (search.best, search.chosen)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_proposal_is_in_the_space_and_differs_from_the_others(tmp_path, sampler):
    search = played(tuned_study(tmp_path, trials=7, generation=3, sampler=sampler))
    for values in proposals(search):
        assert set(values) == set(search.space)
        for path, value in values.items():
            where = search.space[path]
            assert where.low <= value <= where.high
    assert len({tuple(values.items()) for values in proposals(search)}) == 7


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "gp"])
def test_outcomes_are_learnt_from(tmp_path, sampler):
    """Else the checks above would hold for any sampler that draws at random."""
    # of five values CMA-ES draws 8 before it moves
    trials = 14 if sampler == "cmaes" else 4
    given = tuned_study(tmp_path, trials=trials, sampler=sampler)
    one, other = played(given), played(given, objective=lambda values: -made_up(values))
    assert proposals(one)[:2] == proposals(other)[:2]
    assert proposals(one)[2:] != proposals(other)[2:]


def test_the_seed_of_tuning_makes_other_proposals(tmp_path):
    first, other = (proposals(played(tuned_study(tmp_path, seed=seed))) for seed in (0, 1))
    assert first[0] == other[0], "the defaults"
    assert first[1:] != other[1:]


def test_a_sampler_is_seeded_anew_for_each_generation(tmp_path):
    """Or the second generation would repeat the first, at random at least."""
    values = proposals(played(tuned_study(tmp_path, trials=6, sampler="random")))
    rates = [v["trainer.learning_rate"] for v in values]
    assert len({*rates}) == 6


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_order_in_which_results_come_is_nobody_s_business(tmp_path, sampler):
    given = tuned_study(tmp_path, sampler=sampler)
    orderly = played(given)
    shuffled = Search(given, WORLD, "additive")
    dice = random.Random(3)
    while shuffled.left:
        generation, results, outcomes = shuffled.ask(), {}, {}
        trials = [(c, t) for c in generation for t in c.trials]
        dice.shuffle(trials)
        for candidate, trial in trials:
            results[trial.training_key] = done(shuffled, trial, made_up(candidate.values))
            for other in dice.sample(generation, len(generation)):
                settled = shuffled.settle(other, results, {})
                if settled is not None:
                    outcomes.setdefault(other.number, settled)
        shuffled.tell([outcomes[c.number] for c in generation])
    assert proposals(shuffled) == proposals(orderly)


def test_a_generation_is_told_before_the_next_is_asked(tmp_path):
    search = Search(tuned_study(tmp_path), WORLD, "vae")
    search.ask()
    with pytest.raises(AssertionError, match="still out"):
        search.ask()


# --- pruning ------------------------------------------------------------------------------------


def line(end: float, steps=range(1, 7)) -> dict[int, float]:
    """A curve that rises from -1000 to `end`."""
    return {step: -1000 + (end + 1000) * step / max(steps) for step in steps}


def pruning(folder, pruner="median", **tune) -> Search:
    given = tuned_study(
        folder, "trainer.record_every=1", "trainer.steps=6", pruner=pruner, trials=6, **tune
    )
    return Search(given, WORLD, "additive")


@pytest.fixture
def third(tmp_path):
    """(search, third candidate): the first two ended with curves to -500 and to -400."""
    search = pruning(tmp_path)
    search.tell(settled(search, curve=lambda number: line((-500, -400)[number])))
    return search, search.ask()[0]


def test_a_curve_below_the_median_of_the_earlier_ones_is_pruned_where_it_falls(third):
    search, candidate = third
    mid = {step: median([line(-500)[step], line(-400)[step]]) for step in range(1, 7)}
    for falls in range(1, 7):
        # the best so far counts, so it falls by staying where it is
        curve = {step: mid[step] + 1 if step < falls else mid[falls] - 1 for step in range(1, 7)}
        late = next(s for s in range(falls, 7) if max(curve[i] for i in range(1, s + 1)) < mid[s])
        assert search.pruned_at(candidate, curve) == late, falls
    assert search.pruned_at(candidate, line(-999)) == 1
    assert search.pruned_at(candidate, {1: line(-999)[1]}) == 1


def test_a_curve_above_the_median_is_not_pruned(third):
    search, candidate = third
    assert search.pruned_at(candidate, line(-449)) is None
    assert search.pruned_at(candidate, line(-300)) is None
    assert search.pruned_at(candidate, {}) is None
    assert search.pruned_at(candidate, line(-451)) is not None, "the median's end is -450"


def test_a_pruned_candidate_is_settled_at_once_and_says_where(third):
    search, candidate = third
    a, b = (t.training_key for t in candidate.trials)
    falling = {step: -1000.0 for step in range(1, 7)}
    assert search.settle(candidate, {}, {a: falling}) is None, "one seed alone says nothing"
    outcome = search.settle(candidate, {}, {a: falling, b: {1: -1000.0, 2: -1000.0}})
    assert outcome == Outcome("pruned", None, "given up at step 1", {1: -1000.0})


def test_the_mean_over_the_seeds_is_looked_at(third):
    """One seed far below, one far above."""
    search, candidate = third
    a, b = (t.training_key for t in candidate.trials)
    low, high = line(-700), line(-100)
    assert search.pruned_at(candidate, low) is not None
    curves = {a: low, b: high}
    assert search.settle(candidate, {}, curves) is None
    assert mean_curve([low, high]) == pytest.approx({s: (low[s] + high[s]) / 2 for s in low})
    assert mean_curve([low, {2: 0.0, 9: 1.0}]) == {2: low[2] / 2}


def test_the_first_generation_is_never_pruned(tmp_path):
    search = pruning(tmp_path)
    first, second = search.ask()
    for candidate in (first, second):
        assert search.pruned_at(candidate, line(-1e9)) is None


def test_its_own_generation_does_not_decide_on_a_candidate(tmp_path):
    """Neither what was told of it nor what is still running; else the workers would."""
    search = pruning(tmp_path)
    search.tell(settled(search, curve=lambda number: line((-500, -400)[number])))
    one, other = search.ask()
    curve = line(-440)
    assert search.pruned_at(other, curve) is None
    keys = [t.training_key for t in one.trials]
    search.settle(one, {}, dict.fromkeys(keys, line(500.0)))
    assert search.pruned_at(other, curve) is None
    outcomes = [
        Outcome("done", 1.0, "", line(500.0)),
        search.settle(
            other,
            {t.training_key: done(search, t, 2.0) for t in other.trials},
            {t.training_key: curve for t in other.trials},
        ),
    ]
    assert outcomes[1].status == "done"
    search.tell(outcomes)
    (fifth, _) = search.ask()
    assert search.pruned_at(fifth, curve) is not None, "in the next one it counts"


def test_the_steps_of_a_pruned_one_are_held_against_later_ones(tmp_path):
    """As Optuna does: what it was at its last step counts for the steps that it reached."""
    search = pruning(tmp_path)
    search.tell(settled(search, curve=lambda number: line((-500, -400)[number])))
    search.ask()
    pruned = Outcome("pruned", None, "given up at step 1", {1: -1000.0})
    search.tell([pruned, pruned])
    (fifth, _) = search.ask()
    mid = median([line(-500)[1], line(-400)[1]])
    assert search.pruned_at(fifth, {1: mid - 1}) == 1
    assert search.pruned_at(fifth, {1: mid + 1}) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_curve_that_is_not_finite_is_very_bad(third, bad):
    search, candidate = third
    assert mean_curve([{1: bad, 2: 3.0}]) == {1: VERY_BAD, 2: 3.0}
    keys = [t.training_key for t in candidate.trials]
    outcome = search.settle(candidate, {}, {key: {1: bad} for key in keys})
    assert outcome.status == "pruned"
    assert all(map(math.isfinite, outcome.curve.values()))
    other = search.candidates[3]
    search.tell([outcome, Outcome("done", 1.0, "", mean_curve([{1: bad, 2: -450.0}]))])
    assert other.number == 3
    assert len(search.ask()) == 2, "the search goes on"


@pytest.mark.parametrize("name", ["vae", "additive", "vae_plus"])
def test_hyperband_prunes_the_same_again(tmp_path, name):
    """And it does prune: of nine candidates that get ever worse, some."""

    def search() -> Search:
        given = tuned_study(
            tmp_path,
            "trainer.record_every=1",
            "trainer.steps=9",
            pruner="hyperband",
            trials=9,
            generation=3,
        )
        return played(given, name, curve=lambda n: line(-100.0 * n - 100, range(1, 10)))

    first, again = search(), search()
    assert first.outcomes == again.outcomes
    statuses = [outcome.status for outcome in first.outcomes]
    assert statuses[:3] == ["done"] * 3
    assert "pruned" in statuses
    assert proposals(first) == proposals(again)


def test_without_a_pruner_nothing_is_pruned(tmp_path):
    search = pruning(tmp_path, pruner="none")
    search.tell(settled(search, curve=lambda number: line(-100.0)))
    assert search.pruned_at(search.ask()[0], line(-1e9)) is None


# --- how far a study is -------------------------------------------------------------------------


@pytest.fixture
def progress(tmp_path):
    """A function that makes the progress of a tuned study anew, over the same store."""

    def make(**tune) -> Progress:
        tune = {"pruner": "median", **tune}
        given = tuned_study(
            tmp_path, "trainer.record_every=1", "trainer.steps=6", baselines=[], **tune
        )
        return Progress(given, WORLD, Store(tmp_path / "runs", given.name))

    return make


def finish(progress: Progress, trial, value: float = 1.0) -> None:
    """As a worker does: the result lies in the store, and the driver is told."""
    folder = progress.store.trial(trial.training_key)
    folder.path.mkdir(parents=True, exist_ok=True)
    measured = {"name": "nll", "value": value, "unit": "nats", "direction": "lower"}
    result = Result(
        "done", "", trial.evaluation_key, [{**measured, "source": "likelihood"}], {"seconds": 1.0}
    )
    folder.write_result(result)
    progress.finished(trial, result)


def test_generation_by_generation_then_confirmation(progress):
    """Both arms at once, 2 candidates x 2 seeds each; then every arm's winner at its seeds."""
    going = progress()
    for first in (0, 2):
        todo = going.advance()
        assert [(t.arm, t.candidate, t.seed) for t in todo] == [
            (arm, candidate, seed)
            for arm in ("vae", "additive")
            for candidate in (first, first + 1)
            for seed in (1_000_000, 1_000_001)
        ]
        assert going.advance() == todo
        for trial in todo:
            # the last candidate is best
            finish(going, trial, -trial.candidate)
    todo = going.advance()
    assert [(t.arm, t.seed, t.stage) for t in todo] == [
        (arm, seed, "confirm") for seed in (0, 1) for arm in ("vae", "additive")
    ]
    for trial in todo:
        search = next(s for s in going.searches if s.name == trial.arm)
        rate = search.candidates[3].values["trainer.learning_rate"]
        assert trial.config["trainer"]["learning_rate"] == rate
        finish(going, trial)
    assert going.advance() == []
    endings = going.endings()
    assert [e.trial.stage for e in endings] == ["tune"] * 16 + ["confirm"] * 4
    assert {e.result.status for e in endings} == {"done"}


def test_one_arm_may_be_a_generation_ahead(progress):
    going = progress()
    for trial in going.advance():
        if trial.arm == "vae":
            finish(going, trial)
    assert {(t.arm, t.candidate) for t in going.advance()} == {
        ("vae", 2),
        ("vae", 3),
        ("additive", 0),
        ("additive", 1),
    }


def test_a_new_driver_gets_to_the_same_place(progress):
    """At every point: after each trial that ended."""
    going = progress()
    while todo := going.advance():
        finish(going, todo[0], len(going.results) % 7)
        again = progress()
        assert again.advance() == going.advance()
        assert [s.outcomes for s in again.searches] == [s.outcomes for s in going.searches]
    assert len(going.results) == 20


def test_a_result_of_another_evaluation_does_not_count(progress):
    going = progress()
    (trial, *_) = going.advance()
    folder = going.store.trial(trial.training_key)
    folder.path.mkdir(parents=True)
    folder.write_result(Result("done", evaluation="another"))
    assert trial in progress().advance()


def test_failed_trials_run_again_on_request_only(progress):
    going = progress()
    (trial, *_) = going.advance()
    folder = going.store.trial(trial.training_key)
    folder.path.mkdir(parents=True)
    folder.write_result(Result("failed", "x", trial.evaluation_key))
    assert trial not in progress().advance()
    study, store = going.study, going.store
    assert trial in Progress(study, WORLD, store, ["failed", "diverged"]).advance()


def record(going: Progress, candidate, step: int, value: float) -> list:
    """What is given up when every seed of a candidate comes to `step`."""
    out = []
    for trial in candidate.trials:
        going.recorded(trial, {"step": step, WATCHED: value})
        out = going.given_up(trial)
    return out


@pytest.fixture
def second_generation(progress):
    """(progress, its third and fourth candidate of the additive arm), curves are there."""
    going = progress()
    for trial in going.advance():
        for step, value in line(-450 + 50 * trial.candidate).items():
            going.recorded(trial, {"step": step, WATCHED: value})
        finish(going, trial)
    going.advance()
    return going, going.generations["additive"]


def test_the_trials_of_a_pruned_candidate_are_given_up(second_generation):
    going, (third, fourth) = second_generation
    assert record(going, fourth, 1, 0.0) == []
    assert record(going, third, 1, -2000.0) == list(third.trials)
    finish(going, fourth.trials[0])
    assert all(t.candidate != 2 for t in going.advance() if t.arm == "additive")
    endings = {e.trial.candidate: e.result for e in going.endings() if e.trial.arm == "additive"}
    assert endings[3].status in ("done", "interrupted")


def test_a_training_that_a_candidate_in_the_race_shares_goes_on(second_generation):
    """Two candidates of the same values have their trials in common."""
    from dataclasses import replace

    going, (third, fourth) = second_generation
    shared = replace(fourth.trials[0], candidate=third.number)
    twin = replace(third, trials=(shared, third.trials[1]))
    going.generations["additive"] = [twin, fourth]
    assert going.given_up(third.trials[1]) == []
    for step in (1, 2):
        going.recorded(shared, {"step": step, WATCHED: -600.0})
    # the fourth's other seed makes up for it, the twin's does not
    going.recorded(fourth.trials[1], {"step": 1, WATCHED: 900.0})
    going.recorded(third.trials[1], {"step": 1, WATCHED: -5000.0})
    assert going.settle(fourth) is None
    assert going.settle(twin).status == "pruned"
    assert going.given_up(third.trials[1]) == [third.trials[1]]


def test_nothing_is_given_up_in_confirmation_or_without_a_pruner(progress):
    going = progress(pruner="none")
    (trial, *_) = going.advance()
    going.recorded(trial, {"step": 1, WATCHED: -math.inf})
    assert going.given_up(trial) == []
    pruned = progress()
    (confirm, *_) = plan(pruned.study, WORLD)
    pruned.recorded(confirm, {"step": 1, WATCHED: -math.inf})
    assert pruned.given_up(confirm) == []


def test_what_is_to_come_is_counted(progress):
    """2 arms x 4 candidates x 2 seeds and 2 arms x 2 seeds, whatever has been proposed."""
    going = progress()
    assert len(going.advance()) + len(going.to_come()) == 20
    for trial in going.advance():
        finish(going, trial)
    assert len(going.advance()) + len(going.to_come()) == 12


# --- real studies -------------------------------------------------------------------------------


def story(ran) -> tuple:
    """All of a study that must not depend on how it was run."""
    assert ran.status == 0, ran.out
    manifest = manifests.load(ran.store)
    told = [
        (t["arm"], t["seed"], t["stage"], t["status"], t["reason"], t["trial"])
        for t in manifest["trials"]
    ]
    return ran.rows(), manifest["study"]["tuning"], told


def test_a_study_is_tuned_and_its_winners_confirmed(tuned):
    """The objectives are the means of the rows on validation data, hand computed."""
    _, tuning, _ = story(tuned)
    frame = rows.load(tuned.store)
    nll = frame[frame.metric == "nll"]
    tune = nll[nll.stage == "tune"]
    assert len(tune) == 2 * 3 * 2
    assert set(tune.split) == {"validation"}
    assert set(nll[nll.stage == "confirm"].split) == {"test"}
    manifest = manifests.load(tuned.store)
    for arm in ("vae", "additive"):
        trials = [t["trial"] for t in manifest["trials"] if (t["arm"], t["stage"]) == (arm, "tune")]
        values = [tune[tune.trial == key].value.item() for key in trials]
        means = [(a + b) / 2 for a, b in zip(values[::2], values[1::2], strict=True)]
        candidates = tuning["candidates"][arm]
        assert [c["objective"] for c in candidates] == pytest.approx(means)
        assert [c["status"] for c in candidates] == ["done"] * 3
        assert tuning["chosen"][arm] == means.index(min(means))
        chosen = candidates[tuning["chosen"][arm]]["values"]
        (key,) = [t["trial"] for t in manifest["trials"]
                  if (t["arm"], t["stage"]) == (arm, "confirm")]  # fmt: skip
        recipe = json.loads((tuned.store / "trials" / key / "trial.json").read_text())
        config = recipe["training"]["config"]
        assert config["trainer"]["learning_rate"] == chosen["trainer.learning_rate"]
        assert config["model"]["w_prior"] == chosen["model.w_prior"]
    assert tuning["metric"] == "nll"
    assert tuning["direction"] == "lower"
    assert "tuning: 8 trials now, 6 candidates to settle" in tuned.out


def run(folder, *arguments: str, **changes):
    write(folder, **{**TUNED, **changes})
    return bench(folder, "study=tiny.yaml", "tracking.enabled=false", *arguments)


SLOW = 23
"""A seed of which the third random candidate learns far more slowly than the second."""


def test_the_number_of_workers_changes_no_result(tmp_path):
    """Nor when candidates are pruned, which hangs on what the others have come to."""
    tune = {**TUNED["tune"], "pruner": "median", "sampler": "random", "seed": SLOW}
    ran = {}
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        ran[workers] = run(folder, f"workers={workers}", tune=tune)
    assert story(ran[1]) == story(ran[2])
    _, tuning, told = story(ran[1])
    for arm in ("vae", "additive"):
        last = tuning["candidates"][arm][2]
        assert last["status"] == "pruned"
        assert last["reason"].startswith("given up at step ")
        assert last["objective"] is None
        assert tuning["chosen"][arm] in (0, 1)
        pruned = [status for a, _, stage, status, *_ in told if (a, stage) == (arm, "tune")]
        assert pruned == ["done"] * 4 + ["pruned"] * 2
