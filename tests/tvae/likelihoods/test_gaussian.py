"""Gaussian pixels: the constants, which compare scales, and the scale that is learned."""

from __future__ import annotations

import math

import pytest
import torch

from tvae.likelihoods.gaussian import Gaussian


def test_by_hand():
    """At the image itself log sigma + log(2 pi)/2 a pixel are left, and one sigma off 1/2 more."""
    x = torch.full((2, 1, 3, 4), 0.5)
    least = Gaussian(0.25).nll(torch.zeros_like(x), x)
    expected = 12 * (math.log(0.25) + math.log(2 * math.pi) / 2)
    torch.testing.assert_close(least, torch.full((2,), expected))
    off = Gaussian(0.25).nll(torch.zeros_like(x), x + 0.25)
    torch.testing.assert_close(off, torch.full((2,), expected + 6))


def test_a_learned_scale_is_least_at_the_root_mean_square_error():
    x = torch.rand(50, 1, 4, 4, dtype=torch.float64)
    parameters = torch.zeros_like(x)
    error = float((x - 0.5).square().mean().sqrt())
    likelihood = Gaussian(error, learned=True).double()
    likelihood.nll(parameters, x).mean().backward()
    assert float(likelihood.log_scale.grad) == pytest.approx(0, abs=1e-5)
    assert [name for name, _ in likelihood.named_parameters()] == ["log_scale"]


def test_a_given_scale_is_no_weight():
    """It is an option, and no checkpoint has to hold it."""
    assert not Gaussian(0.3).state_dict()
    assert [*Gaussian(0.3, learned=True).state_dict()] == ["log_scale"]


@pytest.mark.parametrize("scale", [0, -1.0, math.nan, math.inf])
def test_an_impossible_scale_is_refused(scale):
    with pytest.raises(ValueError, match="scale must be a number above 0"):
        Gaussian(scale)
