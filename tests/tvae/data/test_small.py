"""The embedded subsets are what they say: real, balanced, apart from each other, and unaltered.

They are the default data of every study, so a change of one byte must not go unnoticed.
"""

import os
import shutil

import numpy as np
import pytest

from tvae import data
from tvae.data import full, small
from tvae.data.source import CorruptData, MissingData


@pytest.fixture(scope="module", params=["mnist_small", "fashion_mnist_small"])
def subset(request):
    return data.load(request.param)


@pytest.mark.parametrize(
    ("split", "size", "first", "last"),
    [("train", 8000, 0, 49_999), ("validation", 2000, 50_000, 59_999), ("test", 2000, 0, 9_999)],
)
def test_balanced_and_from_its_part_of_the_official_files(subset, split, size, first, last):
    part = getattr(subset, split)
    assert part.images.shape == (size, 28, 28)
    assert set(np.bincount(part.labels)) == {size // 10}
    assert part.source.min() >= first
    assert part.source.max() <= last
    assert len(np.unique(part.source)) == size


def test_same_images_as_the_full_set(subset):
    source = {"mnist_small": full.MNIST, "fashion_mnist_small": full.FASHION_MNIST}[subset.name]
    root = os.environ.get("TVAE_DATA_ROOT")
    try:
        whole = data.load(source.name, root)
    except MissingData:
        pytest.skip(f"needs the full {source.name}: set TVAE_DATA_ROOT to a folder that has it")
    for split, size in small.SIZES.items():
        part, origin = getattr(subset, split), getattr(whole, split)
        rows = part.source - origin.source[0]
        np.testing.assert_array_equal(part.images, origin.images[rows])
        np.testing.assert_array_equal(part.labels, origin.labels[rows])
        again = small.choose(origin, size, f"{subset.name}/{split}")
        np.testing.assert_array_equal(again.source, part.source)


def test_writing_twice_gives_the_same_bytes(subset, tmp_path):
    splits = {split: getattr(subset, split) for split in small.SIZES}
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    assert small.write(first, splits) == small.write(second, splits) == subset.digest
    assert first.read_bytes() == second.read_bytes()


def test_choice_is_balanced_and_does_not_depend_on_what_else_is_there():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 400)
    whole = data.Split(rng.integers(0, 9, (400, 2, 2), np.uint8), labels, source=np.arange(400))
    chosen = small.choose(whole, 40, "a stream")
    np.testing.assert_array_equal(np.bincount(chosen.labels), [10] * 4)
    np.testing.assert_array_equal(chosen.images, whole.images[chosen.source])
    assert (np.diff(chosen.source) > 0).all()
    more = small.choose(whole, 80, "a stream")
    assert set(chosen.source) < set(more.source)
    assert set(chosen.source) != set(small.choose(whole, 40, "another").source)
    with pytest.raises(ValueError, match="41 images cannot be shared equally by 4 classes"):
        small.choose(whole, 41, "a stream")


def test_altered_damaged_or_missing_files_are_refused(monkeypatch, tmp_path):
    path = tmp_path / "mnist_small.npz"
    shutil.copy(small.FOLDER / "mnist_small.npz", path)
    monkeypatch.setattr(small, "FOLDER", tmp_path)
    intact = small.MNIST_SMALL.load(None)
    splits = {split: getattr(intact, split) for split in small.SIZES}
    altered = intact.test.images.copy()
    altered[0, 0, 0] += 1
    splits["test"] = data.Split(altered, intact.test.labels, source=intact.test.source)
    found = small.write(path, splits)
    with pytest.raises(CorruptData, match=f"expected content .* {intact.digest}, found {found}"):
        data.load("mnist_small")
    content = (path).read_bytes()
    for damaged in (content[:-100], content[:5000] + bytes(100) + content[5100:], b"nothing"):
        path.write_bytes(damaged)
        with pytest.raises(CorruptData, match=str(path)):
            data.load("mnist_small")
    path.unlink()
    with pytest.raises(MissingData, match=str(path)):
        data.load("mnist_small")


def test_the_files_carry_their_licenses():
    assert "Zalando SE" in (small.FOLDER / "LICENSE-fashion-mnist").read_text()
    assert "Corinna Cortes" in (small.FOLDER / "LICENSE-mnist").read_text()
    assert sum(path.stat().st_size for path in small.FOLDER.glob("*.npz")) < 8_000_000
