"""How images of one's own, which may be of any size and colour, become images of one shape.

Legend: `C` channels, `H`, `W` height and width of what comes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tvae.data.source import CorruptData
from tvae.registry import unknown_name
from tvae.shapes import ImageShape

if TYPE_CHECKING:
    from PIL import Image

FITS = ("refuse", "resize", "crop")
CHANNELS = (None, 1, 3)
IN_A_STUDY = "(in a study: data.own.size, ...)"
"""Where a study says what options of a data set say elsewhere."""

MODES = {1: "L", 3: "RGB"}


@dataclass(frozen=True)
class Fit:
    """What is done to images that are not of one shape.

    Attributes:
        size: (H, W), pixels; None: the images' own, which must be one.
        channels: 1 turns colour into grey (ITU-R 601: 0.299 R + 0.587 G + 0.114 B), 3 gives grey
            images three equal channels; None: the images' own, which must be as many in all.
        fit: what happens to an image of another size: ``refuse`` it, ``resize`` it (bilinear,
            antialiased; its sides in other proportions than before), or ``crop`` it: the largest
            part from its middle that has the proportions of H x W, resized.

    Raises:
        ValueError: a value that is none of these, or a fit without the size that it needs.
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    fit: str = "refuse"

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise unknown_name("fit", self.fit, FITS)
        if self.channels not in CHANNELS:
            raise ValueError(f"channels={self.channels} must be 1 (grey) or 3 (colour)")
        if self.size is not None and not all(
            isinstance(side, int) and not isinstance(side, bool) and side >= 1 for side in self.size
        ):
            raise ValueError("size must be pixels, one number or [height, width]")
        if self.fit != "refuse" and self.size is None:
            raise ValueError(f"fit={self.fit} needs a size: size=64, or size=[height, width]")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Fit:
        """From the options of that name among others; a single number as size means a square.

        Raises:
            ValueError: as on creation.
        """
        size = given.get("size")
        sides = (size, size) if isinstance(size, int) else size
        if sides is not None and (not isinstance(sides, list | tuple) or len(sides) != 2):
            raise ValueError(f"size={size} must be one number or [height, width]")
        pair = None if sides is None else (sides[0], sides[1])
        return cls(pair, given.get("channels"), given.get("fit", "refuse"))

    def shape(self, first: ImageShape) -> ImageShape:
        """Of every image that comes out; `first` is that of the first one that goes in."""
        return ImageShape(self.channels or first.channels, *(self.size or first[1:]))

    def __call__(
        self, image: Image.Image, where: str, first: ImageShape, first_where: str
    ) -> NDArray[np.uint8]:
        """An image in its final shape.

        Args:
            image: of PIL's mode L or RGB.
            where: what to call it in messages.
            first: the shape of the first image, which is the measure where nothing else is said.
            first_where: what to call that one.

        Returns:
            H W of a grey image, C H W of one in colour.

        Raises:
            CorruptData: it is of another size or colour, and nobody said what to do about that.
        """
        shape = self.shape(first)
        if image.mode != MODES[shape.channels]:
            if self.channels is None:
                mine, other = (_colour(channels) for channels in (4 - shape.channels, first[0]))
                raise CorruptData(
                    f"{where} is {mine}, and {first_where} is {other}: "
                    f"say channels=1 (all grey) or channels=3 (all colour) {IN_A_STUDY}"
                )
            image = image.convert(MODES[shape.channels])
        if image.size != (shape.width, shape.height):
            image = self._fitted(image, where, shape, first_where)
        pixels = np.asarray(image)
        return pixels if shape.channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def _fitted(
        self, image: Image.Image, where: str, shape: ImageShape, first_where: str
    ) -> Image.Image:
        from PIL import Image, ImageOps

        size = (shape.width, shape.height)
        if self.fit == "resize":
            return image.resize(size, Image.Resampling.BILINEAR)
        if self.fit == "crop":
            return ImageOps.fit(image, size, Image.Resampling.BILINEAR)
        whose = first_where if self.size is None else "size"
        raise CorruptData(
            f"{where} has {image.height} x {image.width} pixels, and {whose} "
            f"{'has' if self.size is None else 'is'} {shape.height} x {shape.width}: say "
            f"size={min(size)} with fit=resize or fit=crop {IN_A_STUDY}"
        )


def _colour(channels: int) -> str:
    return "grey" if channels == 1 else "in colour"
