"""The affine exponential against scipy's, and against the forms and groups inside it."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from tvae.latent_transforms._exponential import NORM_LIMIT
from tvae.latent_transforms.affine import Affine
from tvae.latent_transforms.matrix import Matrix

B = 6


def randn(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def parameters(a: Tensor, b: Tensor) -> Tensor:
    """T of A, B D D, and b, B D."""
    return torch.cat([a, b.unsqueeze(2)], dim=2).flatten(1)


def augmented(t: np.ndarray, dim: int) -> np.ndarray:
    return np.vstack([t.reshape(dim, dim + 1), np.zeros(dim + 1)])


@pytest.mark.parametrize("dim", [1, 2, 4, 10])
def test_it_is_the_exponential_of_the_augmented_matrix(dim):
    form = Affine(dim)
    assert form.parameter_size == dim * dim + dim
    z, t = randn(B, dim), randn(B, dim * dim + dim, seed=1, scale=0.7)
    for sign, act in ((1, form), (-1, form.inverse)):
        for row, numbers, found in zip(z.numpy(), t.numpy(), act(z, t).numpy(), strict=True):
            exp = scipy.linalg.expm(sign * augmented(numbers, dim))
            np.testing.assert_allclose(found, (exp @ [*row, 1.0])[:-1], rtol=1e-10, atol=1e-11)


def test_without_a_matrix_it_is_a_shift_and_without_a_shift_a_matrix():
    form = Affine(4)
    z, a, b = randn(B, 4), randn(B, 4, 4, seed=1), randn(B, 4, seed=2)
    shift, linear = parameters(0 * a, b), parameters(a, 0 * b)
    torch.testing.assert_close(form(z, shift), z + b, rtol=1e-15, atol=1e-15)
    torch.testing.assert_close(form.inverse(z, shift), z - b, rtol=1e-15, atol=1e-15)
    expected = Matrix(4)(z, a.flatten(1))
    torch.testing.assert_close(form(z, linear), expected, rtol=1e-12, atol=1e-12)


def test_shifts_are_a_normal_subgroup():
    """Semidirect product: exp(A) after a shift by b is a shift by exp(A) b after exp(A)."""
    form = Affine(3)
    z, a, b = randn(B, 3), randn(B, 3, 3, seed=1, scale=0.5), randn(B, 3, seed=2)
    zero = torch.zeros_like(b)
    linear, shift = parameters(a, zero), parameters(torch.zeros_like(a), b)
    moved = form(b, linear)  # exp(A) b
    found = form(form(z, shift), linear)
    expected = form(form(z, linear), parameters(torch.zeros_like(a), moved))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert (found - form(form(z, linear), shift)).norm() > 0.1  # so the order matters


def test_the_shift_is_carried_along_by_the_matrix():
    """Of an invertible A: r(z, T) = exp(A) (z + A^-1 b) - A^-1 b, a motion around a fixed point."""
    z, a, b = randn(B, 3), randn(B, 3, 3, seed=3), randn(B, 3, seed=2)
    fixed = -torch.linalg.solve(a, b)
    found = Affine(3)(z, parameters(a, b))
    expected = torch.linalg.matrix_exp(a) @ (z - fixed).unsqueeze(2)
    torch.testing.assert_close(found, expected.squeeze(2) + fixed, rtol=1e-10, atol=1e-10)


def test_its_condition_is_that_of_the_linear_part():
    t = randn(B, 4 * 5)
    t[0] = 1e4  # overflows: not finite, and the others keep theirs
    expected = [np.linalg.cond(scipy.linalg.expm(x.reshape(4, 5)[:, :4])) for x in t[1:].numpy()]
    found = Affine(4).diagnostics(t)["condition"]
    assert found[0].isnan()
    np.testing.assert_allclose(found[1:], expected, rtol=1e-7)


def test_beyond_the_limit_of_the_exponential_it_is_nan():
    t = torch.zeros(B, 4 * 5)
    t[0, 4] = 1.001 * NORM_LIMIT  # a shift: its size counts, too
    assert Affine(4)(torch.ones(B, 4), t).isnan().all()


@pytest.mark.parametrize("dim", [0, -3])
def test_bad_sizes_are_refused(dim):
    with pytest.raises(ValueError, match=f"^latent_dim must be at least 1, got {dim}"):
        Affine(dim)
