"""Trees of plain data: merging tells a plugin by its form, and never changes what it merges."""

from __future__ import annotations

import pytest
from harness import TINY, smoke, study

from bench.study.tree import at, delete, flatten, merge, nest, put


def test_a_plugin_of_another_name_brings_its_own_options_only():
    base = {"latent_transform": {"name": "matrix_z", "sides": "left"}, "latent_dim": 10}
    short = merge(base, {"latent_transform": "additive"}, "model")
    assert short["latent_transform"] == {"name": "additive"}
    other = {"latent_transform": {"name": "matrix", "block_size": 5}}
    assert merge(base, other, "model")["latent_transform"] == {"name": "matrix", "block_size": 5}
    for same in ({"name": "matrix_z", "shape": [5, 2]}, {"shape": [5, 2]}):
        assert merge(base, {"latent_transform": same}, "model")["latent_transform"] == {
            "name": "matrix_z",
            "sides": "left",
            "shape": [5, 2],
        }
    family = smoke("family=rotation", "family.max_angle=10.0").family
    assert family == {"name": "rotation", "max_angle": 10.0}
    assert base["latent_transform"]["sides"] == "left", "merging must not change what it merges"


def test_a_family_of_another_name_brings_its_own_options_only(tmp_path):
    """An arm's, too."""
    arms = {**TINY["arms"], "vae": {**TINY["arms"]["vae"], "family": "crop"}}
    resolved = study(folder=tmp_path, family={"name": "rotation", "max_angle": 9.0}, arms=arms)
    assert resolved.setups["additive"].config["family"]["max_angle"] == 9.0
    assert resolved.setups["vae"].config["family"]["name"] == "crop"
    assert "max_angle" not in resolved.setups["vae"].config["family"]


@pytest.mark.parametrize(
    ("base", "changes", "merged"),
    [
        ({"x": "kl"}, {"x": {"scale": 2.0}}, {"name": "kl", "scale": 2.0}),
        ({"x": "kl"}, {"x": {"name": "mmd"}}, {"name": "mmd"}),
        ({"x": {"name": "kl", "scale": 1.0}}, {"x": "kl"}, {"name": "kl", "scale": 1.0}),
        ({"x": {"name": "kl", "scale": 1.0}}, {"x": "mmd"}, {"name": "mmd"}),
        ({"x": {"scale": 1.0}}, {"x": "mmd"}, "mmd"),
        ({"x": {"scale": 1.0}}, {"x": {"name": "mmd"}}, {"name": "mmd"}),
        ({"x": {"a": {"b": 1}}}, {"x": {"a": {"c": 2}}}, {"a": {"b": 1, "c": 2}}),
        # an arm or a level may be called name
        ({"x": {"name": {"b": 1}}}, {"x": {"name": {"c": 2}}}, {"name": {"b": 1, "c": 2}}),
        ({"x": 1}, {"x": {"scale": 1.0}}, {"scale": 1.0}),
    ],
)
def test_an_option_of_a_model_is_a_plugin_by_its_form(base, changes, merged):
    assert merge({"model": base}, {"model": changes}) == {"model": {"x": merged}}


def test_elsewhere_a_name_is_a_word():
    """Nobody wrote ``name`` in ``capacity.x=1``."""
    assert merge({"capacity": "own"}, {"capacity": {"x": 1}}) == {"capacity": {"x": 1}}
    family = {"family": {"max_angle": 9.0}}
    assert merge({"family": "rotation"}, family) == {
        "family": {"name": "rotation", "max_angle": 9.0}
    }


def test_a_model_keeps_the_options_that_arms_share():
    """Each takes of them those that its model has."""
    base, changes = {"model": {"name": "a", "d": 1}}, {"model": {"name": "b"}}
    assert merge(base, changes) == {"model": {"name": "b", "d": 1}}


def test_paths():
    tree = {"a": {"b": {"c": 1}}, "d": [1, 2]}
    assert flatten(tree) == {"a.b.c": 1, "d": [1, 2]}
    assert at(tree, "a.b.c") == 1
    assert put(tree, "a.b.c", 2) == {"a": {"b": {"c": 2}}, "d": [1, 2]}
    assert put(tree, "d.e", 2) == {"a": {"b": {"c": 1}}, "d": {"e": 2}}
    assert tree == {"a": {"b": {"c": 1}}, "d": [1, 2]}, "putting must not change a tree"
    assert nest("a.b", 3) == {"a": {"b": 3}}
    delete(tree, "a.b.c")
    assert tree == {"a": {"b": {}}, "d": [1, 2]}
    for path in ("a.b.c", "d.e", "x"):
        with pytest.raises(ValueError, match=r"no such key|unknown key"):
            delete(tree, path)
