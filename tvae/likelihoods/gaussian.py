"""Gaussian pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tvae.likelihoods.base import Likelihood


class Gaussian(Likelihood):
    r"""Gaussian of one scale: -log p(x|z) = sum (x - mu)^2 / (2 sigma^2) + log sigma + log(2 pi)/2.

    mu is the sigmoid of the decoder's number. A density of grey values in [0, 1]: it may exceed 1.

    Args:
        scale: sigma, in grey values, above 0; where it is learned, at the start.
        learned: whether one sigma, of all pixels, is learned with the weights.

    Raises:
        ValueError: `scale` is no number above 0.

    Source: Rybkin et al., "Simple and Effective VAE Training with Calibrated Decoders" (ICML 2021),
    for the learned scale; the sigmoid is ours, so that means are grey values.
    """

    def __init__(self, scale: float = 0.1, learned: bool = False) -> None:
        super().__init__()
        if not 0 < scale < math.inf:
            raise ValueError(f"scale must be a number above 0, got {scale}")
        log_scale = torch.tensor(math.log(scale))
        if learned:
            self.log_scale: Tensor = nn.Parameter(log_scale)
        else:
            self.register_buffer("log_scale", log_scale, persistent=False)

    def nll(self, parameters: Tensor, x: Tensor) -> Tensor:
        """See `Likelihood.nll`."""
        standard = (x - torch.sigmoid(parameters)) / self.log_scale.exp()
        constant = x.shape[1:].numel() * (self.log_scale + 0.5 * math.log(2 * math.pi))
        return 0.5 * standard.square().flatten(1).sum(1) + constant

    def mean(self, parameters: Tensor) -> Tensor:
        """See `Likelihood.mean`."""
        return torch.sigmoid(parameters)
