"""Perspective maps against the linear system of their corners, scikit-image, and translation.

Dividing by a w that passes 0 would fold the image over itself; the range of the option is what
prevents it.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from skimage import transform

from tvae.families.perspective import CORNERS, LIMIT, Perspective
from tvae.families.translation import Translation

SQUARE = np.array(list(CORNERS.values()))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def named(shifts: torch.Tensor) -> dict[str, torch.Tensor]:
    """Parameters of B 4 2 shifts in sides."""
    numbers = {
        f"{corner}_{axis}": shifts[:, i, j]
        for i, corner in enumerate(CORNERS)
        for j, axis in enumerate("xy")
    }
    return {**numbers, "inverted": torch.zeros(len(shifts))}


def solved(moved: np.ndarray) -> np.ndarray:
    """The homography with 1 in its last entry, from eight equations in eight unknowns."""
    rows, right = [], []
    for (x, y), (u, v) in zip(SQUARE, moved, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    return np.append(np.linalg.solve(np.array(rows), np.array(right)), 1).reshape(3, 3)


def test_the_homography_takes_each_corner_to_its_place():
    family = Perspective(LIMIT)
    drawn = {name: values.double() for name, values in family.draw(50, generator()).items()}
    ours = family.homography(drawn).numpy()
    for i, h in enumerate(ours):
        shifts = [[drawn[f"{corner}_{axis}"][i].item() for axis in "xy"] for corner in CORNERS]
        expected = solved(SQUARE + 2 * np.array(shifts))
        np.testing.assert_allclose(h / h[2, 2], expected, atol=1e-12)


def test_it_is_scikit_images_rendering(smooth):
    family = Perspective(LIMIT)
    drawn = {n: v.double() for n, v in family.draw(len(smooth), generator(4)).items()}
    ours, inverse = family.apply(smooth, drawn), family.apply(smooth, family.invert(drawn))
    # pixel i is at (2 i + 1) / 48 - 1
    to_pixels = np.array([[24, 0, 23.5], [0, 24, 23.5], [0, 0, 1]])
    for i, h in enumerate(family.homography(drawn).numpy()):
        forward = to_pixels @ h @ np.linalg.inv(to_pixels)
        image = smooth[i, 0].numpy()
        for matrix, seen in ((forward, ours), (np.linalg.inv(forward), inverse)):
            theirs = transform.warp(image, np.linalg.inv(matrix), order=1, mode="constant", cval=0)
            np.testing.assert_allclose(seen[i, 0].numpy(), theirs, atol=1e-6)


def test_corners_that_move_alike_are_a_translation(smooth):
    shift = torch.linspace(-0.15, 0.15, 2 * len(smooth)).double().view(-1, 1, 2)
    ours = Perspective(LIMIT).apply(smooth, named(shift.expand(-1, 4, -1)))
    expected = Translation(0.15).apply(smooth, {"x": shift[:, 0, 0], "y": shift[:, 0, 1]})
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-9)


def test_parameters_replay_the_same_map_on_other_images(smooth):
    family = Perspective()
    numbers = family.draw(8, generator())
    a, b = smooth[:8] / 2, smooth[8:] / 2
    parts = family.apply(a, numbers) + family.apply(b, numbers)
    torch.testing.assert_close(family.apply(a + b, numbers), parts, rtol=0, atol=1e-9)


def test_within_the_limit_the_whole_image_is_in_front_of_the_camera():
    """W > 0 at the corners, hence between them, of f and of its inverse: every extreme, and more.

    Past the limit it is not so: the limit is needed.
    """

    def least(shifts: torch.Tensor) -> float:
        forward = Perspective(LIMIT).homography(named(shifts))
        corners = torch.tensor(np.c_[SQUARE, np.ones(4)])
        w = torch.cat([(m[:, 2:] @ corners.T)[:, 0] for m in (forward, torch.linalg.inv(forward))])
        return (w.amin(1) / w.amax(1)).min().item()

    extremes = torch.tensor(list(itertools.product((-1.0, 0.0, 1.0), repeat=8))).double()
    extremes = extremes.view(-1, 4, 2)
    between = 2 * torch.rand(20_000, 4, 2, generator=generator()).double() - 1
    assert least(LIMIT * extremes) > 1 / 7
    assert least(LIMIT * between) > least(LIMIT * extremes)
    assert least(0.2 * extremes) < 0


def test_draws_the_stated_range_and_targets_are_the_shifts():
    family = Perspective(0.1)
    drawn = family.draw(4000, generator())
    targets = family.targets(drawn)
    assert len(targets) == 8
    assert set(drawn) == {*targets, "inverted"}
    for values in targets.values():
        assert 0.099 < values.abs().max() <= 0.1
        assert abs(values.mean()) < 4 * 0.1 / math.sqrt(3 * 4000)


@pytest.mark.parametrize("max_shift", [0, -0.1, 0.16, math.nan])
def test_a_bad_option_is_refused(max_shift):
    with pytest.raises(ValueError, match="max_shift of perspective"):
        Perspective(max_shift)
