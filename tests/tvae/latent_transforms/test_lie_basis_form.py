"""Learned generators against scipy's exponential, and that they are learned."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from tvae.latent_transforms._exponential import REACH
from tvae.latent_transforms.lie_basis import LieBasis

B = 6


def randn(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def make(dim: int, generators: int = 8, seed: int = 0) -> LieBasis:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LieBasis(dim, generators).double()


@pytest.mark.parametrize(("dim", "generators"), [(1, 8), (4, 1), (4, 8), (10, 3)])
def test_it_is_the_exponential_of_the_sum(dim, generators):
    form = make(dim, generators)
    z, t = randn(B, dim), randn(B, generators, seed=1)
    basis = form.basis.detach().numpy()
    assert basis.shape == (generators, dim, dim)
    for sign, act in ((1, form), (-1, form.inverse)):
        moved = act(z, t).detach().numpy()
        for row, numbers, found in zip(z.numpy(), t.numpy(), moved, strict=True):
            a = sum(x * g for x, g in zip(numbers, basis, strict=True))
            expected = scipy.linalg.expm(sign * a) @ row
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-11)


def test_generators_are_learned():
    """From pairs related by a rotation: the generator of rotations is found, up to T's unit."""
    form = make(2, 1)
    optimiser = torch.optim.Adam(form.parameters(), lr=0.05)
    z, t = randn(64, 2), randn(64, 1, seed=1, scale=0.5)
    turned = torch.view_as_real(torch.view_as_complex(z) * torch.exp(2j * t[:, 0]))
    for _ in range(150):
        optimiser.zero_grad()
        (form(z, t) - turned).square().mean().backward()
        assert form.basis.grad.abs().min() > 0
        optimiser.step()
    expected = torch.tensor([[[0.0, -2.0], [2.0, 0.0]]], dtype=torch.float64)
    torch.testing.assert_close(form.basis.detach(), expected, rtol=0, atol=0.02)


@pytest.mark.parametrize(
    ("dim", "generators", "claims"),
    [
        (10, 8, set()),
        (10, 2, set()),
        (10, 1, {"abelian", "closed"}),
        (1, 8, {"abelian", "closed"}),
    ],
)
def test_one_generator_commutes_with_itself(dim, generators, claims):
    form = make(dim, generators)
    assert form.claims == claims | {"inverse", "identity"}
    z, s, t = randn(B, dim), randn(B, generators, seed=1), randn(B, generators, seed=2)
    error = (form(form(z, s), t) - form(z, s + t)).norm() / z.norm()
    assert (error < 1e-12) == bool(claims)


@pytest.mark.parametrize(("dim", "generators"), [(4, 2), (10, 8), (100, 1), (100, 8)])
def test_the_initial_size_gives_eigenvalues_of_about_one(dim, generators):
    form = make(dim, generators)
    a = form.generator(randn(20, generators, seed=1))
    radius = torch.linalg.eigvals(a.detach()).abs().amax(1).mean()
    assert 0.5 < radius < 1.5


@pytest.mark.parametrize(("dim", "generators"), [(1, 1), (4, 8), (100, 1), (100, 8)])
def test_the_reach_is_a_bound_on_the_exponents_norm(dim, generators):
    """|sum_k T_k G_k|_1 <= |T|_1 max_k |G_k|_1 <= `REACH`, whatever was drawn."""
    for seed in range(3):
        norm = torch.linalg.matrix_norm(make(dim, generators, seed).basis, ord=1).amax()
        assert make(dim, generators).reach * norm <= REACH * (1 + 1e-6)


def test_the_draw_follows_the_generator_of_the_caller():
    assert torch.equal(make(4, seed=1).basis, make(4, seed=1).basis)
    assert not torch.equal(make(4, seed=1).basis, make(4, seed=2).basis)


def test_its_condition_is_numpys():
    form, t = make(4), randn(B, 8)
    expected = [np.linalg.cond(scipy.linalg.expm(a)) for a in form.generator(t).detach().numpy()]
    np.testing.assert_allclose(form.diagnostics(t)["condition"].detach(), expected, rtol=1e-8)


@pytest.mark.parametrize("generators", [0, -2])
def test_no_generators_are_refused(generators):
    with pytest.raises(ValueError, match=f"^generators must be at least 1, got {generators}"):
        LieBasis(4, generators)
