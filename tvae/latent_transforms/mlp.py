"""Any function of z and T: the negative control."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from tvae.latent_transforms.base import LatentTransform
from tvae.space import Int, Space


class MLP(LatentTransform):
    """r(z, T) = MLP(z, T), without inverse and identity: the negative control, P = D.

    It can approximate what any other form does and keeps no law: T_id = 0 in name only, r(z, T_id)
    is not z, and r(z, -T), which stands in for the inverse, undoes nothing. Metrics of the algebra
    must find it bad, and where it does as well as another form, that form's laws did not matter.

    Args:
        latent_dim: D.
        hidden: width of the two hidden layers.
        parameters: P; None: D.

    Raises:
        ValueError: an option is below 1.

    Source: Leshno et al., "Multilayer feedforward networks with a nonpolynomial activation function
    can approximate any function" (Neural Networks 6(6), 1993); that it is the control is ours.
    """

    space: ClassVar[Space] = {"hidden": Int(64, 1024, 256)}

    def __init__(self, latent_dim: int, hidden: int = 256, parameters: int | None = None) -> None:
        super().__init__(latent_dim)
        self.parameters_of_T = latent_dim if parameters is None else parameters
        for option, value in (("hidden", hidden), ("parameters", self.parameters_of_T)):
            if value < 1:
                raise ValueError(f"{option} must be at least 1, got {value}")
        self.layers = nn.Sequential(
            nn.Linear(latent_dim + self.parameters_of_T, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, latent_dim),
        )

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """(P,)."""
        return (self.parameters_of_T,)

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """``MLP(z, T)``, B D."""
        out: Tensor = self.layers(torch.cat([z, t], dim=1))
        return out
