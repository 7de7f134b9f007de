"""Images of one's own in a study: named by their label, keyed by their content, checked beforehand.

A path is where images lie, no part of the question: the same study from another folder must find
its trials, and nothing about the images may be wrong after computing has begun.
"""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from harness import TINY, bench, study, trials, write
from PIL import Image

from bench.collect import choices
from bench.plan import machine
from bench.study.problems import ConfigError
from bench.study.resolve import resolve
from tvae import data


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder to work in, with 60 photographs in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    here = tmp_path / "here"
    paint(here / "photos")
    monkeypatch.chdir(here)
    return here


def paint(folder, shape=(28, 28), n=30):
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for i in range(n):
            image = rng.integers(0, 256, shape, dtype=np.uint8)
            Image.fromarray(image).save(folder / label / f"{i}.png")


OWN = {
    "family": "none",
    "data": {"train": "./photos"},
    "trainer": {**TINY.get("trainer", {}), "batch_size": 10},
}


def own(folder, *arguments, **changes):
    given = {**OWN, **changes}
    return study(*arguments, folder=folder, **given)


def wrong(folder, *arguments, **changes):
    with pytest.raises(ConfigError) as caught:
        own(folder, *arguments, **changes)
    return {problem.path: problem.message for problem in caught.value.problems}


def test_a_path_gives_way_to_a_label(folder):
    found = own(folder, "data.transfer=[transformed(./photos)]")
    assert found.labels == ["photos", "transformed(photos)"]
    assert found.data.paths == {"photos": str(folder / "photos")}
    assert found.data.images("photos") == {"train": 42, "validation": 6, "test": 12}
    assert found.data.shape("transformed(photos)") == (1, 40, 40)
    source = found.data.source("photos")
    assert source.pop("name") == str(folder / "photos")
    assert data.load(str(folder / "photos"), **source).shape == (1, 28, 28)


def test_an_arm_may_have_a_path_of_its_own(folder):
    paint(folder / "more", n=20)
    arms = {name: {**arm, "data": {"train": "./more"}} for name, arm in TINY["arms"].items()}
    found = own(folder, arms=arms)
    assert found.labels == ["photos", "more"]
    assert {*found.data.paths} == {"photos", "more"}
    assert all(setup.data.train == "more" for setup in found.setups.values())
    assert {*machine.look(found).data} == {"photos", "more"}


def test_keys_hold_the_content_and_not_the_path(folder, tmp_path, monkeypatch):
    def keys(*arguments):
        found = own(folder, *arguments)
        return [trial.training_key for trial in trials(found, machine.look(found))]

    first = keys()
    assert keys() == first  # decoded meanwhile
    assert keys(f"data.train={folder / 'photos'}") == first
    shutil.copytree(folder / "photos", tmp_path / "there" / "photos")
    assert keys(f"data.train={tmp_path / 'there' / 'photos'}") == first
    shutil.copytree(folder / "photos", tmp_path / "any name")
    named = keys(f"data.paths.photos={tmp_path / 'any name'}", "data.train=photos")
    assert named == first
    for change in ("data.own.seed=1", "data.own.test=0.3"):
        assert not {*keys(change)} & {*first}
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(folder / "photos" / "cat" / "0.png")
    assert not {*keys()} & {*first}


def test_a_study_runs_and_tells_nobody_where_images_lie(folder):
    path = write(folder, **OWN)
    ran = bench(folder, f"study={path}", "data.own.size=28", "tracking.enabled=false")
    assert ran.status == 0, ran.err
    (manifest,) = folder.glob("runs/*/manifest.json")
    said = json.loads(manifest.read_text())["study"]
    assert said["images"] == {"photos": {"train": 42, "validation": 6, "test": 12}}
    assert any("chosen class by class with seed 0" in choice for choice in said["choices"])
    assert "own" in said["config"]["data"]
    assert str(folder / "photos") not in json.dumps(said)


def test_a_trial_takes_no_other_images_than_its_key_says(folder):
    found = own(folder)
    world = machine.look(found)
    assert world.contents == {"photos": data.load(str(folder / "photos")).digest}
    source = {**found.data.source("photos"), "digest": world.contents["photos"]}
    before = data.load(**source).train.images
    (folder / "photos" / "cat" / "0.png").unlink()
    np.testing.assert_array_equal(data.load(**source).train.images, before)
    assert machine.look(own(folder)).contents != world.contents


def test_studies_of_known_data_say_nothing_of_it(folder):
    given = study(folder=folder, family="none")
    assert machine.look(given).contents == {}
    assert not any("class by class" in choice for choice in choices(given))


@pytest.mark.parametrize(
    ("arguments", "path", "message"),
    [
        (["data.train=./nowhere"], "data.train", "nowhere does not exist; there should be"),
        (["data.train=photos"], "data.train", "for the folder of that name write ./photos"),
        (["data.train=./photos/cat"], "data.train", "lies in no class's folder"),
        (
            ["data.transfer=[./other/photos]"],
            "data.transfer.0",
            "called photos, as ./photos is",
        ),
        (
            ["data.transfer=[./mnist]"],
            "data.transfer.0",
            "would be called mnist, as a data set is",
        ),
        (["data.transfer=[transformed(x)]"], "data.transfer.0", "unknown data set 'x'"),
        (["data.transfer=[transformed(affnist)]"], "data.transfer.0", "is transformed already"),
        (["data.paths.mnist=./photos"], "data.paths.mnist", "is the name of a data set"),
        (["data.paths={a b: ./photos}"], "data.paths", "must be letters, digits"),
        (["data.own.fit=resize"], "data.own", "fit=resize needs a size"),
        (["data.own.fit=stretch"], "data.own.fit", "must be 'refuse', 'resize' or 'crop'"),
        (["data.own.size=[3]"], "data.own.size", "must have 2 or more entries"),
        (["data.own.channels=2"], "data.own.channels", "must be 1 or 3"),
        (["data.own.sise=3"], "data.own.sise", "did you mean 'size'"),
        (["data.own={test: 0.5, validation: 0.5}"], "data.own", "leave nothing to train on"),
        (["trainer.batch_size=43"], "trainer.batch_size", "photos has 42"),
    ],
)
def test_mistakes_are_found_before_anything_is_computed(folder, arguments, path, message):
    found = wrong(folder, *arguments)
    assert any(path in where and message in said for where, said in found.items()), found


def test_colour_and_grey_do_not_mix(folder):
    paint(folder / "colours", (28, 28, 3))
    found = wrong(folder, "data.transfer=[./colours]")
    assert "colours has images of 3 channels, photos of 1" in found["data.transfer.0"]
    assert own(folder, "data.transfer=[./colours]", "data.own.channels=1").labels[1] == "colours"


def test_an_image_that_cannot_be_read_is_named_before_training(folder):
    (folder / "photos" / "dog" / "7.png").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match=r"7\.png cannot be read as an image"):
        machine.look(own(folder))


def test_a_study_resolves_again_from_what_it_wrote(folder):
    found = own(folder, "data.transfer=[transformed(photos)]")
    again = type(found.data).model_validate(found.data.model_dump())
    assert again == found.data
    with pytest.raises(ConfigError, match="study"):
        resolve(["study="])
