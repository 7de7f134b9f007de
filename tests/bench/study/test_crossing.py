"""A crossing of factors: an arm for every combination of levels, checked like any other."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from harness import TINY, study, trials

from bench.plan.trials import World
from bench.study.problems import ConfigError
from bench.study.resolve import resolve
from bench.study.setup import Study

FACTORS = {
    "form": {
        "shift": {"summary": "z + T", "model": {"latent_transform": "additive"}},
        "matrix": {
            "summary": "exp(A) z",
            "model": {"latent_transform": {"name": "matrix", "block": 2}, "beta": 2.0},
        },
    },
    "family": {
        "turn": {"summary": "rotations", "family": {"name": "rotation", "max_angle": 30.0}},
        "crop": {"family": "crop", "model": {"beta": 3.0}, "trainer": {"learning_rate": 0.01}},
    },
    "data": {"digits": {}, "clothes": {"data": {"train": "fashion_mnist"}}},
}


CROSSED = {
    "model": {
        "name": "tvae",
        "latent_dim": 4,
        "latent_transform": "additive",
        "coherence": "kl",
        "prior": "mmd",
    },
    "family": "rotation",
    "arms": {},
    "factors": FACTORS,
    "primary": {**TINY["primary"], "treatment": "matrix-turn-digits",
                "control": "shift-turn-digits"},
}  # fmt: skip


NAMES = [
    f"{form}-{family}-{data}"
    for form in ("shift", "matrix")
    for family in ("turn", "crop")
    for data in ("digits", "clothes")
]


def crossed(folder: Path, *arguments: str, **changes) -> Study:
    return study(*arguments, folder=folder, **{**CROSSED, **changes})


def test_a_crossing_has_an_arm_for_every_combination(tmp_path):
    given = crossed(tmp_path)
    assert list(given.arms) == NAMES
    for name, arm in given.arms.items():
        assert arm.levels == dict(zip(("form", "family", "data"), name.split("-"), strict=True))
    assert given.arms["shift-turn-clothes"].summary == "z + T; rotations; clothes"
    assert given.arms["matrix-crop-digits"].summary == "exp(A) z; crop; digits"
    assert all("factors" not in trial.config for trial in trials(given, BOTH))


BOTH = World({"mnist": "0" * 16, "fashion_mnist": "1" * 16}, "2.0", "cpu")


def test_levels_are_merged_in_their_order(tmp_path):
    """As if the arm had said all of them; of two that say the same, the later factor's counts."""
    given = crossed(tmp_path)
    setup = given.setups["matrix-crop-clothes"]
    expanded = setup.config
    assert expanded["model"]["latent_transform"] == {
        "name": "matrix",
        "block": 2,
        "skew": False,
    }
    assert expanded["model"]["beta"] == 3.0
    assert expanded["family"]["name"] == "crop"
    assert expanded["trainer"]["learning_rate"] == 0.01
    assert setup.data.train == "fashion_mnist"
    plain = given.setups["shift-turn-digits"].config
    assert plain["model"]["latent_transform"]["name"] == "additive"
    assert plain["model"]["beta"] == 1.0
    assert plain["family"]["max_angle"] == 30.0
    assert given.setups["shift-turn-digits"].data.train == "mnist"
    assert given.labels == ["mnist", "fashion_mnist"]


def test_arms_that_are_spelled_out_are_merged_over_the_crossing_s(tmp_path):
    arms = {
        "matrix-turn-digits": {"summary": "by hand", "model": {"beta": 7.0}},
        "plain": {"model": {"beta": 5.0}},
    }
    given = crossed(tmp_path, arms=arms)
    assert list(given.arms) == [*NAMES, "plain"]
    mine = given.arms["matrix-turn-digits"]
    assert mine.summary == "by hand"
    assert mine.model["beta"] == 7.0
    assert mine.model["latent_transform"] == {"name": "matrix", "block": 2}
    assert given.arms["plain"].levels == {}


def test_an_override_of_a_level_reaches_its_arms(tmp_path):
    given = crossed(tmp_path, "factors.form.matrix.model.beta=9.0")
    betas = {name: setup.config["model"]["beta"] for name, setup in given.setups.items()}
    assert betas["matrix-turn-digits"] == 9.0
    assert betas["matrix-crop-digits"] == 3.0, "a later factor says otherwise"
    assert betas["shift-turn-digits"] == 1.0


def test_an_arm_s_own_data_decide_on_its_keys_alone(tmp_path):
    found = {t.arm: t for t in trials(crossed(tmp_path), BOTH) if t.seed == 0}
    for name, trial in found.items():
        label = "fashion_mnist" if name.endswith("clothes") else "mnist"
        assert trial.data["train"] == label
        assert trial.training["data"] == {"train": label, "digest": BOTH.data[label]}


def test_the_resolved_study_of_a_selection_is_the_same_study(tmp_path):
    """Written down without its factors, as ``runs/STUDY/study.yaml`` is."""
    chosen = "arms=[matrix-turn-digits,shift-turn-digits,shift-crop-clothes]"
    given = crossed(tmp_path, chosen, secondary={"contrasts": [
        ["shift-crop-clothes", "shift-turn-digits"], ["matrix-crop-digits", "shift-turn-digits"],
    ]})  # fmt: skip
    assert list(given.arms) == [
        "matrix-turn-digits",
        "shift-turn-digits",
        "shift-crop-clothes",
    ]
    assert given.secondary.contrasts == [("shift-crop-clothes", "shift-turn-digits")]
    path = tmp_path / "resolved.yaml"
    path.write_text(yaml.safe_dump(given.model_dump(mode="json"), sort_keys=False))
    again = resolve([f"study={path}"])[0]
    assert again == given
    assert trials(again, BOTH) == trials(given, BOTH)


def problems_of(folder: Path, *arguments: str, **changes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        crossed(folder, *arguments, **changes)
    return list(map(str, caught.value.problems))


def test_combinations_of_one_name(tmp_path):
    """a-b x c and a x b-c."""
    empty: dict = {}
    factors = {"one": {"a-b": empty, "a": empty}, "two": {"c": empty, "b-c": empty}}
    primary = {**TINY["primary"], "treatment": "a-b-c", "control": "a-c"}
    (message, *_) = problems_of(tmp_path, factors=factors, primary=primary)
    assert message == "factors: two combinations of levels make arms of one name"


def test_an_arm_of_a_crossing_that_is_left_out_or_misspelt(tmp_path):
    (message,) = problems_of(tmp_path, "arms=[matrix-turn-digits,shift-crop-digits]")
    assert message.startswith("primary.control: the arm 'shift-turn-digits' is left out; ")
    (message,) = problems_of(tmp_path, "primary.control=shift-turn-digit")
    assert "unknown arm 'shift-turn-digit'; did you mean 'shift-turn-digits'?" in message


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            "factors.form.shift.modle={beta: 1.0}",
            "factors.form.shift.modle: unknown key 'modle'; did you mean 'model'?",
        ),
        ("factors.form=[a,b]", "factors.form: must be a mapping of names to values"),
        (
            "factors.form.shift.model.latent_transform=aditive",
            "model.latent_transform: unknown latent transform 'aditive'; did you mean 'additive'?",
        ),
        ("factors.data.clothes.data.train=fashion", "data.train: unknown data set 'fashion'"),
        ("factors.form.shift.model.betta=1.0", "model.betta: unknown option of "),
    ],
)
def test_what_a_level_says_is_checked(tmp_path, argument, message):
    found = problems_of(tmp_path, argument)
    assert any(message in problem for problem in found), found
