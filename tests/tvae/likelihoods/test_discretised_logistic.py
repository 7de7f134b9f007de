"""Bytes under a logistic distribution: probabilities that add up, the ends among them.

A tail that is lost at 0 or 255 would make black pixels, of which digits are full, cost anything.
"""

from __future__ import annotations

import math

import pytest
import torch

from tvae.likelihoods.discretised_logistic import DiscretisedLogistic

BYTES = torch.arange(256, dtype=torch.float64)[:, None, None, None] / 255


def probabilities(mean: float, log_scale: float, scale: float = 0.1) -> torch.Tensor:
    """Of the 256 bytes, at one pair of parameters."""
    parameters = torch.tensor([mean, log_scale], dtype=torch.float64).expand(256, 2)
    return (-DiscretisedLogistic(scale).nll(parameters[:, :, None, None], BYTES)).exp()


@pytest.mark.parametrize("mean", [-50.0, -4.0, 0.0, 0.7, 50.0])
@pytest.mark.parametrize("log_scale", [-50.0, -2.0, 0.0, 3.0, 50.0])
def test_the_bytes_have_probability_1(mean, log_scale):
    assert probabilities(mean, log_scale).sum() == pytest.approx(1, abs=1e-9)


def test_the_ends_have_the_tails():
    """Half of a distribution around 0 is below 0, and half a byte above belongs to it, too."""
    h, s = 1 / 510, 0.1
    black, white = probabilities(-50, 0)[0], probabilities(50, 0)[255]
    for end in (black, white):
        assert float(end) == pytest.approx(1 / (1 + math.exp(-h / s)), rel=1e-9)
    wide = probabilities(0, 50)
    assert float(wide[0]) == pytest.approx(0.5, abs=1e-9)
    assert float(wide[255]) == pytest.approx(0.5, abs=1e-9)


def test_it_falls_from_the_mean_to_both_sides():
    p = probabilities(0.0, 0.0)[1:-1]  # around 127.5
    assert (p[:126].diff() > 0).all()
    assert (p[128:].diff() < 0).all()
    torch.testing.assert_close(p, p.flip(0))


def test_grey_values_are_rounded_to_bytes():
    parameters = torch.randn(1, 2, 1, 1)
    near = [torch.full((1, 1, 1, 1), (100 + off) / 255) for off in (-0.4, 0.0, 0.4)]
    low, exact, high = (DiscretisedLogistic().nll(parameters, x) for x in near)
    assert low == exact == high


def test_scale_is_where_the_decoder_starts():
    """A second number of 0."""
    at = probabilities(0.3, math.log(2), scale=0.1), probabilities(0.3, 0.0, scale=0.2)
    torch.testing.assert_close(*at)


@pytest.mark.parametrize("scale", [0, -1.0, math.nan, math.inf])
def test_an_impossible_scale_is_refused(scale):
    with pytest.raises(ValueError, match="scale must be a number above 0"):
        DiscretisedLogistic(scale)
