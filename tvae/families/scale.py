"""Zoom about the image's centre."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from tvae.families._warp import Warp, affine
from tvae.families.base import Inverse, Parameters, uniform


class Scale(Warp):
    """Zoom: x_1 enlarged by a factor s, x_2 by 1/s, both axes alike.

    log s ~ U(-log max_scale, log max_scale): s and 1/s are equally distributed.

    Args:
        max_scale: above 1 and at most 10. At 1.4 MNIST's digits, which fill 20 of 28 pixels, stay
            inside.

    Raises:
        ValueError: `max_scale` is outside of that.
    """

    inverse: Inverse = "exact"

    def __init__(self, max_scale: float = 1.4) -> None:
        if not 1 < max_scale <= 10:
            raise ValueError(f"max_scale of scale must be in (1, 10]; got {max_scale}")
        self.max_scale = max_scale

    def draw(self, n: int, generator: torch.Generator) -> Parameters:
        """``log_scale``: natural, above 0 where content grows."""
        bound = log(self.max_scale)
        return {"log_scale": uniform(n, -bound, bound, generator)}

    def source(self, parameters: Parameters) -> Tensor:
        """B 3 3: content enlarged by s is found at 1/s of its distance from the centre."""
        shrink = torch.exp(-parameters["log_scale"])
        zero = torch.zeros_like(shrink)
        return affine((shrink, zero), (zero, shrink))

    def invert(self, parameters: Parameters) -> Parameters:
        """The opposite logarithm, which unlike 1/s gives back its original to the last bit."""
        return {"log_scale": -parameters["log_scale"]}
