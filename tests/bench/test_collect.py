"""Results of trials -> rows and manifest, against a hand-made study of two trials."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from harness import TINY, WORLD, installed, study, trials

from bench import collect
from bench.plan.progress import Progress
from bench.store import Result, Store
from bench.study.setup import Study
from reports import manifest as manifests
from reports import rows as schema


def measured(name: str, value: float | None, source: str, unit: str = "nats") -> dict:
    return {"name": name, "value": value, "unit": unit, "direction": "lower", "source": source}


@pytest.fixture
def given(tmp_path):
    return study(folder=tmp_path, baselines=["vae_plus"], seeds=1)


@pytest.fixture
def results(given):
    vae, additive, _ = trials(given)
    return {
        vae.training_key: Result(
            "done",
            measurements=[
                measured("nll", 500.0, "likelihood"),
                measured("coherence/gap", None, "coherence"),
                measured("cost/parameters", 123.0, "cost"),
            ],
            weights={"prior": 2.5},
        ),
        additive.training_key: Result("failed", "it broke"),
    }


def progress(given, results, store: Store | None = None) -> Progress:
    """Of a study whose driver was told these results."""
    going = Progress(given, WORLD, store or Store(Path("nowhere"), given.name))
    with installed():
        planned = {trial.training_key: trial for trial in going.advance()}
    for key, result in results.items():
        going.finished(planned[key], result)
    return going


def rows_of(given, results) -> list[dict]:
    with installed():
        return collect.rows(progress(given, results))


def test_one_row_per_measurement(given, results):
    vae = trials(given)[0]
    found = rows_of(given, results)
    assert [row["metric"] for row in found] == ["nll", "coherence/gap", "cost/parameters"]
    assert list(found[0]) == list(schema.COLUMNS)
    assert found[0] == {
        "study": "tiny",
        "arm": "vae",
        "role": "arm",
        "seed": 0,
        "stage": "confirm",
        "status": "done",
        "trial": vae.training_key,
        "evaluation": vae.evaluation_key,
        "metric": "nll",
        "value": 500.0,
        "unit": "nats",
        "direction": "lower",
        "fingerprint": vae.fingerprints["likelihood"],
        "split": "test",
    }
    assert math.isnan(found[1]["value"])


def described(given, results, store):
    with installed():
        going = progress(given, results, store)
        return collect.manifest(going, {"torch": "2"}, "the command")


def test_every_trial_of_the_plan_is_in_the_manifest(given, results, tmp_path):
    manifest = described(given, results, Store(tmp_path, given.name))
    assert [(t["arm"], t["role"], t["status"], t["reason"]) for t in manifest["trials"]] == [
        ("vae", "arm", "done", ""),
        ("additive", "arm", "failed", "it broke"),
        ("vae_plus", "baseline", "interrupted", "has not ended"),
    ]
    arms = manifest["study"]["arms"]
    assert arms["vae"]["parameters"] == 123
    assert "parameters" not in arms["additive"]
    assert arms["vae"]["weights"] == {"prior": 2.5}
    assert "weights" not in arms["additive"]
    assert arms["vae_plus"]["published"] == "VAE+"
    assert arms["additive"]["summary"] == TINY["arms"]["additive"]["summary"]
    config = arms["additive"]["config"]
    assert config["trainer"]["steps"] == 8
    assert config["model"]["coherence"]["scale"] == 0.3, "no default is left out"
    assert arms["vae"]["config"]["data"]["train"] == "mnist"
    assert manifest["study"]["config"]["metrics"]["likelihood"] == {"k": 2, "images": 4}
    sizes = {"train": 8_000, "validation": 2_000, "test": 2_000}
    assert manifest["study"]["images"] == {"mnist": sizes}
    assert manifest["study"]["command"] == "the command"
    assert manifest["environment"] == {"torch": "2"}


def test_the_declared_family_of_contrasts(tmp_path):
    """Further contrasts on the primary metric, and the primary contrast on further metrics."""
    metrics = {"elbo": 2.0, TINY["primary"]["metric"]: 3.0}
    secondary = {"contrasts": [["vae", "additive"]], "metrics": metrics}
    given = study(folder=tmp_path, secondary=secondary)
    manifest = described(given, {}, Store(tmp_path, given.name))
    primary = manifest["study"]["primary"]
    assert primary == TINY["primary"]
    assert manifest["study"]["secondary"] == [
        {**primary, "treatment": "vae", "control": "additive"},
        {**primary, "metric": "elbo", "equivalence": 2.0},
    ], "the primary contrast is none of its own secondary ones"


def test_choices_are_those_of_the_plugins_of_each_arm(tmp_path, monkeypatch):
    """A plugin's sentence has its options' values, and the arms that it is about if not all."""
    from tvae.models.autoencoder import Autoencoder

    monkeypatch.setattr(Autoencoder, "choices", ("D is {latent_dim}, views {views}.",))
    given = study("model.latent_dim=6", folder=tmp_path, baselines=["vae_plus"])
    with installed():
        found = collect.choices(given)
    assert "D is 6, views False (vae)." in found
    assert "D is 6, views True (vae_plus)." in found
    (samples,) = [one for one in found if one.startswith("The nats")]
    assert "2 samples for each of 4 test images" in samples


def test_training_as_the_paper_s_is_no_choice(tmp_path):
    trainer = {**TINY["trainer"], "batch_size": 100, "learning_rate": 1e-4, "wide_rate": 1.0,
               "schedule": "halving", "halve_every": 50}  # fmt: skip
    given = {how: study(folder=tmp_path, trainer={**trainer, **change})
             for how, change in (("same", {}), ("other", {"halve_every": 7}),
                                 ("rising", {"warm_up": 9}))}  # fmt: skip
    with installed():
        said = {how: " ".join(collect.choices(one)) for how, one in given.items()}
    assert "Adam" not in said["same"]
    assert "Adam at 0.0001, halved every 7 epochs" in said["other"]
    assert "every 50 epochs, after 9 steps of an even rise, on" in said["rising"]


def test_where_the_data_lay_is_no_part_of_the_report(tmp_path):
    given = study("data.root=/home/somebody", folder=tmp_path)
    manifest = described(given, {}, Store(tmp_path, given.name))
    assert "/home/somebody" not in str(manifest)


def test_what_is_written_is_what_the_report_accepts(given, results, tmp_path):
    store = Store(tmp_path / "runs", given.name)
    files = store.trial(trials(given)[0].training_key)
    files.path.mkdir(parents=True)
    files.write_records([{"step": 1}])
    manifest = described(given, results, store)
    collect.write(store, rows_of(given, results), manifest)
    frame = schema.load("tiny", tmp_path / "runs")
    assert len(frame) == 3
    loaded = manifests.load("tiny", tmp_path / "runs")
    assert loaded == manifest
    assert loaded["trials"][0]["curve"] == f"trials/{files.path.name}/curve.jsonl"
    assert loaded["trials"][0]["pictures"] is None


def test_nothing_measured_yet_is_an_empty_table(given, tmp_path):
    store = Store(tmp_path / "runs", given.name)
    collect.write(store, [], described(given, {}, store))
    frame = schema.load("tiny", tmp_path / "runs")
    assert frame.empty
    assert dict(frame.dtypes.astype(str)) == dict(schema.COLUMNS)


def test_notes_of_trials_and_factors_of_arms_are_told(tmp_path):
    """What was passed over on the way, and which crossing the arms come from."""
    factors = {
        "prior": {"kl": {"model": {"prior": "kl"}}, "mmd": {"model": {"prior": "mmd"}}},
        "width": {"narrow": {"model": {"latent_dim": 3}}, "wide": {"model": {"latent_dim": 5}}},
    }
    changes = {"model": {"name": "autoencoder"}, "arms": {}, "factors": factors}
    primary = {**TINY["primary"], "treatment": "mmd-wide", "control": "kl-wide"}
    given = study(folder=tmp_path, seeds=1, primary=primary, **changes)
    first = trials(given)[0]
    store = Store(tmp_path, given.name)
    result = Result("done", notes=["a checkpoint was corrupt"])
    manifest = described(given, {first.training_key: result}, store)
    assert manifest["study"]["factors"] == {"prior": ["kl", "mmd"], "width": ["narrow", "wide"]}
    assert manifest["study"]["arms"]["mmd-wide"]["levels"] == {"prior": "mmd", "width": "wide"}
    assert [t["notes"] for t in manifest["trials"]] == [["a checkpoint was corrupt"], [], [], []]
    plain = described(study(folder=tmp_path), {}, store)
    assert "factors" not in plain["study"]
    assert "tuning" not in plain["study"]


def test_a_study_s_new_key_is_told_without_a_list_of_them(given):
    """Everything that is not told elsewhere in the manifest is what all arms share."""

    class Wider(Study):
        colour: str = "grey"

    fields = {name: getattr(given, name) for name in Study.model_fields}
    told = collect._config(Wider.model_construct(**fields))
    assert told == {**collect._config(given), "colour": "grey"}
    assert not {*told} & collect.TOLD_ELSEWHERE
    assert {*Study.model_fields} == {*collect._config(given), *collect.TOLD_ELSEWHERE, "setups"}


def test_a_measurement_s_warning_comes_to_the_report(finished):
    """Two importance samples are too few, and every trial says so of that metric alone."""
    found = manifests.load(finished.store)["trials"]
    words = "fewer than 10 effective of 2 importance samples, too few to rank arms by"
    assert [trial["warnings"] for trial in found] == [{"nll": words}] * len(found)
    assert words in (finished.store / "report.html").read_text()
