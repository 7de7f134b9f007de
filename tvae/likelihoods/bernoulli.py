"""The paper's likelihood."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tvae.likelihoods.base import Likelihood


class Bernoulli(Likelihood):
    r"""Bernoulli, with logits l: -log p(x|z) = -sum x log s(l) + (1 - x) log(1 - s(l)).

    s is the sigmoid. Grey pixels in [0, 1] enter as they are: it is a cross-entropy, no
    probability of a grey value.

    Source: paper, Appendix B ("binary cross-entropy").
    """

    def nll(self, parameters: Tensor, x: Tensor) -> Tensor:
        """See `Likelihood.nll`; the parameters are logits."""
        nll = functional.binary_cross_entropy_with_logits(parameters, x, reduction="none")
        return nll.flatten(1).sum(1)

    def mean(self, parameters: Tensor) -> Tensor:
        """See `Likelihood.mean`."""
        return torch.sigmoid(parameters)
