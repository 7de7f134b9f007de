"""AffNIST: MNIST's digits under random affine transformations, on 40 x 40 pixels.

The same law makes a set of variants of any images, see `canvas_of`.

About the image's centre, with x to the right and y down, a point p of the digit goes to::

    p' = R(angle) Sh(shear) S(scale_x, scale_y) p + (shift_x, shift_y)

    S = diag(scale_x, scale_y)             each factor from U(0.8, 1.2)
    Sh = [[1, shear], [0, 1]]              U(-0.2, 0.2); 1 is 45 degrees
    R = [[cos, sin], [-sin, cos]]          U(-20, 20) degrees, counter-clockwise to the eye
    shift_x, shift_y                       uniform over the whole pixels that keep all ink inside

Interpolation is bilinear over a black surround; ink is what is not black. The ranges are those of
https://www.cs.toronto.edu/~tijmen/affNIST/; the order of the factors is ours. Images with more ink
than MNIST's digits have may leave no place for all of it after a transformation: then another is
drawn in its stead, until one leaves some.

Legend: `B` images of a chunk, `N` originals of a split, `H`, `W` height and width of an original,
28 x 28 for a digit, `...` a C axis where images are in colour.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from tvae.data.records import Split
from tvae.shapes import ImageShape

Size = tuple[int, int]
"""(height, width)."""

SIZE = 40
RANGES = {
    "scale_x": (0.8, 1.2),
    "scale_y": (0.8, 1.2),
    "shear": (-0.2, 0.2),
    "angle": (-20.0, 20.0),
}
SEED = 0
VERSION = 1
"""To be raised with every change that changes an image; a test holds it to that."""

Draws = dict[str, NDArray[np.float64]]
"""Name -> one number per image: those of `RANGES`, and `place_x`, `place_y` in [0, 1)."""


ATTEMPTS = 100
"""Transformations drawn for an image before it is said to be too large for any."""


def canvas_of(shape: ImageShape) -> ImageShape:
    """The shape of the variants of images: 40/28 times as high and wide, to the next even number.

    Even, as the image twice as large is that it is cut from, so that both have one centre.
    """
    height, width = (2 * ((20 * side + 14) // 28) for side in (shape.height, shape.width))
    return ImageShape(shape.channels, height, width)


def digest(originals: str, variants: Mapping[str, int], size: Size = (SIZE, SIZE)) -> str:
    """The digest of a generated set; `variants` are those of each split, `size` is of its images.

    The images are a pure function of what is hashed here: the originals (by their own digest), the
    settings and the generator's version. Hashing that instead of 2.6 GB of images names the same
    content in no time, and before it exists.
    """
    settings = {
        "originals": originals,
        # one number where all splits have the same, as all had before they could differ
        "variants": dict(variants) if len({*variants.values()}) > 1 else max(variants.values()),
        "size": SIZE if size == (SIZE, SIZE) else list(size),
        "ranges": RANGES,
        "seed": SEED,
        "version": VERSION,
    }
    return hashlib.sha256(f"affnist {json.dumps(settings, sort_keys=True)}".encode()).hexdigest()


def draw(split: str, variant: int, n: int, attempt: int = 0) -> Draws:
    """The random numbers behind one variant of each of a split's `n` originals.

    `attempt` counts the draws for images whose ink had no place after those before.
    Every variant of every split has its own stream, so images depend neither on how they are
    divided into chunks nor on the number of variants.
    """
    import torch  # slow to import, and names and digests need none of it

    from tvae.streams import Streams

    generator = Streams(SEED)(f"affnist/{split}/{variant}" + (f"/{attempt}" if attempt else ""))
    names = (*RANGES, "place_x", "place_y")
    # One row per original, so that its numbers do not depend on how many follow it.
    uniform = torch.rand(n, len(names), generator=generator, dtype=torch.float64).numpy().T
    spans = [*RANGES.values(), (0.0, 1.0), (0.0, 1.0)]
    return {
        name: low + (high - low) * u
        for name, u, (low, high) in zip(names, uniform, spans, strict=True)
    }


def generate(
    originals: Split, split: str, variants: int = 1, chunk: int | None = None
) -> Iterator[Split]:
    """The variants of `originals`, chunk by chunk: first one of each, then the next of each.

    Args:
        originals: the images, N ... H W.
        split: the split's name, part of the names of its random streams.
        variants: how many of each original.
        chunk: images at a time; changes no image. None: 250 digits, or as many numbers.

    Raises:
        ValueError: an original is blank, or too large for its ink to fit after any transformation.
    """
    source = np.arange(len(originals)) if originals.source is None else originals.source
    step = chunk or max(1, 250 * 28 * 28 // originals.shape.numbers)
    canvas = canvas_of(originals.shape)
    for variant in range(variants):
        draws, redrawn = draw(split, variant, len(originals)), dict[int, Draws]()
        for start in range(0, len(originals), step):
            part = slice(start, start + step)
            drawn = {name: values[part] for name, values in draws.items()}
            rendered = render(originals.images[part], drawn)
            size = (canvas.height, canvas.width)
            for attempt in range(1, ATTEMPTS):
                (again,) = np.nonzero(~_fits(rendered, size))
                if not len(again):
                    break
                if attempt not in redrawn:
                    redrawn[attempt] = draw(split, variant, len(originals), attempt)
                for name, values in redrawn[attempt].items():
                    drawn[name] = drawn[name].copy()
                    drawn[name][again] = values[part][again]
                rendered[again] = render(
                    originals.images[part][again], {n: v[again] for n, v in drawn.items()}
                )
            blank = ~rendered.reshape(len(rendered), -1).any(1)
            if blank.any():
                raise ValueError(
                    f"image {source[part][blank][0]} of those that become {split} images is blank, "
                    "and AffNIST's law moves what is not black: take it out"
                )
            images, shift_x, shift_y = place(
                rendered, drawn.pop("place_x"), drawn.pop("place_y"), size
            )
            yield Split(
                images,
                originals.labels[part],
                {**drawn, "shift_x": shift_x, "shift_y": shift_y},
                source[part],
            )


def render(images: NDArray[np.uint8], draws: Draws) -> NDArray[np.uint8]:
    """The images, transformed but not yet shifted.

    Args:
        images: B ... H W.
        draws: B numbers for each name in `RANGES`.

    Returns:
        B ... 2H 2W, of the same centre: large enough to lose no ink to any transformation in
        `RANGES`.
        Computed in float64, so that rounding to whole grey values hides the differences between
        machines in the last bits.
    """
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    cos, sin = np.cos(np.deg2rad(draws["angle"])), np.sin(np.deg2rad(draws["angle"]))
    shear, scale_x, scale_y = draws["shear"], draws["scale_x"], draws["scale_y"]
    inverse = np.stack(
        [
            np.stack([(cos - shear * sin) / scale_x, (-sin - shear * cos) / scale_x], -1),
            np.stack([sin / scale_y, cos / scale_y], -1),
        ],
        -2,
    )
    # grid_sample measures in half image sides, and the output's is twice the input's.
    height, width = images.shape[-2:]
    sides = 2 * np.array([[1, height / width], [width / height, 1]])
    theta = torch.from_numpy(np.concatenate([sides * inverse, np.zeros((len(images), 2, 1))], -1))
    x = torch.tensor(np.asarray(images), dtype=torch.float64)
    x = x if x.ndim == 4 else x[:, None]
    grid = affine_grid(theta, [len(images), 1, 2 * height, 2 * width], align_corners=False)
    canvas = grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return canvas.reshape(*images.shape[:-2], *canvas.shape[-2:]).round().to(torch.uint8).numpy()


def place(
    canvas: NDArray[np.uint8],
    place_x: NDArray[np.float64],
    place_y: NDArray[np.float64],
    size: Size = (SIZE, SIZE),
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """A window for each canvas, with all its ink inside.

    Args:
        canvas: B ... CH CW.
        place_x: B numbers in [0, 1): where between leftmost and rightmost.
        place_y: the same between topmost and bottommost.
        size: of the window, pixels.

    Returns:
        Images B ... of `size`, and the shifts by which the ink has moved from the image's centre,
        in pixels, right and down.

    Raises:
        ValueError: a canvas is blank or its ink is wider or higher than `size`.
    """
    height, width = canvas.shape[-2:]
    columns, rows = _ink(canvas)
    shift_x = _shift(columns, place_x, size[1])
    shift_y = _shift(rows, place_y, size[0])
    # Where the window reaches beyond the canvas it reads the blank row or column added here.
    padded = np.pad(canvas, [(0, 0)] * (canvas.ndim - 2) + [(0, 1), (0, 1)])
    x = _window((width - size[1]) // 2 - shift_x, width, size[1])
    y = _window((height - size[0]) // 2 - shift_y, height, size[0])
    # one index for each axis, all of as many dimensions as the images
    image = np.arange(len(canvas)).reshape(-1, *[1] * (canvas.ndim - 1))
    colour = [np.arange(n)[None, :, None, None] for n in canvas.shape[1:-2]]
    y = y.reshape(len(canvas), *[1] * len(colour), -1, 1)
    x = x.reshape(len(canvas), *[1] * len(colour), 1, -1)
    return padded[(image, *colour, y, x)], shift_x, shift_y


def _ink(canvas: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which columns, B CW, and which rows, B CH, have ink."""
    flat = canvas if canvas.ndim == 3 else canvas.max(1)
    return np.any(flat, axis=1), np.any(flat, axis=2)


