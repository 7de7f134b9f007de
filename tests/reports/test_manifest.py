"""Loading a manifest: everything wrong in it is told at once, in words that say where and what.

The report trusts nothing it reads: files may be old, torn, or made by somebody else.
"""

from __future__ import annotations

import re

import pytest

from reports import manifest as manifests
from tests.reports.written import ARM, CANDIDATE, CONTRAST, TUNING


def test_everything_wrong_in_a_manifest_is_told_at_once(write):
    runs = write(
        study={"level": 1.5, "primary": CONTRAST | {"control": "bb", "equivalence": -1}},
        trial={"curve": "../../secret", "pictures": "/etc/passwd", "arm": "c"},
    )
    with pytest.raises(ValueError, match=r"manifest\.json") as error:
        manifests.load("forms", runs)
    for part in (
        "study.level: 1.5",
        "no arm 'bb'; did you mean 'b'?",
        "study.primary.equivalence: -1",
        "trials.0: no arm 'c'",
        "'../../secret' leaves the study's folder",
        "'/etc/passwd' leaves the study's folder",
    ):
        assert part in str(error.value)


def test_wrong_types_in_a_manifest_are_told_with_their_paths(write):
    runs = write(study={"seeds": ["one"]}, trial={"status": "fine"})
    with pytest.raises(ValueError, match=r"manifest\.json") as error:
        manifests.load("forms", runs)
    assert "study.seeds.0:" in str(error.value)
    assert "trials.0.status:" in str(error.value)


def test_a_contrast_with_itself_is_refused(write):
    with pytest.raises(ValueError, match="compares 'a' with itself"):
        manifests.load("forms", write(study={"primary": CONTRAST | {"control": "a"}}))


def test_a_crossed_and_tuned_study_loads_as_it_was_written(write):
    arms = {
        name: ARM | {"levels": {"size": level, "kind": "k"}, "train": "x", "latent_dim": 3}
        for name, level in (("a", "small"), ("b", "large"))
    }
    change = {
        "arms": arms | {"plain": ARM | {"levels": {}}},
        "factors": {"size": ["small", "large"], "kind": ["k"]},
        "tuning": TUNING | {"chosen": {"a": None}},
    }
    study = manifests.load("forms", write(study=change))["study"]
    assert {key: study[key] for key in change} == change
    values = study["tuning"]["candidates"]["a"][0]["values"]
    assert [type(value) for value in values.values()] == [float, int, str, bool, type(None)]


def test_levels_that_make_no_crossing_are_told(write):
    arms = {
        "a": ARM | {"levels": {"size": "smal", "knid": "k"}},
        "b": ARM | {"levels": {"size": "small", "kind": "k"}},
        "c": ARM | {"levels": {"size": "small", "kind": "k"}},
    }
    factors = {"size": ["small", "large"], "kind": ["k"], "empty": []}
    with pytest.raises(ValueError, match=r"manifest\.json") as error:
        manifests.load("forms", write(study={"arms": arms, "factors": factors}))
    for part in (
        "study.factors.empty: []; must be one level or more, all different",
        "study.arms.a.levels: no factor 'knid'; did you mean 'kind'?",
        "study.arms.a.levels: no level of 'kind', 'empty'",
        "study.arms.a.levels.size: no level 'smal'; did you mean 'small'?",
    ):
        assert part in str(error.value)
    del factors["empty"]
    with pytest.raises(ValueError, match=r"study\.arms\.c\.levels: are those of 'b' too"):
        manifests.load("forms", write(study={"arms": arms, "factors": factors}))
    with pytest.raises(ValueError, match=r"study\.arms\.b\.levels: no factor 'size'"):
        manifests.load("forms", write(study={"arms": arms}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chosen": {"a": 3}}, "study.tuning.chosen.a: no candidate 3"),
        ({"chosen": {"b": 0}}, "study.tuning.chosen: no candidates of 'b'"),
        ({"candidates": {"z": [CANDIDATE]}, "chosen": {}}, "candidates: no arm 'z'"),
        ({"candidates": {"a": [CANDIDATE] * 2}}, "candidates.a: a number stands there twice"),
        ({"direction": "none"}, "study.tuning.direction:"),
        (
            {"candidates": {"a": [CANDIDATE | {"status": "fine"}]}},
            "study.tuning.candidates.a.0.status:",
        ),
    ],
)
def test_tuning_that_cannot_have_been_is_told(write, change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        manifests.load("forms", write(study={"tuning": TUNING | change}))
