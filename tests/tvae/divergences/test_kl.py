"""The KL divergences in closed form against torch.distributions.

Against the prior it is the VAE's own term; as coherence it measures each z_1 against the Gaussian
around its own r(z, T).
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from tvae.divergences.base import Side, gaussian_kl
from tvae.divergences.kl import KL

B, D = 8, 5


def randn(seed: int) -> Tensor:
    return torch.randn(B, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def normal(mean: Tensor, logvar: Tensor) -> Normal:
    return Normal(mean, logvar.exp().sqrt())


@pytest.fixture
def q() -> Side:
    return Side.gaussian(randn(0), randn(1), randn(2))


def test_gaussian_kl_is_torchs_per_sample(q):
    mean, logvar = randn(3), randn(4)
    expected = kl_divergence(normal(q.mean, q.logvar), normal(mean, logvar)).sum(1)
    torch.testing.assert_close(gaussian_kl(q.mean, q.logvar, mean, logvar), expected)
    assert (gaussian_kl(mean, logvar, mean, logvar) == 0).all()


def test_against_the_prior(q):
    pi = Side(randn(5), torch.zeros(B, D), torch.zeros(B, D))
    expected = kl_divergence(normal(q.mean, q.logvar), Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(KL()(q, pi), expected)


@pytest.mark.parametrize("scale", [0.05, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("learn_scale", [False, True])
def test_against_a_sample(q, scale, learn_scale):
    r = randn(6)
    expected = kl_divergence(normal(q.mean, q.logvar), Normal(r, scale)).sum(1).mean()
    given = {"z": randn(7), "T": randn(8)}
    found = KL(scale, learn_scale)(q, Side(r), given)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0, check_dtype=False)


def test_gradients(q):
    r, mean, logvar = (randn(i).requires_grad_() for i in (6, 0, 1))
    divergence = KL().double()
    assert torch.autograd.gradcheck(
        lambda r, mean, logvar: divergence(Side(mean, mean, logvar), Side(r)), (r, mean, logvar)
    )


def test_a_learned_scale_is_learned_and_a_fixed_one_is_not(q):
    fixed, learned = KL(0.3).double(), KL(0.3, learn_scale=True).double()
    assert list(fixed.parameters()) == []
    assert fixed.state_dict() == {}
    (log_scale,) = learned.parameters()
    learned(q, Side(randn(6))).backward()
    # d/ds of log s + (var + d^2) / (2 s^2), per dimension and with s = e^l
    expected = (1 - (q.logvar.exp() + (q.mean - randn(6)) ** 2) / 0.09).sum(1).mean()
    torch.testing.assert_close(log_scale.grad, expected, rtol=1e-6, atol=0)


def test_the_scale_moves_with_the_module():
    assert KL(0.3).double().log_scale.dtype == torch.float64


@pytest.mark.parametrize("scale", [0, -1.0, float("nan")])
def test_an_impossible_scale_is_refused(scale):
    with pytest.raises(ValueError, match="scale must be above 0"):
        KL(scale)


def test_a_first_side_without_moments_is_refused(q):
    with pytest.raises(ValueError, match="needs the moments of its first side"):
        KL()(Side(q.sample), q)
