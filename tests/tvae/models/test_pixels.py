"""The raw pixels as a model: nothing to train, nothing to decode, and the images as embedding."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import tvae
from tvae.data import Dataset, Split
from tvae.evaluation.base import Context
from tvae.evaluation.cost import Cost
from tvae.evaluation.knn import KNN
from tvae.families.rotation import Rotation
from tvae.registry import metrics, models
from tvae.streams import Streams

rng = np.random.default_rng(0)
model = tvae.build({"name": "pixels"}).eval()


def test_the_embedding_is_the_image():
    images = rng.integers(0, 256, (7, 28, 28), dtype=np.uint8)
    z = model.embed(images)
    assert z.shape == (7, model.latent_dim) == (7, 784)
    np.testing.assert_allclose(z, images.reshape(7, 784) / 255, rtol=1e-6)
    floats = torch.from_numpy(images)[:, None].float() / 255
    assert torch.equal(model.embed(floats), floats.flatten(1))
    assert model.embed(np.zeros((2, 40, 40), np.uint8)).shape == (2, 1600)
    assert model.embed(images[:0]).shape == (0, 784)
    with pytest.raises(ValueError, match=r"N 28 28, got \(28, 28\)"):
        model.embed(images[0])


def test_there_is_nothing_to_train():
    assert not model.trains
    assert not list(model.parameters())
    with pytest.raises(NotImplementedError, match="not trained"):
        model.objective(torch.zeros(2, 1, 28, 28), None, Streams(0))
    with pytest.raises(ValueError, match="latent_dim"):
        tvae.build({"name": "pixels", "latent_dim": 10})
    trained = {name for name in models.names() if models.get(name).trains}
    assert trained == {name for name in models.names() if models.get(name).generates}
    assert trained == {"autoencoder", "tvae"}


def test_only_what_needs_the_embedding_alone_applies():
    applying = {name for name in metrics.names() if metrics.make(name).applies_to(model)}
    assert applying == {"act", "fit_set", "knn", "label_efficiency", "linear_probe", "cost"}
    other = tvae.build({"name": "autoencoder", "latent_dim": 2})
    assert all(metrics.make(name).applies_to(other) for name in metrics.names())


def test_its_neighbours_and_its_costs():
    """Two images that differ in a pixel: the labels of the train images come back."""
    images = rng.integers(0, 256, (20, 28, 28), dtype=np.uint8)
    changed = images.copy()
    changed[:, 3, 3] ^= 1
    labels = np.arange(20) % 3
    data = Dataset.of("data", *(Split(i, labels) for i in (images, changed, changed)))
    context = Context(model, Rotation(), {"data": data}, "test", 0)
    assert {m.value for m in KNN(1)(context)} == {1.0}
    costs = {m.name: m.value for m in Cost()(context)}
    assert costs.pop("cost/parameters") == 0
    assert all(map(math.isnan, costs.values()))
