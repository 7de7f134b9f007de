"""The elastic flow against integration by scipy of a spline of scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.interpolate import BSpline

from tvae.families import elastic
from tvae.families.elastic import Elastic

B_SPLINE = BSpline.basis_element(np.arange(-2.0, 3.0), extrapolate=False)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(family: Elastic, n: int, seed: int = 0) -> dict[str, torch.Tensor]:
    return {name: values.double() for name, values in family.draw(n, generator(seed)).items()}


def velocity(numbers: dict[str, float], grid: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """As the docstring says, in sides of the image with the origin at its centre: 2 N."""
    h = 1 / (grid + 3)
    total = np.zeros((2, len(x)))
    for i in range(grid):
        for j in range(grid):
            at_x, at_y = ((k - (grid - 1) / 2) * h for k in (j, i))
            weight = np.nan_to_num(B_SPLINE((x - at_x) / h)) * np.nan_to_num(
                B_SPLINE((y - at_y) / h)
            )
            total += np.outer([numbers[f"{axis}_{i}{j}"] for axis in "xy"], weight)
    return total


def centres(side: int) -> tuple[np.ndarray, np.ndarray]:
    """x, y of the pixels, in sides, from the image's centre."""
    axis = (np.arange(side) + 0.5) / side - 0.5
    right, down = np.meshgrid(axis, axis)
    return right.ravel(), down.ravel()


def flow(family: Elastic, numbers: dict[str, torch.Tensor], side: int) -> torch.Tensor:
    """In sides."""
    return family.flow(numbers, elastic.pixel_centres(torch.zeros(1, 1, side, side).double())) / 2


@pytest.mark.parametrize("grid", [1, 3, 4])
def test_the_velocity_is_the_stated_spline(grid):
    family = Elastic(grid, 0.2)
    numbers = draw(family, 1)
    points = elastic.pixel_centres(torch.zeros(1, 1, 20, 20).double())[0, 0]
    ours = family.velocity(numbers, points, points)[0].flatten(1) / 2
    expected = velocity({n: v.item() for n, v in numbers.items()}, grid, *centres(20))
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-12)
    assert np.abs(expected).max() > 0.02


def test_the_velocity_dies_at_the_border():
    family = Elastic()
    points = torch.tensor([-1, -0.999, 0, 0.999, 1], dtype=torch.float64)
    v = family.velocity(draw(family, 5), points, points)
    border = torch.cat([v[..., [0, -1], :].flatten(), v[..., [0, -1]].flatten()])
    assert border.abs().max() < 1e-15
    assert v[..., [1, -2], :].abs().max() < 1e-7


def test_the_flow_is_that_of_a_fine_integration(monkeypatch):
    family = Elastic()
    numbers = draw(family, 3)
    for i in range(3):
        own = {name: values[i].item() for name, values in numbers.items()}
        start = np.concatenate(centres(28))
        n = len(start) // 2
        end = solve_ivp(
            lambda t, p, own=own, n=n: velocity(own, 3, p[:n], p[n:]).ravel(),
            (0, 1),
            start,
            rtol=1e-6,
            atol=1e-8,
        ).y[:, -1]
        expected = (end - start).reshape(2, 28, 28)
        errors = {}
        for doublings in (1, 3, 6):
            monkeypatch.setattr(elastic, "DOUBLINGS", doublings)
            ours = flow(family, {name: v[i : i + 1] for name, v in numbers.items()}, 28)[0].numpy()
            errors[doublings] = 28 * np.abs(ours - expected).max()
        assert 28 * np.abs(expected).max() > 1
        assert errors[1] > errors[3] > errors[6]
        assert errors[6] < 0.2, "pixels, as documented"


def test_the_error_vanishes_with_the_size_of_pixels(monkeypatch):
    """Against the flow on 3 times as many pixels, whose every third is in the same place."""
    monkeypatch.setattr(elastic, "DOUBLINGS", 9)
    family = Elastic()
    numbers = draw(family, 8)
    error = {}
    for side in (16, 48):
        fine = flow(family, numbers, 3 * side)[..., 1::3, 1::3]
        error[side] = (flow(family, numbers, side) - fine).square().mean().sqrt().item()
    assert error[48] < error[16] / 4


def test_the_image_is_mapped_onto_itself_without_folds():
    for grid, strength in ((1, 0.375), (3, 0.25), (6, 1 / 6), (9, 0.125)):
        family = Elastic(grid, strength)
        numbers = draw(family, 40, grid)
        lattice = torch.from_numpy(np.stack(centres(28)).reshape(2, 28, 28))
        ends = lattice + flow(family, numbers, 28)
        assert ends.abs().max() < 0.5
        along_x = ends[..., 1:, 1:] - ends[..., 1:, :-1]
        along_y = ends[..., 1:, 1:] - ends[..., :-1, 1:]
        determinant = along_x[:, 0] * along_y[:, 1] - along_x[:, 1] * along_y[:, 0]
        assert determinant.min() > 0
        assert (ends - lattice).abs().max() <= strength


def test_content_moves_along_the_velocity(smooth):
    """A field that points right everywhere near the centre moves what is there to the right."""
    family = Elastic(3, 0.1)
    zero, right = torch.zeros(len(smooth)), torch.full((len(smooth),), 0.1)
    numbers = {name: right if name[0] == "x" else zero for name in draw(family, 1)}
    moved = family.apply(smooth, numbers)
    columns, rows = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="xy")

    def centre(images: torch.Tensor, axis: torch.Tensor) -> torch.Tensor:
        return (images * axis).sum((1, 2, 3)) / images.sum((1, 2, 3))

    assert (centre(moved, columns) - centre(smooth, columns) > 1).all()
    assert (centre(moved, rows) - centre(smooth, rows)).abs().max() < 0.5


def test_draws_the_stated_range():
    drawn = Elastic(4, 0.2).draw(500, generator())
    assert len(drawn) == 32
    values = torch.stack(list(drawn.values()))
    assert 0.199 < values.abs().max() <= 0.2
    assert abs(values.mean()) < 4 * 0.2 / math.sqrt(3 * values.numel())


@pytest.mark.parametrize(
    ("grid", "strength", "message"),
    [
        (0, 0.1, "grid of elastic"),
        (10, 0.1, "grid of elastic"),
        (3, 0, "strength of elastic"),
        (3, 0.26, "strength of elastic"),
        (3, math.nan, "strength of elastic"),
    ],
)
def test_bad_options_are_refused(grid, strength, message):
    with pytest.raises(ValueError, match=message):
        Elastic(grid, strength)
