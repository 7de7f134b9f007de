"""The report's pictures: the right image in the right place, the same for every arm.

A grid that shows another image's transformation, or T applied the wrong way round, would be read as
a property of the arm.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

import tvae
from tvae.data import Dataset, Split
from tvae.evaluation.base import Context
from tvae.pictures import parameter_to_show, pictures, principal_components, to_bytes
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

    # Fig. 4: each of the other images with its own views
    own = family.draw(M + 1, Streams(2)("evaluation/views"))
    rows = {name: [] for name in ("x", "x_1", "x_2", "middle", "path")}
    for i in range(1, M + 1):
        f = {name: values[i : i + 1] for name, values in own.items()}
        x_i = x[i : i + 1]
        x_1, x_2 = family.apply(x_i, f), family.apply(x_i, family.invert(f))
        z_1, z_2 = model.encoder(x_1)[0], model.encoder(x_2)[0]
        for name, shown_image in (("x", x_i), ("x_1", x_1), ("x_2", x_2)):
            rows[name].append(255 * shown_image[:, 0].numpy())
        rows["middle"].append(image((z_1 + z_2) / 2))
        if form is not None and i <= 4:
            t = model.infer_T(z_1, z_2)
            path = [model.r.inverse(z_1, model.r.scale(t, a)) for a in (0, 0.2, 0.4, 0.6, 0.8, 1)]
            rows["path"].append(np.concatenate([image(z) for z in path])[None])
    same("interpolation_input", np.stack([np.concatenate(rows[n]) for n in ("x", "x_1", "x_2")]))
    same("interpolation_output", np.concatenate(rows["middle"]))
    has_path = form is not None and family.inverse != "none"
    assert ("path_output" in found) == ("path_steps" in found) == has_path
    if has_path:
        same("path_output", np.concatenate(rows["path"]))
        np.testing.assert_allclose(found["path_steps"], [0, 0.2, 0.4, 0.6, 0.8, 1], rtol=1e-6)
        assert not np.array_equal(found["path_output"][:, 0], found["path_output"][:, -1])

    assert not np.array_equal(found["transfer_forward"], found["transfer_inverse"])
    assert str(found["transfer_kind"]) == ("T" if form else "latent difference")


@pytest.mark.parametrize("form", ["additive", "matrix"])
def test_the_map_of_T_is_its_principal_components(form):
    """Against scikit-learn's, up to the sign, which ours fixes."""
    shown = context(form)
    probe, found = shown.probe(300), pictures(shown, N, M)
    expected = PCA(2).fit_transform(probe.t.double().numpy())
    theirs = expected * np.sign((expected * found["T_map"]).sum(0))
    np.testing.assert_allclose(found["T_map"], theirs, atol=1e-5 * np.abs(expected).max())
    assert found["T_map"].dtype == np.float32
    size = np.abs(found["T_map"])
    assert (found["T_map"][size.argmax(0), [0, 1]] > 0).all()
    np.testing.assert_array_equal(found["T_map_target"], probe.parameters["angle"])
    assert str(found["T_map_name"]) == "angle in degrees"


@pytest.mark.parametrize(
    ("family", "name", "parameter"),
    [
        ("rotation_crop", "angle in degrees", "0.angle"),
        ("affine", "angle in degrees", "angle"),
        ("crop", "scale_1", "scale_1"),
        ("superpixel", "segments_1", "segments_1"),
    ],
)
def test_the_map_is_coloured_by_the_first_angle_or_else_the_first_target(family, name, parameter):
    shown = context("additive", family)
    found = pictures(shown, N, M)
    assert str(found["T_map_name"]) == name
    np.testing.assert_allclose(found["T_map_target"], shown.probe(300).parameters[parameter])


def test_a_target_that_never_changes_colours_nothing():
    constant = {"a": torch.ones(5), "b": torch.arange(5.0)}

    class Plain:
        targets = staticmethod(lambda parameters: parameters)

    assert parameter_to_show(Plain(), constant)[0] == "b"
    assert parameter_to_show(Plain(), {"a": torch.ones(5)}) == ("", None)


def test_only_T_has_a_map():
    assert not [name for name in pictures(context(None), N, M) if name.startswith("T_map")]


def test_a_T_that_exploded_has_no_map_and_takes_nothing_with_it():
    shown = context("additive")
    with torch.no_grad():
        shown.model.h_xi.layers[-1].bias.fill_(torch.nan)
    found = pictures(shown, N, M)
    assert "T_map" not in found
    assert "interpolation_output" in found


def test_components_that_there_are_not_are_zero():
    line = np.linspace(0, 1, 7)[:, None] * [3.0, 4.0]
    found = principal_components(line)
    np.testing.assert_allclose(
        np.abs(found[:, 0]), 5 * np.abs(np.linspace(-0.5, 0.5, 7)), atol=1e-9
    )
    np.testing.assert_allclose(found[:, 1], 0, atol=1e-6)
    assert principal_components(np.ones((4, 1))).shape == (4, 2)


def test_arms_of_one_seed_show_the_same_images():
    one, other = pictures(context("additive"), N, M), pictures(context(None), N, M)
    for name in ("reconstruction_input", "transfer_source", "transfer_input", "transfer_truth",
                 "interpolation_input"):  # fmt: skip
        assert np.array_equal(one[name], other[name])


def test_without_views_there_is_no_transfer():
    found = pictures(context("additive", "none"), N, M)
    assert list(found) == ["reconstruction_input", "reconstruction_output", "samples"]


def test_they_are_stored_without_objects_and_are_small():
    buffer = io.BytesIO()
    found = pictures(context("additive"))
    np.savez_compressed(buffer, **found)
    assert sum(array.nbytes for array in found.values()) < 300_000, "even of noise"
    buffer.seek(0)
    with np.load(buffer, allow_pickle=False) as stored:
        assert {name: stored[name].tolist() for name in stored.files} == {
            name: array.tolist() for name, array in found.items()
        }
