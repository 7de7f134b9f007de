"""Translation."""

from __future__ import annotations

import torch
from torch import Tensor

from tvae.families._warp import Warp, affine
from tvae.families.base import Inverse, Parameters, uniform


class Translation(Warp):
    """Translation: x_1 shifted by t, x_2 by -t.

    t_x and t_y ~ U(-max_shift, max_shift), in sides of the image, x to the right and y down.

    Args:
        max_shift: in sides of the image, above 0 and at most 0.5. At 0.15 MNIST's digits, with
            their margin of 4 of 28 pixels, stay inside.

    Raises:
        ValueError: `max_shift` is outside of that.
    """

    inverse: Inverse = "exact"

    def __init__(self, max_shift: float = 0.15) -> None:
        if not 0 < max_shift <= 0.5:
            raise ValueError(f"max_shift of translation must be in (0, 0.5] sides; got {max_shift}")
        self.max_shift = max_shift

    def draw(self, n: int, generator: torch.Generator) -> Parameters:
        """``x`` and ``y`` in sides of the image."""
        return {axis: uniform(n, -self.max_shift, self.max_shift, generator) for axis in "xy"}

    def source(self, parameters: Parameters) -> Tensor:
        """B 3 3: content shifted by t is found at -t; a side is 2 units."""
        x, y = parameters["x"], parameters["y"]
        zero, one = torch.zeros_like(x), torch.ones_like(x)
        return affine((one, zero), (zero, one), shift=(-2 * x, -2 * y))

    def invert(self, parameters: Parameters) -> Parameters:
        """The opposite shift."""
        return {axis: -parameters[axis] for axis in "xy"}
