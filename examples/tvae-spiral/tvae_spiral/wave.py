"""Waves."""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor
from torch.nn import functional

from tvae.families import Inverse, Parameters, TransformationFamily, uniform


class Wave(TransformationFamily):
    """Wave: row y of x_1 is shifted by a sin(2 pi n y + phase) to the right, of x_2 to the left.

    Rows keep their height, so that shifting them back is the inverse. y runs from 0 at the top to 1
    at the bottom; a ~ U(-max_shift, max_shift), phase ~ U(0, 2 pi).

    Args:
        max_shift: in sides of the image, above 0 and at most 0.25.
        waves: n, above 0.

    Raises:
        ValueError: an option is outside of its range.
    """

    inverse: Inverse = "exact"

    def __init__(self, max_shift: float = 0.15, waves: float = 1.0) -> None:
        if not 0 < max_shift <= 0.25:
            raise ValueError(f"max_shift must be in (0, 0.25], got {max_shift}")
        if not waves > 0:
            raise ValueError(f"waves must be above 0, got {waves}")
        self.max_shift, self.waves = max_shift, waves

    def draw(self, n: int, generator: torch.Generator) -> Parameters:
        """``shift`` in sides of the image, ``phase`` in radians."""
        return {
            "shift": uniform(n, -self.max_shift, self.max_shift, generator),
            "phase": uniform(n, 0, 2 * pi, generator),
        }

    def apply(self, x: Tensor, parameters: Parameters) -> Tensor:
        """f(x), bilinear, black outside."""
        theta = torch.eye(2, 3).to(x).expand(len(x), 2, 3)
        grid = functional.affine_grid(theta, list(x.shape), align_corners=False).clone()
        y = (grid[..., 1] + 1) / 2
        shift, phase = (parameters[name].to(x)[:, None, None] for name in ("shift", "phase"))
        # what is shown at a place comes from its left; the grid's side is 2
        grid[..., 0] -= 2 * shift * torch.sin(2 * pi * self.waves * y + phase)
        return functional.grid_sample(x, grid, align_corners=False).clamp_(0, 1)

    def invert(self, parameters: Parameters) -> Parameters:
        """The opposite shift."""
        return {**parameters, "shift": -parameters["shift"]}

    def targets(self, parameters: Parameters) -> Parameters:
        """The shifts of the first row and of one a quarter of a wave below it."""
        shift, phase = parameters["shift"], parameters["phase"]
        return {"shift_sin": shift * phase.sin(), "shift_cos": shift * phase.cos()}
