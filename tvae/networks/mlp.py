"""A network without convolutions.

Legend: `B` batch, `C` channels, `H`, `W` height and width, `D` latent size.
"""

from __future__ import annotations

from torch import Tensor, nn

from tvae.networks.base import Network
from tvae.shapes import ImageShape


class MLP(Network):
    """Linear layers with ReLU between: C H W -> hidden -> hidden -> 2D, and back.

    It knows nothing of neighbouring pixels: a control for what a convolution brings.

    Args:
        hidden: width of the two hidden layers, at least 1.

    Raises:
        ValueError: `hidden` is not positive.

    Source: Kingma and Welling, "Auto-Encoding Variational Bayes" (ICLR 2014), with one layer more.
    """

    def __init__(self, hidden: int = 500) -> None:
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}")
        self.hidden = hidden

    def encoder(self, shape: ImageShape, latent_dim: int) -> nn.Module:
        """See `Network.encoder`."""
        return _Encoder(nn.Flatten(), *_layers(shape.numbers, self.hidden, 2 * latent_dim))

    def decoder(self, shape: ImageShape, latent_dim: int, outputs: int) -> nn.Module:
        """See `Network.decoder`."""
        maps = (outputs, shape.height, shape.width)
        numbers = outputs * shape.height * shape.width
        return nn.Sequential(*_layers(latent_dim, self.hidden, numbers), nn.Unflatten(1, maps))


def _layers(before: int, hidden: int, after: int) -> list[nn.Module]:
    return [
        nn.Linear(before, hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, after),
    ]


class _Encoder(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, logvar), each B D, of images B C H W."""
        mean, logvar = self.layers(x).chunk(2, dim=1)
        return mean, logvar
