"""The wide networks of T_VAE, which see latents and no image.

Legend: `B` batch, `D` latent size, `P` size of T.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class PairNetwork(nn.Module):
    """A function of the pair (z_1, z_2): MLP 2D -> hidden -> hidden -> outputs, ReLU between.

    Of a set of pairs it is a function, too: the first hidden layer is of each pair, the second of
    their mean. It does not depend on the set's order, and of one pair it is the same as above.

    Args:
        latent_dim: D.
        outputs: width of the last layer: 2D for q_psi, P for h_xi.
        hidden: width of the two hidden layers.
        gain: the last layer's initial weights and biases are scaled by this.

    Raises:
        ValueError: `hidden` is not positive.

    Source: paper, Appendix B (hidden = 1000); for sets Zaheer et al., "Deep Sets" (NIPS 2017).
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

    def of_set(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
        """B outputs, of a set of pairs, each B D; of one pair what `forward` gives."""
        hidden = [self.layers[:2](torch.cat(pair, dim=1)) for pair in pairs]
        out: Tensor = self.layers[2:](torch.stack(hidden).mean(0))
        return out
