"""The AffNIST family against the data set's own generator, and the law of its shifts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional

from tvae.data.affnist import RANGES, SIZE, place, render
from tvae.families._warp import warp
from tvae.families.affnist import INK, AffNIST


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def still(n: int, **numbers: float) -> dict[str, torch.Tensor]:
    """Parameters of the identity but for `numbers`."""
    base = {"scale_x": 1, "scale_y": 1, "shear": 0, "angle": 0, "place_x": 0.5, "place_y": 0.5}
    return {
        name: torch.full((n,), float(value))
        for name, value in {**base, "inverted": 0, **numbers}.items()
    }


@pytest.fixture(scope="module")
def digits(real) -> torch.Tensor:
    """50 digits in the middle of 40 x 40 pixels, in whole grey values."""
    return functional.pad(real[:50], (6,) * 4)


def test_images_are_those_of_the_data_set(digits):
    """28 x 28 pixels rendered and placed on 40 x 40 by one, the padded 40 x 40 by the other."""
    family = AffNIST()
    drawn = family.draw(len(digits), generator())
    numbers = {name: values.double().numpy() for name, values in drawn.items()}
    originals = (digits[:, 0, 6:-6, 6:-6] * 255).round().to(torch.uint8).numpy()
    canvas = render(originals, {name: numbers[name] for name in RANGES})
    theirs, shift_x, shift_y = place(canvas, numbers["place_x"], numbers["place_y"])
    assert theirs.shape[1:] == (SIZE, SIZE)
    ours = family.apply(digits, drawn)[:, 0]
    assert np.abs(255 * ours.numpy() - theirs).max() < 0.51, "they are rounded to whole grey values"
    x, y = family.shift(digits, drawn)
    np.testing.assert_array_equal(x.numpy(), shift_x)
    np.testing.assert_array_equal(y.numpy(), shift_y)


def test_the_other_view_is_the_inverse_of_the_map_chosen_for_the_image(smooth):
    """Undoing by hand: f_x^-1 moves by -t first, then back through the linear part."""
    family = AffNIST()
    drawn = family.draw(len(smooth), generator(1))
    numbers = {name: values.double() for name, values in drawn.items()}
    x, y = family.shift(smooth, drawn)
    second = family.apply(smooth, family.invert(drawn))
    centre = (torch.arange(48) + 0.5 - 24).double()
    for i in range(len(smooth)):
        down, right = torch.meshgrid(centre, centre, indexing="ij")
        points = torch.stack([right.flatten(), down.flatten()])
        source = family.linear(numbers)[i, :2, :2] @ points + torch.stack([x[i], y[i]])[:, None]
        grid = (source.T / 24).view(1, 48, 48, 2)
        expected = functional.grid_sample(smooth[i : i + 1], grid, align_corners=False)
        torch.testing.assert_close(second[i : i + 1], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("place", [0, 0.5, 1 - 1e-7])
def test_all_ink_stays_inside(digits, place):
    """As much of it as there is with room around, where nothing can be lost."""
    family = AffNIST()
    for seed in range(3):
        drawn = family.draw(len(digits), generator(seed))
        drawn |= {f"place_{axis}": torch.full((len(digits),), place) for axis in "xy"}
        linear = family.linear({name: values.double() for name, values in drawn.items()})
        whole = warp(functional.pad(digits, (40,) * 4), torch.linalg.inv(linear))
        seen = family.apply(digits, drawn)
        there, left = (torch.where(x > INK, x, 0).sum((1, 2, 3)) for x in (whole, seen))
        torch.testing.assert_close(left, there, rtol=0, atol=INK / 2)
        if place != 0.5:
            side = 0 if place == 0 else -1
            for axis in (1, 2):
                line = (seen[:, 0] > INK).any(axis)
                assert line[:, side].all(), "at an end of the range the ink is at the border"


def test_shifts_are_uniform_over_those_that_keep_the_ink_inside():
    """3 x 5 pixels of ink on 12 x 12 have 10 x 8 places, all equally likely."""
    n, family = 8000, AffNIST()
    image = torch.zeros(1, 1, 12, 12)
    image[..., 2:5, 6:11] = 1
    places = {f"place_{axis}": family.draw(n, generator(3))[f"place_{axis}"] for axis in "xy"}
    x, y = family.shift(image.expand(n, -1, -1, -1), still(n) | places)
    assert (x.min(), x.max(), y.min(), y.max()) == (-6, 1, -2, 7)
    cells = ((y + 2) * 8 + x + 6).long()
    counts = torch.bincount(cells, minlength=80).numpy()
    assert len(counts) == 80
    assert stats.chisquare(counts).pvalue > 0.01


def test_a_shift_is_a_roll(digits):
    numbers = still(len(digits), place_x=0.9, place_y=0.1)
    x, y = AffNIST().shift(digits, numbers)
    moved = AffNIST().apply(digits, numbers)
    for image, right, down, seen in zip(digits, x, y, moved, strict=True):
        expected = torch.roll(image, (int(down), int(right)), (1, 2))
        torch.testing.assert_close(seen, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("side", [9, 28, 40])
@pytest.mark.parametrize("channels", [1, 3])
def test_where_the_ink_does_not_fit_it_is_centred(side, channels):
    """The corners of a white image are lost alike at both ends, whatever was drawn."""
    family = AffNIST()
    white = torch.ones(20, channels, side, side)
    drawn = family.draw(20, generator())
    drawn |= {"scale_x": torch.full((20,), 1.2), "scale_y": torch.full((20,), 1.2)}
    for shift in family.shift(white, drawn):
        assert (shift == 0).all()
    middle = family.apply(white, drawn)[..., side // 2, side // 2]
    torch.testing.assert_close(middle, torch.ones_like(middle))


def test_a_blank_image_stays_blank_and_ink_in_one_channel_counts():
    family = AffNIST()
    drawn = family.draw(20, generator())
    blank = torch.zeros(20, 3, 28, 28)
    assert (family.apply(blank, drawn) == 0).all()
    assert all((shift == 0).all() for shift in family.shift(blank, drawn))
    grey = torch.rand(20, 1, 28, 28, generator=generator())
    grey[..., :9] = grey[..., 20:] = 0
    coloured = torch.cat([blank[:, :2], grey], dim=1)
    for one, other in zip(family.shift(grey, drawn), family.shift(coloured, drawn), strict=True):
        assert torch.equal(one, other)


def test_draws_the_ranges_of_the_data_set():
    drawn = AffNIST().draw(4000, generator())
    for name, (low, high) in {**RANGES, "place_x": (0, 1), "place_y": (0, 1)}.items():
        margin = 0.01 * (high - low)
        assert low <= drawn[name].min() < low + margin
        assert high - margin < drawn[name].max() <= high
    targets = AffNIST().targets(drawn)
    assert set(targets) == {*RANGES, "angle_sin", "angle_cos", "place_x", "place_y"} - {"angle"}
