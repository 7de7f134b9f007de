"""Data and models of which the right answers are known.

The grey world: every image is one grey value g, a transformation adds a shade a, E(x) is the grey
value and G(z) an image of it. The additive form then represents the transformations exactly, and
every measurement of it can be worked out by hand. Broken variants say what a metric must notice.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import tvae
from tvae.data import Dataset, Split
from tvae.evaluation.base import Context
from tvae.families.base import TransformationFamily, uniform
from tvae.models.tvae import TVAE


class Shade(TransformationFamily):
    """f(x) = x + a, a ~ U(-0.1, 0.1)."""

    inverse = "exact"

    def draw(self, n, generator):
        return {"shade": uniform(n, -0.1, 0.1, generator)}

    def apply(self, x, parameters):
        return x + parameters["shade"].to(x)[:, None, None, None]

    def invert(self, parameters):
        return {"shade": -parameters["shade"]}


class Grey(TVAE):
    """E(x) = mean grey, G(z) = an image of that grey, z = (z_1 + z_2) / 2, T = (z_1 - z_2) / 2."""

    def __init__(self) -> None:
        super().__init__(1, "additive", "kl", "kl", hidden=1)

    def embed(self, images, batch_size=1000) -> Tensor:
        return torch.as_tensor(images).flatten(1).mean(1, keepdim=True)

    def generate(self, z):
        return z[:, :, None, None].expand(-1, 1, 28, 28)

    def log_likelihood(self, z, x):
        p, x = self.generate(z).double(), x.double()
        return (x * p.log() + (1 - x) * (1 - p).log()).flatten(1).sum(1)

    def infer_T(self, z_1, z_2):
        return (z_1 - z_2) / 2

    def infer_z(self, z_1, z_2):
        return (z_1 + z_2) / 2, torch.zeros_like(z_1)


def split(images: np.ndarray, labels: np.ndarray) -> Split:
    return Split(images, labels.astype(np.int64))


def noise_data(seed: int, n: int) -> Split:
    """Random bytes with random labels."""
    rng = np.random.default_rng(seed)
    return split(rng.integers(0, 256, (n, 28, 28), dtype=np.uint8), rng.integers(0, 4, n))


@pytest.fixture(scope="session")
def grey_data() -> Dataset:
    """40 images of one grey each, 50 to 200."""
    values = np.random.default_rng(0).integers(50, 201, 40).astype(np.uint8)
    images = np.broadcast_to(values[:, None, None], (40, 28, 28)).copy()
    part = split(images, values // 40)
    return Dataset.of("grey", part, part, part)


@pytest.fixture(scope="session")
def noisy_data() -> Dataset:
    """60 images to train on, 30 validation and 24 test images, of noise."""
    return Dataset.of("noise", noise_data(0, 60), noise_data(1, 30), noise_data(2, 24))


@pytest.fixture
def grey(grey_data) -> Context:
    return Context(Grey().eval(), Shade(), {"grey": grey_data}, "test", seed=3)


@pytest.fixture(scope="session")
def build():
    """A maker of small models: a T_VAE of the named form whose T is large, or an autoencoder."""

    def build(latent_transform: str | None, seed: int = 0, **options):
        if latent_transform is None:
            return tvae.build({"name": "autoencoder", "latent_dim": 4, **options}, seed).eval()
        model = tvae.build(
            {
                "name": "tvae",
                "latent_dim": 4,
                "latent_transform": latent_transform,
                "coherence": "kl",
                "prior": "mmd",
                "hidden": 8,
                **options,
            },
            seed,
        ).eval()
        with torch.no_grad():
            model.h_xi.layers[-1].weight.mul_(100)
            for parameter in [*model.encoder.parameters(), *model.q_psi.parameters()]:
                parameter.mul_(2)
        return model

    return build
