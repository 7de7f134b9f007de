"""The report's pictures: the right image in the right place, the same for every arm.

A grid that shows another image's transformation, or T applied the wrong way round, would be read as
a property of the arm.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch

import tvae
from tvae.data import Dataset, Split
from tvae.evaluation.base import Context
from tvae.pictures import pictures, to_bytes
from tvae.registry import families
from tvae.streams import Streams

rng = np.random.default_rng(0)
PATCHES = np.kron(rng.integers(0, 256, (12, 4, 4)), np.ones((7, 7))).astype(np.uint8)
SPLIT = Split(PATCHES, np.zeros(12, np.int64))
DATA = {"patches": Dataset("patches", SPLIT, SPLIT, SPLIT, "")}
TVAE = {"name": "tvae", "latent_dim": 4, "coherence": "kl", "prior": "kl", "hidden": 8}
N, M = 6, 5


def context(form: str | None, family: str = "rotation") -> Context:
    config = (
        {**TVAE, "latent_transform": form} if form else {"name": "autoencoder", "latent_dim": 4}
    )
    model = tvae.build(config, seed=1).eval()
    with torch.no_grad():
        model.encoder.layers[-1].weight.mul_(20)
        model.decoder.layers[-1].weight.mul_(20)
        if form:
            model.h_xi.layers[-1].weight.mul_(200)
    return Context(model, families.make(family), DATA, "test", seed=2)


def test_bytes_round_and_stay_in_range():
    pixels = torch.tensor([0.0, 0.4 / 255, 0.6 / 255, 1.0, 1.0 + 1e-6, -1e-6]).reshape(1, 1, 1, 6)
    found = to_bytes(pixels)
    assert found.dtype == np.uint8
    assert found.tolist() == [[[0, 0, 1, 255, 255, 0]]]


@pytest.mark.parametrize("form", ["additive", "matrix_free", None])
@pytest.mark.parametrize("family", ["rotation", "superpixel"])
def test_every_picture_one_by_one(form, family):
    """Rebuilt image by image; at most half a grey level off."""
    shown = context(form, family)
    model, family = shown.model, shown.family
    found = pictures(shown, N, M)

    def image(z) -> np.ndarray:
        return 255 * torch.sigmoid(model.decoder(z)).detach().numpy()[:, 0]

    def same(name: str, expected) -> None:
        assert found[name].dtype == np.uint8
        assert found[name].shape == expected.shape
        assert np.abs(found[name].astype(float) - np.asarray(expected)).max() <= 0.56, name

    x = shown.sample(N)
    same("reconstruction_input", 255 * x[:, 0].numpy())
    same("reconstruction_output", image(model.encoder(x)[0]))
    prior = torch.randn(N, 4, generator=Streams(2)("evaluation/samples"))
    same("samples", image(prior))

    x = shown.sample(M + 1)
    f = {k: v[:1] for k, v in family.draw(M + 1, Streams(2)("evaluation/views")).items()}
    x_1, x_2 = family.apply(x[:1], f), family.apply(x[:1], family.invert(f))
    same("transfer_source", 255 * torch.cat([x[:1], x_1, x_2])[:, 0].numpy())
    z, z_1, z_2 = (model.encoder(view)[0] for view in (x[:1], x_1, x_2))
    rows = {name: [] for name in ("input", "reconstruction", "forward", "inverse", "truth")}
    for other in x[1:].split(1):
        e = model.encoder(other)[0]
        if form is None:
            forward, back = e + z_1 - z, e + z_2 - z
        else:
            forward = model.r(e, model.infer_T(z_1, z_2))
            back = model.r.inverse(e, model.infer_T(z_1, z_2))
            if family.inverse == "none":
                back = model.r(e, model.infer_T(z_2, z_1))
        rows["input"].append(255 * other[:, 0].numpy())
        rows["reconstruction"].append(image(e))
        rows["forward"].append(image(forward))
        rows["inverse"].append(image(back))
        rows["truth"].append(255 * family.apply(other, f)[:, 0].numpy())
    for name, images in rows.items():
        same(f"transfer_{name}", np.concatenate(images))
    assert not np.array_equal(found["transfer_forward"], found["transfer_inverse"])
    assert str(found["transfer_kind"]) == ("T" if form else "latent difference")


def test_arms_of_one_seed_show_the_same_images():
    one, other = pictures(context("additive"), N, M), pictures(context(None), N, M)
    for name in ("reconstruction_input", "transfer_source", "transfer_input", "transfer_truth"):
        assert np.array_equal(one[name], other[name])


def test_without_views_there_is_no_transfer():
    found = pictures(context("additive", "none"), N, M)
    assert list(found) == ["reconstruction_input", "reconstruction_output", "samples"]


def test_they_are_stored_without_objects():
    buffer = io.BytesIO()
    found = pictures(context("additive"), N, M)
    np.savez_compressed(buffer, **found)
    buffer.seek(0)
    with np.load(buffer, allow_pickle=False) as stored:
        assert {name: stored[name].tolist() for name in stored.files} == {
            name: array.tolist() for name, array in found.items()
        }
