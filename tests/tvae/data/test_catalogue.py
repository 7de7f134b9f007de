"""Data sets are known by name, those of other packages too, and mistakes are answered helpfully.

The harness asks here before any computing, so a wrong name, option or folder must end there.
"""

import subprocess
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from tvae import data
from tvae.data import catalogue
from tvae.registry import BrokenPlugin, DuplicateName, Origin, UnknownName


def test_names():
    assert set(data.names()) >= {
        "mnist",
        "fashion_mnist",
        "mnist_small",
        "fashion_mnist_small",
        "affnist",
        "affnist_small",
    }


@pytest.mark.parametrize("ask", [data.load, data.available, data.fetch])
def test_mistakes(ask, tmp_path):
    with pytest.raises(UnknownName, match="did you mean 'fashion_mnist'"):
        ask("fashionmnist")
    with pytest.raises(ValueError, match="'affnist' has no option 'variant'; it takes variants"):
        ask("affnist", variant=3)
    with pytest.raises(ValueError, match="'mnist' has no option 'variants'; it takes none"):
        ask("mnist", variants=3)
    with pytest.raises(ValueError, match="variants=0 must be at least 1"):
        ask("affnist", variants=0)
    with pytest.raises(ValueError, match=r"variants\.test=0 must be at least 1"):
        ask("affnist", variants={"train": 2, "test": 0})
    with pytest.raises(ValueError, match=r"variants\.train=2\.5 must be a whole number"):
        ask("affnist", variants={"train": 2.5})
    with pytest.raises(UnknownName, match="did you mean 'train'"):
        ask("affnist", variants={"tran": 2})
    with pytest.raises(ValueError, match="no folder"):
        ask("mnist", tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["mnist_small", "fashion_mnist_small", "affnist_small"])
def test_embedded_sets_need_nothing(name, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = data.source(name)
    found = data.load(name)
    sizes = tuple(len(split) for split in (found.train, found.validation, found.test))
    assert sizes == source.sizes
    assert found.shape == source.shape
    assert found.name == name
    assert data.available(name)
    assert data.fetch(name) == source.locate(None)
    assert not (tmp_path / "cache").exists()


class Noise(data.Source):
    """A data set of another package."""

    summary, sizes, shape = "noise", (2, 1, 1), data.ImageShape(1, 8, 8)

    def locate(self, root):
        return root

    def verify(self, root, **options):
        return {}

    def load(self, root, **options):
        splits = [data.Split(np.zeros((n, 8, 8), np.uint8), np.zeros(n, int)) for n in self.sizes]
        return data.Dataset.of("noise", *splits)


NOISE = Noise()


def bring(monkeypatch, **points):
    """Pretend that a package with these entry points is installed."""
    found = catalogue.datasets.found
    for name, value in points.items():
        point = EntryPoint(name, value, catalogue.datasets.group)
        found.setdefault(name, []).append(Origin(point.module, point))
    monkeypatch.setitem(vars(catalogue.datasets), "_installed", found)


def test_other_packages_bring_data_sets(monkeypatch):
    bring(monkeypatch, noise=f"{__name__}:NOISE")
    assert "noise" in data.names()
    assert len(data.load("noise").train) == 2


def test_a_broken_one_disables_only_itself(monkeypatch):
    bring(monkeypatch, bad="no.such.module:X", wrong=f"{__name__}:Noise", mnist="their:MNIST")
    with pytest.raises(BrokenPlugin, match=r"no\.such\.module:X"):
        data.load("bad")
    with pytest.raises(BrokenPlugin, match="must be an instance of"):
        data.load("wrong")
    with pytest.raises(DuplicateName, match=r"tvae\.data\.full and their:MNIST"):
        data.load("mnist")
    assert data.load("mnist_small").name == "mnist_small"


def test_splits_and_digests():
    images, labels = np.zeros((3, 2, 2), np.uint8), np.zeros(3, np.int64)
    split = data.Split(images, labels)
    with pytest.raises(ValueError, match="labels has 2 entries for 3 images"):
        data.Split(images, labels[:2])
    with pytest.raises(ValueError, match=r"parameters\.angle has 4 entries"):
        data.Split(images, labels, {"angle": np.zeros(4)})
    with pytest.raises(ValueError, match=r"N H W \(grey\) or N C H W of uint8"):
        data.Split(images.astype(float), labels)
    with pytest.raises(ValueError, match=r"of one-hot labels take argmax\(1\)"):
        data.Split(images, np.eye(len(images), dtype=np.int64))
    with pytest.raises(ValueError, match="labels must be N whole numbers"):
        data.Split(images, labels + 0.5)
    with pytest.raises(ValueError, match="labels must be 0 or more, got -1"):
        data.Split(images, np.full_like(labels, -1))
    changed = images.copy()
    changed[1, 1, 1] = 1
    others = [
        data.Split(changed, labels),
        data.Split(images.reshape(3, 4, 1), labels),
        data.Split(images, labels + 1),
        data.Split(images, labels, {"angle": np.zeros(3)}),
        data.Split(images, labels, source=np.zeros(3, int)),
    ]
    digests = {data.Dataset.of("a", s, s, s).digest for s in [split, *others]}
    assert len(digests) == 6
    with pytest.raises(ValueError, match=r"a has images of . x . and of . x ."):
        data.Dataset.of("a", split, split, others[1])
    strided = data.Split(np.zeros((3, 2, 4), np.uint8)[:, :, ::2], labels)
    assert data.Dataset.of("b", strided, split, split).digest in digests


def test_importing_it_is_light():
    heavy = "import sys, tvae.data; print({'torch', 'scipy', 'torchvision'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
