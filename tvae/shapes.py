"""The shape of an image, which data, networks and models speak of."""

from __future__ import annotations

from typing import NamedTuple


class ImageShape(NamedTuple):
    """What an image is made of.

    Attributes:
        channels: C, 1 for grey and 3 for red, green, blue.
        height: H, pixels.
        width: W, pixels.
    """

    channels: int
    height: int
    width: int

    def __str__(self) -> str:
        size = f"{self.height} x {self.width}"
        return size if self.channels == 1 else f"{self.channels} x {size}"

    @property
    def numbers(self) -> int:
        """C H W."""
        return self.channels * self.height * self.width


GREY_28 = ImageShape(1, 28, 28)
"""MNIST's, and that of a model that nobody told another."""
