"""The abstract divergence.

Legend: `B` batch, `D` latent size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from tvae.registry import Choices
from tvae.space import Space
from tvae.streams import Streams

UNIT_SHIFT = 0.5
"""KL[N(0, I) || N(m, I)] for |m| = 1, in nats."""


@dataclass(frozen=True)
class Side:
    """One side of a divergence: a sample and, where they are known, its Gaussian moments.

    Attributes:
        sample: B D, one draw per row.
        mean: B D, or None for an implicit distribution.
        logvar: B D, natural log of the variances; None together with `mean`.
    """

    sample: Tensor
    mean: Tensor | None = None
    logvar: Tensor | None = None

    @staticmethod
    def gaussian(mean: Tensor, logvar: Tensor, noise: Tensor) -> Side:
        """N(mean, exp(logvar)) sampled as mean + sigma * noise; all B D."""
        return Side(mean + torch.exp(0.5 * logvar) * noise, mean, logvar)

    @staticmethod
    def standard_normal(like: Tensor, streams: Streams) -> Side:
        """N(0, I) = pi, sampled from the stream ``prior``, shaped as `like`."""
        zeros = torch.zeros_like(like)
        return Side(streams.normal("prior", like), zeros, zeros)


def gaussian_kl(mean_q: Tensor, logvar_q: Tensor, mean_p: Tensor, logvar_p: Tensor) -> Tensor:
    """KL[N(mean_q, var_q) || N(mean_p, var_p)] of diagonal Gaussians, in nats.

    ``1/2 sum_d ( log var_p - log var_q + (var_q + (mean_q - mean_p)^2) / var_p - 1 )``

    Args:
        mean_q: B D, as are the others (or what broadcasts to it).
        logvar_q: natural log of the variances.
        mean_p: see above.
        logvar_p: see above.

    Returns:
        B, at least 0.
    """
    ratio = torch.exp(logvar_q - logvar_p)
    distance = (mean_q - mean_p).square() * torch.exp(-logvar_p)
    return 0.5 * (logvar_p - logvar_q + ratio + distance - 1).sum(1)


class Divergence(nn.Module, ABC):
    """D[q, p] as an estimate from one batch (paper, Eq. 3).

    What it claims of itself is measured by the contract tests; an instance may claim otherwise
    than its class, where options decide.

    Attributes:
        pairs: whether, as a coherence term, it ties z_1 to its own z and T: that samples of q go
            with others of p shows, and nothing is below z_1 = r(z, T): neither noise, nor other
            pairs, nor a larger T.
        bounded: whether there is a bound that the value stays above however large T, r(z, T) and
            z_1 become; without one descent has no end.
        space: constructor options worth tuning as coherence.
        prior_space: and as prior, where p has moments; None: the same.
        choices: what is decided here where the paper is silent, see `registry.Choices`.
    """

    pairs: bool = False
    bounded: bool = True
    space: ClassVar[Space] = {}
    prior_space: ClassVar[Space | None] = None
    choices: ClassVar[Choices] = ()

    @abstractmethod
    def at_unit_shift(self, latent_dim: int) -> float:
        """D[N(0, I), N(m, I)] for |m| = 1: its value in the limit of large batches, above 0.

        As a coherence term, with z and T given, where that makes a difference; T is then of the
        size of z, and both are independent standard normal.

        Args:
            latent_dim: D, at least 1.
        """

    def default_weight(self, latent_dim: int) -> float:
        """The weight at which a unit shift costs what it costs by the KL, `UNIT_SHIFT` nats.

        So divergences of different kinds are compared at one strength. Its weight in the objective
        unless a study says otherwise *(ours)*.
        """
        with torch.device("cpu"):  # models are built on the meta device, too, without numbers
            return float(UNIT_SHIFT / self.at_unit_shift(latent_dim))

    @abstractmethod
    def forward(
        self,
        q: Side,
        p: Side,
        given: Mapping[str, Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The estimate, a scalar.

        Args:
            q: the inference side.
            p: the generative side; row i belongs to row i of q.
            given: what the generative side was computed from, ``{"z": B D, "T": B P}``, for
                divergences between joint laws; None for the prior term.
            generator: on the CPU, for divergences that draw random numbers; equal states give
                equal estimates. None: one that is always in the same state.
        """
