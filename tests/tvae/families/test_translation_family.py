"""Translation by whole pixels against numpy, and its law."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from tvae.families.translation import Translation

MANY = 4000


def shifted(x: torch.Tensor, right: float, down: float) -> torch.Tensor:
    """`x` moved by so many of its pixels."""
    sides = {"x": right / x.shape[-1], "y": down / x.shape[-1]}
    numbers = {axis: torch.full((len(x),), sides[axis], dtype=x.dtype) for axis in "xy"}
    return Translation(0.5).apply(x, numbers)


@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, 2), (-4, 5), (-14, -14)])
def test_whole_pixels_are_a_roll_over_black(real, right, down):
    images = real[::10].double()
    padded = functional.pad(images, (14,) * 4)
    expected = torch.roll(padded, (down, right), (2, 3))[..., 14:-14, 14:-14]
    torch.testing.assert_close(shifted(images, right, down), expected, rtol=0, atol=1e-9)


def test_half_a_pixel_is_the_mean_of_two(smooth):
    expected = (smooth[..., 1:-1] + smooth[..., :-2]) / 2
    torch.testing.assert_close(
        shifted(smooth, 0.5, 0)[..., 1:-1], expected, rtol=0, atol=1e-12, check_dtype=False
    )


def test_draws_the_stated_range_and_the_axes_apart():
    drawn = Translation(0.2).draw(MANY, torch.Generator().manual_seed(0))
    assert set(drawn) == {"x", "y"}
    for values in drawn.values():
        assert 0.199 < values.abs().max() <= 0.2
        assert abs(values.mean()) < 4 * 0.2 / math.sqrt(3 * MANY)
    assert abs(torch.corrcoef(torch.stack(list(drawn.values())))[0, 1]) < 4 / math.sqrt(MANY)


@pytest.mark.parametrize("max_shift", [0, -0.1, 0.51, math.nan])
def test_a_bad_option_is_refused(max_shift):
    with pytest.raises(ValueError, match="max_shift of translation"):
        Translation(max_shift)
