"""Erased rectangles."""

from __future__ import annotations

import torch
from torch import Tensor

from tvae.families.base import Inverse, Parameters, TransformationFamily, uniform

FIELDS = ("width", "height", "x", "y")


class Erase(TransformationFamily):
    """Erasing: a rectangle of the image is set to 0; each view has a rectangle of its own.

    Width and height ~ U(min_side, max_side), the place uniform over those inside of the image. What
    is erased cannot come back: there is no inverse, and `invert` gives the other view.

    Args:
        min_side: smallest width and height, in sides of the image, above 0.
        max_side: largest width and height, below 1. A pixel is erased whose centre is inside, so a
            rectangle narrower than a pixel may erase none.

    Raises:
        ValueError: not 0 < min_side <= max_side < 1.

    Source: Zhong et al., "Random Erasing Data Augmentation" (AAAI 2020), with 0 for the content;
    DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout"
    (arXiv:1708.04552, 2017). Drawing the sides instead of area and aspect is ours.
    """

    inverse: Inverse = "none"

    def __init__(self, min_side: float = 0.25, max_side: float = 0.5) -> None:
        if not 0 < min_side <= max_side < 1:
            raise ValueError(
                "min_side of erase must be above 0 and at most max_side, max_side below 1; "
                f"got {min_side} and {max_side}"
            )
        self.min_side, self.max_side = min_side, max_side

    def draw(self, n: int, generator: torch.Generator) -> Parameters:
        """Of view i: ``width_i``, ``height_i``; ``x_i``, ``y_i`` from the image's centre to its.

        In sides of the image, x to the right and y down.
        """
        parameters = {}
        for view in "12":
            for axis, side in (("x", "width"), ("y", "height")):
                length = uniform(n, self.min_side, self.max_side, generator)
                parameters[f"{side}_{view}"] = length
                parameters[f"{axis}_{view}"] = uniform(n, -0.5, 0.5, generator) * (1 - length)
        return parameters

    def apply(self, x: Tensor, parameters: Parameters) -> Tensor:
        """`x` without the rectangle of view 1."""
        width, height, right, down = (
            parameters[f"{field}_1"].to(x.device, non_blocking=True) for field in FIELDS
        )
        columns = _inside(x.shape[3], right, width)
        rows = _inside(x.shape[2], down, height)
        return x.masked_fill((rows[:, :, None] & columns[:, None])[:, None], 0)

    def invert(self, parameters: Parameters) -> Parameters:
        """The two rectangles swapped."""
        return {
            f"{field}_{view}": parameters[f"{field}_{other}"]
            for view, other in ("12", "21")
            for field in FIELDS
        }


def _inside(pixels: int, centre: Tensor, length: Tensor) -> Tensor:
    """B `pixels`: which have their centre within `length` (B) around `centre` (B), in sides."""
    centres = (torch.arange(pixels, device=centre.device) + 0.5) / pixels - 0.5
    return (centres - centre[:, None]).abs() < length[:, None] / 2
