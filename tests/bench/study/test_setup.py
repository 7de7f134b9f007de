"""What a study ends in: frozen records, which nothing behind `bench.study` merges again."""

from __future__ import annotations

import dataclasses

import pytest
from harness import TINY, study

from bench.study.setup import parts
from tvae import registry


@pytest.fixture
def given(tmp_path):
    return study(folder=tmp_path, family="rotation", baselines=["vae_plus", "pixels"])


def test_one_for_every_arm_and_baseline(given):
    assert {name: setup.role for name, setup in given.setups.items()} == {
        "vae": "arm",
        "additive": "arm",
        "vae_plus": "baseline",
        "pixels": "reference",
    }
    assert all(name == setup.name for name, setup in given.setups.items())
    assert given.setups["additive"].summary == TINY["arms"]["additive"]["summary"]


def test_every_default_is_spelled_out_and_what_was_written_is_kept(given):
    setup = given.setups["additive"]
    assert setup.config["model"]["coherence"] == {
        **registry.defaults_of(registry.divergences.get("kl")),
        "name": "kl",
    }
    assert setup.config["model"]["w_prior"] == 1.0
    assert setup.written["model"]["coherence"] == {"name": "kl"}
    assert "w_prior" not in setup.written["model"]
    assert {"model.hidden", "model.coherence.name"} <= setup.fixed
    assert not {"model.w_prior", "model.coherence.scale", "trainer.steps"} & setup.fixed


def test_other_values_make_another_setup(given):
    setup = given.setups["additive"]
    other = setup.having({"model.w_prior": 3.0, "model.coherence.scale": 0.2})
    assert other.config["model"]["w_prior"] == other.written["model"]["w_prior"] == 3.0
    assert other.config["model"]["coherence"]["scale"] == 0.2
    assert setup == given.setups["additive"], "the setup itself stays"
    tuned = given.having(other)
    assert tuned.setups["additive"] == other
    assert tuned.setups["vae"] == given.setups["vae"]
    assert given.setups["additive"] == setup
    with pytest.raises(dataclasses.FrozenInstanceError):
        setup.role = "baseline"


def test_setups_are_no_part_of_what_is_written_down(given):
    """``study.yaml`` is a study file."""
    assert "setups" not in given.model_dump(mode="json")


def test_the_parts_of_a_model_in_its_own_order(given):
    found = [part.option for part in parts(given.setups["additive"].config["model"])]
    assert found == ["network", "likelihood", "latent_transform", "coherence", "prior"]
    assert [p.option for p in parts({"name": "tvae", "prior": "kl", "coherence": 3})] == ["prior"]
    assert not list(parts({"name": "no_such_model", "prior": "kl"}))
