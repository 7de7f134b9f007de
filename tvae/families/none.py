"""No transformation: the empty set."""

from __future__ import annotations

import torch
from torch import Tensor

from tvae.families.base import Inverse, Parameters, TransformationFamily


class NoTransformation(TransformationFamily):
    """No transformation: no views, so that T_VAE is the VAE (paper, Fig. 1c).

    f(x) = x, without parameters.
    """

    inverse: Inverse = "exact"
    has_views = False

    def draw(self, n: int, generator: torch.Generator) -> Parameters:
        """No parameters; the generator is left as it is."""
        return {}

    def apply(self, x: Tensor, parameters: Parameters) -> Tensor:
        """`x`."""
        return x

    def invert(self, parameters: Parameters) -> Parameters:
        """`parameters`."""
        return parameters
