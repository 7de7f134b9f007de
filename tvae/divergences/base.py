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

from tvae.space import Space
from tvae.streams import Streams


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

    Attributes:
        default_weight: the weight of this divergence in the objective unless the study says
            otherwise: an MMD is a small number of the batch, a KL is in nats.
        pairs: whether the value depends on which sample of q goes with which of p by more than
            O(1/B), that is, whether as a coherence term it ties z_1 to its own z and T.
        space: constructor options worth tuning.
    """

    default_weight: ClassVar[float] = 1.0
    pairs: ClassVar[bool] = False
    space: ClassVar[Space] = {}

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
