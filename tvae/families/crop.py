"""Crops, resized back to the image's size."""

from __future__ import annotations

import torch
from torch import Tensor

from tvae.families._warp import Warp, affine
from tvae.families.base import Inverse, Parameters, uniform

FIELDS = ("scale", "x", "y")


class Crop(Warp):
    """Crop: a square window of the image, resized back; each view has a window of its own.

    The window's side is s ~ U(min_scale, 1) of the image's, its place uniform over those inside of
    the image. Two crops are not each other's inverse; like the paper (Sec. 3) we treat the second
    as if it were.

    Args:
        min_scale: smallest side of a window, in sides of the image, above 0 and below 1.

    Raises:
        ValueError: `min_scale` is outside of that.
    """

    inverse: Inverse = "assumed"

    def __init__(self, min_scale: float = 0.7) -> None:
        if not 0 < min_scale < 1:
            raise ValueError(f"min_scale of crop must be in (0, 1); got {min_scale}")
        self.min_scale = min_scale

    def draw(self, n: int, generator: torch.Generator) -> Parameters:
        """Of view i: ``scale_i``, and ``x_i``, ``y_i``, from the image's centre to the window's.

        In sides of the image, x to the right and y down.
        """
        parameters = {}
        for view in "12":
            scale = uniform(n, self.min_scale, 1, generator)
            parameters[f"scale_{view}"] = scale
            for axis in "xy":
                shift = uniform(n, -0.5, 0.5, generator)
                parameters[f"{axis}_{view}"] = shift * (1 - scale)
        return parameters

    def source(self, parameters: Parameters) -> Tensor:
        """B 3 3: the image shows the window of view 1; an image's side is 2 units."""
        scale, x, y = (parameters[f"{field}_1"] for field in FIELDS)
        zero = torch.zeros_like(scale)
        return affine((scale, zero), (zero, scale), shift=(2 * x, 2 * y))

    def invert(self, parameters: Parameters) -> Parameters:
        """The two windows swapped."""
        return {
            f"{field}_{view}": parameters[f"{field}_{other}"]
            for view, other in ("12", "21")
            for field in FIELDS
        }
