"""Shear along x."""

from __future__ import annotations

import torch
from torch import Tensor

from tvae.families._warp import Warp, affine
from tvae.families.base import Inverse, Parameters, uniform


class Shear(Warp):
    """Shear along x: x_1 leans to the right by k, x_2 by -k.

    Content at height h above the image's centre moves to the right by k h, as italics do.
    k ~ U(-max_shear, max_shear).

    Args:
        max_shear: above 0 and at most 1; 1 leans by 45 degrees.

    Raises:
        ValueError: `max_shear` is outside of that.
    """

    inverse: Inverse = "exact"

    def __init__(self, max_shear: float = 0.5) -> None:
        if not 0 < max_shear <= 1:
            raise ValueError(f"max_shear of shear must be in (0, 1]; got {max_shear}")
        self.max_shear = max_shear

    def draw(self, n: int, generator: torch.Generator) -> Parameters:
        """``shear``."""
        return {"shear": uniform(n, -self.max_shear, self.max_shear, generator)}

    def source(self, parameters: Parameters) -> Tensor:
        """B 3 3: content moved to the right by k h = -k y is found at x + k y."""
        shear = parameters["shear"]
        zero, one = torch.zeros_like(shear), torch.ones_like(shear)
        return affine((one, shear), (zero, one))

    def invert(self, parameters: Parameters) -> Parameters:
        """The opposite shear."""
        return {"shear": -parameters["shear"]}
