"""Equivariance and interpolation: where a view's latent lies, and what is between two views.

Both are worked out by hand in the grey world (see conftest), where the additive form is exact, and
repeated image by image on a small network.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tvae.evaluation.base import Context
from tvae.evaluation.equivariance import Equivariance
from tvae.evaluation.interpolation import STEPS, Interpolation
from tvae.registry import families

N = 20
FORMS = ["additive", "matrix", "matrix_z", "matrix_free", None]


def values(metric, context) -> dict[str, float]:
    return {m.name: m.value for m in metric(context)}


def shades(grey: Context) -> tuple[np.ndarray, np.ndarray]:
    """(g, a): grey value and shade of each probe image."""
    probe = grey.probe(N)
    return probe.x[:, 0, 0, 0].double().numpy(), probe.parameters["shade"].double().numpy()


@pytest.fixture
def network(build, noisy_data):
    def network(form, family="rotation_crop"):
        return Context(build(form), families.make(family), {"noise": noisy_data}, "test", seed=3)

    return network


# --- equivariance -------------------------------------------------------------------------------


def test_an_exact_form_is_equivariant(grey):
    """r(E(x), T_x) = g + a = E(x + a)."""
    assert values(Equivariance(N), grey) == {"equivariance": pytest.approx(0, abs=1e-6)}


def test_a_T_that_is_always_the_same_by_hand(grey):
    """r(z, 0.03) = g + 0.03, off by 0.03 - a; doing nothing is off by a."""
    grey.model.infer_T = lambda z_1, z_2: torch.full_like(z_1, 0.03)
    _, a = shades(grey)
    expected = np.sum((0.03 - a) ** 2) / np.sum(a**2)
    assert values(Equivariance(N), grey)["equivariance"] == pytest.approx(expected, rel=1e-3)
    grey._probes.clear()
    grey.model.infer_T = lambda z_1, z_2: torch.zeros_like(z_1)
    nothing = values(Equivariance(N), grey)["equivariance"]
    assert nothing == pytest.approx(1, rel=1e-5), "no better than doing nothing"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("family", ["rotation_crop", "superpixel"])
def test_equivariance_image_by_image(form, family, network):
    context = network(form, family)
    found = values(Equivariance(8), context)["equivariance"]
    if form is None:
        assert math.isnan(found)
        return
    model, family, probe = context.model, context.family, context.probe(8)
    error = moved = 0.0
    for i in range(8):
        f = {name: value[i : i + 1] for name, value in probe.parameters.items()}
        x = probe.x[i : i + 1]
        views = x, family.apply(x, f), family.apply(x, family.invert(f))
        z, z_1, z_2 = (model.encoder(image)[0].detach().double() for image in views)
        t = model.h_xi(z_1.float(), z_2.float()).detach()
        error += float((model.r(z.float(), t).double() - z_1).square().sum())
        moved += float((z_1 - z).square().sum())
    assert found == pytest.approx(error / moved, rel=1e-4)
    assert found > 0.01


# --- interpolation ------------------------------------------------------------------------------


def entropy(p: np.ndarray, q: np.ndarray) -> float:
    """-log of the likelihood of 784 pixels of grey p under q, mean over the images."""
    return 784 * float(np.mean(-(p * np.log(q) + (1 - p) * np.log(1 - q))))


def test_the_end_of_the_path_and_the_middle_of_an_exact_form_are_x(grey):
    """z_1 = g + a, z_2 = g - a, T = a: both give back g, at the price of the grey pixels alone."""
    g, a = shades(grey)
    found = values(Interpolation(N), grey)
    assert found["interpolation/middle"] == pytest.approx(entropy(g, g), rel=1e-5)
    assert found["interpolation/path"] == pytest.approx(entropy(g, g), rel=1e-5)
    for step in STEPS:
        expected = entropy(g, g + (1 - step) * a)
        assert found[f"interpolation/path/{step:g}"] == pytest.approx(expected, rel=1e-5)
    names = [f"interpolation/{n}" for n in ("middle", "path", "path/0", "path/0.25", "path/0.5",
                                            "path/0.75")]  # fmt: skip
    assert list(found) == names


def test_a_T_of_the_wrong_size_ends_elsewhere(grey):
    """T = 1.5 a overshoots to g - a/2; the middle does not know T."""
    grey.model.infer_T = lambda z_1, z_2: 0.75 * (z_1 - z_2)
    g, a = shades(grey)
    found = values(Interpolation(N), grey)
    assert found["interpolation/path"] == pytest.approx(entropy(g, g - a / 2), rel=1e-5)
    assert found["interpolation/path/0.5"] == pytest.approx(entropy(g, g + a / 4), rel=1e-5)
    assert found["interpolation/middle"] == pytest.approx(entropy(g, g), rel=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("family", ["rotation_crop", "superpixel"])
def test_interpolation_image_by_image(form, family, network):
    """The path of a matrix is exp(-a A) z_1, from torch's own exponential."""
    context = network(form, family)
    found = values(Interpolation(8), context)
    model, family, probe = context.model, context.family, context.probe(8)
    each = {"middle": [], "path": [], "path/0.25": []}

    def nll(z, x) -> float:
        p = torch.sigmoid(model.decoder(z.float())).double().detach()
        return -float((x * p.log() + (1 - x) * (1 - p).log()).sum())

    for i in range(8):
        f = {name: value[i : i + 1] for name, value in probe.parameters.items()}
        x = probe.x[i : i + 1]
        z_1, z_2 = (model.encoder(family.apply(x, h))[0].detach() for h in (f, family.invert(f)))
        each["middle"].append(nll((z_1 + z_2) / 2, x))
        if form in ("additive", "matrix"):
            t = model.h_xi(z_1, z_2).detach()
            for name, a in (("path", 1), ("path/0.25", 0.25)):
                matrix = torch.linalg.matrix_exp(-a * t.reshape(-1, 4)) if form == "matrix" else 0
                z = z_1 @ matrix.T if form == "matrix" else z_1 - a * t
                each[name].append(nll(z, x))
    has_path = form is not None and family.inverse != "none"
    assert math.isnan(found["interpolation/path"]) != has_path
    assert ("interpolation/path/0.25" in found) == has_path
    for name, errors in each.items():
        if errors and (name == "middle" or has_path):
            assert found[f"interpolation/{name}"] == pytest.approx(np.mean(errors), rel=1e-5)
