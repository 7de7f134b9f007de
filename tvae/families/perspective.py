"""Perspective maps.

Legend: `Q_i` where f moves corner i of the image, in the homogeneous coordinates of `_warp`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tvae.families.base import Inverse, Parameters, TransformationFamily, uniform

CORNERS = {
    "top_left": (-1.0, -1.0),
    "top_right": (1.0, -1.0),
    "bottom_right": (1.0, 1.0),
    "bottom_left": (-1.0, 1.0),
}
"""Around the image; a coordinate is named ``top_left_x``."""

LIMIT = 0.15
"""The largest `max_shift`, in sides of the image.

Below 0.25 the four corners span a convex quadrilateral, so the image is in front of the camera, w >
0. Seen through the inverse the whole image is so only up to 0.18; at 0.15 w stays above 1/7
of its largest value (the worst case has each coordinate of each corner at a bound).
"""


class Perspective(TransformationFamily):
    """Perspective: the image's corners move, and lines stay lines; x_2 has the inverse map.

    f moves (x, y, 1) to (u, v, w) = H (x, y, 1), seen at (u/w, v/w), with the only H that takes
    each corner to where it was drawn. Each of their eight coordinates moves by U(-max_shift,
    max_shift). Outside of the image is black.

    Args:
        max_shift: of a corner along x and along y, in sides of the image, above 0 and at most 0.15,
            see `LIMIT`.

    Raises:
        ValueError: `max_shift` is outside of that.

    Source: Heckbert, "Fundamentals of Texture Mapping and Image Warping" (Master's thesis, UC
    Berkeley, 1989), Sec. 2.2.3.
    """

    inverse: Inverse = "exact"

    def __init__(self, max_shift: float = 0.12) -> None:
        if not 0 < max_shift <= LIMIT:
            raise ValueError(
                f"max_shift of perspective must be in (0, {LIMIT}] sides; got {max_shift}"
            )
        self.max_shift = max_shift

    def draw(self, n: int, generator: torch.Generator) -> Parameters:
        """Of each corner how far it moves, ``top_left_x``, ...; and ``inverted`` (0 or 1).

        In sides of the image, x to the right and y down.
        """
        shifts = {
            f"{corner}_{axis}": uniform(n, -self.max_shift, self.max_shift, generator)
            for corner in CORNERS
            for axis in "xy"
        }
        return {**shifts, "inverted": torch.zeros(n)}

    def homography(self, parameters: Parameters) -> Tensor:
        """B 3 3 in float64: H, which moves the content of an image that is not inverted.

        The corners c_i of a square have c_1 - c_2 + c_3 - c_4 = 0, and so must have the H c_i =
        w_i Q_i; hence w_i is, but for a factor, the area of the triangle of the other three Q.
        Three of the corners then give H.
        """
        corners = [
            torch.stack(
                [
                    at + 2 * parameters[f"{name}_{axis}"].cpu().double()  # a side is 2 units
                    for axis, at in zip("xy", place, strict=True)
                ],
                dim=1,
            )
            for name, place in CORNERS.items()
        ]

        def area(i: int) -> Tensor:
            a, b, c = (corners[j % 4] for j in (i + 1, i + 2, i + 3))
            (x_1, y_1), (x_2, y_2) = (b - a).unbind(1), (c - a).unbind(1)
            twice: Tensor = x_1 * y_2 - y_1 * x_2
            return twice

        columns = [area(i)[:, None] * functional.pad(corners[i], (0, 1), value=1) for i in range(3)]
        square = torch.tensor([(*place, 1.0) for place in CORNERS.values()]).to(columns[0])
        forward: Tensor = torch.stack(columns, dim=2) @ torch.linalg.inv(square[:3].T)
        return forward

    def apply(self, x: Tensor, parameters: Parameters) -> Tensor:
        """f(x), bilinear."""
        forward = self.homography(parameters)
        inverted = parameters["inverted"].bool().cpu()[:, None, None]
        # a point of f(x) to the point of x shown there
        source = torch.where(inverted, forward, torch.linalg.inv(forward)).to(x, non_blocking=True)
        rows, columns = (
            (torch.arange(side, device=x.device, dtype=x.dtype) + 0.5) * 2 / side - 1
            for side in x.shape[2:]
        )
        right, down = torch.meshgrid(columns, rows, indexing="xy")
        # no product of matrices, whose rounding depends on how many there are
        u, v, w = (
            a * right + b * down + c
            for a, b, c in (row[:, :, None, None].unbind(1) for row in source.unbind(1))
        )
        grid = torch.stack([u / w, v / w], dim=3)
        return functional.grid_sample(x, grid, align_corners=False).clamp_(0, 1)

    def invert(self, parameters: Parameters) -> Parameters:
        """The same map with ``inverted`` flipped."""
        return {**parameters, "inverted": 1 - parameters["inverted"]}

    def targets(self, parameters: Parameters) -> Parameters:
        """The eight shifts."""
        return {name: values for name, values in parameters.items() if name != "inverted"}
