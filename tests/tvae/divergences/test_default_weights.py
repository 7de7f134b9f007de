"""The default weights against what a unit shift costs in populations that are computed otherwise.

Kinds of divergence are compared at one strength: N(0, I) against N(m, I) with |m| = 1 costs 0.5
nats by all of them. The other computations draw squared distances by the hundred thousand, or call
scipy and torch.distributions; none uses a line of the divergences.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from torch.distributions import Normal, kl_divergence

from tvae.divergences import _kernels
from tvae.registry import divergences

DIMS = (4, 10, 100)
N = 200_000
every_dim = pytest.mark.parametrize("dim", DIMS)


def check(name: str, dim: int, mean: float, error: float = 0.0, **options) -> None:
    """The weighted value is 0.5 within four standard errors, and those are small."""
    weight = divergences.make(name, **options).default_weight(dim)
    assert weight * mean == pytest.approx(0.5, abs=4 * weight * error + 1e-9)
    assert weight * error < 0.005


def squared_distances(size: int) -> tuple[np.ndarray, np.ndarray]:
    """|u - u'|^2 and |u - v|^2 of N draws in `size` dimensions; u ~ N(0, I), v ~ N(m, I).

    |u - v|^2 = 1 + |x|^2 + 2 x_1 with x = u - u' along m: pairs of x and its mirror image, so that
    their difference has little noise.
    """
    rng = np.random.default_rng(0)
    along, rest = 2**0.5 * rng.standard_normal(N), 2 * rng.chisquare(size - 1, N)
    along = np.concatenate([along, -along])
    within = along**2 + np.tile(rest, 2)
    return within, within + 1 + 2 * along


def difference(kernel, size: int) -> tuple[float, float]:
    """2 E[k(u, u') - k(u, v)] and its standard error."""
    values = np.subtract(*(kernel(squares) for squares in squared_distances(size)))
    mirrored = values.reshape(2, N).sum(0)
    return mirrored.mean(), mirrored.std(ddof=1) / N**0.5


def imq(size):
    scales = [2 * size * s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10)]
    return lambda squares: sum(c / (c + squares) for c in scales)


def rbf(size):
    return lambda squares: np.exp(-squares / (2 * size))


def rbf_median(size):
    median = np.median(np.concatenate(squared_distances(size)))
    return lambda squares: np.exp(-squares / (2 * median))


KERNELS = {"imq": imq, "rbf": rbf, "rbf_median": rbf_median}


@every_dim
@pytest.mark.parametrize("kernel", KERNELS)
def test_mmd(dim, kernel):
    for estimator in ("wae", "biased"):
        mean, error = difference(KERNELS[kernel](dim), dim)
        check("mmd", dim, mean, error, kernel=kernel, estimator=estimator)


@every_dim
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("given", [("z",), ("z", "T")])
def test_joint_mmd(dim, kernel, given):
    """Blocks z and T in which the sides are alike; z_1 alone is shifted."""
    size = dim * (1 + len(given))
    mean, error = difference(KERNELS[kernel](size), size)
    check("mmd_joint", dim, mean, error, kernel=kernel, given=given)


@every_dim
def test_energy(dim):
    mean, error = difference(lambda squares: -np.sqrt(squares), dim)
    check("energy", dim, mean, error)


@every_dim
def test_sliced_wasserstein(dim):
    """On a line, W_2^2 of two normals is the squared distance of their means."""
    directions = np.random.default_rng(0).standard_normal((N, dim))
    squares = directions[:, 0] ** 2 / (directions**2).sum(1)
    check("sliced_wasserstein", dim, squares.mean(), squares.std() / N**0.5)


@every_dim
def test_kl(dim):
    pi, shifted = (Normal(torch.full((dim,), m).double(), 1.0) for m in (0.0, dim**-0.5))
    check("kl", dim, float(kl_divergence(pi, shifted).sum()), 1e-6)


@every_dim
@pytest.mark.parametrize("blur", [0.5, 1.0])
def test_sinkhorn(dim, blur):
    """By plain fixed-point iterations: a law and itself, moved by m."""
    pytest.importorskip("geomloss")
    u = np.random.default_rng(0).standard_normal((40, dim))
    eps = dim * blur**2

    def transport(v: np.ndarray, w: np.ndarray) -> float:
        cost = ((v[:, None] - w) ** 2).sum(2) / 2
        f = g = np.zeros(len(u))
        for _ in range(500):
            f = -eps * special.logsumexp((g - cost) / eps, axis=1, b=1 / len(u))
            g = -eps * special.logsumexp((f - cost.T) / eps, axis=1, b=1 / len(u))
        return f.mean() + g.mean()

    moved = u + dim**-0.5
    check("sinkhorn", dim, transport(u, moved) - transport(u, u), 1e-6, blur=blur)


# --- the closed forms, digit by digit -----------------------------------------------------------


@pytest.mark.parametrize("dim", [1, 2, 10, 100, 1000])
def test_the_quadrature_of_the_imq_is_scipys(dim):
    def integrand(x: float, c: float) -> float:
        t = x / c
        shifted = np.exp(-t / (1 + 4 * t))
        return np.exp(-x) * 2 * (1 + 4 * t) ** (-dim / 2) * (1 - shifted)

    scales = [2 * dim * s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10)]
    expected = sum(integrate.quad(integrand, 0, np.inf, args=(c,))[0] for c in scales)
    assert _kernels.imq_at_unit_shift(dim) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dim", [1, 2, 10, 100, 1000])
def test_the_median_is_scipys(dim):
    """Half of the pooled squared distances are 2 chi^2, half noncentral."""
    h = 1.9 * dim + 0.3
    for _ in range(60):  # Newton
        below = stats.chi2.cdf(h / 2, dim) + stats.ncx2.cdf(h / 2, dim, 0.5) - 1
        h -= 2 * below / (stats.chi2.pdf(h / 2, dim) + stats.ncx2.pdf(h / 2, dim, 0.5))
    expected = _kernels.gaussian_at_unit_shift(1 / (2 * h), dim)
    assert _kernels.rbf_median_at_unit_shift(dim) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dim", [1, 2, 10, 100, 1000])
def test_the_energy_is_scipys(dim):
    ratio = np.exp(special.gammaln((dim + 1) / 2) - special.gammaln(dim / 2))
    expected = 4 * ratio * (special.hyp1f1(-0.5, dim / 2, -0.25) - 1)
    assert divergences.make("energy").at_unit_shift(dim) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("options", [{}, *({"kernel": kernel} for kernel in KERNELS)], ids=str)
def test_weights_are_the_same_everywhere(options):
    """They draw no random numbers, and need none where torch has no numbers at all."""
    state = torch.random.get_rng_state()
    for name in ("mmd", "mmd_joint") if options else divergences.names():
        first = divergences.make(name, **options).default_weight(10)
        with torch.device("meta"):
            assert divergences.make(name, **options).default_weight(10) == first
    assert torch.equal(torch.random.get_rng_state(), state)
