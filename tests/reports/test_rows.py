"""Loading a study: whatever is wrong on disk is refused in words that say where and what.

The report trusts nothing it reads: files may be old, torn, or made by somebody else.
"""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from reports import rows

ROW = {
    "study": "s", "arm": "a", "role": "arm", "seed": 1, "stage": "confirm", "status": "done",
    "trial": "k", "evaluation": "e", "metric": "m", "value": 0.5, "unit": "u",
    "direction": "higher", "fingerprint": "f", "split": "test",
}  # fmt: skip
CONTRAST = {"treatment": "a", "control": "b", "metric": "m", "equivalence": 0.1}
ARM = {"role": "arm", "summary": "", "differs": {}}
STUDY = {
    "name": "s", "question": "q", "budget": "quick", "budget_summary": "", "budget_warning": "",
    "level": 0.05, "arms": {"a": ARM, "b": ARM}, "primary": CONTRAST, "secondary": [],
    "seeds": [1], "config": {}, "choices": [], "command": "c",
}  # fmt: skip
TRIAL = {
    "trial": "k", "arm": "a", "role": "arm", "seed": 1, "stage": "confirm", "status": "done",
    "reason": "", "steps": 1, "curve": None, "pictures": None,
}  # fmt: skip


CANDIDATE = {
    "number": 0, "values": {"a.b": 1.5, "c": 2, "d": "x", "e": True, "f": None},
    "objective": 0.5, "status": "done", "reason": "",
}  # fmt: skip
TUNING = {
    "metric": "m", "direction": "higher", "sampler": "random", "pruner": "median", "trials": 1,
    "seeds": [9], "generation": 4, "candidates": {"a": [CANDIDATE]}, "chosen": {"a": 0},
    "notes": [],
}  # fmt: skip


@pytest.fixture
def write(tmp_path):
    """Writes a study, with changes to one row, the study and one trial; returns the runs folder."""

    def write(frame=None, study=None, trial=None):
        folder = tmp_path / "forms"
        folder.mkdir(exist_ok=True)
        if frame is None:
            frame = pd.DataFrame([ROW]).astype(rows.COLUMNS)
        frame.to_parquet(folder / "rows.parquet")
        manifest = {
            "study": STUDY | (study or {}), "trials": [TRIAL | (trial or {})], "environment": {},
        }  # fmt: skip
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return tmp_path

    return write


def test_a_good_study_loads_by_name_and_by_folder(write):
    runs = write()
    for frame in (rows.load("forms", runs), rows.load(runs / "forms")):
        assert list(frame.columns) == list(rows.COLUMNS)
        assert frame.iloc[0].to_dict() == ROW
        assert frame.dtypes.astype(str).to_dict() == rows.COLUMNS
    assert rows.load_manifest("forms", runs)["study"]["question"] == "q"


def test_a_study_without_rows_loads(write):
    frame = pd.DataFrame(columns=list(rows.COLUMNS))
    assert rows.load("forms", write(frame)).empty


def test_an_unknown_study_is_answered_with_a_near_match(write):
    with pytest.raises(ValueError, match=r"no study 'form'.*did you mean 'forms'"):
        rows.load("form", write())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"role": "king"}, "role: 'king'; must be one of arm|baseline|reference"),
        ({"status": "fine"}, "status: 'fine'"),
        ({"stage": "dress rehearsal"}, "stage: 'dress rehearsal'"),
        ({"direction": "up"}, "direction: 'up'"),
        ({"split": "train"}, "split: 'train'"),
        ({"seed": 1.5}, "seed: is float64"),
        ({"value": "much"}, "value: is"),
        ({"arm": None}, "arm: is"),
        ({"colour": "red"}, "unknown columns: colour"),
    ],
)
def test_bad_rows_are_refused_by_column(write, change, message):
    runs = write(pd.DataFrame([ROW | change, ROW | change | {"metric": "other"}]))
    with pytest.raises(ValueError, match=re.escape(message)):
        rows.load("forms", runs)


def test_missing_columns_are_named(write):
    runs = write(pd.DataFrame([ROW]).drop(columns=["unit", "split"]))
    with pytest.raises(ValueError, match="missing columns: unit, split"):
        rows.load("forms", runs)


def test_a_value_measured_twice_is_refused(write):
    with pytest.raises(ValueError, match="m of 'a' at seed 1 is there more than once"):
        rows.load("forms", write(pd.DataFrame([ROW, ROW | {"value": 0.7}])))


def test_a_file_that_is_no_parquet_is_refused(write):
    runs = write()
    (runs / "forms" / "rows.parquet").write_bytes(b"half a file")
    with pytest.raises(ValueError, match="cannot be read as Parquet"):
        rows.load("forms", runs)


def test_everything_wrong_in_a_manifest_is_told_at_once(write):
    runs = write(
        study={"level": 1.5, "primary": CONTRAST | {"control": "bb", "equivalence": -1}},
        trial={"curve": "../../secret", "pictures": "/etc/passwd", "arm": "c"},
    )
    with pytest.raises(ValueError, match=r"manifest\.json") as error:
        rows.load_manifest("forms", runs)
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
        rows.load_manifest("forms", runs)
    assert "study.seeds.0:" in str(error.value)
    assert "trials.0.status:" in str(error.value)


def test_a_contrast_with_itself_is_refused(write):
    with pytest.raises(ValueError, match="compares 'a' with itself"):
        rows.load_manifest("forms", write(study={"primary": CONTRAST | {"control": "a"}}))


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
    study = rows.load_manifest("forms", write(study=change))["study"]
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
        rows.load_manifest("forms", write(study={"arms": arms, "factors": factors}))
    for part in (
        "study.factors.empty: []; must be one level or more, all different",
        "study.arms.a.levels: no factor 'knid'; did you mean 'kind'?",
        "study.arms.a.levels: no level of 'kind', 'empty'",
        "study.arms.a.levels.size: no level 'smal'; did you mean 'small'?",
    ):
        assert part in str(error.value)
    del factors["empty"]
    with pytest.raises(ValueError, match=r"study\.arms\.c\.levels: are those of 'b' too"):
        rows.load_manifest("forms", write(study={"arms": arms, "factors": factors}))
    with pytest.raises(ValueError, match=r"study\.arms\.b\.levels: no factor 'size'"):
        rows.load_manifest("forms", write(study={"arms": arms}))


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
        rows.load_manifest("forms", write(study={"tuning": TUNING | change}))


def test_what_is_an_arms_own_comes_before_what_is_shared():
    study = STUDY | {
        "arms": {"a": ARM | {"train": "x", "latent_dim": 3}, "b": ARM},
        "config": {"data": {"train": "y"}, "model": {"latent_dim": 4}},
    }
    assert [(rows.trained_on(study, arm), rows.latent_size(study, arm)) for arm in "ab"] == [
        ("x", 3), ("y", 4),
    ]  # fmt: skip
    assert rows.trained_on(STUDY, "a") is rows.latent_size(STUDY, "a") is None


def test_settings_are_found_by_dotted_path():
    config = {"data": {"train": "x"}, "empty": {}, "n": 3}
    assert rows.setting(config, "data.train") == "x"
    assert rows.setting(config, "data.train.deeper") is None
    assert list(rows.flat(config)) == [("data.train", "x"), ("empty", {}), ("n", 3)]