def _extent(ink: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last with ink, of B C along one axis."""
    return ink.argmax(1), ink.shape[1] - 1 - ink[:, ::-1].argmax(1)


def _fits(canvas: NDArray[np.uint8], size: Size) -> NDArray[np.bool_]:
    """Whether there is a place for all ink of a canvas, B; of a blank one there is."""
    columns, rows = map(_extent, _ink(canvas))
    fits: NDArray[np.bool_] = (columns[1] - columns[0] < size[1]) & (rows[1] - rows[0] < size[0])
    return fits | ~canvas.reshape(len(canvas), -1).any(1)


def _shift(ink: NDArray[np.bool_], where: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """One of the shifts that keep `ink` (B C, along one axis) inside the window, by `where`."""
    side = ink.shape[1]
    first, last = _extent(ink)
    choices = size - (last - first)
    if not ink.any(1).all() or choices.min() < 1:
        raise ValueError(
            f"a transformed image is blank or its ink is larger than {size} pixels; AffNIST's law "
            "moves what is not black, and keeps all of it"
        )
    shift: NDArray[np.int64] = (side - size) // 2 - first + (where * choices).astype(np.int64)
    return shift


def _window(start: NDArray[np.int64], side: int, size: int) -> NDArray[np.int64]:
    """Indices B `size` into an axis of length `side`; those outside it point at index `side`."""
    indices = start[:, None] + np.arange(size)
    return np.where((indices >= 0) & (indices < side), indices, side)
