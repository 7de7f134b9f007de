"""Study -> trials: what runs, in which order, and what a trial's keys depend on.

A key that changes too seldom serves stale numbers; one that changes too often trains again what is
known. Where results lie, how many workers made them and who watched is no part of either.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
from harness import TINY, WORLD, installed, study, trials

from bench.plan import keys
from bench.plan.trials import World, differing, plan
from bench.study.tree import merge


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return study(folder=tmp_path_factory.mktemp("plan"), baselines=["vae_plus"])


def both(trials_: list) -> list[tuple[str, str]]:
    return [(trial.training_key, trial.evaluation_key) for trial in trials_]


def test_same_study_same_plan(base):
    assert trials(base) == trials(base)
    assert both(trials(base)) == both(trials(copy.deepcopy(base)))


def test_seed_by_seed_arms_then_baselines(base):
    """So that the first pairs are complete early."""
    assert [(t.seed, t.role, t.arm) for t in trials(base)] == [
        (0, "arm", "vae"),
        (0, "arm", "additive"),
        (0, "baseline", "vae_plus"),
        (1, "arm", "vae"),
        (1, "arm", "additive"),
        (1, "baseline", "vae_plus"),
    ]


def test_keys_tell_arms_and_seeds_apart(base):
    planned = trials(base)
    assert len({trial.training_key for trial in planned}) == len(planned)
    assert len({trial.evaluation_key for trial in planned}) == len(planned)


def test_confirmation_is_measured_on_test_data(base):
    assert {(trial.stage, trial.split) for trial in trials(base)} == {("confirm", "test")}


@pytest.mark.parametrize(
    "argument",
    [
        "data.root=/somewhere/else",
        "data.download=true",
        "question=Another",
        "level=0.01",
        "primary.equivalence=2.0",
        "arms.additive.summary=other words",
        "workers=2",
        "runs=elsewhere",
        "keep=all",
        "tracking.enabled=false",
        "trainer.halve_every=50",  # the default, spelled out
        "family.fault=wait",  # what it is already
        "arms.additive.model.latent_transform={name: additive}",
        "arms.additive.model.beta=1.0",
    ],
)
def test_keys_do_not_depend_on(base, tmp_path, argument):
    other = study(argument, folder=tmp_path, baselines=["vae_plus"])
    assert both(trials(other)) == both(trials(base))


@pytest.mark.parametrize(
    ("argument", "arms"),
    [
        ("trainer.learning_rate=0.01", {"vae", "additive", "vae_plus"}),
        ("trainer.steps=9", {"vae", "additive", "vae_plus"}),
        ("model.latent_dim=5", {"vae", "additive", "vae_plus"}),
        ("family.fault=none", {"vae", "additive", "vae_plus"}),
        ("threads=2", {"vae", "additive", "vae_plus"}),
        ("seeds=[5,6]", {"vae", "additive", "vae_plus"}),
        ("arms.additive.model.hidden=17", {"additive"}),
        ("arms.additive.model.latent_transform=matrix", {"additive"}),
        ("arms.additive.model.coherence=mmd", {"additive"}),
        ("arms.additive.trainer.learning_rate=0.01", {"additive"}),
        ("arms.vae.model.views=true", {"vae"}),
        ("baselines.vae_plus.model.w_prior=2.0", {"vae_plus"}),
    ],
)
def test_training_keys_depend_on(base, tmp_path, argument, arms):
    other = study(argument, folder=tmp_path, baselines=["vae_plus"])
    pairs = zip(trials(base), trials(other), strict=True)
    changed = {old.arm for old, new in pairs if old.training_key != new.training_key}
    assert changed == arms


@pytest.mark.parametrize(
    "world",
    [
        replace(WORLD, torch="2.1"),
        replace(WORLD, device="cuda"),
        replace(WORLD, data={"mnist": "1" * 16}),
    ],
)
def test_training_keys_depend_on_torch_device_and_data(base, world):
    before, after = trials(base), trials(base, world)
    assert all(a.training_key != b.training_key for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("argument", ["metrics.likelihood.k=3", "~metrics.coherence"])
def test_a_metric_s_setting_changes_the_evaluation_alone(base, tmp_path, argument):
    other = study(argument, folder=tmp_path, baselines=["vae_plus"])
    for before, after in zip(trials(base), trials(other), strict=True):
        assert before.training_key == after.training_key
        assert before.evaluation_key != after.evaluation_key
        assert before.fingerprints["cost"] == after.fingerprints["cost"]


def test_fingerprints_agree_where_numbers_may_be_compared(base, tmp_path):
    """Across arms and seeds, and only under the same settings, data and transformations."""
    planned = trials(base)
    assert len({trial.fingerprints["likelihood"] for trial in planned}) == 1
    (same,) = {trial.fingerprints["likelihood"] for trial in planned}
    for argument in ("metrics.likelihood.k=3", "data.protocol=native"):
        other = trials(study(argument, folder=tmp_path, baselines=["vae_plus"]))
        assert same not in {trial.fingerprints["likelihood"] for trial in other}
    data = World({"mnist": "1" * 16}, WORLD.torch, WORLD.device)
    assert same not in {trial.fingerprints["likelihood"] for trial in trials(base, data)}


def test_families_part_only_the_numbers_that_depend_on_them(base, tmp_path):
    """The nats of two families share a table; how coherent T is under each does not."""
    other = study("family.fault=none", folder=tmp_path, baselines=["vae_plus"])
    for before, after in zip(trials(base), trials(other), strict=True):
        same = {name: before.fingerprints[name] == after.fingerprints[name]
                for name in before.fingerprints}  # fmt: skip
        assert same == {"coherence": False, "likelihood": True, "cost": True}
        assert before.evaluation_key != after.evaluation_key, "the weights are others"


def test_an_arm_may_have_data_of_its_own(tmp_path):
    """Its training key and its fingerprints are of them; the other arms' stay."""
    arms = merge(TINY["arms"], {"additive": {"data": {"train": "fashion_mnist"}}})
    world = replace(WORLD, data={**WORLD.data, "fashion_mnist": "3" * 16})
    plain = trials(study(folder=tmp_path), world)
    found = trials(study(folder=tmp_path, arms=arms), world)
    for before, after in zip(plain, found, strict=True):
        own = before.arm == "additive"
        assert (before.training_key != after.training_key) == own
        assert after.training["data"]["digest"] == ("3" if own else "0") * 16
        assert after.data["train"] == ("fashion_mnist" if own else "mnist")
        assert (before.fingerprints["likelihood"] != after.fingerprints["likelihood"]) == own


