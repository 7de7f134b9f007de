"""The flow against itself in numpy, its Jacobian, and what T does to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tvae.latent_transforms.coupling import LOG_SCALE, Coupling

B = 6


def randn(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def make(*arguments, gain: float = 1.0, **options) -> Coupling:
    """A flow in float64, its weights scaled by `gain`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        form = Coupling(*arguments, **options).double()
    with torch.no_grad():
        for weight in form.parameters():
            weight.mul_(gain)
    return form


def by_hand(form: Coupling, z: np.ndarray, t: np.ndarray, bound: float) -> tuple:
    """(r(z, T), log|det dr/dz|) of one sample, written from the equations and the weights."""
    w = {name: value.numpy() for name, value in form.state_dict().items()}
    cut, log_det, z = len(z) // 2, 0.0, z.copy()
    for i in range(len(form.layers)):
        kept, changed = (slice(cut), slice(cut, None))[:: 1 if i % 2 == 0 else -1]
        u, c = w[f"layers.{i}.context.weight"], w[f"layers.{i}.context.bias"]
        v, out = w[f"layers.{i}.steer.weight"], w[f"layers.{i}.out.weight"]
        hidden = np.tanh(u @ z[kept] + v @ t + c) - np.tanh(u @ z[kept] + c)
        raw, shift = np.split(out @ hidden, 2)
        scale = bound * np.tanh(raw / bound)
        z[changed] = z[changed] * np.exp(scale) + shift
        log_det += scale.sum()
    return z, log_det


@pytest.mark.parametrize(
    ("dim", "layers", "parameters"), [(2, 1, None), (5, 3, 2), (10, 4, None), (4, 2, 9)]
)
def test_it_is_the_flow_of_the_equations_with_their_determinant(dim, layers, parameters):
    form = make(dim, layers, 16, parameters, gain=2.0)
    p = parameters or dim
    assert form.parameter_shape == (p,)
    z, t = randn(B, dim), randn(B, p, seed=1)
    bound = {1: 4.0, 2: 4.0, 3: 2.0, 4: 2.0}[layers]
    moved = form(z, t).detach().numpy()
    for i in range(B):
        expected, log_det = by_hand(form, z[i].numpy(), t[i].numpy(), bound)
        np.testing.assert_allclose(moved[i], expected, rtol=1e-12, atol=1e-12)
        jacobian = torch.autograd.functional.jacobian(
            lambda x, i=i: form(x, t[i : i + 1]), z[i : i + 1]
        ).squeeze()
        sign, found = torch.linalg.slogdet(jacobian)
        assert sign == 1
        np.testing.assert_allclose(found, log_det, rtol=1e-9, atol=1e-11)


def test_a_layer_is_triangular():
    """It keeps one half and changes each number of the other by itself, given the first."""
    form, t = make(5, 1), randn(1, 5, seed=1)
    jacobian = torch.autograd.functional.jacobian(lambda x: form(x, t), randn(1, 5)).squeeze()
    assert torch.equal(jacobian[:2], torch.eye(5, dtype=torch.float64)[:2])
    assert torch.equal(jacobian[2:, 2:], jacobian[2:, 2:].diag().diag())
    assert jacobian[2:, :2].abs().min() > 0


def test_two_layers_change_everything():
    for layers, changed in ((1, 3), (2, 5)):
        form = make(5, layers)
        moved = form(randn(B, 5), randn(B, 5, seed=1)) != randn(B, 5)
        assert (moved.sum(1) == changed).all()


@pytest.mark.parametrize("gain", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_T_it_is_the_identity_to_the_last_bit(gain, dtype):
    form = make(7, gain=gain).to(dtype)
    z = randn(B, 7, scale=10.0).to(dtype)
    none = torch.zeros(B, 7, dtype=dtype)
    assert torch.equal(form(z, none), z)
    assert torch.equal(form.inverse(z, none), z)


def test_T_conditions_it_and_not_by_a_shift():
    form = make(6)
    z, s, t = randn(B, 6), randn(B, 6, seed=1), randn(B, 6, seed=2)
    moves = [form(z, x) - z for x in (s, t)]
    assert (moves[0] - moves[1]).norm() > 0.5 * z.norm()
    assert (form(0 * z, t) - moves[1]).norm() > 0.1 * z.norm()  # it depends on z, too
    assert 0.5 < moves[1].norm() / t.norm() < 2  # about as long as T, as a shift is


@pytest.mark.parametrize("layers", [1, 2, 5, 40])
def test_scales_stay_bounded_however_large_the_weights(layers):
    form = make(2, layers, 16, gain=100.0)
    t = randn(B, 2, seed=1, scale=1e6)
    for z in randn(B, 2).split(1):
        jacobian = torch.autograd.functional.jacobian(lambda x: form(x, t[:1]), z).squeeze()
        # at D = 2 both numbers are scaled by at most e^4
        assert abs(torch.linalg.slogdet(jacobian).logabsdet) <= 2 * LOG_SCALE * (1 + 1e-9)
    assert form(randn(B, 2), t).isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent_dim": 1}, "^latent_dim must be at least 2, got 1"),
        ({"layers": 0}, "^layers must be at least 1, got 0"),
        ({"hidden": -1}, "^hidden must be at least 1, got -1"),
        ({"parameters": 0}, "^parameters must be at least 1, got 0"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Coupling(**{"latent_dim": 4, **options})
