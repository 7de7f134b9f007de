"""What all metrics share: the same images, transformations and latents for every arm of a seed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from tvae.data import Dataset, Split
from tvae.data.inputs import as_input
from tvae.evaluation import base
from tvae.evaluation.base import Context, Exploded
from tvae.families.rotation import Rotation
from tvae.shapes import GREY_28, ImageShape


@pytest.fixture
def context(build, noisy_data):
    def context(arm="additive", **changes):
        fixed = {"family": Rotation(), "datasets": {"noise": noisy_data}, "split": "test"}
        return Context(build(arm), seed=7, **{**fixed, **changes})

    return context


def test_a_sample_is_distinct_images_of_the_split(context, noisy_data):
    x = context().sample(10)
    assert x.shape == (10, 1, 28, 28)
    pool = [image.tobytes() for image in noisy_data.test.images]
    drawn = [image.tobytes() for image in (x * 255).round().byte().numpy()]
    assert len(set(drawn)) == 10
    assert set(drawn) <= set(pool)
    assert drawn != pool[:10]
    everything = context().sample(10_000)
    assert len(everything) == len(pool)
    assert torch.equal(everything[:10], x), "a smaller sample is part of a larger one"


def test_the_images_are_parted(context, noisy_data):
    shared = context()
    x, rest = shared.parted(10)
    assert torch.equal(x, shared.sample(10))
    both = torch.cat([x, rest])
    assert torch.equal(both, shared.sample(10_000))
    assert len(shared.parted(10_000)[0]) == len(noisy_data.test) // 2


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_exploded_encoder_ends_the_measuring(context, bad):
    shared = context()
    with torch.no_grad():
        shared.model.encoder.layers[-1].bias[0] = bad
    with pytest.raises(Exploded, match="E of noise is not finite"):
        shared.embeddings("noise", "test")
    with pytest.raises(Exploded, match="E of x is not finite"):
        shared.probe(9)


def test_labels_are_those_of_the_sample(context, noisy_data):
    label_of = {
        image.tobytes(): label
        for image, label in zip(noisy_data.test.images, noisy_data.test.labels, strict=True)
    }
    for n in (10, 10_000):
        drawn = (context().sample(n) * 255).round().byte().numpy()
        assert context().labels(n).tolist() == [label_of[image.tobytes()] for image in drawn]


def test_arms_are_measured_on_the_same_images_and_transformations(context):
    one, other = context("matrix").probe(9), context(None).probe(9)
    for name in ("x", "x_1", "x_2"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    assert torch.equal(one.parameters["angle"], other.parameters["angle"])
    assert other.t is None


def test_a_probe_holds_what_it_says(context):
    shared = context()
    model, family, probe = shared.model, shared.family, shared.probe(9)
    assert torch.equal(probe.x_1, family.apply(probe.x, probe.parameters))
    assert torch.equal(probe.x_2, family.apply(probe.x, family.invert(probe.parameters)))
    for e, x in ((probe.e, probe.x), (probe.e_1, probe.x_1), (probe.e_2, probe.x_2)):
        torch.testing.assert_close(e, model.encoder(x)[0].detach())
    pair = torch.cat([probe.e_1, probe.e_2], 1)
    torch.testing.assert_close(probe.t, model.h_xi.layers(pair).detach())
    assert probe.other.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 0]
    assert shared.probe(9) is probe


def test_embeddings_cover_a_split_in_its_order(context, noisy_data):
    shared = context()
    for split in ("train", "validation", "test"):
        images = getattr(noisy_data, split).images
        found = shared.embeddings("noise", split)
        np.testing.assert_allclose(found, shared.model.embed(images), rtol=1e-5, atol=1e-6)
    assert shared.own is noisy_data.test
    assert context(split="validation").own is noisy_data.validation


def test_large_embeddings_lie_in_a_file_that_leaves_nothing(context, monkeypatch, tmp_path):
    within = context().embeddings("noise", "train")
    monkeypatch.setattr(base, "IN_MEMORY", 0)
    folder = tmp_path / "not there yet"
    mapped = context(cache=folder).embeddings("noise", "train")
    np.testing.assert_array_equal(mapped, within)
    assert "(deleted)" in Path("/proc/self/maps").read_text().partition(str(folder))[2]
    assert list(folder.iterdir()) == []


def test_large_embeddings_on_a_full_disk_are_an_error(context, monkeypatch):
    """Not the signal that writing to a mapped file would bring."""

    def full(*asked: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(base, "IN_MEMORY", 0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        context().embeddings("noise", "train")


@pytest.mark.parametrize("protocol", ["resize", "centre_crop", "native"])
def test_larger_images_enter_by_the_protocol(context, noisy_data, protocol):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (5, 40, 40), dtype=np.uint8), np.zeros(5, np.int64)
    large = Dataset.of("large", *[Split(images, labels)] * 3)
    shared = context(datasets={"noise": noisy_data, "large": large}, protocol=protocol)
    size = ImageShape(1, 40, 40) if protocol == "native" else GREY_28
    expected = shared.model.embed(as_input(large.test.images, size, protocol))
    np.testing.assert_allclose(shared.embeddings("large", "test"), expected, rtol=1e-6)


def test_variants_of_an_original_are_one_outcome(context):
    """Whatever the order of the images; a data set without variants has none to keep."""
    images, labels = np.zeros((6, 28, 28), np.uint8), np.zeros(6, np.int64)
    variants = Split(images, labels, source=np.array([7, 3, 7, 3, 9, 9]))
    single = Split(images, labels, source=np.arange(6))
    shared = context(
        datasets={
            "varied": Dataset("varied", single, single, variants, ""),
            "plain": Dataset("plain", single, single, single, ""),
            "bare": Dataset("bare", single, single, Split(images, labels), ""),
        }
    )
    right = np.array([True, False, True, True, False, True])
    for label in ("varied", "plain", "bare"):
        shared.by_original(f"knn/{label}", label, right)
    assert {name: list(kept) for name, kept in shared.outcomes.items()} == {
        "knn/varied": [0.5, 1.0, 0.5]  # of originals 3, 7, 9
    }
