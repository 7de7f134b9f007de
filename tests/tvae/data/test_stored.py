"""Sets larger than memory are written and read chunk by chunk, and appear only when whole.

The full AffNIST has 1.6 million images (2.6 GB): neither making nor opening it may need that much
memory, and one killed half-way must never be taken for the whole.
"""

import subprocess
import sys

import numpy as np
import pytest

from tvae.data import stored
from tvae.data.records import SPLITS, Split
from tvae.data.source import CorruptData


def chunks(*sizes, seed=0):
    rng = np.random.default_rng(seed)
    for n in sizes:
        yield Split(
            rng.integers(0, 256, (n, 3, 3), dtype=np.uint8),
            rng.integers(0, 10, n),
            {"angle": rng.normal(size=n)},
            rng.integers(0, 100, n),
        )


@pytest.fixture
def folder(tmp_path):
    splits = {split: chunks(4, 1, 7, seed=seed) for seed, split in enumerate(SPLITS)}
    stored.write(tmp_path / "set", "a name", "a digest", splits)
    return tmp_path / "set"


def test_reads_back_what_was_written_with_plain_numpy_files(folder):
    found = stored.read(folder)
    assert (found.name, found.digest) == ("a name", "a digest")
    for seed, split in enumerate(SPLITS):
        parts = [dict(chunk.arrays()) for chunk in chunks(4, 1, 7, seed=seed)]
        for name, values in getattr(found, split).arrays():
            expected = np.concatenate([part[name] for part in parts])
            assert isinstance(values, np.memmap)
            assert values.dtype == expected.dtype
            np.testing.assert_array_equal(values, expected)
            np.testing.assert_array_equal(np.load(folder / split / f"{name}.npy"), expected)


def test_an_interrupted_write_leaves_nothing(tmp_path):
    def broken():
        yield from chunks(5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stored.write(tmp_path / "set", "a", "b", {"train": broken()})
    assert list(tmp_path.iterdir()) == []


def test_of_two_writers_the_first_stays(folder):
    before = stored.verify(folder)
    stored.write(folder, "a name", "a digest", {split: chunks(2) for split in SPLITS})
    assert stored.verify(folder) == before


@pytest.mark.parametrize("damage", ["missing", "short", "header", "manifest"])
def test_damage_is_named(folder, damage):
    path = folder / "train" / "images.npy"
    if damage == "missing":
        path.unlink()
    elif damage == "short":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "header":
        path.write_bytes(b"no numpy file" + path.read_bytes())
    else:
        path = folder / "dataset.json"
        path.write_text("{")
    for check in (stored.read, stored.verify):
        with pytest.raises(CorruptData, match=str(path)):
            check(folder)


def test_a_pickle_is_not_opened(folder):
    path = folder / "train" / "labels.npy"
    np.save(path, np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(CorruptData, match=r"labels\.npy"):
        stored.read(folder)


MEASURE = """
import pathlib, resource, sys
import numpy as np
from tvae.data import stored
from tvae.data.records import SPLITS, Split

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def chunks(n):
    for _ in range(n):
        yield Split(np.ones((1000, 40, 40), np.uint8), np.zeros(1000, np.int64))

folder, n = pathlib.Path(sys.argv[1]), int(sys.argv[2])
stored.write(folder / "warm", "w", "w", {split: chunks(2) for split in SPLITS})
before = peak()
splits = {"train": chunks(n), "validation": chunks(1), "test": chunks(1)}
stored.write(folder / "set", "a", "b", splits)
data = stored.read(folder / "set")
assert data.train.images[-1].sum() == 1600 and len(data.train) == 1000 * n
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    """160 MB of images, in a process of its own, may cost it a few."""
    run = [sys.executable, "-c", MEASURE, str(tmp_path), "100"]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 20
