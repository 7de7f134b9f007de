"""What T means: transfer, probes, the laws of the group, coherence.

Conclusions about latent transformations rest on these. Each is worked out by hand in the grey world
(see conftest), where one form is exact and its broken variants are known, and is repeated image by
image on a small network.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tvae.evaluation.algebra import Algebra
from tvae.evaluation.base import Context, Probe
from tvae.evaluation.coherence import Coherence
from tvae.evaluation.probe import ProbeT
from tvae.evaluation.transfer import Transfer
from tvae.families.rotation import Rotation
from tvae.registry import families
from tvae.streams import Streams

N = 20


def values(metric, context) -> dict[str, float]:
    return {m.name: m.value for m in metric(context)}


def shades(grey: Context) -> tuple[np.ndarray, np.ndarray]:
    """(g, a): grey value and shade of each probe image."""
    probe = grey.probe(N)
    return probe.x[:, 0, 0, 0].double().numpy(), probe.parameters["shade"].double().numpy()


@pytest.fixture
def network(build, noisy_data):
    def network(form, family="rotation_crop"):
        data = {"noise": noisy_data}
        return Context(build(form), families.make(family), data, "test", seed=3)

    return network


# --- transfer -----------------------------------------------------------------------------------


def test_transfer_of_an_exact_form(grey):
    """G(E(x') + a) is x' + a: nothing is lost; doing nothing is off by a in each of 784 pixels."""
    found = values(Transfer(N), grey)
    _, a = shades(grey)
    for kind in ("transfer", "transfer_difference"):
        assert found[f"{kind}/own"] == pytest.approx(0, abs=1e-8)
        assert found[f"{kind}/swapped"] == pytest.approx(0, abs=1e-8)
        assert found[f"{kind}/none"] == pytest.approx(784 * np.mean(a**2), rel=1e-4)
        assert found[f"{kind}/ratio"] == pytest.approx(0, abs=1e-6)


def test_transfer_of_a_T_that_carries_the_image(grey):
    """T brings along the grey of the image that it was inferred from: worse than no T at all."""
    model = grey.model
    model.infer_T = lambda z_1, z_2: (z_1 - z_2) / 2 + (z_1 + z_2) / 2 - 0.5
    found = values(Transfer(N), grey)
    g, a = shades(grey)
    # own: (g + a + g - 0.5) - (g + a); swapped: the same error, of the image that T is from
    assert found["transfer/own"] == pytest.approx(784 * np.mean((g - 0.5) ** 2), rel=1e-3)
    assert found["transfer/swapped"] == pytest.approx(784 * np.mean((g - 0.5) ** 2), rel=1e-3)
    ratio = np.mean((g - 0.5) ** 2) / np.mean(a**2)
    assert found["transfer/ratio"] == pytest.approx(ratio, rel=1e-3)
    assert found["transfer_difference/ratio"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("form", ["additive", "matrix", "matrix_z", "matrix_free", None])
@pytest.mark.parametrize("family", ["rotation_crop", "superpixel"])
def test_transfer_image_by_image(form, family, network):
    context = network(form, family)
    model, probe, n = context.model, context.probe(8), 8
    errors = {f"{kind}/{name}": [] for kind in ("transfer", "transfer_difference")
              for name in ("own", "swapped", "none")}  # fmt: skip

    def error(z, truth) -> float:
        return float((torch.sigmoid(model.decoder(z)) - truth).square().sum().detach())

    for i in range(n):
        f = {name: value[i : i + 1] for name, value in probe.parameters.items()}
        x, other = (probe.x[j : j + 1] for j in (i, (i + 1) % n))
        x_1, x_2 = context.family.apply(x, f), context.family.apply(x, context.family.invert(f))
        z, z_other, z_1, z_2 = (model.encoder(image)[0] for image in (x, other, x_1, x_2))
        acts = {"transfer_difference": lambda latent, d=z_1 - z: latent + d}
        if form is not None:
            t = model.h_xi(z_1, z_2)
            acts["transfer"] = lambda latent, t=t: model.r(latent, t)
        truth = context.family.apply(other, f)
        for kind, act in acts.items():
            errors[f"{kind}/own"].append(error(act(z), x_1))
            errors[f"{kind}/swapped"].append(error(act(z_other), truth))
            errors[f"{kind}/none"].append(error(z_other, truth))
    found = values(Transfer(n), context)
    for name, each in errors.items():
        if each:
            assert found[name] == pytest.approx(np.mean(each), rel=1e-4), name
        else:
            assert math.isnan(found[name])
    for kind in ("transfer", "transfer_difference"):
        ratio = found[f"{kind}/swapped"] / found[f"{kind}/none"]
        assert found[f"{kind}/ratio"] == pytest.approx(ratio, nan_ok=True)


# --- probes -------------------------------------------------------------------------------------


class Given(Context):
    """A context whose probe is given."""

    def __init__(self, probe: Probe) -> None:
        self.given, self.family, self.asked = probe, Rotation(), []

    def probe(self, n):
        self.asked.append(n)
        return self.given


def given(t: torch.Tensor | None, difference: torch.Tensor, angle: torch.Tensor) -> Given:
    e, nothing = torch.ones_like(difference), torch.empty(0)
    return Given(Probe(nothing, nothing, nothing, {"angle": angle}, e, e + difference, e, t))


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


ANGLE = 90 * torch.rand(500, generator=torch.Generator().manual_seed(0)) - 45
RADIANS = ANGLE * math.pi / 180
CIRCLE = torch.stack([RADIANS.sin(), RADIANS.cos()], 1)


def test_a_T_that_is_linear_in_sine_and_cosine_is_read_off():
    found = values(ProbeT(), given(CIRCLE @ normal(2, 6) + 0.3, normal(500, 3, seed=1), ANGLE))
    for name in ("T/r2", "T/r2/angle_sin", "T/r2/angle_cos"):
        assert found[name] == pytest.approx(1, abs=1e-4), name
    noise = found["difference/r2"]
    assert -0.3 < noise < 0.02, "noise encodes nothing, and an honest R^2 is not positive"


def test_the_probes_tell_T_from_the_difference():
    found = values(ProbeT(), given(normal(500, 3), CIRCLE, ANGLE))
    assert found["difference/r2"] == pytest.approx(1, abs=1e-4)
    assert found["T/ceiling"] == pytest.approx(1, abs=1e-4)
    assert found["T/r2"] < 0.02
    without = values(ProbeT(), given(None, CIRCLE, ANGLE))
    assert math.isnan(without["T/r2"])
    assert without["difference/r2"] == found["difference/r2"]


def ridge_by_hand(x: np.ndarray, y: np.ndarray, at: np.ndarray) -> np.ndarray:
    """A ridge of one target, its penalty the best of those left out one by one: normal equations.

    For a penalty a, the residual of a point that is left out is its residual over 1 - h, h its
    diagonal of the hat matrix; the intercept adds 1/n to it.
    """
    n, best = len(x), (np.inf, y)
    for a in [10.0**power for power in range(-3, 5)]:
        inner = np.linalg.inv(x.T @ x + a * np.eye(x.shape[1]))
        hat = x @ inner @ x.T + 1 / n
        left_out = (y - hat @ y) / (1 - np.diag(hat))
        weights = inner @ x.T @ (y - y.mean())
        best = min(best, (float(np.mean(left_out**2)), y.mean() + at @ weights), key=lambda b: b[0])
    return best[1]


def test_r2_is_that_of_folds_written_out():
    """Out-of-fold predictions of all images together, scored once per target."""
    t = CIRCLE @ normal(2, 6) + 0.4 * normal(500, 6, seed=2)
    found = values(ProbeT(components=3), given(t, normal(500, 2, seed=3), ANGLE))
    order = np.random.RandomState(0).permutation(500)
    x, y = t.double().numpy(), CIRCLE.double().numpy()
    predicted = np.empty_like(y)
    for fold in np.array_split(order, 5):
        rest = np.setdiff1d(np.arange(500), fold)
        mean = x[rest].mean(0)
        axes = np.linalg.svd(x[rest] - mean, full_matrices=False)[2][:3].T
        scores, new = ((x[rows] - mean) @ axes for rows in (rest, fold))
        deviation = scores.std(0)
        for column in range(2):
            predicted[fold, column] = ridge_by_hand(
                scores / deviation, y[rest, column], new / deviation
            )
    r2 = 1 - ((y - predicted) ** 2).sum(0) / ((y - y.mean(0)) ** 2).sum(0)
    assert found["T/r2/angle_sin"] == pytest.approx(r2[0], abs=1e-5)
    assert found["T/r2/angle_cos"] == pytest.approx(r2[1], abs=1e-5)
    assert found["T/r2"] == pytest.approx(r2.mean(), abs=1e-5)


@pytest.mark.parametrize("size", [10, 100, 1500])
def test_a_larger_T_that_says_no_more_gains_and_loses_nothing(size):
    """Ten numbers that tell of the angle, and noise: plain regression ends at R^2 = -2 here."""
    telling = CIRCLE @ normal(2, 10) + normal(500, 10, seed=2)
    noise = normal(500, size - 10, seed=3)
    of_ten = values(ProbeT(), given(telling, CIRCLE, ANGLE))["T/r2"]
    quiet = values(ProbeT(), given(torch.cat([telling, noise / 10], 1), CIRCLE, ANGLE))["T/r2"]
    assert quiet == pytest.approx(of_ten, abs=0.02)
    loud = values(ProbeT(), given(torch.cat([telling, noise], 1), CIRCLE, ANGLE))["T/r2"]
    assert loud > -0.05


def test_a_T_that_is_not_finite_is_no_guess():
    broken = CIRCLE.clone()
    broken[3] = math.nan
    assert values(ProbeT(), given(broken, CIRCLE, ANGLE))["T/r2"] == -math.inf


def test_a_target_that_never_changes_is_skipped():
    found = values(ProbeT(), given(CIRCLE, CIRCLE, torch.full((500,), 30.0)))
    assert all(
        math.isnan(value) for name, value in found.items() if "r2" in name or "ceiling" in name
    )
    assert found["T/spread"] == pytest.approx(float(CIRCLE.std(0).mean()))
    context = given(CIRCLE, CIRCLE, ANGLE)
    ProbeT(images=123)(context)
    assert set(context.asked) == {123}


# --- algebra ------------------------------------------------------------------------------------


def test_the_laws_hold_for_an_exact_form(grey):
    found = values(Algebra(N), grey)
    assert list(found) == [*(f"algebra/{n}" for n in
                             ("inverse", "identity", "learned_identity", "composition")),
                           "algebra_difference/composition"]  # fmt: skip
    assert all(value == pytest.approx(0, abs=1e-5) for value in found.values()), found


def second_shades(grey: Context) -> np.ndarray:
    """The shades b of the second transformation, g(x) = x + b."""
    return grey.family.draw(N, Streams(grey.seed)("evaluation/second"))["shade"].double().numpy()


def test_broken_laws_have_their_residuals(grey):
    """By hand, where z is the grey g: a too large T, an inverse that is none, a biased T."""
    g, a = shades(grey)
    b = second_shades(grey)
    model = grey.model
    exact = model.r.forward, model.r.inverse, model.infer_T

    model.r.inverse = lambda z, t: z
    found = values(Algebra(N), grey)
    assert found["algebra/inverse"] == pytest.approx(np.mean(np.abs(a) / g), rel=1e-4)

    model.r.forward, model.r.inverse = lambda z, t: z + 3 * t + 0.01, exact[1]
    found = values(Algebra(N), grey)
    assert found["algebra/inverse"] == pytest.approx(np.mean(np.abs(2 * a + 0.01) / g), rel=1e-3)
    assert found["algebra/identity"] == pytest.approx(np.mean(0.01 / g), rel=1e-3)
    residual = np.abs(g + 3 * (a + b) + 0.02 - (g + a + b)).mean() / np.abs(a + b).mean()
    assert found["algebra/composition"] == pytest.approx(residual, rel=1e-3)

    model.r.forward = lambda z, t: z
    assert values(Algebra(N), grey)["algebra/composition"] == pytest.approx(1, rel=1e-5)

    model.r.forward, model.infer_T = exact[0], lambda z_1, z_2: (z_1 - z_2) / 2 + 0.02
    grey._probes.clear()
    found = values(Algebra(N), grey)
    assert found["algebra/learned_identity"] == pytest.approx(0.02 / np.abs(a).mean(), rel=1e-3)
    assert found["algebra/composition"] == pytest.approx(0.04 / np.abs(a + b).mean(), rel=1e-3)
    assert found["algebra/identity"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("form", ["additive", "matrix", "matrix_z", "matrix_free"])
def test_exact_forms_on_a_network(form, network):
    """Numerical residuals are rounding; the learned ones of random weights are not."""
    context = network(form)
    found = values(Algebra(16), context)
    assert found["algebra/inverse"] < 1e-4
    assert found["algebra/identity"] < 1e-6
    probe, model = context.probe(16), context.model
    moved = model.r(probe.e, model.infer_T(probe.e, probe.e)) - probe.e
    expected = np.mean(np.linalg.norm(moved.detach(), axis=1)) / np.mean(
        np.linalg.norm(probe.e_1 - probe.e, axis=1)
    )
    assert found["algebra/learned_identity"] == pytest.approx(expected, rel=1e-4)
    assert expected > 1e-3


@pytest.mark.parametrize("form", ["matrix", "matrix_free", "matrix_z", "additive", None])
@pytest.mark.parametrize("family", ["rotation_crop", "superpixel"])
def test_every_residual_image_by_image(form, family, network):
    """First T_f, then T_g: for matrices the other order is another latent.

    The form is made to break its laws of inverse and identity, or rounding would be compared.
    """
    context, n = network(form, family), 8
    model, family, probe = context.model, context.family, context.probe(n)
    if form is not None:
        exact = model.r.inverse
        model.r.inverse = lambda z, t: 1.1 * exact(z, t) + 0.02
        model.r.identity = lambda: torch.full((model.r.parameter_size,), 0.05)
    context._probes.clear()
    second = family.draw(n, Streams(context.seed)("evaluation/second"))
    each = {name: [] for name in ("inverse", "identity", "learned", "composed", "shifted",
                                  "by f", "by both")}  # fmt: skip

    def encode(image):
        return model.encoder(image)[0].detach()

    def norm(v) -> float:
        return float(v.detach().double().norm())

    for i in range(n):
        f, g = ({k: v[i : i + 1] for k, v in p.items()} for p in (probe.parameters, second))
        x = probe.x[i : i + 1]
        z, z_f, z_g = encode(x), encode(family.apply(x, f)), encode(family.apply(x, g))
        both = encode(family.apply(family.apply(x, f), g))
        each["by f"].append(norm(z_f - z))
        each["by both"].append(norm(both - z))
        each["shifted"].append(norm(z_f + z_g - z - both))
        if form is None:
            continue

        def T(z_1, z_2):
            return model.r.identity() + model.h_xi(z_1, z_2)

        t_f, t_g = (T(encode(family.apply(x, h)), encode(family.apply(x, family.invert(h))))
                    for h in (f, g))  # fmt: skip
        identity = model.r.identity()[None]
        each["inverse"].append(norm(model.r.inverse(model.r(z, t_f), t_f) - z) / norm(z))
        each["identity"].append(norm(model.r(z, identity) - z) / norm(z))
        each["learned"].append(norm(model.r(z, T(z, z)) - z))
        each["composed"].append(norm(model.r(model.r(z, t_f), t_g) - both))
    mean = {name: np.mean(values) if values else math.nan for name, values in each.items()}
    expected = {
        "algebra/inverse": mean["inverse"],
        "algebra/identity": mean["identity"],
        "algebra/learned_identity": mean["learned"] / mean["by f"],
        "algebra/composition": mean["composed"] / mean["by both"],
        "algebra_difference/composition": mean["shifted"] / mean["by both"],
    }
    found = values(Algebra(n), context)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-4, nan_ok=True), name
        assert math.isnan(value) or value > 0.01, name


def test_the_conditioning_of_matrices_is_the_median_over_images(network):
    for form in ("matrix_free", "matrix"):
        context = network(form)
        found = values(Algebra(15), context)
        matrices = context.probe(15).t.double().reshape(-1, 4, 4)
        exact = {
            "matrix_free": torch.eye(4) + matrices,
            "matrix": torch.linalg.matrix_exp(matrices),
        }
        expected = np.median(np.linalg.cond(exact[form].numpy()))
        assert found["algebra/condition"] == pytest.approx(expected, rel=1e-5)
    assert "algebra/condition" not in values(Algebra(15), network("additive"))


# --- coherence ----------------------------------------------------------------------------------


def test_half_sum_and_half_difference_are_perfectly_coherent(grey):
    """The trap: whatever the encoder. It says nothing about T, as the docstring warns."""
    assert values(Coherence(N), grey) == {"coherence/gap": pytest.approx(0, abs=1e-8)}


def test_a_generated_view_that_ignores_its_image_has_a_gap_of_1(grey):
    model = grey.model
    model.r.forward = lambda z, t: torch.full_like(z, 0.37)
    assert values(Coherence(N), grey)["coherence/gap"] == pytest.approx(1, rel=1e-5)


def test_the_gap_by_hand(grey):
    """r(z, T) = z + 2T: off by a from its own z_1, and by more from its neighbour's."""
    grey.model.r.forward = lambda z, t: z + 2 * t
    g, a = shades(grey)
    z_1, generated = g + a, g + 2 * a
    expected = np.sum((z_1 - generated) ** 2) / np.sum((np.roll(z_1, -1) - generated) ** 2)
    assert values(Coherence(N), grey)["coherence/gap"] == pytest.approx(expected, rel=1e-3)
    assert 0 < expected < 0.5
