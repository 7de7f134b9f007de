"""Affine maps."""

from __future__ import annotations

import torch
from torch import Tensor

from tvae.families._warp import Warp, affine, rotation, sine_and_cosine
from tvae.families.base import Inverse, Parameters, uniform


class Affine(Warp):
    r"""Affine map: scale of each axis, then shear, rotation, translation; x_2 has its inverse.

    .. math:: f: p \mapsto R(a) \, K(k) \, \mathrm{diag}(s_x, s_y) \, p + t

    about the image's centre, with K adding k times the height to x: positive k leans the content to
    the right. a ~ U(-max_angle, max_angle), k ~ U(-max_shear, max_shear), log s_x and log s_y
    ~ U(-log max_scale, log max_scale), t_x and t_y ~ U(-max_shift, max_shift). The logarithm makes
    the scales of the two views, s and 1/s, equally distributed.

    Args:
        max_angle: in degrees, counter-clockwise as seen, 0 to 180.
        max_shear: 0 to 1; 1 leans by 45 degrees.
        max_scale: at least 1.
        max_shift: in sides of the image, 0 to 0.5; x to the right, y down.

    Raises:
        ValueError: an option is outside of its range, or all leave the image as it is.
    """

    inverse: Inverse = "exact"

    def __init__(
        self,
        max_angle: float = 20.0,
        max_shear: float = 0.2,
        max_scale: float = 1.25,
        max_shift: float = 0.1,
    ) -> None:
        for name, value, low, high in (
            ("max_angle", max_angle, 0, 180),
            ("max_shear", max_shear, 0, 1),
            ("max_scale", max_scale, 1, 10),
            ("max_shift", max_shift, 0, 0.5),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name} of affine must be in [{low}, {high}]; got {value}")
        if max_angle == max_shear == max_shift == 0 and max_scale == 1:
            raise ValueError("affine must transform; set one of its options above its minimum")
        self.max_angle, self.max_shear = max_angle, max_shear
        self.max_scale, self.max_shift = max_scale, max_shift

    def draw(self, n: int, generator: torch.Generator) -> Parameters:
        """``angle``, ``shear``, ``scale_x``, ``scale_y``, ``x``, ``y``; ``inverted`` (0 or 1)."""

        def symmetric(bound: float) -> Tensor:
            return uniform(n, -bound, bound, generator)

        return {
            "angle": symmetric(self.max_angle),
            "shear": symmetric(self.max_shear),
            "scale_x": self.max_scale ** symmetric(1),
            "scale_y": self.max_scale ** symmetric(1),
            "x": symmetric(self.max_shift),
            "y": symmetric(self.max_shift),
            "inverted": torch.zeros(n),
        }

    def source(self, parameters: Parameters) -> Tensor:
        """B 3 3: the inverse of f's matrix, and where ``inverted`` the matrix itself."""
        angle, shear, x, y = (parameters[name] for name in ("angle", "shear", "x", "y"))
        zero, one = torch.zeros_like(angle), torch.ones_like(angle)
        scale = affine((parameters["scale_x"], zero), (zero, parameters["scale_y"]))
        lean = affine((one, -shear), (zero, one))  # height is -y
        shift = affine((one, zero), (zero, one), shift=(2 * x, 2 * y))  # a side is 2 units
        forward = shift @ rotation(angle) @ lean @ scale
        inverted = parameters["inverted"].bool()[:, None, None]
        return torch.where(inverted, forward, torch.linalg.inv(forward))

    def invert(self, parameters: Parameters) -> Parameters:
        """The same map with ``inverted`` flipped."""
        return {**parameters, "inverted": 1 - parameters["inverted"]}

    def targets(self, parameters: Parameters) -> Parameters:
        """The parameters, the angle as sine and cosine."""
        drawn = dict(parameters)
        del drawn["inverted"]
        return sine_and_cosine(drawn.pop("angle")) | drawn
