"""Rotation about the image's centre."""

from __future__ import annotations

import torch
from torch import Tensor

from tvae.families._warp import Warp, rotation, sine_and_cosine
from tvae.families.base import Inverse, Parameters, uniform


class Rotation(Warp):
    """Rotation: x_1 turned by an angle a, x_2 by -a.

    a ~ U(-max_angle, max_angle), in degrees, counter-clockwise as seen where positive.

    Args:
        max_angle: in degrees, above 0 and at most 180.

    Raises:
        ValueError: `max_angle` is outside of that.
    """

    inverse: Inverse = "exact"

    def __init__(self, max_angle: float = 45.0) -> None:
        if not 0 < max_angle <= 180:
            raise ValueError(f"max_angle of rotation must be in (0, 180] degrees; got {max_angle}")
        self.max_angle = max_angle

    def draw(self, n: int, generator: torch.Generator) -> Parameters:
        """``angle`` in degrees."""
        return {"angle": uniform(n, -self.max_angle, self.max_angle, generator)}

    def source(self, parameters: Parameters) -> Tensor:
        """B 3 3: content turned by a is found at -a."""
        return rotation(-parameters["angle"])

    def invert(self, parameters: Parameters) -> Parameters:
        """The opposite angle."""
        return {"angle": -parameters["angle"]}

    def targets(self, parameters: Parameters) -> Parameters:
        """Sine and cosine of the angle."""
        return sine_and_cosine(parameters["angle"])
