"""Erasing: exactly a rectangle is 0, of the stated sizes, anywhere."""

from __future__ import annotations

import math

import pytest
import torch

from tvae.families.erase import Erase

MANY = 4000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def erased(view: torch.Tensor) -> torch.Tensor:
    """Which pixels of a view of an image of ones are 0, B H W."""
    assert ((view == 0) | (view == 1)).all()
    return view[:, 0] == 0


def test_exactly_a_rectangle_is_0_and_the_rest_is_untouched():
    images = torch.rand(200, 3, 28, 40, generator=generator()) * 0.9 + 0.1
    family = Erase(0.2, 0.6)
    drawn = family.draw(200, generator(1))
    for numbers in (drawn, family.invert(drawn)):
        view = family.apply(images, numbers)
        gone = erased(family.apply(torch.ones_like(images), numbers))
        rectangle = gone.any(2)[:, :, None] & gone.any(1)[:, None]
        assert torch.equal(gone, rectangle)
        for axis in (1, 2):  # no gaps
            line = gone.any(axis).int()
            starts = (line.diff(dim=1) == 1).sum(1) + line[:, 0]
            assert (starts == 1).all()
        assert (view[gone[:, None].expand_as(view)] == 0).all()
        kept = ~gone[:, None].expand_as(view)
        assert torch.equal(view[kept], images[kept])


def test_sizes_and_places_are_those_that_were_drawn():
    family = Erase(0.2, 0.6)
    drawn = family.draw(300, generator())
    gone = erased(family.apply(torch.ones(300, 1, 50, 50), drawn))
    for lines, side, axis in ((gone.any(1), "width_1", "x_1"), (gone.any(2), "height_1", "y_1")):
        size = lines.sum(1)
        assert ((size - 50 * drawn[side]).abs() < 1).all()
        assert size.min() >= 10
        assert size.max() <= 30
        first = lines.int().argmax(1)
        centre = (first + size / 2) / 50 - 0.5
        assert ((centre - drawn[axis]).abs() < 1 / 50).all()


def test_rectangles_lie_inside_and_both_views_have_their_own():
    drawn = Erase(0.2, 0.6).draw(MANY, generator())
    for view in "12":
        for axis, side in (("x", "width"), ("y", "height")):
            length = drawn[f"{side}_{view}"]
            assert 0.2 <= length.min() < 0.205
            assert 0.595 < length.max() <= 0.6
            reach = drawn[f"{axis}_{view}"].abs() + length / 2
            assert 0.499 < reach.max() <= 0.5 + 1e-6
    correlation = torch.corrcoef(torch.stack(list(drawn.values())))
    assert (correlation - torch.eye(8)).abs().max() < 4 / math.sqrt(MANY)


def test_the_other_view_is_the_other_rectangle():
    family = Erase()
    images = torch.ones(50, 1, 28, 28)
    x_1, x_2, drawn = family.views(images, generator())
    swapped = {name[:-1] + {"1": "2", "2": "1"}[name[-1]]: v for name, v in drawn.items()}
    assert torch.equal(x_2, family.apply(images, swapped))
    assert not torch.equal(x_1, x_2)


@pytest.mark.parametrize(
    ("low", "high"), [(0, 0.5), (0.5, 0.4), (0.5, 1), (math.nan, 0.5), (0.1, math.nan)]
)
def test_bad_options_are_refused(low, high):
    with pytest.raises(ValueError, match="min_side of erase must be above 0"):
        Erase(low, high)
