"""The abstract transformation family.

Legend: `B` batch, `C` channels, `H`, `W` height and width of an image with values in [0, 1].
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tvae.registry import Choices
from tvae.space import Space

Parameters = dict[str, Tensor]
"""One transformation per image: name -> B numbers. Drawn, kept, replayed on other images."""

Inverse = Literal["exact", "assumed", "none"]


class TransformationFamily(ABC):
    """A set of image transformations f with a law to draw them from (paper, Sec. 2).

    A family holds its options, which are plain JSON data, and no state: `draw` takes the generator,
    `apply` the parameters, so the same transformation can be applied to any images, one by one or
    in a batch.

    Attributes:
        inverse: ``exact``: `invert` gives f^-1; ``assumed``: `invert` gives the second view of the
            paper's setting, treated as if it were f^-1; ``none``: it gives another transformation
            of the family, and the model runs in the relaxed form (paper, Sec. 4).
        has_views: False for the empty set of transformations: `apply` is the identity, and a model
            leaves out whatever needs views.
        space: empty for a family, in general: which transformations T is to represent is the
            question that a study asks, not a knob that may be turned to answer it better.
        choices: what is decided here where the paper is silent, see `registry.Choices`.
    """

    inverse: Inverse
    has_views: bool = True
    space: ClassVar[Space] = {}
    choices: ClassVar[Choices] = ()

    @abstractmethod
    def draw(self, n: int, generator: torch.Generator) -> Parameters:
        """Parameters of `n` transformations, each tensor of shape (n,), on the CPU."""

    @abstractmethod
    def apply(self, x: Tensor, parameters: Parameters) -> Tensor:
        """f(x): images B C H W in [0, 1] to images of the same shape, range and device."""

    @abstractmethod
    def invert(self, parameters: Parameters) -> Parameters:
        """Parameters of f^-1 (see `inverse`); ``invert(invert(p))`` is ``p``."""

    def targets(self, parameters: Parameters) -> Parameters:
        """What a probe should read off T: the drawn parameters, angles as sine and cosine.

        Returns:
            name -> B numbers; a name's entries may be constant, which a probe skips.
        """
        return parameters

    def views(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Parameters]:
        """(x_1, x_2, parameters): x_1 = f(x), x_2 = f^-1(x), one f per image."""
        parameters = self.draw(len(x), generator)
        return self.apply(x, parameters), self.apply(x, self.invert(parameters)), parameters

    def several(self, x: Tensor, k: int, generator: torch.Generator) -> list[Tensor]:
        """x_1, ..., x_k: views of each image by k transformations, each drawn by itself."""
        return [self.apply(x, self.draw(len(x), generator)) for _ in range(k)]


def uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """`n` draws of U(low, high)."""
    return torch.rand(n, generator=generator) * (high - low) + low
