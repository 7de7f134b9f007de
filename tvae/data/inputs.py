"""How images of one size enter a model of another.

Legend: `N` images of a chunk, `C` channels, `H`, `W` height and width, `S` a model's input shape.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from tvae.registry import unknown_name
from tvae.shapes import ImageShape

Size = tuple[int, int]
"""(height, width)."""


def _resize(x: Tensor, size: Size) -> Tensor:
    if x.shape[-2:] == size:
        return x
    small = interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
    return small.clamp(0, 1)


def _centre_crop(x: Tensor, size: Size) -> Tensor:
    height, width = x.shape[-2:]
    if height < size[0] or width < size[1]:
        raise ValueError(
            f"centre_crop cannot cut {size[0]} x {size[1]} out of {height} x {width} pixels; "
            "use the protocol resize"
        )
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return x[..., top : top + size[0], left : left + size[1]]


def _native(x: Tensor, size: Size) -> Tensor:
    if x.shape[-2:] != size:
        raise ValueError(
            f"native keeps the images' {x.shape[-2]} x {x.shape[-1]} pixels, but the model takes "
            f"{size[0]} x {size[1]}; build it for that size, or use the protocol resize or "
            "centre_crop"
        )
    return x


PROTOCOLS: dict[str, Callable[[Tensor, Size], Tensor]] = {
    "resize": _resize,
    "centre_crop": _centre_crop,
    "native": _native,
}
"""How to get from the images' size to the model's; part of a metric's fingerprint."""


def with_channels(images: NDArray[np.uint8]) -> Tensor:
    """Images N H W (grey) or N C H W as they are kept, as N C H W bytes of their own."""
    x = torch.tensor(np.asarray(images))
    return x if x.ndim == 4 else x[:, None]


def as_input(images: NDArray[np.uint8], shape: ImageShape, protocol: str = "resize") -> Tensor:
    """Images as a model takes them; works on a chunk, so that large sets are streamed.

    Args:
        images: N H W (grey) or N C H W, uint8; may be mapped from a file.
        shape: S.
        protocol: ``resize`` (bilinear, antialiased), ``centre_crop``, or ``native`` (as they are:
            S must be their size).

    Returns:
        N of S, float32 in [0, 1], on the CPU.

    Raises:
        ValueError: an unknown protocol, one that does not lead to S, or other channels than S has.
    """
    if protocol not in PROTOCOLS:
        raise unknown_name("input protocol", protocol, PROTOCOLS)
    x = with_channels(images).float().div_(255)
    if x.shape[1] != shape.channels:
        raise ValueError(
            f"the images have {x.shape[1]} channels, but the model takes {shape.channels}"
        )
    return PROTOCOLS[protocol](x, (shape.height, shape.width)).contiguous()
