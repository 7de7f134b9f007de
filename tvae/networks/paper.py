"""The networks of Appendix B.

Legend: `B` batch, `D` latent size, `S` side of a square image.
"""

from __future__ import annotations

from torch import Tensor, nn

from tvae.networks._layers import FromOne, ToOne, ToPixels
from tvae.networks.base import Network
from tvae.shapes import GREY_28, ImageShape


class Paper(Network):
    """Appendix B: convolutions 4x4 of stride 2, for grey images of 28 x 28.

    Source: paper, Appendix B.
    """

    choices = (
        "The paddings of encoder and decoder, and the decoder's first convolution as 1x1 "
        "(Appendix B gives filters and strides only).",
    )

    def refuses(self, shape: ImageShape) -> str:
        """All but 28 x 28, which five strides of 2 bring to one pixel and back."""
        return "" if shape == GREY_28 else f"takes grey images of {GREY_28} alone, got {shape}"

    def reads(self, shape: ImageShape) -> list[ImageShape]:
        """28 x 28 and AffNIST's 40 x 40, which the encoder brings to one pixel, too."""
        return [shape, ImageShape(1, 40, 40)]

    def encoder(self, shape: ImageShape, latent_dim: int) -> nn.Module:
        """See `Network.encoder`."""
        return _Encoder(latent_dim)

    def decoder(self, shape: ImageShape, latent_dim: int, outputs: int) -> nn.Module:
        """See `Network.decoder`."""
        return _Decoder(latent_dim, outputs)


class _Encoder(nn.Module):
    """q_phi(z|x): images B 1 S S to the moments of a diagonal Gaussian, each B D.

    Convolutions 4x4, stride 2, of 32, 32, 64, 128 and 2D filters with ReLU between. The paddings
    are ours (all ones would end in size 0): 28 -> 14, 7, 4, 2, 1 and 40 -> 20, 10, 6, 3, 1.

    Args:
        latent_dim: D.

    Source: paper, Appendix B.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 32, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 32, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 4, stride=2, padding=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 128, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            ToOne(128, 2 * latent_dim),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, logvar), each B D, of images B 1 S S in [0, 1], S 28 or 40."""
        mean, logvar = self.layers(x).flatten(1).chunk(2, dim=1)
        return mean, logvar


class _Decoder(nn.Module):
    """p_theta(x|z): latents B D to parameters of the likelihood B K 28 28.

    A 1x1 convolution to 128 (the paper names only its filters), then transposed convolutions 4x4
    of 64 and 32 (stride 1), 32 and K (stride 2): 1 -> 1, 4, 7, 14, 28.

    Args:
        latent_dim: D.
        outputs: K, 1 for the paper's Bernoulli.

    Source: paper, Appendix B.
    """

    def __init__(self, latent_dim: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(latent_dim, 128, 1),
            nn.ReLU(inplace=True),
            FromOne(128, 64),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(64, 32, 4),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(32, 32, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            ToPixels(32) if outputs == 1 else nn.ConvTranspose2d(32, outputs, 4, 2, 1),
        )

    def forward(self, z: Tensor) -> Tensor:
        """B K 28 28 of latents B D."""
        parameters: Tensor = self.layers(z[:, :, None, None])
        return parameters
