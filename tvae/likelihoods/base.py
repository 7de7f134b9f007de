"""The abstract likelihood: what a decoder's numbers say of pixels.

Legend: `B` batch, `C` channels, `H`, `W` height and width, `K` numbers of every pixel and channel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from tvae.registry import Choices
from tvae.space import Space


class Likelihood(nn.Module, ABC):
    """p(x|z) of pixels that are independent given z.

    Its log is a density or a probability, of grey values or of bytes: that of one likelihood says
    nothing beside that of another, and they never stand in one table.

    Attributes:
        outputs: K.
        space: what of its options is worth tuning; in general nothing, since it decides what is
            measured.
        choices: what is decided here where the paper is silent, see `tvae.registry.Choices`.
    """

    outputs: ClassVar[int] = 1
    space: ClassVar[Space] = {}
    choices: ClassVar[Choices] = ()

    @abstractmethod
    def nll(self, parameters: Tensor, x: Tensor) -> Tensor:
        """-log p(x|z), sum over pixels and channels: B values in nats.

        Args:
            parameters: B (K C) H W, of the decoder.
            x: images B C H W in [0, 1].
        """

    @abstractmethod
    def mean(self, parameters: Tensor) -> Tensor:
        """E[x|z]: pixel means in [0, 1], B C H W, of the same parameters."""
