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
LARGE = 84  # pixels up to which small images are enlarged


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
    """Rows of images N H W or N H W 3 beside each other, a pixel of white between: H' W' 3."""
    strips = [
        np.concatenate([_framed(image, 1, 1) for image in coloured(row[:MOST_IMAGES], 3)], 1)
        for row in rows
    ]
    width = min(strip.shape[1] for strip in strips)
    return np.concatenate([strip[:, :width] for strip in strips])


def coloured(images: Image, deep: int) -> Image:
    """Grey images of `deep` axes, the last two H W, or coloured ones of one more: ... H W 3."""
    return np.repeat(images[..., None], 3, axis=-1) if images.ndim == deep else images


def _framed(image: Image, left: int, right: int) -> Image:
    """... H W 3 with white around it, a pixel or two."""
    around = [(0, 0)] * (image.ndim - 3) + [(left, left), (left, right), (0, 0)]
    return np.pad(image, around, constant_values=255)


def guided(columns: Sequence[Image]) -> Image:
    """Columns of stacked images, K H W or K H W 3, enlarged, a green line down every image."""
    drawn = []
    for i, column in enumerate(columns[: MOST_IMAGES + 1]):
        times = min(3, max(1, LARGE // max(column.shape[1:3])))
        colour = np.repeat(np.repeat(coloured(column, 3), times, axis=1), times, axis=2)
        colour[:, :, colour.shape[2] // 2] = GUIDE
        right = 12 if i == 0 else 2  # sets the triplet apart from what it is applied to
        padded = _framed(colour, 2, right)
        drawn.append(padded.reshape(-1, *padded.shape[2:]))
    return np.concatenate(drawn, axis=1)


def panel(image: Image, alt: str) -> Picture:
    """A tile (H W 3) as a picture of the page."""
    from PIL import Image as Pixels

    file, grey = io.BytesIO(), image[:, :, 0]
    plain = (image == grey[:, :, None]).all()
    Pixels.fromarray(grey if plain else image).save(file, format="png", optimize=True)
    return Picture(file.getvalue(), alt)
