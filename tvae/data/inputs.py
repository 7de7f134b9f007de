"""How images of one size enter a model of another.

Legend: `N` images of a chunk, `H`, `W` their height and width, `S` the model's input size.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from tvae.registry import unknown_name


def _resize(x: Tensor, size: int) -> Tensor:
    if x.shape[-2:] == (size, size):
        return x
    small = interpolate(x, (size, size), mode="bilinear", antialias=True, align_corners=False)
    return small.clamp(0, 1)


def _centre_crop(x: Tensor, size: int) -> Tensor:
    height, width = x.shape[-2:]
    if min(height, width) < size:
        raise ValueError(
            f"centre_crop cannot cut {size} x {size} out of {height} x {width} pixels; "
            "use the protocol resize"
        )
    top, left = (height - size) // 2, (width - size) // 2
    return x[..., top : top + size, left : left + size]


def _native(x: Tensor, size: int) -> Tensor:
    if x.shape[-2:] != (size, size):
        raise ValueError(
            f"native keeps the images' {x.shape[-2]} x {x.shape[-1]} pixels, but the model takes "
            f"{size} x {size}; build it for that size, or use the protocol resize or centre_crop"
        )
    return x


PROTOCOLS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "resize": _resize,
    "centre_crop": _centre_crop,
    "native": _native,
}
"""How to get from the images' size to the model's; part of a metric's fingerprint."""


def as_input(images: NDArray[np.uint8], size: int, protocol: str = "resize") -> Tensor:
    """Images as a model takes them; works on a chunk, so that large sets are streamed.

    Args:
        images: N H W, uint8; may be mapped from a file.
        size: S.
        protocol: ``resize`` (bilinear, antialiased), ``centre_crop``, or ``native`` (as they are:
            S must be their size).

    Returns:
        N 1 S S, float32 in [0, 1], on the CPU.

    Raises:
        ValueError: an unknown protocol, or one that does not lead from H x W to S x S.
    """
    if protocol not in PROTOCOLS:
        raise unknown_name("input protocol", protocol, PROTOCOLS)
    x = torch.tensor(np.asarray(images), dtype=torch.float32).div_(255)[:, None]
    return PROTOCOLS[protocol](x, size).contiguous()
