r"""Elastic deformations: the flow of a smooth random velocity field.

Legend: `B` batch, `N` = `grid` control points along an axis, `H`, `W` height and width of the image
in pixels, `h` = 2 / (N + 3) the distance of control points. The image spans [-1, 1] in both, y is
down.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tvae.families.base import Inverse, Parameters, TransformationFamily, uniform

DOUBLINGS = 6
"""Of the time that is integrated, the first step being 2^-6.

On the pixels of 28 x 28, at the default options, points end within 0.2 pixels of where they should,
0.03 on average; more doublings change less than the interpolation between pixels does.
"""


class Elastic(TransformationFamily):
    r"""Elastic deformation: x_1 is deformed by a smooth random flow, x_2 by the flow back.

    .. math:: f = \exp(v), \quad f^{-1} = \exp(-v), \quad
        v(p) = \sum_{ij} c_{ij} \, b((p_x - g_j) / h) \, b((p_y - g_i) / h)

    with exp(v) where the points of the image are after following v for a time of 1, b the cubic
    B-spline, g a grid of control points and c their velocities, U(-strength, strength) along x and
    y. v and its derivatives are 0 on the border, so f maps the image onto itself, one to one, and
    nothing leaves it; no point moves further than `strength` along an axis.

    Args:
        grid: N, 1 to 9: the more, the finer the deformation.
        strength: bound of the velocities, in sides of the image, above 0 and at most 1.5 / (N + 3),
            1.5 times the distance of control points: at twice that distance 28 x 28 pixels are too
            few to follow the flow without a fold.

    Raises:
        ValueError: an option is outside of its range.

    Source: Simard et al., "Best Practices for Convolutional Neural Networks" (ICDAR 2003) for
    random smooth displacements as augmentation; Arsigny et al., "A Log-Euclidean Framework for
    Statistics on Diffeomorphisms" (MICCAI 2006) for flows, by scaling and squaring.
    """

    inverse: Inverse = "exact"

    def __init__(self, grid: int = 3, strength: float = 0.2) -> None:
        if not 1 <= grid <= 9:
            raise ValueError(f"grid of elastic must be in [1, 9]; got {grid}")
        if not 0 < strength <= 1.5 / (grid + 3):
            raise ValueError(
                f"strength of elastic must be in (0, {1.5 / (grid + 3):.3g}] sides for a grid of "
                f"{grid}; got {strength}"
            )
        self.grid, self.strength = grid, strength

    def draw(self, n: int, generator: torch.Generator) -> Parameters:
        """``x_ij``, ``y_ij``: velocity of the control point in row i, column j.

        In sides of the image per time in which f is reached, x to the right and y down.
        """
        return {
            f"{axis}_{i}{j}": uniform(n, -self.strength, self.strength, generator)
            for axis in "xy"
            for i in range(self.grid)
            for j in range(self.grid)
        }

    def velocity(self, parameters: Parameters, rows: Tensor, columns: Tensor) -> Tensor:
        """B 2 H W: v at the lattice of `rows` (H) and `columns` (W); 2 units per side."""
        n = range(self.grid)
        names = [f"{axis}_{i}{j}" for axis in "xy" for i in n for j in n]
        control = 2 * torch.stack([parameters[name] for name in names], dim=1)
        control = control.to(rows, non_blocking=True).view(-1, 2, self.grid, self.grid)
        h = 2 / (self.grid + 3)
        at = (torch.arange(self.grid, device=rows.device).to(rows) - (self.grid - 1) / 2) * h
        down, right = (cubic_b_spline((points[:, None] - at) / h) for points in (rows, columns))
        # sums, no product of matrices, whose rounding depends on how many there are
        along_x = (control[..., None, :] * right).sum(-1)
        lattice: Tensor = (along_x[:, :, None] * down[:, :, None]).sum(3)
        return lattice

    def flow(self, parameters: Parameters, lattice: Tensor) -> Tensor:
        """B 2 H W: exp(v)(p) - p at the points of a lattice, see `pixel_centres`.

        Scaling and squaring: exp(v / 2^k) is p + v / 2^k + O(4^-k), and exp(2 w)(p) =
        exp(w)(exp(w)(p)).
        """
        columns, rows = lattice[0, 0], lattice[1, :, 0]
        moved: Tensor = self.velocity(parameters, rows, columns) / 2.0**DOUBLINGS
        for _ in range(DOUBLINGS):
            grid = (lattice + moved).permute(0, 2, 3, 1)
            moved = moved + functional.grid_sample(
                moved, grid, padding_mode="border", align_corners=False
            )
        return moved

    def apply(self, x: Tensor, parameters: Parameters) -> Tensor:
        """f(x), bilinear: content that moved along v is found by following -v."""
        lattice = pixel_centres(x)
        source = lattice + self.flow(self.invert(parameters), lattice)
        seen = functional.grid_sample(x, source.permute(0, 2, 3, 1), align_corners=False)
        return seen.clamp_(0, 1)  # bilinear weights may sum to 1 + 1e-7

    def invert(self, parameters: Parameters) -> Parameters:
        """The opposite velocities."""
        return {name: -values for name, values in parameters.items()}


def pixel_centres(x: Tensor) -> Tensor:
    """2 H W: x and y of the pixels of images B C H W, in [-1, 1], of their type and device."""
    rows, columns = (
        (torch.arange(side, device=x.device, dtype=x.dtype) + 0.5) * 2 / side - 1
        for side in x.shape[2:]
    )
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"))


def cubic_b_spline(t: Tensor) -> Tensor:
    """The cubic B-spline: 2/3 at 0, 1/6 at 1 and -1, 0 from 2 on, with two derivatives."""
    inner, outer = (2 - t.abs()).clamp_min(0) ** 3, (1 - t.abs()).clamp_min(0) ** 3
    return (inner - 4 * outer) / 6
