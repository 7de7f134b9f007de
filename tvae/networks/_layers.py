"""Convolutions of one place or one channel as matrix products, which a CPU does faster.

Legend: `B` batch, `C` channels in, `K` channels out, `H`, `W` height and width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ToOne(nn.Conv2d):
    """The encoder's last convolution, 4x4, stride 2, to one pixel as a matrix product.

    The same numbers as its base class up to rounding. Of a map of 2x2 or 3x3 and its padding the
    kernel's one place is filled by the inner taps alone; a convolution computes the others, too.

    Args:
        channels: C.
        outputs: K.
    """

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__(channels, outputs, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """B K 1 1 of maps B C H W, H and W 2 or 3 (else B K H' W')."""
        height, width = x.shape[2:]
        if height not in (2, 3) or width not in (2, 3):
            return super().forward(x)
        # channels last, as both lie in memory
        taps = self.weight[:, :, 1 : 1 + height, 1 : 1 + width].permute(0, 2, 3, 1).flatten(1)
        out: Tensor = functional.linear(x.permute(0, 2, 3, 1).flatten(1), taps, self.bias)
        return out[:, :, None, None]


class FromOne(nn.ConvTranspose2d):
    """The decoder's first transposed convolution, 4x4, of one pixel as a matrix product.

    The same numbers as its base class up to rounding: each output is one product, with nothing to
    add up.

    Args:
        channels: C.
        outputs: K.
    """

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__(channels, outputs, 4)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """B K 4 4 of maps B C 1 1 (else B K H+3 W+3 of B C H W)."""
        if x.shape[2:] != (1, 1):
            return super().forward(x, output_size)
        # channels last, as the weights lie in memory and as the next layer wants it
        columns = x.flatten(1) @ self.weight.permute(0, 2, 3, 1).flatten(1)
        assert self.bias is not None
        out: Tensor = columns.unflatten(1, (4, 4, -1)) + self.bias
        return out.permute(0, 3, 1, 2)


class ToPixels(nn.ConvTranspose2d):
    """The decoder's last transposed convolution, 4x4, stride 2, as a matrix product and a fold.

    The same numbers as its base class up to rounding. With one output channel the CPU's
    convolution leaves most of its vector lanes idle: it takes several times as long forwards.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 1, 4, stride=2, padding=1)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """B 1 2H 2W of maps B C H W."""
        height, width = x.shape[2:]
        columns = torch.einsum("bchw,cp->bphw", x, self.weight.flatten(1)).flatten(2)
        pixels = functional.fold(columns, (2 * height, 2 * width), 4, padding=1, stride=2)
        assert self.bias is not None
        return pixels + self.bias[:, None, None]
