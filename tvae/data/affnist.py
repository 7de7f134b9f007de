"""AffNIST: MNIST's digits under random affine transformations, on 40 x 40 pixels.

About the image's centre, with x to the right and y down, a point p of the digit goes to::

    p' = R(angle) Sh(shear) S(scale_x, scale_y) p + (shift_x, shift_y)

    S = diag(scale_x, scale_y)             each factor from U(0.8, 1.2)
    Sh = [[1, shear], [0, 1]]              U(-0.2, 0.2); 1 is 45 degrees
    R = [[cos, sin], [-sin, cos]]          U(-20, 20) degrees, counter-clockwise to the eye
    shift_x, shift_y                       uniform over the whole pixels that keep all ink inside

Interpolation is bilinear over a black surround. The ranges are those of
https://www.cs.toronto.edu/~tijmen/affNIST/; the order of the factors is ours.

Legend: `B` images of a chunk, `N` originals of a split, `S` = 28 the side of an original.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from tvae.data.records import Split

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


def digest(originals: str, variants: Mapping[str, int]) -> str:
    """The digest of a generated set; `variants` are those of each split.

    The images are a pure function of what is hashed here: the originals (by their own digest), the
    settings and the generator's version. Hashing that instead of 2.6 GB of images names the same
    content in no time, and before it exists.
    """
    settings = {
        "originals": originals,
        # one number where all splits have the same, as all had before they could differ
        "variants": dict(variants) if len({*variants.values()}) > 1 else max(variants.values()),
        "size": SIZE,
        "ranges": RANGES,
        "seed": SEED,
        "version": VERSION,
    }
    return hashlib.sha256(f"affnist {json.dumps(settings, sort_keys=True)}".encode()).hexdigest()


def draw(split: str, variant: int, n: int) -> Draws:
    """The random numbers behind one variant of each of a split's `n` originals.

    Every variant of every split has its own stream, so images depend neither on how they are
    divided into chunks nor on the number of variants.
    """
    import torch  # slow to import, and names and digests need none of it

    from tvae.streams import Streams

    generator = Streams(SEED)(f"affnist/{split}/{variant}")
    names = (*RANGES, "place_x", "place_y")
    # One row per original, so that its numbers do not depend on how many follow it.
    uniform = torch.rand(n, len(names), generator=generator, dtype=torch.float64).numpy().T
    spans = [*RANGES.values(), (0.0, 1.0), (0.0, 1.0)]
    return {
        name: low + (high - low) * u
        for name, u, (low, high) in zip(names, uniform, spans, strict=True)
    }


def generate(originals: Split, split: str, variants: int = 1, chunk: int = 250) -> Iterator[Split]:
    """The variants of `originals`, chunk by chunk: first one of each, then the next of each.

    Args:
        originals: the digits, N S S.
        split: the split's name, part of the names of its random streams.
        variants: how many of each original.
        chunk: images at a time; changes no image.

    Raises:
        ValueError: an original is blank, or too large for its ink to fit after a transformation.
    """
    source = np.arange(len(originals)) if originals.source is None else originals.source
    for variant in range(variants):
        draws = draw(split, variant, len(originals))
        for start in range(0, len(originals), chunk):
            part = slice(start, start + chunk)
            drawn = {name: values[part] for name, values in draws.items()}
            canvas = render(originals.images[part], drawn)
            images, shift_x, shift_y = place(canvas, drawn.pop("place_x"), drawn.pop("place_y"))
            yield Split(
                images,
                originals.labels[part],
                {**drawn, "shift_x": shift_x, "shift_y": shift_y},
                source[part],
            )


def render(images: NDArray[np.uint8], draws: Draws) -> NDArray[np.uint8]:
    """The digits, transformed but not yet shifted.

    Args:
        images: B S S.
        draws: B numbers for each name in `RANGES`.

    Returns:
        B 2S 2S, of the same centre: large enough to lose no ink to any transformation in `RANGES`.
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
    theta = torch.from_numpy(np.concatenate([2 * inverse, np.zeros((len(images), 2, 1))], -1))
    x = torch.tensor(np.asarray(images), dtype=torch.float64)[:, None]
    side = 2 * images.shape[-1]
    grid = affine_grid(theta, [len(images), 1, side, side], align_corners=False)
    canvas = grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return canvas[:, 0].round().to(torch.uint8).numpy()


def place(
    canvas: NDArray[np.uint8], place_x: NDArray[np.float64], place_y: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """A window of 40 x 40 pixels for each canvas, with all its ink inside.

    Args:
        canvas: B C C.
        place_x: B numbers in [0, 1): where between leftmost and rightmost.
        place_y: the same between topmost and bottommost.

    Returns:
        Images B 40 40, and the shifts by which the ink has moved from the image's centre, in
        pixels, right and down.

    Raises:
        ValueError: a canvas is blank or its ink is wider or higher than 40 pixels.
    """
    shift_x = _shift(np.any(canvas, axis=1), place_x)
    shift_y = _shift(np.any(canvas, axis=2), place_y)
    margin = (canvas.shape[-1] - SIZE) // 2
    # Where the window reaches beyond the canvas it reads the blank row or column added here.
    padded = np.pad(canvas, ((0, 0), (0, 1), (0, 1)))
    columns = _window(margin - shift_x, canvas.shape[-1])
    rows = _window(margin - shift_y, canvas.shape[-1])
    image = np.arange(len(canvas))[:, None, None]
    return padded[image, rows[:, :, None], columns[:, None, :]], shift_x, shift_y


def _shift(ink: NDArray[np.bool_], where: NDArray[np.float64]) -> NDArray[np.int64]:
    """One of the shifts that keep `ink` (B C, along one axis) inside the window, by `where`."""
    side = ink.shape[1]
    first, last = ink.argmax(1), side - 1 - ink[:, ::-1].argmax(1)
    choices = SIZE - (last - first)
    if not ink.any(1).all() or choices.min() < 1:
        raise ValueError(
            f"a transformed image is blank or its ink is larger than {SIZE} pixels: AffNIST is "
            "made from digits that fill at most 20 x 20 of 28 x 28 pixels, as MNIST's do"
        )
    shift: NDArray[np.int64] = (side - SIZE) // 2 - first + (where * choices).astype(np.int64)
    return shift


def _window(start: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """Indices B 40 into an axis of length `side`; those outside it point at index `side`."""
    indices = start[:, None] + np.arange(SIZE)
    return np.where((indices >= 0) & (indices < side), indices, side)