def test_a_transfer_set_is_evaluated_not_trained_on(base, tmp_path):
    world = replace(WORLD, data={**WORLD.data, "affnist": "2" * 16})
    data = {"train": "mnist", "transfer": ["affnist"]}
    other = study(folder=tmp_path, baselines=["vae_plus"], data=data)
    for before, after in zip(trials(base), trials(other, world), strict=True):
        assert before.training_key == after.training_key
        assert before.evaluation_key != after.evaluation_key


def test_arms_that_are_alike_share_a_key(tmp_path):
    twin = merge(TINY["arms"], {"twin": {**TINY["arms"]["vae"], "summary": "the same again"}})
    planned = trials(study(folder=tmp_path, arms=twin))
    by_arm = {trial.arm: trial for trial in planned if trial.seed == 0}
    assert by_arm["vae"].training_key == by_arm["twin"].training_key


def test_what_differs_between_arms(tmp_path):
    """Paths on which all agree are left out; an arm that lacks a path has None there."""
    arms = merge(TINY["arms"], {"vae": {"trainer": {"learning_rate": 0.5}}})
    given = study(folder=tmp_path, arms=arms)
    with installed():
        differ = differing(given)
    assert differ["vae"]["model.name"] == "autoencoder"
    assert differ["vae"]["trainer.learning_rate"] == 0.5
    assert differ["additive"]["model.latent_transform.name"] == "additive"
    assert differ["vae"]["model.latent_transform.name"] is None
    assert "model.latent_dim" not in differ["vae"]
    assert "trainer.steps" not in differ["vae"]


def test_planning_changes_nothing(base):
    before = base.model_dump()
    trials(base)
    assert base.model_dump() == before


def test_the_difference_of_two_keys_is_told_line_by_line(base, tmp_path):
    other = study("model.latent_dim=5", "seeds=[0,9]", folder=tmp_path, baselines=["vae_plus"])
    old, new = trials(base)[3], trials(other)[3]
    assert keys.differences(old.training, new.training) == [
        "config.model.latent_dim: 4 -> 5",
        "seed: 1 -> 9",
    ]
    assert keys.differences(old.training, old.training) == []


def test_the_plan_needs_no_look_at_the_world(base):
    assert plan(base.model_copy(update={"seeds": []}), WORLD) == []
