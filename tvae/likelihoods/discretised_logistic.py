"""Bytes under a logistic distribution."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from tvae.likelihoods.base import Likelihood

HALF = 1 / 510
"""Half of the distance of two bytes in [0, 1]."""

SMALLEST = -7
"""Of log s: a quarter of a byte, at which four fifths lie within one byte."""


class DiscretisedLogistic(Likelihood):
    r"""Logistic over the 256 bytes: P(x|z) = F((x + h - mu) / s) - F((x - h - mu) / s).

    F is the sigmoid, h half a byte's distance, mu the sigmoid of the decoder's first number and s
    `scale` times the exponential of its second, at least a quarter of a byte. What lies beyond 0
    and 255 is theirs. Images are rounded to bytes, so this is a probability, and comparable with
    codes and with other models of bytes.

    Args:
        scale: s where the decoder's number is 0, in grey values, above 0.

    Raises:
        ValueError: `scale` is no number above 0.

    Source: Kingma et al., "Improving Variational Inference with Inverse Autoregressive Flow" (NIPS
    2016); Salimans et al., "PixelCNN++" (ICLR 2017).
    """

    outputs = 2

    def __init__(self, scale: float = 0.1) -> None:
        super().__init__()
        if not 0 < scale < math.inf:
            raise ValueError(f"scale must be a number above 0, got {scale}")
        self.scale = scale

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """(mu, log s)."""
        mean, log_scale = parameters.chunk(2, dim=1)
        return torch.sigmoid(mean), (log_scale + math.log(self.scale)).clamp_min(SMALLEST)

    def nll(self, parameters: Tensor, x: Tensor) -> Tensor:
        """See `Likelihood.nll`."""
        mean, log_scale = self._split(parameters)
        byte = (x * 255).round() / 255
        sharpness = (-log_scale).exp()
        upper, lower = (byte + HALF - mean) * sharpness, (byte - HALF - mean) * sharpness
        # log(F(u) - F(l)) = log F(u) + log F(-l) + log(1 - exp(l - u)), exact in both tails
        inside = (
            functional.logsigmoid(upper)
            + functional.logsigmoid(-lower)
            + torch.log(-torch.expm1(-2 * HALF * sharpness))
        )
        log_p = torch.where(byte <= 0, functional.logsigmoid(upper), inside)
        log_p = torch.where(byte >= 1, functional.logsigmoid(-lower), log_p)
        return -log_p.flatten(1).sum(1)

    def mean(self, parameters: Tensor) -> Tensor:
        """See `Likelihood.mean`; the logistic's own, which its cut ends move by little."""
        return self._split(parameters)[0]
