"""An invertible network that T steers."""

from __future__ import annotations

from math import ceil
from typing import ClassVar

import torch
from torch import Tensor, nn

from tvae.latent_transforms.base import LatentTransform
from tvae.space import Int, Space

LOG_SCALE = 4.0
"""Largest |log| of the factor by which all layers together can scale one number of z."""


class _Conditioner(nn.Module):
    """Log-scales and shifts of a layer: functions of the kept half and T that are 0 where T = 0.

    One hidden layer of which the value at T = 0 is subtracted, and no bias after it:
    ``W (tanh(U a + c + V T) - tanh(U a + c))``. It is bounded whatever T is. V and W start such
    that T moves the half by about its own length, as a shift does.

    Args:
        kept: numbers in the kept half a.
        changed: numbers in the other half.
        parameters: P.
        hidden: width of the hidden layer.
        bound: the log-scales stay within +-`bound`.
    """

    def __init__(self, kept: int, changed: int, parameters: int, hidden: int, bound: float) -> None:
        super().__init__()
        self.context = nn.Linear(kept, hidden)
        self.steer = nn.Linear(parameters, hidden, bias=False)
        self.out = nn.Linear(hidden, 2 * changed, bias=False)
        for linear in (self.steer, self.out):
            nn.init.kaiming_uniform_(linear.weight, nonlinearity="linear")
        self.bound = bound

    def forward(self, kept: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """(log-scales, shifts) of the half to be changed."""
        context = self.context(kept)
        # subtracted here and not after W, so that T = 0 gives zeros to the last bit
        difference = torch.tanh(context + self.steer(t)) - torch.tanh(context)
        log_scale, shift = self.out(difference).chunk(2, dim=1)
        return self.bound * torch.tanh(log_scale / self.bound), shift


class Coupling(LatentTransform):
    """r(z, T): layers (a, b) -> (a, b * exp(s(a, T)) + m(a, T)) on alternating halves of z.

    The most general form here that is exactly invertible: nonlinear in z, inverse layer by layer
    ``(b - m) * exp(-s)``. s and m vanish at T_id = 0 whatever the weights, so that r(z, T_id) = z.
    All s of one number of z add up to at most `LOG_SCALE`.

    Args:
        latent_dim: D, at least 2.
        layers: at least 1; one alone leaves the first half of z as it is.
        hidden: width of each layer's hidden layer.
        parameters: P; None: D.

    Raises:
        ValueError: D is 1, or an option is below 1.

    Source: Dinh, Sohl-Dickstein and Bengio, "Density estimation using Real NVP" (ICLR 2017),
    Sec. 3; the conditioning on T and the vanishing at T_id are ours.
    """

    claims = frozenset({"inverse", "identity"})
    space: ClassVar[Space] = {"layers": Int(2, 8, 4), "hidden": Int(16, 256, 64)}

    def __init__(
        self,
        latent_dim: int,
        layers: int = 4,
        hidden: int = 64,
        parameters: int | None = None,
    ) -> None:
        super().__init__(latent_dim)
        if latent_dim < 2:
            raise ValueError(f"latent_dim must be at least 2, got {latent_dim}")
        self.parameters_of_T = latent_dim if parameters is None else parameters
        for option, value in (
            ("layers", layers),
            ("hidden", hidden),
            ("parameters", self.parameters_of_T),
        ):
            if value < 1:
                raise ValueError(f"{option} must be at least 1, got {value}")
        self.halves = (latent_dim // 2, latent_dim - latent_dim // 2)
        bound = LOG_SCALE / ceil(layers / 2)
        self.layers = nn.ModuleList(
            _Conditioner(
                self.halves[i % 2], self.halves[1 - i % 2], self.parameters_of_T, hidden, bound
            )
            for i in range(layers)
        )

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """(P,)."""
        return (self.parameters_of_T,)

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """The layers in order, B D; layer 0 keeps the first half."""
        halves = list(z.split(self.halves, dim=1))
        for i, layer in enumerate(self.layers):
            kept, changed = i % 2, 1 - i % 2
            log_scale, shift = layer(halves[kept], t)
            halves[changed] = halves[changed] * log_scale.exp() + shift
        return torch.cat(halves, dim=1)

    def inverse(self, z: Tensor, t: Tensor) -> Tensor:
        """The layers undone in reverse order, B D."""
        halves = list(z.split(self.halves, dim=1))
        for i, layer in reversed(list(enumerate(self.layers))):
            kept, changed = i % 2, 1 - i % 2
            log_scale, shift = layer(halves[kept], t)
            halves[changed] = (halves[changed] - shift) * (-log_scale).exp()
        return torch.cat(halves, dim=1)
