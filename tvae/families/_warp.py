"""Warps: families that move the content of an image by an affine map of the plane.

The origin is the image's centre, x points to the right and y *down*, and the shorter side is 2
units long, so a square image spans [-1, 1] in both, as ``grid_sample`` has it, and a rotation turns
the content of any image without bending it. A positive angle turns it counter-clockwise as seen.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn import functional

from tvae.families.base import Parameters, TransformationFamily


class Warp(TransformationFamily):
    """A family whose every f is an affine map of the plane; outside of the image is 0 (black)."""

    @abstractmethod
    def source(self, parameters: Parameters) -> Tensor:
        """B 3 3: homogeneous (x, y, 1) of a point of f(x) to the point of x shown there.

        That is the inverse of how f moves the content, so f_2 after f_1 has source_1 @ source_2.
        """

    def apply(self, x: Tensor, parameters: Parameters) -> Tensor:
        """f(x), bilinear, in one resampling."""
        return warp(x, self.source(parameters))


def warp(x: Tensor, source: Tensor) -> Tensor:
    """Images x (B C H W), each seen through its `source` matrix (B 3 3, see `Warp.source`)."""
    height, width = x.shape[2:]
    if height != width:
        # to the coordinates of grid_sample, whose units are half of each side
        shorter = min(height, width)
        units = torch.tensor([width / shorter, height / shorter, 1.0]).to(source)
        source = source * units / units[:, None]
    grid = functional.affine_grid(
        source[:, :2].to(x, non_blocking=True), list(x.shape), align_corners=False
    )
    seen = functional.grid_sample(x, grid, align_corners=False)
    return seen.clamp_(0, 1)  # bilinear weights may sum to 1 + 1e-7


def rotation(degrees: Tensor) -> Tensor:
    """B 3 3: the rotation of the plane by `degrees` (B), counter-clockwise as seen (y is down)."""
    radians = degrees.deg2rad()
    sine, cosine = radians.sin(), radians.cos()
    return affine((cosine, sine), (-sine, cosine))


def affine(
    x_row: tuple[Tensor, Tensor],
    y_row: tuple[Tensor, Tensor],
    shift: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """B 3 3: the map with this linear part, by rows, and this `shift` (x, y)."""
    zero, one = torch.zeros_like(x_row[0]), torch.ones_like(x_row[0])
    x, y = shift or (zero, zero)
    entries = [*x_row, x, *y_row, y, zero, zero, one]
    return torch.stack(entries, dim=1).view(-1, 3, 3)


def sine_and_cosine(degrees: Tensor) -> Parameters:
    """An angle as a probe's targets: without the jump at 180 degrees."""
    radians = degrees.deg2rad()
    return {"angle_sin": radians.sin(), "angle_cos": radians.cos()}
