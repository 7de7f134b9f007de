"""exp(A) Z without exp(A), against exact arithmetic and scipy.

Every matrix form rests on this product. The plan's error bound is a promise about the worst case,
which for a given norm is a 1 x 1 matrix: there the truncation is computed in rational numbers. The
product itself is compared with scipy's two independent algorithms; so is the other way to it, which
reads no number and is an accelerator's.
"""

from __future__ import annotations

import decimal
from decimal import Decimal
from fractions import Fraction
from math import factorial

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse.linalg
import torch
from torch import Tensor

from tvae.latent_transforms._exponential import (
    NORM_LIMIT,
    exponential_action,
    taylor_plan,
    unread_action,
)

NORMS = (0.0, 1e-8, 0.1, 1.0, 8.0, 40.0)
TYPES = (torch.float32, torch.float64)
both = pytest.mark.parametrize("action", [exponential_action, unread_action])


def truncation_error(x: float, terms: int, scalings: int) -> Decimal:
    """|Taylor(x / s)^s - e^x| / e^|x|, the sum exact, the exponential to 80 digits."""
    h = Fraction(x) / scalings
    total = sum((h**k / factorial(k) for k in range(terms + 1)), Fraction(0))
    with decimal.localcontext(prec=80, Emin=-9999, Emax=9999):
        power = (Decimal(total.numerator) / Decimal(total.denominator)) ** scalings
        return abs(power - Decimal(x).exp()) / Decimal(abs(x)).exp()


@pytest.mark.parametrize("norm", [*NORMS, 7.99, 8.01, 88.0, NORM_LIMIT])
@pytest.mark.parametrize("dtype", TYPES)
def test_the_plan_keeps_its_bound(norm, dtype):
    tolerance = torch.finfo(dtype).eps / 4
    terms, scalings = taylor_plan(norm, tolerance)
    for x in (norm, -norm):
        assert truncation_error(x, terms, scalings) <= Decimal(tolerance)


@pytest.mark.parametrize(("norm", "dtype", "most"), [(0.1, *TYPES[:1], 5), (1.0, *TYPES[:1], 11)])
def test_the_plan_is_not_wasteful(norm, dtype, most):
    """At the norms of training, a float32 step takes about as many products as digits demand."""
    terms, scalings = taylor_plan(norm, torch.finfo(dtype).eps / 4)
    assert terms * scalings <= most
    assert taylor_plan(0.0, 1e-16) == (1, 1)


def matrices(norm: float, dim: int, dtype: torch.dtype) -> Tensor:
    """Matrices of exactly that 1-norm: dense, skew-symmetric, nilpotent, and negative diagonal."""
    generator = torch.Generator().manual_seed(dim)
    dense = torch.randn(dim, dim, generator=generator, dtype=torch.float64)
    kinds = [dense, dense - dense.T, dense.triu(1), -dense.abs().diag().diag()]
    scaled = [a * (norm / a.abs().sum(0).max().clamp_min(1e-300)) for a in kinds]
    return torch.stack(scaled).to(dtype)


@both
@pytest.mark.parametrize("dim", [2, 10])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", TYPES)
def test_the_action_is_scipys_exponential(action, norm, dim, dtype):
    a = matrices(norm, dim, dtype)
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(len(a), dim, 3, generator=generator, dtype=torch.float64).to(dtype)
    found = action(a, z)
    assert found.dtype == dtype
    for matrix, column, result in zip(a.double(), z.double(), found.double(), strict=True):
        error = result.numpy() - scipy.linalg.expm(matrix.numpy()) @ column.numpy()
        scale = np.exp(norm) * np.abs(column.numpy()).sum(0)
        assert (np.abs(error).sum(0) / scale).max() < 4 * torch.finfo(dtype).eps


@both
@pytest.mark.parametrize("norm", [0.1, 1.0, 8.0, 40.0])
def test_the_action_is_scipys_action_at_the_largest_size(action, norm):
    a = matrices(norm, 100, torch.float64)[:2]
    z = torch.ones(2, 100, 1, dtype=torch.float64)
    for matrix, result in zip(a, action(a, z), strict=True):
        expected = scipy.sparse.linalg.expm_multiply(matrix.numpy(), np.ones((100, 1)))
        scale = np.exp(norm) * 100
        assert np.abs(result.numpy() - expected).sum() / scale < 1e-15
        np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-9)


def test_a_small_matrix_shares_a_batch_with_a_large_one():
    """The plan of the largest norm serves all: the small ones must not lose digits to it."""
    a = torch.cat([matrices(1e-3, 4, torch.float64), matrices(40.0, 4, torch.float64)])
    z = torch.ones(8, 4, 1, dtype=torch.float64)
    alone, together = exponential_action(a[:4], z[:4]), exponential_action(a, z)[:4]
    torch.testing.assert_close(together, alone, rtol=1e-13, atol=0)


@both
def test_gradients_are_those_of_torchs_exponential(action):
    generator = torch.Generator().manual_seed(0)
    a, z, weight = (
        torch.randn(3, 4, n, generator=generator, dtype=torch.float64) for n in (4, 2, 2)
    )
    a.requires_grad_()
    z.requires_grad_()
    ours = torch.autograd.grad((weight * action(a, z)).sum(), (a, z))
    theirs = torch.autograd.grad((weight * (torch.linalg.matrix_exp(a) @ z)).sum(), (a, z))
    for found, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


@both
def test_at_the_limit_a_rotation_is_still_a_rotation(action):
    """|A| = 500 is computed, and e^500 fits float64: the angle is 500 radians."""
    a = torch.tensor([[[0.0, -NORM_LIMIT], [NORM_LIMIT, 0.0]]], dtype=torch.float64)
    found = action(a, torch.tensor([[[1.0], [0.0]]], dtype=torch.float64)).flatten()
    np.testing.assert_allclose(found, [np.cos(500), np.sin(500)], atol=1e-9)


@both
@pytest.mark.parametrize("bad", [NORM_LIMIT * 1.001, float("inf"), float("-inf"), float("nan")])
def test_beyond_the_limit_everything_is_nan(action, bad):
    """So that the loss is not finite and the trial is recorded as diverged, at no cost."""
    a = torch.zeros(2, 3, 3)
    a[1, 2, 0] = bad
    assert action(a, torch.ones(2, 3, 1)).isnan().all()


@both
def test_an_empty_batch(action):
    assert action(torch.zeros(0, 3, 3), torch.zeros(0, 3, 1)).shape == (0, 3, 1)
