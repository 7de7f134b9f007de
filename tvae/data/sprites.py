"""Sprites: shapes drawn from their factors, so that every transformation of every image is known.

A shape is drawn about the origin, then scaled, rotated and moved::

    p' = scale R(angle) p + centre + (shift_x, shift_y)

    scale                 the radius that nothing of the shape goes beyond, pixels; U(10, 20)
    angle                 degrees, counter-clockwise to the eye; U(0, 360): the full circle
    shift_x, shift_y      pixels to the right and down; U(-11, 11), which keeps all of it inside
    hue                   degrees on the circle of colours, of the variant in colour; U(0, 360)

No shape is like itself turned, so that an angle means one image. Edges are anti-aliased: a pixel's
value is how much of it is covered, to the first order, so that images change smoothly with every
factor. `render` draws what it is asked for: a rotated sprite needs no resampling.

Legend: `N` images, `C` channels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tvae.data import stored
from tvae.data.records import SPLITS, Dataset, Split
from tvae.data.source import Option, Source, cache_folder
from tvae.shapes import ImageShape

SIDE = 64
FACTORS = {
    "scale": (10.0, 20.0),
    "angle": (0.0, 360.0),
    "shift_x": (-11.0, 11.0),
    "shift_y": (-11.0, 11.0),
}
HUE = {"hue": (0.0, 360.0)}
SEED = 0
VERSION = 1
"""To be raised with every change that changes an image; a test holds it to that."""

CHUNK = 50
"""Images at a time, few enough for a processor's cache; changes no image."""


class Disc(NamedTuple):
    """What is not farther than `radius` from a centre, x to the right and y up."""

    x: float
    y: float
    radius: float


class Half(NamedTuple):
    """What lies on one side of a line: x cos(direction) + y sin(direction) <= limit."""

    direction: float
    limit: float


Piece = tuple[Disc | Half, ...]
"""What several have in common."""


def _box(left: float, right: float, bottom: float, top: float) -> Piece:
    return Half(0, right), Half(180, -left), Half(90, top), Half(270, -bottom)


SHAPES: dict[str, tuple[Piece, ...]] = {
    "arrow": (
        _box(-0.95, 0.3, -0.2, 0.2),
        # a head of right angles: through (1, 0), up and down to x = 0.2
        (Half(45, 0.5**0.5), Half(-45, 0.5**0.5), Half(180, -0.2)),
    ),
    "bow": ((Disc(0, 0, 1), Half(90, 0.1)),),
    "flag": (_box(-0.7, -0.4, -0.7, 0.7), _box(-0.7, 0.6, 0.05, 0.7)),
    "heart": (
        (Disc(-0.42, 0.3, 0.45),),
        (Disc(0.42, 0.3, 0.45),),
        # down from the discs, along a tangent of each, to one point
        (Half(-40, 0.579), Half(220, 0.579), Half(90, 0.011)),
        _box(-0.42, 0.42, -0.1, 0.3),
    ),
    "tee": (_box(-0.7, 0.7, 0.35, 0.7), _box(-0.2, 0.2, -0.9, 0.5)),
}
"""Class -> the pieces that it is made of, within the unit circle; the order is that of labels."""

CLASSES = tuple(SHAPES)


def render(
    labels: ArrayLike, factors: Mapping[str, ArrayLike], side: int = SIDE
) -> NDArray[np.uint8]:
    """Sprites from their factors, which need not be in the ranges above.

    Args:
        labels: N indices into `CLASSES`.
        factors: ``scale``, ``angle``, ``shift_x`` and ``shift_y``, N numbers each or one for all;
            with ``hue`` they are drawn in colour.
        side: of the images, pixels.

    Returns:
        N `side` `side`, white on black; with ``hue`` N 3 `side` `side`.

    Raises:
        ValueError: a factor is missing or none, or a label is of no class.
    """
    kinds = np.asarray(labels)
    wrong = {*FACTORS} ^ ({*factors} - {*HUE})
    if wrong:
        raise ValueError(
            f"factors must be {', '.join(FACTORS)} and perhaps hue, not {sorted(factors)}"
        )
    if kinds.ndim != 1 or (len(kinds) and not (0 <= kinds.min() <= kinds.max() < len(CLASSES))):
        raise ValueError(f"labels must be N whole numbers from 0 to {len(CLASSES) - 1}")
    given = {
        name: np.broadcast_to(np.asarray(values, np.float64), kinds.shape)
        for name, values in factors.items()
    }
    cover = np.empty((len(kinds), side, side))
    for kind, pieces in enumerate(SHAPES.values()):
        mine = kinds == kind
        cover[mine] = _cover(pieces, {name: values[mine] for name, values in given.items()}, side)
    if "hue" in given:
        cover = cover[:, None] * _colour(given["hue"])[:, :, None, None]
    images: NDArray[np.uint8] = (255 * cover).round().astype(np.uint8)
    return images


