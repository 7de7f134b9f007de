"""What all models share: initial weights of a seed, the likelihood, and the way to embed images.

Arms are compared at one seed because they start from the same weights; users meet a model through
`embed` alone, with whatever arrays they have.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import bernoulli

import tvae
from tvae.likelihoods.bernoulli import Bernoulli
from tvae.registry import latent_transforms

D = 4
TVAE = {"name": "tvae", "latent_dim": D, "hidden": 8, "coherence": "kl", "prior": "mmd"}
ARMS = [
    *({**TVAE, "latent_transform": form} for form in latent_transforms.names()),
    {**TVAE, "latent_transform": "matrix", "coherence": "mmd_joint", "prior": "kl"},
    {**TVAE, "latent_transform": "additive", "coherence": {"name": "kl", "learn_scale": True}},
    {"name": "autoencoder", "latent_dim": D},
    {"name": "autoencoder", "latent_dim": D, "prior": "mmd", "views": True},
]


def weights(config, seed: int) -> dict[str, torch.Tensor]:
    return tvae.build(config, seed).state_dict()


@pytest.mark.parametrize("config", ARMS[1:])
def test_layers_of_one_name_and_shape_start_equal(config):
    first, other = weights(ARMS[0], 5), weights(config, 5)
    shared = [n for n in first if n in other and first[n].shape == other[n].shape]
    assert {name.partition(".")[0] for name in shared} >= {"encoder", "decoder"}
    if config["name"] == "tvae":
        assert sum(name.startswith("q_psi") for name in shared) == 6
        assert sum(name.startswith("h_xi") for name in shared) >= 4, "all but the last layer"
    assert all(torch.equal(first[name], other[name]) for name in shared)


def test_initial_weights_are_decided_by_the_seed_alone():
    torch.manual_seed(0)
    first = weights(ARMS[0], 5)
    torch.rand(100)
    again, other = weights(ARMS[0], 5), weights(ARMS[0], 6)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)
    encoder, decoder = first["encoder.layers.2.weight"], first["decoder.layers.6.weight"]
    assert not torch.equal(encoder, decoder), "equal shapes in different networks"


def test_the_likelihood_is_scipys_for_black_and_white_and_linear_in_grey():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, 1, 28, 28, generator=generator, dtype=torch.float64)
    black_white = (torch.rand(2, 1, 28, 28, generator=generator) < 0.5).double()
    probabilities = 1 / (1 + np.exp(-logits.numpy()))
    expected = -bernoulli.logpmf(black_white.numpy(), probabilities).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(Bernoulli().nll(logits, black_white), expected, rtol=1e-10)
    grey = 0.3 * black_white + 0.7 * (1 - black_white)
    mixed = 0.3 * expected + 0.7 * Bernoulli().nll(logits, 1 - black_white).numpy()
    np.testing.assert_allclose(Bernoulli().nll(logits, grey), mixed, rtol=1e-10)


def test_generate_and_log_likelihood_agree():
    model = tvae.build({"name": "autoencoder", "latent_dim": D}).double()
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(3, D, generator=generator, dtype=torch.float64)
    x = (torch.rand(3, 1, 28, 28, generator=generator) < 0.5).double()
    pixels = model.generate(z)
    assert pixels.shape == x.shape
    expected = torch.where(x == 1, pixels, 1 - pixels).log().flatten(1).sum(1)
    torch.testing.assert_close(model.log_likelihood(z, x), expected)


# --- embed ------------------------------------------------------------------------------------

model = tvae.build({"name": "autoencoder", "latent_dim": D}, seed=1)
bytes_ = np.random.default_rng(0).integers(0, 256, (7, 28, 28), dtype=np.uint8)


def test_embeddings_are_posterior_means():
    x = torch.from_numpy(bytes_)[:, None].float() / 255
    expected, _ = model.encoder(x)
    z = model.embed(bytes_)
    assert z.shape == (7, D)
    assert not z.requires_grad
    torch.testing.assert_close(z, expected.detach())


@pytest.mark.parametrize(
    "images",
    [
        torch.from_numpy(bytes_),
        bytes_[:, None],
        torch.from_numpy(bytes_)[:, None],
        bytes_ / np.float32(255),
        bytes_ / np.float64(255),
        torch.from_numpy(bytes_).float() / 255,
        np.asfortranarray(bytes_),
    ],
)
def test_the_same_images_in_any_form_embed_alike(images):
    torch.testing.assert_close(model.embed(images), model.embed(bytes_), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 1000])
def test_batches_change_nothing(batch_size):
    found = model.embed(bytes_, batch_size)
    torch.testing.assert_close(found, model.embed(bytes_), rtol=1e-5, atol=1e-6)


def test_images_of_40_pixels_and_no_images():
    assert model.embed(np.zeros((2, 40, 40), np.uint8)).shape == (2, D)
    for empty in (np.zeros((0, 28, 28), np.uint8), torch.zeros(0, 1, 28, 28)):
        assert model.embed(empty).shape == (0, D)


def test_a_float64_model_embeds_in_float64():
    double = tvae.build({"name": "autoencoder", "latent_dim": D}, seed=1).double()
    assert double.embed(bytes_).dtype == torch.float64
    torch.testing.assert_close(double.embed(bytes_).float(), model.embed(bytes_))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (bytes_[0], r"N 28 28 or N 40 40, got \(28, 28\)"),
        (np.zeros((2, 3, 28, 28), np.uint8), r"got \(2, 3, 28, 28\)"),
        (np.zeros((2, 28, 40), np.uint8), r"got \(2, 1, 28, 40\)"),
        (np.zeros((2, 32, 32), np.uint8), r"got \(2, 1, 32, 32\)"),
        (np.zeros((2, 784), np.uint8), r"got \(2, 784\)"),
        (bytes_.astype(np.int64), "bytes or floats, got torch.int64"),
        (bytes_ > 9, "bytes or floats, got torch.bool"),
        (bytes_.astype(np.float32), r"must lie in \[0, 1\]; divide bytes by 255"),
        (-bytes_ / np.float32(255) - 0.1, r"must lie in \[0, 1\]"),
        (np.full((1, 28, 28), np.nan), r"must lie in \[0, 1\]"),
    ],
)
def test_impossible_images_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        model.embed(images)


@pytest.mark.parametrize("latent_dim", [0, -1])
def test_an_impossible_latent_size_is_refused(latent_dim):
    with pytest.raises(ValueError, match="latent_dim must be at least 1"):
        tvae.build({"name": "autoencoder", "latent_dim": latent_dim})
