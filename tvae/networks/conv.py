"""A convolutional network whose depth follows the images' size.

Legend: `B` batch, `C` channels, `H`, `W` height and width, `D` latent size.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from tvae.networks.base import Network
from tvae.shapes import ImageShape

SMALLEST = 4
"""Maps are halved until their shorter side is no longer than this."""


def halvings(shape: ImageShape) -> list[tuple[int, int]]:
    """Sizes of the maps from the image's own to the smallest, each half of that before it."""
    sizes = [(shape.height, shape.width)]
    while min(sizes[-1]) > SMALLEST:
        height, width = sizes[-1]
        sizes.append((height // 2, width // 2))
    return sizes


class Conv(Network):
    """Convolutions 4x4 of stride 2 until a side is at most 4 pixels, then one linear layer.

    The maps' channels double from `width` to at most eight times it; the decoder is the mirror
    image. ReLU between.

    Args:
        width: channels of the first map, at least 1.

    Raises:
        ValueError: `width` is not positive.

    Source: Radford et al., "Unsupervised Representation Learning with Deep Convolutional Generative
    Adversarial Networks" (ICLR 2016), for halving by 4x4 kernels; the depth by size is ours.
    """

    def __init__(self, width: int = 32) -> None:
        if width < 1:
            raise ValueError(f"width must be at least 1, got {width}")
        self.width = width

    def refuses(self, shape: ImageShape) -> str:
        """Images with a side below 8 pixels, of which nothing would be left."""
        smallest = min(shape.height, shape.width)
        return f"takes images of at least 8 x 8, got {shape}" if smallest < 8 else ""

    def channels(self, shape: ImageShape) -> list[int]:
        """Of the image and of each map after it."""
        depth = len(halvings(shape)) - 1
        return [shape.channels, *(self.width * 2 ** min(i, 3) for i in range(depth))]

    def encoder(self, shape: ImageShape, latent_dim: int) -> nn.Module:
        """See `Network.encoder`."""
        channels = self.channels(shape)
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.ReLU(inplace=True)]
        height, width = halvings(shape)[-1]
        return _Encoder(nn.Sequential(*layers), channels[-1] * height * width, latent_dim)

    def decoder(self, shape: ImageShape, latent_dim: int, outputs: int) -> nn.Module:
        """See `Network.decoder`."""
        channels, sizes = [outputs, *self.channels(shape)[1:]], halvings(shape)
        start = (channels[-1], *sizes[-1])
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, start[0] * start[1] * start[2]),
            nn.Unflatten(1, start),
        ]
        for i in range(len(sizes) - 1, 0, -1):
            # a side that was odd lost a pixel
            odd = sizes[i - 1][0] % 2, sizes[i - 1][1] % 2
            layers += [
                nn.ReLU(inplace=True),
                nn.ConvTranspose2d(
                    channels[i], channels[i - 1], 4, stride=2, padding=1, output_padding=odd
                ),
            ]
        return nn.Sequential(*layers)


class _Encoder(nn.Module):
    """A trunk of maps, then a linear layer to both moments."""

    def __init__(self, trunk: nn.Module, size: int, latent_dim: int) -> None:
        super().__init__()
        self.trunk, self.moments = trunk, nn.Linear(size, 2 * latent_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, logvar), each B D, of images B C H W."""
        mean, logvar = self.moments(self.trunk(x).flatten(1)).chunk(2, dim=1)
        return mean, logvar
