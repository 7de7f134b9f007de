"""Zoom against torch's own resizing, and its law."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from tvae.families.scale import Scale

MANY = 4000


def zoomed(x: torch.Tensor, factor: float) -> torch.Tensor:
    return Scale(10).apply(x, {"log_scale": torch.full((len(x),), math.log(factor)).double()})


def test_twice_the_size_is_the_middle_resized(smooth):
    middle = smooth[..., 12:36, 12:36]
    expected = functional.interpolate(middle, size=48, mode="bilinear", align_corners=False)
    inside = (..., slice(2, -2), slice(2, -2))  # interpolate does not see beyond the middle
    torch.testing.assert_close(zoomed(smooth, 2)[inside], expected[inside], rtol=0, atol=1e-6)


def test_half_the_size_is_every_other_point_amid_black(smooth):
    small = functional.avg_pool2d(smooth, 2)  # the mean of four is the bilinear value between them
    expected = functional.pad(small, (12,) * 4)
    torch.testing.assert_close(zoomed(smooth, 0.5), expected, rtol=0, atol=1e-6)


def test_the_centre_stays():
    image = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    image[0, 0, 4, 4] = 1
    for factor in (0.5, 1, 2, 3):
        assert zoomed(image, factor)[0, 0, 4, 4] == pytest.approx(1)


def test_the_logarithm_is_uniform():
    drawn = Scale(2).draw(MANY, torch.Generator().manual_seed(0))
    logs = drawn["log_scale"] / math.log(2)
    assert 0.99 < logs.abs().max() <= 1 + 1e-6
    assert abs(logs.mean()) < 4 / math.sqrt(3 * MANY)
    assert logs.var() == pytest.approx(1 / 3, abs=0.02)


@pytest.mark.parametrize("max_scale", [1, 0.5, 10.1, math.nan])
def test_a_bad_option_is_refused(max_scale):
    with pytest.raises(ValueError, match="max_scale of scale"):
        Scale(max_scale)
