"""Products of reflections against dense matrices and the geometry of rotations."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from tvae.latent_transforms.householder import Householder

B = 6


def randn(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def matrix(form: Householder, t: Tensor) -> np.ndarray:
    """The D x D matrix by which one T of P acts."""
    eye = torch.eye(form.latent_dim, dtype=t.dtype)
    return form(eye, t.expand(len(eye), -1)).numpy().T


def reflection(w: np.ndarray) -> np.ndarray:
    return np.eye(len(w)) - 2 * np.outer(w, w) / (w @ w)


@pytest.mark.parametrize(("dim", "pairs"), [(1, 2), (2, 1), (4, 1), (4, 3), (10, 5), (3, 7)])
def test_it_is_the_product_of_the_reflections_and_a_rotation(dim, pairs):
    form = Householder(dim, pairs)
    assert form.parameter_shape == (pairs, 2, dim)
    z, t = randn(B, dim), randn(B, pairs * 2 * dim, seed=1)
    back = form.inverse(z, t)
    for i in range(B):
        expected = np.eye(dim)
        for w in t[i].reshape(2 * pairs, dim).numpy():
            expected = reflection(w) @ expected
        np.testing.assert_allclose(matrix(form, t[i]), expected, rtol=0, atol=1e-13)
        np.testing.assert_allclose(back[i], expected.T @ z[i].numpy(), rtol=0, atol=1e-13)
        np.testing.assert_allclose(np.linalg.det(expected), 1)
        np.testing.assert_allclose(expected @ expected.T, np.eye(dim), atol=1e-13)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 0.3, 1.0, np.pi / 2])
def test_a_pair_rotates_its_plane_by_twice_the_angle(angle):
    u, other = np.linalg.qr(randn(5, 2).numpy())[0].T
    v = np.cos(angle) * u + np.sin(angle) * other
    t = torch.tensor(np.concatenate([2.0 * u, -7.0 * v]))  # lengths and signs do not count
    found = matrix(Householder(5), t)
    turned = np.cos(2 * angle) * u + np.sin(2 * angle) * other
    np.testing.assert_allclose(found @ u, turned, atol=1e-14)
    away = randn(5, seed=1).numpy()
    away -= u * (u @ away) + other * (other @ away)
    np.testing.assert_allclose(found @ away, away, atol=1e-14)
    np.testing.assert_allclose(np.trace(found), 3 + 2 * np.cos(2 * angle), atol=1e-13)


@pytest.mark.parametrize("dim", [2, 3, 10])
def test_half_of_a_pair_twice_is_the_pair(dim):
    form = Householder(dim)
    for t in randn(B, 2 * dim, seed=1):
        whole = matrix(form, form.scale(t[None], 1.0)[0])
        np.testing.assert_allclose(whole, matrix(form, t), atol=1e-13)
        for n in (2, 3):
            root = matrix(form, form.scale(t[None], 1 / n)[0])
            np.testing.assert_allclose(np.linalg.matrix_power(root, n), whole, atol=1e-12)
        # the smallest root: no rotation by more than a quarter turn
        half = matrix(form, form.scale(t[None], 0.5)[0])
        assert np.linalg.eigvals(half).real.min() > -1e-9


def test_of_several_pairs_scale_is_a_path():
    form, t = Householder(4, 3), randn(1, 24)
    np.testing.assert_allclose(matrix(form, form.scale(t, 0.0)[0]), np.eye(4), atol=1e-14)
    steps = [matrix(form, form.scale(t, a)[0]) for a in np.linspace(0, 1, 101)]
    np.testing.assert_allclose(steps[-1], matrix(form, t[0]), atol=1e-13)
    assert max(np.abs(b - a).max() for a, b in pairwise(steps)) < 0.2


SPECIAL = {
    "parallel": ([1.0, 2.0, 0.0], [2.0, 4.0, 0.0]),
    "antiparallel": ([1.0, 2.0, 0.0], [-1.0, -2.0, 0.0]),
    "zero": ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
    "zero u": ([0.0, 0.0, 0.0], [0.0, 1.0, 1.0]),
    "zero v": ([0.0, 1.0, 1.0], [0.0, 0.0, 0.0]),
    "orthogonal": ([0.0, 1.0, 0.0], [0.0, 0.0, 1.0]),
    "tiny": ([1e-40, 0.0, 0.0], [0.0, 1e-44, 0.0]),
    "small": ([1e-18, 0.0, 0.0], [1e-18, 1e-18, 0.0]),
    "large": ([1e30, 1e30, 0.0], [0.0, 1e38, 3e38]),
}


@pytest.mark.parametrize("vectors", SPECIAL.values(), ids=SPECIAL)
@pytest.mark.parametrize("a", [None, 0.0, 0.5, 1.0])
def test_degenerate_vectors_still_rotate_and_have_gradients(vectors, a):
    form = Householder(3)
    t = torch.tensor(vectors).reshape(1, -1).requires_grad_()
    z = torch.tensor([[1.0, -2.0, 3.0]])
    used = t if a is None else form.scale(t, a)
    for act in (form, form.inverse):
        out = act(z, used)
        torch.testing.assert_close(out.norm(), z.norm())
        (gradient,) = torch.autograd.grad((out * torch.arange(3)).sum(), t, retain_graph=True)
        assert gradient.isfinite().all()
    rotation = matrix(form, used.detach()[0])
    np.testing.assert_allclose(np.linalg.det(rotation), 1, rtol=1e-5)


@pytest.mark.parametrize("kind", ["parallel", "antiparallel", "zero"])
def test_equal_lines_are_the_identity_at_every_scale(kind):
    form, t = Householder(3), torch.tensor(SPECIAL[kind]).double().reshape(1, -1)
    for a in (0.0, 0.5, 1.0):
        np.testing.assert_allclose(matrix(form, form.scale(t, a)[0]), np.eye(3), atol=1e-15)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_shows(bad):
    t = Householder(3).identity()[None].clone()
    t[0, 4] = bad
    assert Householder(3)(torch.ones(1, 3), t).isnan().any()


def test_pairs_start_from_different_lines_and_learn():
    """At T_id each pair turns its e_k towards every other direction, at twice the speed of v."""
    form = Householder(4, 6)
    t = form.identity().double().requires_grad_()
    starts = [0, 1, 2, 3, 0, 1]
    for pair, k in zip(t.detach().reshape(6, 2, 4), starts, strict=True):
        assert pair.tolist() == np.eye(4)[[k, k]].tolist()
    z = randn(1, 4)
    jacobian = torch.autograd.functional.jacobian(lambda x: form(z, x[None])[0], t)
    jacobian = jacobian.reshape(4, 6, 2, 4)
    for pair, k in enumerate(starts):
        for j in range(4):
            # the generator of the rotation from e_k to e_j, times 2
            expected = np.zeros(4)
            expected[j], expected[k] = 2 * z[0, k], -2 * z[0, j]
            expected *= j != k
            np.testing.assert_allclose(jacobian[:, pair, 1, j], expected, atol=1e-14)
            np.testing.assert_allclose(jacobian[:, pair, 0, j], -expected, atol=1e-14)


@pytest.mark.parametrize(("dim", "abelian"), [(1, True), (2, True), (3, False), (10, False)])
def test_only_rotations_of_one_plane_commute(dim, abelian):
    form = Householder(dim, 2)
    assert ("abelian" in form.claims) == abelian
    z, s, t = randn(B, dim), randn(B, 4 * dim, seed=1), randn(B, 4 * dim, seed=2)
    error = (form(form(z, s), t) - form(form(z, t), s)).norm() / z.norm()
    assert (error < 1e-12) == abelian


@pytest.mark.parametrize("pairs", [0, -1])
def test_no_pairs_are_refused(pairs):
    with pytest.raises(ValueError, match=f"^pairs must be at least 1, got {pairs}"):
        Householder(4, pairs)
