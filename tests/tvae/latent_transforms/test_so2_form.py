"""Plane rotations against matrices, complex numbers and the matrix form that contains them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from tvae.latent_transforms.matrix import Matrix
from tvae.latent_transforms.so2 import SO2

B = 6


def randn(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("dim", [2, 4, 10, 100])
def test_it_is_a_matrix_of_cosines_and_sines_and_an_exponential(dim):
    form = SO2(dim)
    z, t = randn(B, dim).numpy(), randn(B, dim // 2, seed=1, scale=3.0).numpy()
    for sign, act in ((1, form), (-1, form.inverse)):
        moved = act(torch.tensor(z), torch.tensor(t)).numpy()
        for row, angles, found in zip(z, sign * t, moved, strict=True):
            planes = [[[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]] for a in angles]
            generators = [[[0, -a], [a, 0]] for a in angles]
            rotation = scipy.linalg.block_diag(*planes)
            np.testing.assert_allclose(found, rotation @ row, rtol=1e-12, atol=1e-12)
            exponential = scipy.linalg.block_diag(*[scipy.linalg.expm(g) for g in generators])
            np.testing.assert_allclose(found, exponential @ row, rtol=1e-11, atol=1e-11)


def test_it_multiplies_complex_numbers():
    z, t = randn(B, 10), randn(B, 5, seed=1)
    expected = torch.view_as_complex(z.reshape(B, 5, 2)) * torch.exp(1j * t)
    found = torch.view_as_complex(SO2(10)(z, t).reshape(B, 5, 2))
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)


def test_composition_adds_angles_and_a_full_turn_is_none():
    form = SO2(6)
    z, s, t = randn(B, 6), randn(B, 3, seed=1), randn(B, 3, seed=2)
    torch.testing.assert_close(form.compose(s, t), s + t)
    torch.testing.assert_close(form(form(z, s), t), form(z, s + t), rtol=1e-13, atol=1e-13)
    turn = torch.full((B, 3), 2 * np.pi, dtype=torch.float64)
    torch.testing.assert_close(form(z, t + turn), form(z, t), rtol=1e-13, atol=1e-13)
    quarter = torch.tensor([[np.pi / 2, 0.0]])
    moved = SO2(4)(torch.tensor([[1.0, 0.0, 1.0, 0.0]]), quarter)
    torch.testing.assert_close(moved, torch.tensor([[0.0, 1.0, 1.0, 0.0]]), atol=1e-7, rtol=0)


def test_the_matrix_form_of_skew_blocks_of_two_is_the_same_group():
    z, t = randn(B, 8), randn(B, 4, seed=1)
    blocks = torch.zeros(B, 4, 2, 2, dtype=torch.float64)
    blocks[..., 1, 0], blocks[..., 0, 1] = t, -t
    expected = Matrix(8, block=2, skew=True)(z, blocks.flatten(1))
    torch.testing.assert_close(SO2(8)(z, t), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dim", [1, 3, 11])
def test_an_odd_size_is_refused(dim):
    with pytest.raises(ValueError, match=f"^latent_dim must be even, got {dim}"):
        SO2(dim)