def _cover(
    pieces: tuple[Piece, ...], given: Mapping[str, NDArray[np.float64]], side: int
) -> NDArray[np.float64]:
    """How much of each pixel is covered, N S S, from its distance to the nearest edge."""
    across = np.arange(side) - (side - 1) / 2
    right = across[None, None, :] - given["shift_x"][:, None, None]
    up = -(across[None, :, None] - given["shift_y"][:, None, None])
    angle = np.deg2rad(given["angle"])[:, None, None]
    scale = given["scale"][:, None, None]
    # where a pixel lies in the shape's own coordinates, still in pixels
    x, y = np.cos(angle) * right + np.sin(angle) * up, np.cos(angle) * up - np.sin(angle) * right

    def outside(edge: Disc | Half) -> NDArray[np.float64]:
        found: NDArray[np.float64]
        if isinstance(edge, Disc):
            found = np.hypot(x - scale * edge.x, y - scale * edge.y) - scale * edge.radius
        else:
            turn = np.deg2rad(edge.direction)
            found = np.cos(turn) * x + np.sin(turn) * y - scale * edge.limit
        return found

    def joined(piece: Piece) -> NDArray[np.float64]:
        first, *others = map(outside, piece)
        for other in others:
            np.maximum(first, other, out=first)
        return first

    distance, *others = map(joined, pieces)
    for other in others:
        np.minimum(distance, other, out=distance)
    cover: NDArray[np.float64] = np.clip(0.5 - distance, 0, 1)
    return cover


def _colour(hue: NDArray[np.float64]) -> NDArray[np.float64]:
    """The pure colours of hues in degrees, N 3, in [0, 1]: those of HSV with S = V = 1."""
    offset = np.array([0.0, 240.0, 120.0])  # red, green, blue are brightest about 0, 120, 240
    away = np.abs((hue[:, None] + offset + 180) % 360 - 180)
    colours: NDArray[np.float64] = np.clip(2 - away / 60, 0, 1)
    return colours


def draw(split: str, n: int, colour: bool = False) -> dict[str, NDArray[np.float64]]:
    """The factors of a split of `n` images, name -> N numbers, each split from a stream of its own.

    Those of the coloured set are those of the grey one, and their hues.
    """
    import torch  # slow to import, and names need none of it

    from tvae.streams import Streams

    found = {}
    for name, (low, high) in {**FACTORS, **(HUE if colour else {})}.items():
        generator = Streams(SEED)(f"sprites/{split}/{name}")
        uniform = torch.rand(n, generator=generator, dtype=torch.float64).numpy()
        found[name] = low + (high - low) * uniform
    return found


@dataclass(frozen=True)
class Sprites(Source):
    """Sprites, drawn at the first load and kept in the cache.

    Attributes:
        name: of the data set.
        colour: whether each has a hue.
        sizes: number of images in train, validation and test, of every class about as many.
    """

    name: str
    colour: bool = False
    sizes: tuple[int, int, int] = (8_000, 2_000, 2_000)

    @property
    def summary(self) -> str:  # type: ignore[override]
        """One line for people."""
        what = ", ".join(CLASSES)
        return f"{what} of any {'colour, ' if self.colour else ''}size, angle and place, drawn here"

    @property
    def shape(self) -> ImageShape:  # type: ignore[override]
        """64 x 64, grey or in colour."""
        return ImageShape(3 if self.colour else 1, SIDE, SIDE)

    @property
    def identity(self) -> str:
        """The digest of the content, which follows from what is hashed here."""
        settings = {
            "sizes": list(self.sizes),
            "factors": {**FACTORS, **(HUE if self.colour else {})},
            "seed": SEED,
            "version": VERSION,
        }
        return hashlib.sha256(
            f"sprites {json.dumps(settings, sort_keys=True)}".encode()
        ).hexdigest()

    @property
    def _folder(self) -> Path:
        return cache_folder() / f"sprites-{self.identity[:16]}"

    def locate(self, root: Path | None) -> Path:
        """The cache if it holds them, or else what draws them; `root` does not matter."""
        return self._folder if stored.exists(self._folder) else Path(__file__)

    def verify(self, root: Path | None, **options: Option) -> dict[str, str]:
        """The digest of the content, after reading what the cache holds."""
        if stored.exists(self._folder):
            stored.verify(self._folder)
        return {self.name: self.identity}

    def content(self, root: Path | None, **options: Option) -> str:
        """`identity`: it is known."""
        return self.identity

    def load(self, root: Path | None, **options: Option) -> Dataset:
        """The images with their factors, mapped from the cache; drawn first if it has none."""
        return stored.read(self.fetch(root))

    def fetch(self, root: Path | None, **options: Option) -> Path:
        """Draw into the cache, unless they are there."""
        return stored.make(self._folder, self.name, self.identity, self._splits)

    def choices(self, root: Path | None, **options: Option) -> tuple[str, ...]:
        """What is drawn."""
        ranges = {**FACTORS, **(HUE if self.colour else {})}
        told = ", ".join(f"{name} in [{low:g}, {high:g})" for name, (low, high) in ranges.items())
        return (f"{self.name} are drawn with independent uniform factors: {told}.",)

    def _splits(self) -> dict[str, Iterator[Split]]:
        return {split: self._drawn(split, n) for split, n in zip(SPLITS, self.sizes, strict=True)}

    def _drawn(self, split: str, n: int) -> Iterator[Split]:
        labels, factors = np.arange(n) % len(CLASSES), draw(split, n, self.colour)
        for start in range(0, n, CHUNK):
            part = slice(start, start + CHUNK)
            given = {name: values[part] for name, values in factors.items()}
            images = render(labels[part], given)
            yield Split(images, labels[part], {**given}, np.arange(n)[part])


SPRITES = Sprites("sprites")
SPRITES_COLOUR = Sprites("sprites_colour", colour=True)
