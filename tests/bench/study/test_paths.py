"""Paths in a study, more closely: which name they get, and what is known before anything is read.

What `test_own_data` asks of photographs, with arrays: names that are taken, paths of arms, sizes
after settings, variants by their digest.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from harness import TINY, study, trials, write

from bench.plan.machine import look
from bench.study.problems import ConfigError
from bench.study.resolve import resolve
from tvae import data
from tvae.data.source import CorruptData

METRICS = {"likelihood": {"k": 2, "images": 4}, "knn": {"k": 3}}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Where commands are typed, with 120 grey images in two classes in ``data/photos``."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    save(tmp_path / "data" / "photos.npz", rng.integers(0, 256, (120, 28, 28), np.uint8))
    return tmp_path


def save(path, images):
    np.savez(path, images=images, labels=np.arange(len(images)) % 2)


def own(folder, train="data/photos.npz", *arguments, **changes):
    section = {"train": train, **changes.pop("data", {})}
    changes = {"family": "none", "metrics": METRICS, **changes}
    return study(*arguments, folder=folder, data=section, **changes)


def problems(folder, *arguments, **changes):
    """What is wrong: path -> message."""
    with pytest.raises(ConfigError) as caught:
        own(folder, *arguments, **changes)
    return {problem.path: problem.message for problem in caught.value.problems}


def test_what_was_resolved_resolves_again(here):
    """As ``study.yaml`` of a run is, in which names stand."""
    first = own(here, data={"own": {"test": 0.3}})
    again = {**TINY, "family": "none", "metrics": METRICS}
    path = write(here, **{**again, "data": first.data.model_dump(mode="json")})
    assert resolve([f"study={path}"])[0].data == first.data


def test_paths_of_arms_and_of_the_command_line(here):
    rng = np.random.default_rng(1)
    save(here / "other.npy.npz", rng.integers(0, 256, (60, 28, 28), np.uint8))
    save(here / "third.npz", rng.integers(0, 256, (60, 28, 28), np.uint8))
    arms = {**TINY["arms"]}
    arms["vae"] = {**arms["vae"], "data": {"train": "third.npz"}}
    found = own(here, "data/photos.npz", "data.transfer=[./other.npy.npz]", arms=arms)
    assert found.labels == ["photos", "other_npy", "third"]
    assert found.setups["vae"].data.train == "third"
    assert found.setups["vae"].data.images("third")["train"] == 42


def test_sizes_and_shapes_come_from_names_labels_and_settings(here):
    settings = {"size": [20, 24], "fit": "resize", "channels": 3, "validation": 0.25, "test": 0.25}
    found = own(here, data={"own": settings}, model={**TINY["model"], "network": "conv"})
    assert found.data.images("photos") == {"train": 60, "validation": 30, "test": 30}
    assert found.data.shape("photos") == found.setups["vae"].shape == (3, 20, 24)
    loaded = data.load(**found.data.source("photos"))
    assert [len(s) for s in (loaded.train, loaded.test)] == [60, 30]
    assert loaded.shape == (3, 20, 24)


def test_a_name_of_one_s_own(here):
    save(here / "mnist.npz", np.zeros((60, 28, 28), np.uint8))
    message = "mnist.npz would be called mnist, as a data set is; give it another name: "
    assert message + "data.paths.NAME=mnist.npz" in problems(here, "mnist.npz")["data.train"]
    found = own(here, "ours", data={"paths": {"ours": "mnist.npz"}})
    assert found.labels == ["ours"]
    (here / "two").mkdir()
    save(here / "two" / "photos.npz", np.zeros((60, 28, 28), np.uint8))
    said = problems(here, data={"transfer": ["two/photos.npz"]})
    assert "would be called photos, as data/photos.npz is" in said["data.transfer.0"]
    both = own(here, data={"transfer": ["theirs"], "paths": {"theirs": "two/photos.npz"}})
    assert both.labels == ["photos", "theirs"]
    (here / "link").symlink_to(here / "data")
    same = own(here, data={"transfer": ["link/photos.npz"]})
    assert same.labels == ["photos"]


@pytest.mark.parametrize(
    ("train", "section", "where", "message"),
    [
        ("./nowhere", {}, "data.train", "nowhere does not exist; there should be a folder"),
        ("/", {}, "data.train", "gives no name; give it one: data.paths.NAME=/"),
        ("photos", {}, "data.train", "unknown data set 'photos'"),
        ("data", {}, "data.train", "for the folder of that name write ./data"),
        ("data", {"paths": {"dato": "data"}}, "data.train", "did you mean 'dato'"),
        ("transformed(mnits)", {}, "data.train", "did you mean 'mnist'"),
        ("transformed(affnist)", {}, "data.train", "transformed already"),
        ("mnist", {"own": {"seed": 1}}, "data.own", "none of mnist is given by its path"),
        ("p.npz", {"own": {"fit": "crop"}}, "data.own", "fit=crop needs a size"),
        ("p.npz", {"own": {"test": 0.95}}, "data.own", "leave nothing to train on"),
        ("p.npz", {"own": {"sise": 3}}, "data.own.sise", "did you mean 'size'"),
        ("p.npz", {"own": {"size": [3]}}, "data.own.size", "2 or more entries"),
        ("p.npz", {"own": {"channels": 2}}, "data.own.channels", "must be 1 or 3"),
        ("mnist", {"paths": {"mnist": "x"}}, "data.paths.mnist", "is the name of a data set"),
        ("mnist", {"paths": {"a b": "x"}}, "data.paths.a b", "such as a_b"),
        ("mnist", {"paths": ["x"]}, "data.paths", "must be a mapping"),
    ],
)
def test_mistakes_are_named_before_anything_is_read(here, train, section, where, message):
    assert message in problems(here, train, data=section)[where]


def test_what_is_too_small_is_refused_before_anything_is_decoded(here, monkeypatch):
    monkeypatch.setattr(data.Split, "__post_init__", lambda self: pytest.fail("images were read"))
    said = problems(here, trainer={**TINY["trainer"], "batch_size": 85})
    assert said["trainer.batch_size"] == "a step takes 85 images, and photos has 84"
    said = problems(here, metrics={**METRICS, "knn": {"k": 85}})
    assert "85" in said["metrics.knn"]


def test_what_is_wrong_with_an_image_is_said_before_computing(here):
    images = np.random.default_rng(0).random((40, 28, 28))
    images[17, 3, 3] = np.nan
    save(here / "bad.npz", images)
    found = own(here, "bad.npz")
    with pytest.raises(ConfigError, match=r"bad\.npz: images\[17\] has the value nan"):
        look(found)


def test_trials_get_what_was_looked_at(here):
    found = own(here, data={"transfer": ["transformed(data/photos.npz)"]})
    world = look(found)
    section = trials(found, world)[0].data
    assert json.loads(json.dumps(section))["paths"] == found.data.paths
    source = world.source(found.data, "photos")
    first = data.load(**source)
    save(here / "data" / "photos.npz", np.zeros((120, 28, 28), np.uint8))
    assert data.load(**source).digest == first.digest == world.contents["photos"]
    variants = data.load(**world.source(found.data, "transformed(photos)"))
    assert variants.digest == world.contents["transformed(photos)"]
    for kept in (here / "cache" / "tvae-bench").glob("own-*"):
        kept.rename(here / kept.name)
    with pytest.raises(CorruptData, match=r"photos\.npz has changed: its content was"):
        data.load(**source)
