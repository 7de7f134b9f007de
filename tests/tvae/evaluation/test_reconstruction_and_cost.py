"""Reconstruction errors against pixels summed by hand, and costs against layers counted by hand."""

from __future__ import annotations

import math

import pytest
import torch

from tvae.evaluation.base import Context
from tvae.evaluation.cost import Cost
from tvae.evaluation.reconstruction import Reconstruction
from tvae.registry import families
from tvae.streams import Streams

D, B = 4, 10


@pytest.fixture
def context(build, noisy_data):
    def context(form, family="rotation", **changes):
        fixed = {"datasets": {"noise": noisy_data}, "split": "test", "seed": 3}
        return Context(build(form), families.make(family), **{**fixed, **changes})

    return context


def values(metric, context) -> dict[str, float]:
    return {m.name: m.value for m in metric(context)}


def sampled(model, x, stream: str):
    mean, logvar = model.encoder(x)
    noise = torch.randn(mean.shape, generator=Streams(3)(stream))
    return mean + torch.exp(logvar / 2) * noise


def nll(model, z, x) -> float:
    p = torch.sigmoid(model.decoder(z)).double()
    return float(-(x * p.log() + (1 - x) * (1 - p).log()).sum(dim=(1, 2, 3)).mean().detach())


@pytest.mark.parametrize("form", ["additive", None])
@pytest.mark.parametrize("family", ["rotation", "none"])
def test_reconstruction_is_the_objectives_likelihood(form, family, context):
    """z_0 ~ q_phi(z|x); z ~ q_psi(z|z_1, z_2) of sampled z_1, z_2: F's own likelihood."""
    measured = context(form, family)
    found, model = values(Reconstruction(8), measured), measured.model
    x = measured.sample(8)
    expected = nll(model, sampled(model, x, "posterior/0"), x)
    assert found["reconstruction/z0"] == pytest.approx(expected, rel=1e-5)
    if form is None or family == "none":
        assert math.isnan(found["reconstruction/z"])
        return
    probe = measured.probe(8)
    z_1 = sampled(model, probe.x_1, "posterior/1")
    z_2 = sampled(model, probe.x_2, "posterior/2")
    mean, logvar = model.q_psi(z_1, z_2).split(D, dim=1)
    z = mean + torch.exp(logvar / 2) * torch.randn(8, D, generator=Streams(3)("latent"))
    assert found["reconstruction/z"] == pytest.approx(nll(model, z, x), rel=1e-5)


def autoencoder_flop(images: int, decodes: int) -> float:
    """2 operations a multiplication; backward the same for weights and again for inputs.

    Convolution: one 4x4 product per output pixel, input and output channel; transposed: per input
    pixel. The first layer of all needs no gradient of its input; of the encoder's last kernel the
    2x2 taps inside the padding count.
    """
    encoder = [16 * c * f * side**2 for c, f, side in
               ((1, 32, 14), (32, 32, 7), (32, 64, 4), (64, 128, 2))]  # fmt: skip
    encoder.append(4 * 128 * 2 * D)
    decoder = [D * 128] + [16 * c * f * side**2 for c, f, side in
                           ((128, 64, 1), (64, 32, 4), (32, 32, 7), (32, 1, 14))]  # fmt: skip
    return 2 * images * (3 * sum(encoder) - encoder[0]) + 2 * decodes * 3 * sum(decoder)


@pytest.mark.parametrize("views", [False, True])
def test_operations_of_the_autoencoder(views, build, context):
    """Three times the images where the views are trained on."""
    measured = context(None, facts={"batch_size": B})
    measured.model = build(None, views=views)
    images = 3 * B if views else B
    gflop = values(Cost(), measured)["cost/gflop_per_step"]
    assert gflop == pytest.approx(autoencoder_flop(images, images) / 1e9, rel=1e-6)


@pytest.mark.parametrize(("family", "passes"), [("rotation", 1), ("superpixel", 2)])
def test_operations_of_t_vae(family, passes, context):
    """Additive: four decodes, q_psi once, h_xi once, or twice where f has no inverse."""
    h, gflop = 8, values(Cost(), context("additive", family, facts={"batch_size": B}))
    mlp = [2 * D * h + h * h + h * outputs for outputs in (2 * D, D)]
    expected = autoencoder_flop(3 * B, 4 * B) + 2 * 3 * B * (mlp[0] + passes * mlp[1])
    # the MMD of q_psi against the prior: all pairs of 2B samples, forward, and backward to both
    expected += 2 * 3 * (2 * B) ** 2 * D
    assert gflop["cost/gflop_per_step"] == pytest.approx(expected / 1e9, rel=1e-6)


def test_without_a_transformation_only_x_is_encoded_and_decoded(context):
    gflop = values(Cost(), context("matrix", "none", facts={"batch_size": B}))
    assert gflop["cost/gflop_per_step"] == pytest.approx(autoencoder_flop(B, B) / 1e9, rel=1e-6)


def test_parameters_by_hand(context, build):
    """Encoder and decoder of Appendix B, and the two MLPs 2D -> 8 -> 8 -> outputs."""
    coder = 180_992 + 4098 * D + 180_993 + 128 * D
    mlp = {outputs: (2 * D + 1) * 8 + 9 * 8 + 9 * outputs for outputs in (D, 2 * D, D * D)}
    for form, p in (("additive", D), ("matrix", D * D), (None, None)):
        expected = coder if form is None else coder + mlp[2 * D] + mlp[p]
        assert values(Cost(), context(form))["cost/parameters"] == expected
    learned = context("additive")
    learned.model = build("additive", coherence={"name": "kl", "learn_scale": True})
    assert values(Cost(), learned)["cost/parameters"] == coder + mlp[2 * D] + mlp[D] + 1


def test_speed_and_memory_are_what_training_measured(context):
    facts = {"seconds": 4.0, "steps": 30, "batch_size": 20, "peak_mib": 512.0}
    found = values(Cost(), context("additive", facts=facts))
    assert found["cost/images_per_second"] == 150
    assert found["cost/seconds"] == 4
    assert found["cost/peak_mib"] == 512
    untimed = values(Cost(), context("additive"))
    for name in ("images_per_second", "seconds", "peak_mib"):
        assert math.isnan(untimed[f"cost/{name}"])


def test_counting_leaves_no_gradients(context):
    measured = context("matrix", facts={"batch_size": B})
    Cost()(measured)
    assert all(parameter.grad is None for parameter in measured.model.parameters())
