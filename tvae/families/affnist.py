"""AffNIST's own law, for images of any size."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tvae.data.affnist import RANGES
from tvae.families._warp import affine, rotation, sine_and_cosine, warp
from tvae.families.base import Inverse, Parameters, TransformationFamily, uniform

INK = 0.5 / 255
"""What is above is ink: it would be rounded to a grey value other than 0."""


class AffNIST(TransformationFamily):
    r"""AffNIST: rotation, shear, a scale of each axis, and a shift that keeps all ink inside.

    .. math:: f_x: p \mapsto R(a) \, K(k) \, \mathrm{diag}(s_x, s_y) \, p + t(x)

    about the image's centre, with the ranges and the order of factors of `tvae.data.affnist`. t is
    uniform over the whole pixels that keep the ink of the transformed x inside of the image; along
    an axis where it does not fit, its middle is shifted to the image's, and its ends are lost.
    A blank image stays blank.

    The map depends on x: replayed on another image, the same parameters give another t. x_2 =
    f_x^-1(x) has the inverse of the map that was chosen for x, whose content may leave the image.
    But f_x^-1 cannot be applied to f_x(x), whose ink gives another t, so the inverse is assumed.

    Source: https://www.cs.toronto.edu/~tijmen/affNIST/.
    """

    inverse: Inverse = "assumed"

    def draw(self, n: int, generator: torch.Generator) -> Parameters:
        """``scale_x``, ``scale_y``, ``shear``, ``angle`` (degrees); ``place_x``, ``place_y``.

        The last two, in [0, 1), say where between the leftmost and the rightmost, the topmost and
        the bottommost place. And ``inverted`` (0 or 1).
        """
        drawn = {name: uniform(n, *span, generator) for name, span in RANGES.items()}
        places = {f"place_{axis}": uniform(n, 0, 1, generator) for axis in "xy"}
        return {**drawn, **places, "inverted": torch.zeros(n)}

    def apply(self, x: Tensor, parameters: Parameters) -> Tensor:
        """f_x(x), bilinear, in one resampling."""
        numbers = {
            name: values.to(x.device, torch.float64, non_blocking=True)
            for name, values in parameters.items()
        }
        linear = self.linear(numbers)
        zero, one = (torch.full_like(numbers["angle"], value) for value in (0, 1))
        shift_x, shift_y = (2 * shift / min(x.shape[2:]) for shift in self.shift(x, numbers))
        forward = affine((one, zero), (zero, one), shift=(shift_x, shift_y)) @ linear
        inverted = numbers["inverted"].bool()[:, None, None]
        return warp(x, torch.where(inverted, forward, torch.linalg.inv_ex(forward).inverse))

    def linear(self, parameters: Parameters) -> Tensor:
        """B 3 3: how the content moves before it is shifted."""
        shear, scale_x, scale_y = (parameters[name] for name in ("shear", "scale_x", "scale_y"))
        zero, one = torch.zeros_like(shear), torch.ones_like(shear)
        lean = affine((one, shear), (zero, one))
        return rotation(parameters["angle"]) @ lean @ affine((scale_x, zero), (zero, scale_y))

    def shift(self, x: Tensor, parameters: Parameters) -> tuple[Tensor, Tensor]:
        """t(x): whole pixels to the right and down, B each, in float64; all on one device."""
        side = max(x.shape[2:])
        # no map in RANGES takes a corner further than 1.8 times its distance from the centre
        margin = -(-side // 2)
        source = torch.linalg.inv_ex(self.linear(parameters)).inverse
        ink = warp(functional.pad(x, (margin,) * 4), source).amax(1) > INK
        across = _shift(ink.any(1), margin, parameters["place_x"])
        return across, _shift(ink.any(2), margin, parameters["place_y"])

    def invert(self, parameters: Parameters) -> Parameters:
        """The same map with ``inverted`` flipped."""
        return {**parameters, "inverted": 1 - parameters["inverted"]}

    def targets(self, parameters: Parameters) -> Parameters:
        """The parameters, the angle as sine and cosine."""
        drawn = dict(parameters)
        del drawn["inverted"]
        return sine_and_cosine(drawn.pop("angle")) | drawn


def _shift(ink: Tensor, margin: int, where: Tensor) -> Tensor:
    """One of the shifts (B) that keep `ink`, B C along one axis, inside, chosen by `where`.

    The image is the canvas without `margin` pixels at either end.
    """
    side = ink.shape[1] - 2 * margin
    first = ink.int().argmax(1)  # the first of equals
    last = ink.shape[1] - 1 - ink.flip(1).int().argmax(1)
    choices = side - (last - first)
    chosen = torch.minimum((where.double() * choices).floor(), (choices - 1).double())
    # too wide: as much lost at either end
    chosen = torch.where(choices < 1, (choices / 2).floor(), chosen)
    # a blank image has nothing to move
    return torch.where(ink.any(1), margin - first + chosen, 0.0)
