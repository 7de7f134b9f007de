"""The sliced Wasserstein distance against numpy's sorting and exact plans on lines.

A sort along the wrong axis, or directions that are not uniform on the sphere, would still give a
number that falls in training.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import wasserstein_distance
from torch import Tensor

from tvae.divergences.base import Side
from tvae.divergences.sliced_wasserstein import SlicedWasserstein

B, D = 12, 4


def randn(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def distance(u: Tensor, v: Tensor, projections: int = 50, seed: int = 0) -> float:
    return SlicedWasserstein(projections)(Side(u), Side(v), None, generator(seed)).item()


def test_it_is_the_loop_over_projections():
    u, v = randn(B, D), 0.5 * randn(B, D, seed=1) + 1
    directions = torch.randn(D, 7, generator=generator(3)).double().numpy().T
    expected = []
    for w in directions:
        w = w / np.sqrt((w**2).sum())
        a, b = np.sort(u.numpy() @ w), np.sort(v.numpy() @ w)
        expected.append(np.mean((a - b) ** 2))
    assert distance(u, v, 7, seed=3) == pytest.approx(np.mean(expected), rel=1e-12)


def test_on_a_line_it_is_the_cost_of_the_best_assignment():
    u, v = randn(B, 1), 2 * randn(B, 1, seed=1)
    cost = (u - v.T).square().numpy()
    assert distance(u, v) == pytest.approx(cost[linear_sum_assignment(cost)].mean(), rel=1e-12)
    v = u + 0.3  # every plan of least cost moves all by 0.3, where W_1^2 = W_2^2
    expected = wasserstein_distance(u[:, 0].numpy(), v[:, 0].numpy()) ** 2
    assert distance(u, v) == pytest.approx(expected, rel=1e-12)


def test_a_shift_gives_its_squared_length_over_the_dimensions():
    """(w . s)^2 averages |s|^2 / D over the sphere, with variance 2 (D - 1) / (D^2 (D + 2)) |s|^4.

    Directions that are not uniform show in the single axes.
    """
    n, u = 20_000, randn(B, D)
    sigma = np.sqrt(2 * (D - 1) / (D**2 * (D + 2)) / n)
    for axis in range(D):
        shift = torch.zeros(D, dtype=torch.float64)
        shift[axis] = 1
        assert distance(u, u + shift, n) == pytest.approx(1 / D, abs=4 * sigma)


def test_equal_samples_are_at_distance_0_in_any_order_and_no_others_are():
    u = randn(B, D)
    order = torch.randperm(B, generator=generator())
    assert distance(u, u.clone()) == 0
    assert distance(u, u[order]) == pytest.approx(0, abs=1e-28)
    assert distance(u, u + 1e-3 * randn(B, D, seed=1)) > 1e-8


def test_the_generator_decides_the_projections():
    u, v = randn(B, D), randn(B, D, seed=1)
    assert distance(u, v, seed=5) == distance(u, v, seed=5)
    assert distance(u, v, seed=5) != distance(u, v, seed=6)
    divergence, running = SlicedWasserstein(), generator()
    first, second = (divergence(Side(u), Side(v), None, running) for _ in range(2))
    assert first != second, "one generator goes on, a new batch has new projections"
    assert torch.equal(divergence(Side(u), Side(v)), divergence(Side(u), Side(v)))
    state = torch.random.get_rng_state()
    divergence(Side(u), Side(v))
    assert torch.equal(state, torch.random.get_rng_state())


def test_float32_sees_the_same_projections():
    u, v = randn(B, D), randn(B, D, seed=1)
    single = SlicedWasserstein()(Side(u.float()), Side(v.float()))
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(SlicedWasserstein()(Side(u), Side(v)).item(), rel=1e-5)


def test_gradients():
    divergence = SlicedWasserstein(5)
    u, v = randn(5, 2).requires_grad_(), randn(5, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda u, v: divergence(Side(u), Side(v)), (u, v))


@pytest.mark.parametrize("projections", [0, -3])
def test_no_projections_are_refused(projections):
    with pytest.raises(ValueError, match="projections must be at least 1"):
        SlicedWasserstein(projections)


def test_unequal_samples_are_refused():
    with pytest.raises(ValueError, match="two samples of one shape"):
        SlicedWasserstein()(Side(torch.zeros(3, 2)), Side(torch.zeros(4, 2)))
