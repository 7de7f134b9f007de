"""Tiles of images, as PNG.

Legend: `K`, `N` images, `H`, `W` pixels.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
GUIDE = (0, 170, 60)  # Fig. 3's green vertical lines
MOST_IMAGES = 10  # of one panel


@dataclass(frozen=True)
class Picture:
    """Pixels for an ``img`` element, as PNG, and in words what they show."""

    png: bytes
    alt: str

    @property
    def uri(self) -> str:
        """The picture as an address that holds all of it."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


@dataclass(frozen=True)
class Strip:
    """One arm's panel of pictures; `note` says why where there is none, or how it was made."""

    label: str
    role: str
    picture: Picture | None
    note: str = ""


@dataclass(frozen=True)
class Gallery:
    """The pictures of one seed: an optional panel of what all arms saw, and one strip per arm.

    `layout` is a class of the style sheet: ``lines`` for one row of images each, ``blocks`` for
    panels of several rows.
    """

    title: str
    caption: str
    layout: str
    shared: Strip | None
    strips: tuple[Strip, ...]


def tile(rows: Sequence[Image]) -> Image:
    """Rows of images N H W beside each other, a pixel of white between: H' W' 3."""
    strips = [
        np.concatenate([np.pad(image, 1, constant_values=255) for image in row[:MOST_IMAGES]], 1)
        for row in rows
    ]
    width = min(strip.shape[1] for strip in strips)
    grey = np.concatenate([strip[:, :width] for strip in strips])
    return np.repeat(grey[:, :, None], 3, axis=2)


def guided(columns: Sequence[Image]) -> Image:
    """Columns of stacked images, each K H W, enlarged, with a green line down every image."""
    drawn = []
    for i, column in enumerate(columns[: MOST_IMAGES + 1]):
        large = np.repeat(np.repeat(column, 3, axis=1), 3, axis=2)
        colour = np.repeat(large[..., None], 3, axis=3)
        colour[:, :, colour.shape[2] // 2] = GUIDE
        right = 12 if i == 0 else 2  # sets the triplet apart from what it is applied to
        padded = np.pad(colour, ((0, 0), (2, 2), (2, right), (0, 0)), constant_values=255)
        drawn.append(padded.reshape(-1, *padded.shape[2:]))
    return np.concatenate(drawn, axis=1)


def panel(image: Image, alt: str) -> Picture:
    """A tile (H W 3) as a picture of the page."""
    from PIL import Image as Pixels

    file, grey = io.BytesIO(), image[:, :, 0]
    plain = (image == grey[:, :, None]).all()
    Pixels.fromarray(grey if plain else image).save(file, format="png", optimize=True)
    return Picture(file.getvalue(), alt)
