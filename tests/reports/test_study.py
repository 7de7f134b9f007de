"""Questions asked of a study: what is an arm's own, and which arms have room."""

from __future__ import annotations

from reports import manifest as manifests
from reports import study as studies
from tests.reports.fabricated import page_of, tuning_of
from tests.reports.written import ARM, STUDY


def test_what_is_an_arms_own_comes_before_what_is_shared():
    study = STUDY | {
        "arms": {"a": ARM | {"train": "x", "latent_dim": 3}, "b": ARM},
        "config": {"data": {"train": "y"}, "model": {"latent_dim": 4}},
    }
    assert [(studies.trained_on(study, arm), studies.latent_size(study, arm)) for arm in "ab"] == [
        ("x", 3), ("y", 4),
    ]  # fmt: skip
    assert studies.trained_on(STUDY, "a") is studies.latent_size(STUDY, "a") is None


def test_length_of_training_is_that_of_what_is_trained():
    """As it was, whatever the budget would have had; a reference has none."""
    long = ARM | {"config": {"trainer": {"steps": 6000, "batch_size": 32}}}
    reference = ARM | {"role": "reference", "config": {"trainer": {"steps": 7, "batch_size": 1}}}
    study = STUDY | {
        "arms": {"a": long, "b": ARM, "c": reference},
        "config": {"trainer": {"steps": 2000, "batch_size": 32}},
    }
    assert studies.training(study) == "2,000 to 6,000 steps of 32 images"
    assert studies.training(study | {"arms": {"a": long}}) == "6,000 steps of 32 images"
    assert studies.training(study | {"arms": {"c": reference}}) == ""
    assert studies.training(STUDY) == ""


def test_settings_are_found_by_dotted_path():
    config = {"data": {"train": "x"}, "empty": {}, "n": 3}
    assert studies.setting(config, "data.train") == "x"
    assert studies.setting(config, "data.train.deeper") is None
    assert list(studies.flat(config)) == [("data.train", "x"), ("empty", {}), ("n", 3)]


def test_many_arms_are_drawn_in_part_and_the_page_says_so(crossed):
    factors = {"shape": [f"s{i}" for i in range(6)], "size": [f"b{i}" for i in range(5)]}
    folder = crossed(factors=factors, tuning=tuning_of([f"s{i}-b0" for i in range(6)]))
    found = manifests.load(folder)["study"]
    names, note = studies.few(found, found["arms"])
    assert len(names) == studies.MOST_ARMS
    assert {found["primary"]["treatment"], found["primary"]["control"]} <= set(names)
    assert note == "Of 31 arms 24: the primary contrast's and the first others."
    assert studies.few(found, ["s1-b1", "s0-b0"]) == (["s0-b0", "s1-b1"], "")
    assert "At most 24 arms are shown" not in page_of(folder).text  # there are no pictures
