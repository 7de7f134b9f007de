"""``transformed(NAME)``: AffNIST's law over any data set, of which AffNIST is MNIST's.

What is new here is the bookkeeping: whose images, how many, under which name and digest. The law
itself is tested with AffNIST.
"""

import numpy as np
import pytest
from idx_files import lay_out
from PIL import Image

from tvae import data
from tvae.data import affnist, stored
from tvae.data.catalogue import named, origin, original
from tvae.data.small import MNIST_SMALL
from tvae.data.source import CorruptData, MissingData, Source, variants_of
from tvae.registry import UnknownName
from tvae.testing.datasets import DatasetContract


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tvae-bench"


@pytest.fixture
def colours(tmp_path):
    """A folder of 24 oblong photographs in colour."""
    rng = np.random.default_rng(0)
    for i in range(24):
        path = tmp_path / "photos" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(1, 256, (14, 28, 3), np.uint8)).save(path)
    return tmp_path / "photos"


def test_that_of_mnist_is_affnist(official, tmp_path):
    root = lay_out(official, tmp_path / "root", True)
    ours, theirs = (data.load(n, root, variants=2) for n in ("transformed(mnist)", "affnist"))
    assert (ours.name, theirs.name) == ("transformed(mnist)", "affnist")
    assert ours.digest == theirs.digest
    np.testing.assert_array_equal(ours.train.images, theirs.train.images)
    alone = data.source("transformed(mnist)")
    assert alone.image_shape() == data.source("affnist").image_shape() == (1, 40, 40)
    assert alone.images(variants=2) == data.source("affnist").images(variants=2)


def test_that_of_the_embedded_subset_is_affnist_small():
    (ours,) = data.available("transformed(mnist_small)").values()
    assert ours == affnist.digest(MNIST_SMALL.identity, variants_of(1))
    originals = data.source("transformed(mnist_small)").of.load(None)
    assert originals.digest == MNIST_SMALL.identity


def test_variants_of_images_of_ones_own(colours):
    name = f"transformed({colours})"
    found = data.load(name, variants={"train": 3, "test": 1}, test=0.25)
    assert found.name == "transformed(photos)"
    assert found.shape == data.source(name).image_shape() == (3, 20, 40)
    originals = data.load(str(colours), test=0.25)
    assert len(originals.test) == 6
    (expected,) = affnist.generate(originals.test, "test", 1)
    for (what, mine), (_, other) in zip(found.test.arrays(), expected.arrays(), strict=True):
        np.testing.assert_array_equal(mine, other, err_msg=what)
    np.testing.assert_array_equal(found.train.source, np.tile(originals.train.source, 3))
    assert data.source(name).images(variants={"train": 3}, test=0.25) == {
        split: len(getattr(found, split)) for split in ("train", "validation", "test")
    }
    sized = data.source(name).image_shape(size=28, fit="resize", channels=1)
    assert sized == (1, 40, 40)


def test_the_digest_is_of_the_content(colours, tmp_path):
    name = f"transformed({colours})"
    before = data.available(name)
    first = data.load(name)
    assert before == data.available(name) == {"transformed(photos)": first.digest}
    assert len({data.load(name, **s).digest for s in ({}, {"variants": 2}, {"seed": 1})}) == 3
    path = next((colours / "a").iterdir())
    Image.fromarray(np.full((14, 28, 3), 7, np.uint8)).save(path)
    assert data.load(name).digest != first.digest
    kept = data.load(name, digest=first.digest)
    np.testing.assert_array_equal(kept.train.images, first.train.images)
    for folder in (tmp_path / "cache" / "tvae-bench").glob("affnist-*"):
        folder.rename(tmp_path / folder.name)
    with pytest.raises(CorruptData, match=rf"photos\) has changed: its content was {first.digest}"):
        data.load(name, digest=first.digest)


def test_what_cannot_be_made_of_ones_own_is_said_before(colours):
    path = next((colours / "a").iterdir())
    Image.new("RGB", (28, 14)).save(path)
    with pytest.raises(ValueError, match=r"image \d+ of those that become \w+ images is blank"):
        data.available(f"transformed({colours})")


def test_a_damaged_copy_is_noticed_and_made_again(colours):
    name = f"transformed({colours})"
    images = data.fetch(name) / "test" / "images.npy"
    content = images.read_bytes()
    images.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CorruptData, match=f"{images} has changed"):
        data.available(name)
    stored.verify(data.fetch(name))
    assert images.read_bytes() == content


def test_names():
    assert original("transformed(mnist)") == "mnist"
    assert original("transformed( ./a/b )") == "./a/b"
    assert original("mnist") is None
    assert named("transformed(./a/my photos)") == "transformed(my_photos)"
    assert named("mnist") == "mnist"
    assert named("a/b.npz") == "b"
    assert origin("transformed(mnist)").ours
    assert origin("a/b.npz").ours
    with pytest.raises(UnknownName, match="did you mean 'mnist'"):
        data.source("transformed(mnits)")
    for name in ("affnist", "affnist_small", "transformed(mnist)"):
        with pytest.raises(ValueError, match="is transformed already; take its originals"):
            data.source(f"transformed({name})")


def test_mistakes(tmp_path):
    with pytest.raises(MissingData, match="mnist was not found; looked in"):
        data.load("transformed(mnist)", tmp_path)
    with pytest.raises(MissingData, match="nowhere does not exist"):
        data.load("transformed(./nowhere)")
    with pytest.raises(ValueError, match="has no option 'size'; it takes digest, variants"):
        data.load("transformed(mnist)", size=3)
    with pytest.raises(ValueError, match=r"variants\.test=0 must be at least 1"):
        data.load("transformed(mnist)", variants={"test": 0})
    with pytest.raises(ValueError, match="fit=resize needs a size"):
        data.load("transformed(./nowhere)", fit="resize")


class Stripes(Source):
    """What a plugin may be: it knows no digest but that of its content."""

    summary, sizes, shape = "stripes", (40, 20, 20), data.ImageShape(1, 10, 10)

    def locate(self, root):
        return root

    def verify(self, root, **options):
        return {"stripes": self.load(root).digest}

    def load(self, root, **options):
        images = np.random.default_rng(0).integers(1, 256, (80, 10, 10), np.uint8)
        whole = data.Split(images, np.arange(80) % 4)
        cut = {name: array for name, array in whole.arrays()}
        parts = [slice(0, 40), slice(40, 60), slice(60, 80)]
        splits = [data.Split.of({n: a[part] for n, a in cut.items()}) for part in parts]
        return data.Dataset.of("stripes", *splits)


class TestContract(DatasetContract):
    """What every data set promises, by variants of a plugin's."""

    from tvae.data.affnist_sets import Transformed

    plugin = Transformed("transformed(stripes)", Stripes())
