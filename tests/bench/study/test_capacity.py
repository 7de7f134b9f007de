"""Arms of one size: h_xi is narrowed until they have the parameters of the smallest within 2 %.

A form that wins because its h_xi is ten times larger is no better form.
"""

from __future__ import annotations

import pytest
import yaml

from bench.study.capacity import parameters, widths
from bench.study.problems import ConfigError
from bench.study.resolve import resolve

STUDY = {
    "question": "q",
    "budget": "smoke",
    "data": {"train": "mnist"},
    "family": "rotation",
    "model": {"name": "tvae", "latent_dim": 20, "coherence": "kl", "prior": "mmd"},
    "arms": {
        "small": {"model": {"latent_transform": "additive"}, "published": "T_VAE"},
        "large": {"model": {"latent_transform": "matrix"}, "published": "T_VAE"},
        "near": {"model": {"latent_transform": {"name": "matrix", "block": 1}}},
        "vae": {"model": {"name": "autoencoder", "prior": "kl"}},
    },
    "metrics": {"knn": {}},
    "primary": {
        "treatment": "large",
        "control": "small",
        "metric": "knn/mnist",
        "equivalence": 0.1,
    },
    "secondary": {"contrasts": [["near", "small"], ["large", "vae"]]},
}


@pytest.fixture
def study(tmp_path):
    def study(*arguments: str, **changes):
        path = tmp_path / "sized.yaml"
        path.write_text(yaml.safe_dump({**STUDY, **changes}, sort_keys=False))
        return resolve([f"study={path}", *arguments])[0]

    return study


def built(given, arm: str) -> int:
    """Parameters of the real model, memory and all."""
    import tvae

    model = tvae.build(given.setups[arm].config["model"])
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_parameters_are_counted_as_in_the_model_itself(study):
    given = study()
    for arm in given.arms:
        assert parameters(given.setups[arm].config["model"]) == built(given, arm)


def test_own_changes_nothing(study):
    assert study() == study("capacity=own")
    assert all("hidden_T" not in arm.model for arm in study().arms.values())


def test_matched_narrows_h_xi_alone(study):
    own, matched = study(), study("capacity=matched")
    target = built(own, "small")
    assert built(own, "large") > 1.1 * target
    assert abs(built(matched, "large") - target) <= 0.02 * target
    width = matched.arms["large"].model["hidden_T"]
    # one wider or narrower is no nearer
    for other in (width - 1, width + 1):
        model = matched.setups["large"].config["model"]
        assert abs(parameters({**model, "hidden_T": other}) - target) >= abs(
            built(matched, "large") - target
        )
    for arm in ("small", "near", "vae"):
        assert matched.arms[arm] == own.arms[arm]
    assert matched.arms["large"].published == "", "it repeats the paper's model no more"
    assert f"h_xi {width} wide" in matched.arms["large"].summary
    assert matched.secondary == own.secondary


def test_the_model_without_h_xi_is_not_the_measure(study):
    """A VAE is smaller than any T_VAE could become."""
    given = study()
    assert built(given, "vae") < 0.8 * built(given, "small")
    assert widths(given).keys() == {"large"}


def test_both_compares_each_setting_with_its_own_kind(study):
    given = study("capacity=both")
    assert list(given.arms) == ["small", "large", "near", "vae", "large-matched"]
    assert given.arms["large"] == study().arms["large"]
    assert given.arms["large-matched"] == study("capacity=matched").arms["large"]
    assert given.primary == study().primary
    assert given.secondary.contrasts == [
        ("near", "small"),
        ("large", "vae"),
        ("large-matched", "small"),
        ("large-matched", "vae"),
    ]


def test_in_a_crossed_study_it_is_a_factor(study):
    factors = {
        "form": {"small": STUDY["arms"]["small"], "large": STUDY["arms"]["large"]},
        "divergence": {
            "kl": {"model": {"coherence": "kl"}},
            "mmd": {"model": {"coherence": "mmd"}},
        },
    }
    primary = {**STUDY["primary"], "treatment": "large-kl", "control": "small-kl"}
    given = study("capacity=both", factors=factors, arms={}, primary=primary, secondary={})
    assert len(given.arms) == 8
    cells = {tuple(arm.levels.values()) for arm in given.arms.values()}
    assert len(cells) == 8
    assert all(
        list(arm.levels) == ["form", "divergence", "capacity"] for arm in given.arms.values()
    )
    assert given.arms["small-mmd-matched"].model == given.arms["small-mmd"].model
    assert given.arms["large-mmd-matched"].model["hidden_T"] < 1000


def test_a_trial_is_the_same_whatever_arms_run_beside_it(study):
    alone = study("capacity=matched", "arms=[large,near]", "primary.control=near", "~secondary")
    assert alone.arms["large"] == study("capacity=matched").arms["large"]
    both = study("capacity=both", "arms=[small,large-matched]", "primary.treatment=large-matched")
    assert list(both.arms) == ["small", "large-matched"]


def test_what_was_matched_stays_as_it_is_when_it_is_matched_again(study, tmp_path):
    for capacity in ("matched", "both"):
        once = study(f"capacity={capacity}")
        path = tmp_path / "again.yaml"
        path.write_text(yaml.safe_dump(once.model_dump(mode="json", exclude_none=True)))
        again = resolve([f"study={path}"])[0]
        assert {n: a.model for n, a in again.arms.items()} == {
            n: a.model for n, a in once.arms.items()
        }


def test_an_arm_that_cannot_become_small_enough_is_refused(study):
    arms = {
        **STUDY["arms"],
        "wide": {"model": {"latent_transform": {"name": "mlp", "hidden": 3000}}},
    }
    with pytest.raises(ConfigError, match=r"arms\.wide: wide cannot be narrowed to the .* "
                       r"parameters of small within 2%: with hidden_T=1 it has"):  # fmt: skip
        study("capacity=matched", arms=arms)


def test_a_search_that_would_change_the_size_is_refused(study):
    arms = {**STUDY["arms"], "large": {"model": {"latent_transform": "lie_basis"}}}
    tuned = "tune.trials=3"
    with pytest.raises(ConfigError, match=r"tune\.fixed: capacity=matched needs "
                       r"model\.latent_transform\.generators fixed"):  # fmt: skip
        study("capacity=matched", tuned, arms=arms)
    fixed = "tune.fixed=[model.latent_transform.generators]"
    assert study("capacity=matched", tuned, fixed, arms=arms)
    assert study(tuned, arms=arms), "nothing to match"


def test_an_unknown_setting_is_refused(study):
    with pytest.raises(ConfigError, match="capacity: must be 'own', 'matched' or 'both'"):
        study("capacity=equal")
