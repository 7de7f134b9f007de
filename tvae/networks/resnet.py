"""A residual network whose depth follows the images' size.

Legend: `B` batch, `C` channels, `H`, `W` height and width, `D` latent size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tvae.networks.base import Network
from tvae.networks.conv import halvings
from tvae.shapes import ImageShape


class ResNet(Network):
    """Residual blocks at every size from the image's own to 4 pixels, halved by averages.

    At each size `blocks` blocks x + f(x), f two convolutions 3x3 with ReLU before each, the second
    one 0 at the start, so that depth costs nothing before it is learned; the maps' channels double
    from `width` to at most eight times it. The decoder is the mirror image, with nearest neighbours
    for averages. There is no normalisation: over a batch it would let images see each other.

    Args:
        width: channels of the first map, at least 1.
        blocks: at each size, at least 1.

    Raises:
        ValueError: an option is not positive.

    Source: He et al., "Identity Mappings in Deep Residual Networks" (ECCV 2016); without
    normalisation and with a 0 at the start, Zhang et al., "Fixup Initialization" (ICLR 2019).
    """

    def __init__(self, width: int = 32, blocks: int = 1) -> None:
        for name, value in (("width", width), ("blocks", blocks)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.width, self.blocks = width, blocks

    def refuses(self, shape: ImageShape) -> str:
        """Images with a side below 8 pixels, of which nothing would be left."""
        smallest = min(shape.height, shape.width)
        return f"takes images of at least 8 x 8, got {shape}" if smallest < 8 else ""

    def channels(self, shape: ImageShape) -> list[int]:
        """Of the maps at each size."""
        return [self.width * 2 ** min(i, 3) for i in range(len(halvings(shape)))]

    def encoder(self, shape: ImageShape, latent_dim: int) -> nn.Module:
        """See `Network.encoder`."""
        return _Encoder(self, shape, latent_dim)

    def decoder(self, shape: ImageShape, latent_dim: int, outputs: int) -> nn.Module:
        """See `Network.decoder`."""
        return _Decoder(self, shape, latent_dim, outputs)


class _Block(nn.Module):
    """x + f(x)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            for parameter in self.second.parameters():
                parameter.zero_()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(self.first(x.relu()).relu())
        return out


class _Halving(nn.Module):
    """Averages, as adaptive pooling to half of either side, rounded down, makes them.

    Of that one CUDA has no deterministic gradient.
    """

    def forward(self, x: Tensor) -> Tensor:
        high, wide = (2 + side % 2 for side in x.shape[2:])
        sums: Tensor = functional.avg_pool2d(x, (high, wide), stride=2, divisor_override=1)
        return sums / high / wide


class _Encoder(nn.Module):
    def __init__(self, of: ResNet, shape: ImageShape, latent_dim: int) -> None:
        super().__init__()
        channels, sizes = of.channels(shape), halvings(shape)
        layers: list[nn.Module] = [nn.Conv2d(shape.channels, channels[0], 3, padding=1)]
        for i in range(len(sizes)):
            if i:
                layers += [_Halving(), nn.Conv2d(channels[i - 1], channels[i], 1)]
            layers += [_Block(channels[i]) for _ in range(of.blocks)]
        self.trunk = nn.Sequential(*layers, nn.ReLU())
        self.moments = nn.Linear(channels[-1] * sizes[-1][0] * sizes[-1][1], 2 * latent_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, logvar = self.moments(self.trunk(x).flatten(1)).chunk(2, dim=1)
        return mean, logvar


class _Decoder(nn.Sequential):
    def __init__(self, of: ResNet, shape: ImageShape, latent_dim: int, outputs: int) -> None:
        channels, sizes = of.channels(shape), halvings(shape)
        start = (channels[-1], *sizes[-1])
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, start[0] * start[1] * start[2]),
            nn.Unflatten(1, start),
        ]
        for i in range(len(sizes) - 1, -1, -1):
            layers += [_Block(channels[i]) for _ in range(of.blocks)]
            if i:
                layers += [nn.Conv2d(channels[i], channels[i - 1], 1), nn.Upsample(sizes[i - 1])]
        super().__init__(*layers, nn.ReLU(), nn.Conv2d(channels[0], outputs, 3, padding=1))
