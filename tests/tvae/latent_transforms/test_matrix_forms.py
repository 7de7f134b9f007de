"""The matrix forms against other implementations of the same matrices.

The forms never build exp(A): they apply it. Here it is built, by torch, scipy and numpy, in
float64, and multiplied with z by hand.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from tvae.latent_transforms.matrix import Matrix
from tvae.latent_transforms.matrix_free import MatrixFree
from tvae.latent_transforms.matrix_z import MatrixZ, squarest

B = 6


def randn(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("skew", [False, True])
@pytest.mark.parametrize(("dim", "block"), [(1, None), (4, 2), (10, None), (10, 5), (10, 1)])
def test_matrix_is_the_block_diagonal_exponential(dim, block, skew):
    form = Matrix(dim, block, skew)
    b = block or dim
    z, t = randn(B, dim), randn(B, dim * b, seed=1, scale=0.7)
    assert form.parameter_shape == (dim // b, b, b)
    for sign, act in ((1, form), (-1, form.inverse)):
        for row, parameters, found in zip(z, t, act(z, t), strict=True):
            blocks = parameters.reshape(-1, b, b)
            if skew:
                blocks = torch.stack([(a - a.T) / 2 for a in blocks])
            exp = torch.linalg.matrix_exp(sign * torch.block_diag(*blocks))
            close(found, exp @ row)


def test_skew_blocks_of_two_are_plane_rotations():
    z, t = randn(B, 4), randn(B, 8, seed=1)
    moved = Matrix(4, 2, skew=True)(z, t)
    for row, parameters, found in zip(z.numpy(), t.reshape(B, 2, 2, 2).numpy(), moved, strict=True):
        for i, a in enumerate(parameters):
            angle = (a[1, 0] - a[0, 1]) / 2
            c, s = np.cos(angle), np.sin(angle)
            rotated = np.array([[c, -s], [s, c]]) @ row[2 * i : 2 * i + 2]
            np.testing.assert_allclose(found[2 * i : 2 * i + 2], rotated, rtol=1e-12)


@pytest.mark.parametrize(("dim", "shape"), [(10, None), (10, (2, 5)), (12, (3, 4)), (4, (4, 1))])
@pytest.mark.parametrize("sides", ["left", "both"])
def test_matrix_z_multiplies_from_its_sides(dim, shape, sides):
    form = MatrixZ(dim, shape, sides)
    m, n = shape or (5, 2)
    z, t = randn(B, dim), randn(B, m * m + (n * n if sides == "both" else 0), seed=1, scale=0.7)
    assert form.parameter_size == t.shape[1]
    for sign, act in ((1, form), (-1, form.inverse)):
        for row, parameters, found in zip(z, t, act(z, t), strict=True):
            left = torch.linalg.matrix_exp(sign * parameters[: m * m].reshape(m, m))
            expected = left @ row.reshape(m, n)
            if sides == "both":
                expected = expected @ torch.linalg.matrix_exp(
                    sign * parameters[m * m :].reshape(n, n)
                )
            close(found, expected.flatten())


def test_one_sided_matrix_z_is_a_matrix_with_equal_blocks():
    """(A Z) column by column: A acts on each of the n columns, that is, as n equal blocks."""
    m, n = 5, 2
    z, a = randn(B, m * n), randn(B, m * m, seed=1, scale=0.5)
    columns = z.reshape(B, m, n).transpose(1, 2).reshape(B, -1)
    by_blocks = Matrix(m * n, block=m)(columns, a.repeat(1, n))
    expected = by_blocks.reshape(B, n, m).transpose(1, 2).reshape(B, -1)
    close(MatrixZ(m * n, (m, n), "left")(z, a), expected)


def test_two_sided_matrix_z_is_a_kronecker_product():
    """Row by row, vec(L Z R) = (L kron R^T) vec(Z): no matrix with equal blocks does that."""
    m, n = 3, 4
    z, t = randn(B, m * n), randn(B, m * m + n * n, seed=1, scale=0.5)
    moved = MatrixZ(m * n, (m, n))(z, t)
    for row, parameters, found in zip(z.numpy(), t.numpy(), moved.numpy(), strict=True):
        left = scipy.linalg.expm(parameters[: m * m].reshape(m, m))
        right = scipy.linalg.expm(parameters[m * m :].reshape(n, n))
        np.testing.assert_allclose(found, np.kron(left, right.T) @ row, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("dim", "shape"), [(1, (1, 1)), (7, (7, 1)), (10, (5, 2)), (12, (4, 3)), (100, (10, 10))]
)
def test_the_default_shape_is_the_squarest(dim, shape):
    assert squarest(dim) == shape


@pytest.mark.parametrize("dim", [1, 4, 10, 100])
def test_matrix_free_is_numpys_product_and_solution(dim):
    form = MatrixFree(dim)
    z, t = randn(B, dim), randn(B, dim * dim, seed=1, scale=0.5 / dim**0.5)
    matrices = np.eye(dim) + t.numpy().reshape(B, dim, dim)
    expected = [m @ row for m, row in zip(matrices, z.numpy(), strict=True)]
    solved = [np.linalg.solve(m, row) for m, row in zip(matrices, z.numpy(), strict=True)]
    np.testing.assert_allclose(form(z, t), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(form.inverse(z, t), solved, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("singular", [np.zeros((2, 2)), np.array([[1.0, 2.0], [2.0, 4.0]])])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_singular_matrix_shows_and_does_not_crash(singular, dtype):
    """One such sample is a diverged trial; its neighbours in the batch keep their results."""
    good = np.array([[2.0, 1.0], [0.0, 1.0]])
    t = torch.tensor(np.stack([singular, good]) - np.eye(2), dtype=dtype).reshape(2, 4)
    z = torch.tensor([[1.0, 3.0], [1.0, 3.0]], dtype=dtype)
    out = MatrixFree(2).inverse(z, t)
    assert not out[0].isfinite().all()
    torch.testing.assert_close(out[1], torch.tensor([-1.0, 3.0], dtype=dtype))


@pytest.mark.parametrize("dim", [1, 4, 10])
def test_condition_numbers_are_numpys(dim):
    t = randn(B, dim * dim, scale=1.0)
    generators = t.numpy().reshape(B, dim, dim)
    for form, matrices in (
        (MatrixFree(dim), np.eye(dim) + generators),
        (Matrix(dim), [scipy.linalg.expm(a) for a in generators]),
        (Matrix(dim, skew=True), [scipy.linalg.expm((a - a.T) / 2) for a in generators]),
    ):
        expected = [np.linalg.cond(m) for m in matrices]
        found = form.diagnostics(t)["condition"]
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        torch.testing.assert_close(
            form.diagnostics(t.float())["condition"], found, rtol=1e-3, atol=0
        )


def test_the_condition_of_blocks_is_that_of_the_whole_matrix():
    t = randn(B, 4 * 2, seed=2)
    whole = [scipy.linalg.block_diag(*map(scipy.linalg.expm, a)) for a in t.reshape(B, 2, 2, 2)]
    expected = [np.linalg.cond(m) for m in whole]
    np.testing.assert_allclose(Matrix(4, 2).diagnostics(t)["condition"], expected, rtol=1e-8)


@pytest.mark.parametrize(
    ("form", "bad"),
    [
        (Matrix(2), 1e4),
        (Matrix(2), float("inf")),
        (Matrix(2), float("nan")),
        (MatrixFree(2), float("inf")),
        (MatrixFree(2), float("nan")),
    ],
)
def test_the_condition_of_an_overflowing_matrix_is_nan(form, bad):
    """An exploded T is a fact about the arm: it must not take the other measurements with it."""
    t = torch.tensor([[bad, bad, 0.0, bad], [0.0, 0.0, 0.0, 0.0]])
    condition = form.diagnostics(t)["condition"]
    assert condition[0].isnan()
    assert condition[1] == 1


def test_the_condition_of_a_singular_matrix_is_infinite():
    t = torch.tensor([[-1.0, 0.0, 0.0, 1.0]])
    assert MatrixFree(2).diagnostics(t)["condition"] == float("inf")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Matrix(10, block=3), "block must divide latent_dim=10, got 3"),
        (lambda: Matrix(10, block=0), "block must divide latent_dim=10, got 0"),
        (lambda: MatrixZ(10, (3, 3)), "two factors of latent_dim=10"),
        (lambda: MatrixZ(10, (-5, -2)), "two factors of latent_dim=10"),
        (lambda: MatrixZ(10, sides="right"), "'left' or 'both', got 'right'"),
    ],
)
def test_impossible_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
