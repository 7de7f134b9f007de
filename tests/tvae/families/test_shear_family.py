"""Shear row by row, against the affine family, and its law."""

from __future__ import annotations

import math

import pytest
import torch

from tvae.families.affine import Affine
from tvae.families.shear import Shear

MANY = 4000


def sheared(x: torch.Tensor, shear: float) -> torch.Tensor:
    return Shear(1).apply(x, {"shear": torch.full((len(x),), shear, dtype=torch.float64)})


@pytest.mark.parametrize("shear", [0.5, 1, -0.25])
def test_a_row_moves_by_its_height(shear):
    """A vertical line through the centre: row y of 33, 16 - y above it, moves by k (16 - y)."""
    image = torch.zeros(1, 1, 33, 33, dtype=torch.float64)
    image[..., 16] = 1
    rows = sheared(image, shear)[0, 0]
    columns = torch.arange(33.0).double()
    for y, row in enumerate(rows):
        expected = (1 - (columns - 16 - shear * (16 - y)).abs()).clamp_min(0)  # bilinear
        torch.testing.assert_close(row, expected, rtol=0, atol=1e-9)


def test_it_leans_as_the_affine_family_does(smooth):
    one = torch.ones(len(smooth), dtype=torch.float64)
    names = ("angle", "shear", "scale_x", "scale_y", "x", "y", "inverted")
    numbers = dict.fromkeys(names, 0 * one) | {"scale_x": one, "scale_y": one, "shear": 0.3 * one}
    expected = Affine().apply(smooth, numbers)
    torch.testing.assert_close(sheared(smooth, 0.3), expected, rtol=0, atol=1e-9)


def test_draws_the_stated_range():
    shear = Shear(0.4).draw(MANY, torch.Generator().manual_seed(0))["shear"]
    assert 0.399 < shear.abs().max() <= 0.4
    assert abs(shear.mean()) < 4 * 0.4 / math.sqrt(3 * MANY)


@pytest.mark.parametrize("max_shear", [0, -0.1, 1.1, math.nan])
def test_a_bad_option_is_refused(max_shear):
    with pytest.raises(ValueError, match="max_shear of shear"):
        Shear(max_shear)
