"""Principal components as a model, against numpy's singular values."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tvae
from tvae.streams import Streams

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 28, 28), dtype=np.uint8)
NEW = np.random.default_rng(1).integers(0, 256, (5, 28, 28), dtype=np.uint8)


def fitted(images, dim=4):
    model = tvae.build({"name": "pca", "latent_dim": dim}).eval()
    model.fit(images)
    return model


def test_the_embedding_is_that_of_the_leading_components():
    x = IMAGES.reshape(60, 784) / 255
    axes = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:4]
    expected = (NEW.reshape(5, 784) / 255 - x.mean(0)) @ axes.T
    for images in (IMAGES, torch.from_numpy(IMAGES)[:, None].float() / 255):
        found = fitted(images).embed(NEW).numpy()
        signs = np.sign((found * expected).sum(0))
        np.testing.assert_allclose(found * signs, expected, atol=1e-4)


def test_it_is_kept_and_read_back():
    model = fitted(IMAGES)
    other = tvae.build({"name": "pca", "latent_dim": 4}).eval()
    assert not torch.equal(other.embed(NEW), model.embed(NEW))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.embed(NEW), model.embed(NEW))


def test_what_is_refused():
    with pytest.raises(ValueError, match="70 components need as many images, got 60"):
        fitted(IMAGES, 70)
    with pytest.raises(ValueError, match="latent_dim must be 1 to 784, got 785"):
        tvae.build({"name": "pca", "latent_dim": 785})
    with pytest.raises(ValueError, match=r"N 28 28, got \(2, 1, 40, 40\)"):
        fitted(IMAGES).embed(np.zeros((2, 40, 40), np.uint8))
    with pytest.raises(NotImplementedError, match="not trained"):
        fitted(IMAGES).objective(torch.zeros(2, 1, 28, 28), None, Streams(0))
