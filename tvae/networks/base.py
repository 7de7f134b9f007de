"""The abstract network: an encoder and a decoder for images of some shape.

Legend: `B` batch, `C` channels, `H`, `W` height and width, `D` latent size, `K` numbers that a
likelihood asks for, of every pixel and channel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import nn

from tvae.registry import Choices
from tvae.shapes import ImageShape
from tvae.space import Space


class Network(ABC):
    """An architecture: it holds its options, which are plain JSON data, and builds both halves.

    Neither half may let the images of a batch see each other, as a normalisation over the batch
    does: E(x) is of x alone.

    Attributes:
        space: what of its options is worth tuning; in general nothing, since an architecture is
            what arms share.
        choices: what is decided here where the paper is silent, see `tvae.registry.Choices`.
    """

    space: ClassVar[Space] = {}
    choices: ClassVar[Choices] = ()

    def refuses(self, shape: ImageShape) -> str:
        """Why images of this shape cannot be had, in words with the sizes; empty: they can."""
        return ""

    def reads(self, shape: ImageShape) -> list[ImageShape]:
        """What an encoder that was built for `shape` can encode: that, and perhaps other sizes."""
        return [shape]

    @abstractmethod
    def encoder(self, shape: ImageShape, latent_dim: int) -> nn.Module:
        """From images B C H W in [0, 1] to (mean, logvar) of q_phi(z|x), each B D."""

    @abstractmethod
    def decoder(self, shape: ImageShape, latent_dim: int, outputs: int) -> nn.Module:
        """From latents B D to what the likelihood asks for, B (K C) H W.

        The first C channels are the first of its K numbers, and so on.

        Args:
            shape: of the images.
            latent_dim: D.
            outputs: K C.
        """
