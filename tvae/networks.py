"""The networks of Appendix B.

Legend: `B` batch, `D` latent size, `P` size of T, `S` side of a square image.
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


class Encoder(nn.Module):
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


class Decoder(nn.Module):
    """p_theta(x|z): latents B D to Bernoulli logits B 1 28 28.

    A 1x1 convolution to 128 (the paper names only its filters), then transposed convolutions 4x4
    of 64 and 32 (stride 1), 32 and 1 (stride 2): 1 -> 1, 4, 7, 14, 28.

    Args:
        latent_dim: D.

    Source: paper, Appendix B.
    """

    def __init__(self, latent_dim: int) -> None:
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
            ToPixels(32),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Logits B 1 28 28 of latents B D."""
        logits: Tensor = self.layers(z[:, :, None, None])
        return logits


class PairNetwork(nn.Module):
    """A function of the pair (z_1, z_2): MLP 2D -> hidden -> hidden -> outputs, ReLU between.

    Args:
        latent_dim: D.
        outputs: width of the last layer: 2D for q_psi, P for h_xi.
        hidden: width of the two hidden layers.
        gain: the last layer's initial weights and biases are scaled by this.

    Raises:
        ValueError: `hidden` is not positive.

    Source: paper, Appendix B (hidden = 1000).
    """

    def __init__(
        self, latent_dim: int, outputs: int, hidden: int = 1000, gain: float = 1.0
    ) -> None:
        super().__init__()
        if hidden < 1:
            raise ValueError(f"the width of the hidden layers must be at least 1, got {hidden}")
        self.layers = nn.Sequential(
            nn.Linear(2 * latent_dim, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, outputs),
        )
        with torch.no_grad():
            for parameter in self.layers[-1].parameters():
                parameter.mul_(gain)

    def forward(self, z_1: Tensor, z_2: Tensor) -> Tensor:
        """B outputs, of z_1 and z_2, each B D."""
        out: Tensor = self.layers(torch.cat([z_1, z_2], dim=1))
        return out
