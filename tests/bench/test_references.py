"""A baseline without training: shown as a reference, run once a seed, never tuned.

Raw pixels say what an embedding has to beat. They must go the way of every other trial, or their
numbers would have another provenance, and no harness code may know them by name.
"""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest
from harness import WORLD, bench, installed, study, trials, write

from bench.collect import _arms
from bench.execute.once import once
from bench.plan.tuning import searches
from bench.study.resolve import count_trials, resolve
from bench.study.schema import Arm
from bench.study.setup import role_of
from reports import manifest as manifests
from reports import rows as schema

METRICS = {"knn": {}, "likelihood": {"k": 2, "images": 4}, "cost": {}}
TUNE = {"trials": 3, "seeds": 2, "metric": "nll"}


@pytest.fixture
def given(tmp_path):
    return study(folder=tmp_path, baselines=["vae_plus", "pixels"], tune=TUNE, metrics=METRICS)


def test_roles(given):
    roles = {trial.arm: (trial.role, trial.steps) for trial in trials(given)}
    assert roles == {
        "vae": ("arm", 8),
        "additive": ("arm", 8),
        "vae_plus": ("baseline", 8),
        "pixels": ("reference", 0),
    }
    unknown = given.model_copy(update={"baselines": {"x": Arm(model={"name": "no_such"})}})
    assert role_of(unknown, "x") == "baseline", "that there is none is said elsewhere"


def test_it_is_not_tuned(given):
    with installed():
        tuned = [search.name for search in searches(given, WORLD)]
    assert tuned == ["vae", "additive", "vae_plus"]
    assert count_trials(given) == 3 * 3 * 2 + 4 * 2


def test_its_size_is_its_own(given):
    with installed():
        described = _arms(given, [])
    assert described["pixels"]["role"] == "reference"
    assert described["pixels"]["latent_dim"] == 784
    assert {described[name]["latent_dim"] for name in ("vae", "additive", "vae_plus")} == {4}


def test_every_study_that_ships_has_one():
    for name in ("additive_vs_matrix", "coherence", "divergences", "families", "latent_forms"):
        shipped = resolve([f"study={name}"])[0]
        assert "pixels" in [s.name for s in shipped.setups.values() if s.role == "reference"]
        assert {"knn", "label_efficiency", "linear_probe"} <= {*shipped.metrics}
    table = resolve(["study=paper_table1"])[0]
    trained_on = {role: {s.data.train for s in table.setups.values() if (s.role == "arm") == role}
                  for role in (True, False)}  # fmt: skip
    assert trained_on[True] == trained_on[False]


def test_it_runs_without_training_and_leaves_what_applies(tmp_path):
    write(tmp_path, baselines=["pixels"], metrics=METRICS, seeds=1)
    ran = bench(tmp_path, "study=tiny.yaml", "keep=none", "tracking.enabled=false", "workers=1")
    assert ran.status == 0, ran.err
    frame = schema.load(ran.store)
    mine = frame[frame.arm == "pixels"]
    assert {*mine.role} == {"reference"}
    assert {*mine.status} == {"done"}
    values = mine.groupby("metric").value.first()
    assert {name.partition("/")[0] for name in values.index} == {"knn", "knn_standardised", "cost"}
    assert values["cost/parameters"] == 0
    assert values["knn/mnist"] > 0.9
    assert math.isnan(values["cost/seconds"])
    shared = frame[frame.metric == "knn/mnist"]
    assert shared.fingerprint.nunique() == 1, "its row shares a table with the arms'"
    manifest = manifests.load(ran.store)
    (entry,) = (t for t in manifest["trials"] if t["arm"] == "pixels" and t["seed"] == 0)
    assert (entry["role"], entry["steps"], entry["curve"]) == ("reference", 0, None)
    assert entry["pictures"] is None
    again = bench(tmp_path, "study=tiny.yaml", "keep=none", "tracking.enabled=false", "workers=1")
    assert "0 to run" in again.out


def test_what_no_seed_decides_is_measured_once(tmp_path):
    """k-NN of the pixels asks for no seed, label efficiency draws by it.

    Rows are those of a study in which every seed measures for itself; what is damaged on disk is
    measured again.
    """
    write(tmp_path, baselines=["pixels"], metrics={**METRICS, "label_efficiency": {"draws": 2}})
    frames = {}
    for name, seeds in (("both", "[0,1]"), ("first", "[0]"), ("second", "[1]")):
        ran = bench(
            tmp_path, "study=tiny.yaml", f"name={name}", f"seeds={seeds}", "tracking.enabled=false"
        )
        assert ran.status == 0, ran.err
        frame = schema.load(name, tmp_path / "runs")
        frames[name] = frame[frame.arm == "pixels"]
    keys = ["seed", "metric"]
    alone = pd.concat([frames["first"], frames["second"]]).set_index(keys).value.sort_index()
    pd.testing.assert_series_equal(frames["both"].set_index(keys).value.sort_index(), alone)

    folder = tmp_path / "runs" / "both" / "references"
    kept = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    names = {found[0]["source"] for found in kept if found}
    assert "knn" in names
    assert None in kept, "label efficiency asked"
    assert "label_efficiency" not in names


def test_a_damaged_file_is_measured_again(tmp_path):
    asked = []

    def measure():
        asked.append(1)
        return [{"name": "n", "value": 1.0, "unit": "u", "direction": "higher", "source": "m"}]

    class Somebody:
        asked, outcomes = False, {}

    path = tmp_path / "references" / "key.json"
    first = once(path, Somebody(), measure)
    assert once(path, Somebody(), measure) == first
    assert len(asked) == 1
    for damaged in (b"", b"[{}]", b"{", path.read_bytes()[:-3], b'[{"name": 3}]'):
        path.write_bytes(damaged)
        before = len(asked)
        assert once(path, Somebody(), measure) == first
        assert len(asked) == before + 1
