"""The energy distance against a double loop, scipy in one dimension, and its theory."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from tvae.divergences.base import Side
from tvae.divergences.energy import Energy

B, D = 9, 3
ESTIMATORS = ("unbiased", "biased")
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)


def randn(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def energy(u: Tensor, v: Tensor, estimator: str) -> float:
    return Energy(estimator)(Side(u), Side(v)).item()


@every_estimator
@pytest.mark.parametrize("n", [2, B])
def test_it_is_the_double_loop(estimator, n):
    u, v = randn(n, D), 0.7 * randn(n, D, seed=1) + 0.5
    within, cross, count = 0.0, 0.0, 0
    for i in range(n):
        for j in range(n):
            cross += math.dist(u[i].tolist(), v[j].tolist())
            if i != j or estimator == "biased":
                within += math.dist(u[i].tolist(), u[j].tolist())
                within += math.dist(v[i].tolist(), v[j].tolist())
                count += 1
    expected = 2 * cross / n**2 - within / count
    assert energy(u, v, estimator) == pytest.approx(expected, rel=1e-12)


def test_biased_is_scipys_squared_in_one_dimension():
    """Scipy's is the square root of the V-statistic: sqrt(2) times Cramer's distance."""
    u, v = randn(B, 1), 2 * randn(B, 1, seed=1) - 1
    theirs = stats.energy_distance(u[:, 0].numpy(), v[:, 0].numpy())
    assert energy(u, v, "biased") == pytest.approx(theirs**2, rel=1e-10)


def test_expectation_under_equal_laws():
    """0 for `unbiased`; `biased` is off by its diagonals, 2 E|u - u'| / n, in 2D 2 sqrt(pi) / n."""
    repetitions, n = 2000, 6
    u, v = randn(2, repetitions, n, 2, seed=7)
    for estimator, expected in (("unbiased", 0.0), ("biased", 2 * math.sqrt(math.pi) / n)):
        values = [energy(a, b, estimator) for a, b in zip(u, v, strict=True)]
        error = np.std(values, ddof=1) / repetitions**0.5
        assert np.mean(values) == pytest.approx(expected, abs=4 * error)
        assert error < 0.05 * 2 * math.sqrt(math.pi) / n


def test_a_distant_point_is_twice_the_distance_away():
    u, v = torch.zeros(4, 2), torch.tensor([[3.0, 4.0]]).expand(4, 2)
    assert [energy(u, v, estimator) for estimator in ESTIMATORS] == [10, 10]


def test_at_equal_samples_biased_is_zero_and_unbiased_negative():
    """There 2 S - 2 S n / (n - 1) with S the V-statistic's within-term: -2 S / (n - 1)."""
    u = randn(B, D)
    assert energy(u, u.clone(), "biased") == pytest.approx(0, abs=1e-13)
    within = torch.cdist(u, u).mean().item()
    assert energy(u, u.clone(), "unbiased") == pytest.approx(-2 * within / (B - 1), rel=1e-12)
    draws = [(randn(5, D, seed=2 * i), randn(5, D, seed=2 * i + 1)) for i in range(100)]
    assert min(energy(u, v, "biased") for u, v in draws) > 0
    assert min(energy(u, v, "unbiased") for u, v in draws) < 0


@every_estimator
def test_permuting_one_side_changes_nothing(estimator):
    u = randn(B, D)
    v = u + 0.1 * randn(B, D, seed=1)
    order = torch.roll(torch.arange(B), 2)
    assert energy(u, v[order], estimator) == pytest.approx(energy(u, v, estimator), abs=1e-13)


@every_estimator
def test_gradients(estimator):
    divergence = Energy(estimator)
    u, v = randn(4, 2).requires_grad_(), randn(4, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda u, v: divergence(Side(u), Side(v)), (u, v))


@every_estimator
def test_points_on_top_of_each_other_have_finite_gradients(estimator):
    """A collapsed encoder must not end in NaN, and coinciding points do not pull at each other."""
    u, v = torch.zeros(B, D, requires_grad=True), torch.zeros(B, D, requires_grad=True)
    Energy(estimator)(Side(u), Side(v)).backward()
    assert (u.grad == 0).all()
    assert (v.grad == 0).all()


@every_estimator
def test_float32_keeps_small_distances_far_from_the_origin(estimator):
    u, v = (1000 + 1e-2 * randn(B, D, seed=i) for i in range(2))
    u, v = u.float(), v.float()
    expected = energy(u.double(), v.double(), estimator)
    assert energy(u, v, estimator) == pytest.approx(expected, rel=1e-3, abs=1e-7)


def test_an_unknown_estimator_is_refused():
    with pytest.raises(ValueError, match="estimator must be one of unbiased, biased, got 'wae'"):
        Energy("wae")


@pytest.mark.parametrize(("u", "v"), [((1, 2), (1, 2)), ((3, 2), (4, 2)), ((3, 2), (3, 3))])
def test_impossible_samples_are_refused(u, v):
    with pytest.raises(ValueError, match="two samples of one shape and B >= 2"):
        Energy()(Side(torch.zeros(u)), Side(torch.zeros(v)))
