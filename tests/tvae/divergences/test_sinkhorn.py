"""The Sinkhorn divergence against exact optimal transport, its closed forms and its limits.

The solver is geomloss'; what is checked is that it is asked the right question and leaves nothing
behind.
"""

from __future__ import annotations

import math

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from tvae.divergences.base import Side

pytest.importorskip("geomloss", reason="the extra `sinkhorn` is not installed")

from tvae.divergences import sinkhorn
from tvae.divergences.sinkhorn import Sinkhorn

B, D = 12, 3


def randn(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def divergence(u: Tensor, v: Tensor, blur: float = 1.0) -> float:
    return Sinkhorn(blur)(Side(u), Side(v)).item()


@pytest.fixture
def converged(monkeypatch):
    """The solver without the error that is taken for speed."""
    monkeypatch.setattr(sinkhorn, "STEPS", 500)


def test_without_blur_it_is_exact_transport(converged):
    u, v = randn(B, D), 0.5 * randn(B, D, seed=1) + 0.5
    cost = (u[:, None] - v).square().sum(2).numpy() / 2
    exact = cost[linear_sum_assignment(cost)].mean()
    assert divergence(u, v, 0.01) == pytest.approx(exact, rel=0.01)


def test_with_much_blur_it_is_half_the_squared_distance_of_the_means():
    u, v = randn(B, D), 3 * randn(B, D, seed=1) + 0.5
    expected = (u.mean(0) - v.mean(0)).square().sum().item() / 2
    assert divergence(u, v, 1000) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("blur", [0.05, 0.5, 2.0])
def test_a_shift_costs_half_its_square_at_any_blur(blur):
    u, shift = randn(B, D), torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    expected = shift.square().sum().item() / 2
    assert divergence(u, u + shift, blur) == pytest.approx(expected, rel=1e-3)


def test_between_two_points_of_mass_one_half_it_is_the_closed_form(converged):
    """{0, a} to itself: OT = -eps log((1 + e^(-a^2 / 2 eps)) / 2) by symmetry; u against a/2 twice.

    With u = {0, a} and v = {a/2, a/2} the plan is the independent one, at the cost a^2 / 8.
    """
    a, blur = 2.0, 0.7
    u = torch.tensor([[0.0], [a]], dtype=torch.float64)
    v = torch.full_like(u, a / 2)
    itself = -(blur**2) * math.log((1 + math.exp(-(a**2) / (2 * blur**2))) / 2)
    # the potentials' relative entropy is to the product of the marginals: no constant is left over
    assert divergence(u, v, blur) == pytest.approx(a**2 / 8 - itself / 2, rel=1e-6)


def test_blur_means_the_same_in_every_dimension(converged):
    """D copies of a coordinate: all squared distances grow by D, and so do eps and the value."""
    u, v = randn(B, 1), randn(B, 1, seed=1) + 0.3
    once, five_times = divergence(u, v), divergence(u.expand(-1, 5), v.expand(-1, 5))
    assert five_times == pytest.approx(5 * once, rel=1e-6)


def test_equal_samples_are_at_0_in_any_order():
    u = randn(B, D)
    order = torch.randperm(B, generator=torch.Generator().manual_seed(0))
    assert divergence(u, u.clone()) == pytest.approx(0, abs=1e-12)
    assert divergence(u, u[order]) == pytest.approx(0, abs=1e-12)
    assert divergence(u, u + 0.3 * randn(B, D, seed=1)) > 0.01


def test_gradients_are_those_of_the_converged_value(converged):
    """Geomloss differentiates at the optimum only; finite differences see the whole solver."""
    u, v = randn(4, 2).requires_grad_(), randn(4, 2, seed=1).requires_grad_()
    solve = Sinkhorn()
    found = torch.autograd.grad(solve(Side(u), Side(v)), (u, v))
    h = 1e-4
    for side, gradient in zip((0, 1), found, strict=True):
        for i in range(4):
            for j in range(2):
                step = torch.zeros(4, 2, dtype=torch.float64)
                step[i, j] = h
                values = []
                for sign in (1, -1):
                    moved = [u.detach(), v.detach()]
                    moved[side] = moved[side] + sign * step
                    values.append(divergence(*moved))
                expected = (values[0] - values[1]) / (2 * h)
                assert gradient[i, j].item() == pytest.approx(expected, abs=1e-4)


def test_it_leaves_gradients_switched_as_they_were():
    u, v = randn(B, D).requires_grad_(), randn(B, D, seed=1)
    with torch.no_grad():
        value = Sinkhorn()(Side(u), Side(v))
        assert not torch.is_grad_enabled()
    assert not value.requires_grad
    assert Sinkhorn()(Side(u), Side(v)).requires_grad


def test_float32_keeps_its_digits_far_from_the_origin():
    u, v = ((randn(B, D, seed=i) + 1000).float() for i in range(2))
    value = Sinkhorn()(Side(u), Side(v))
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(divergence(u.double(), v.double()), abs=1e-4)


def test_collapsed_and_broken_samples_do_not_stop_it():
    zeros = torch.zeros(B, D, dtype=torch.float64)
    assert divergence(zeros, zeros) == pytest.approx(0, abs=1e-12)
    assert divergence(zeros, zeros + 2) == pytest.approx(2 * D)
    assert math.isnan(divergence(zeros, zeros + math.nan)), (
        "the trainer stops at what is not finite"
    )


@pytest.mark.parametrize("blur", [0, -1.0, math.nan, math.inf])
def test_an_impossible_blur_is_refused(blur):
    with pytest.raises(ValueError, match="blur must be a number above 0"):
        Sinkhorn(blur)


def test_unequal_samples_are_refused():
    with pytest.raises(ValueError, match="two samples of one shape"):
        Sinkhorn()(Side(torch.zeros(3, 2)), Side(torch.zeros(4, 2)))
