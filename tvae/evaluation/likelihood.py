"""How well the model generates: marginal likelihood."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tvae.evaluation.base import (
    Context,
    Direction,
    Measurement,
    Metric,
    at_least,
)
from tvae.models.base import Model
from tvae.streams import Streams


@torch.no_grad()
def log_weights(model: Model, x: Tensor, k: int, streams: Streams, decodes: int = 4000) -> Tensor:
    """Log importance weights, N k, in nats.

    ``log w_ij = log p(x_i|z_ij) + log pi(z_ij) - log q(z_ij|x_i)``, z_ij drawn from q(z|x_i).

    Every image is encoded once; samples are drawn and decoded `decodes` at a time.

    Args:
        model: with a standard normal prior.
        x: N 1 S S in [0, 1].
        k: samples per image.
        streams: noise comes from the stream ``importance``.
        decodes: latents decoded at once, a matter of memory: beyond rounding it changes nothing.
    """
    means, logvars = model.encode(x)
    rows = []
    tile = max(1, decodes // k)
    for image, mean, logvar in zip(
        x.split(tile), means.split(tile), logvars.split(tile), strict=True
    ):
        # drawn image by image, so that the tiles decide nothing
        noises = torch.stack([streams.normal("importance", m.new_empty(k, len(m))) for m in mean])
        parts = []
        for noise in noises.split(decodes, dim=1):
            n = noise.shape[1]
            z = mean[:, None] + torch.exp(0.5 * logvar)[:, None] * noise
            log_likelihood = model.log_likelihood(
                z.flatten(0, 1), image.repeat_interleave(n, 0)
            ).unflatten(0, (len(image), n))
            # the normalising constants of prior and posterior cancel
            log_prior = -0.5 * z.square().sum(2)
            log_posterior = -0.5 * (noise.square().sum(2) + logvar.sum(1)[:, None])
            parts.append((log_likelihood + log_prior - log_posterior).double())
        rows.append(torch.cat(parts, 1))
    return torch.cat(rows)


def marginal_nll(weights: Tensor, k: int) -> float:
    """-mean_i log (1/k) sum_j w_ij, averaged over the disjoint groups of `k` samples, in nats.

    An upper bound of the negative log evidence in expectation, tighter as k grows.

    Args:
        weights: log weights, N K.
        k: at most K.
    """
    groups = weights[:, : weights.shape[1] // k * k].unflatten(1, (-1, k))
    return float(-(torch.logsumexp(groups, 2) - math.log(k)).mean())


class Likelihood(Metric):
    """Importance-weighted estimate of -log p(x), in nats, lower is better.

    ``-log p(x) <= -E log (1/k) sum_j p(x|z_j) pi(z_j) / q(z_j|x)``, z_j from q_phi(z|x). ``elbo``
    is the same with k = 1 and its sign turned (higher is better). ``nll/ess`` is the effective
    share of the samples, (sum w)^2 / (k sum w^2), in (0, 1]: near 1/k the estimate hangs on one
    sample. Pixels are grey, so this bounds the likelihood of dynamically binarised images.

    Args:
        k: importance samples per image, at least 1.
        images: held-out images, a subset fixed by the seed, at least 1.

    Source: Burda et al., "Importance Weighted Autoencoders" (ICLR 2016), Eq. 8; paper, Sec. 3,
    which does not name its estimator.
    """

    uses_family = False

    def __init__(self, k: int = 100, images: int = 200) -> None:
        self.k = at_least("k", k, 1)
        self.images = at_least("images", images, 1)

    def decodes(self) -> int:
        """Samples, `k` for each image."""
        return self.k * self.images

    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What is measured, and which way is better."""
        return {"nll": "lower", "nll/ess": "none", "elbo": "higher"}

    def __call__(self, context: Context) -> list[Measurement]:
        """``nll``, its curve over k, ``nll/ess`` and ``elbo``."""
        x = context.sample(self.images)
        weights = log_weights(context.model, x, self.k, Streams(context.seed))
        ess = torch.exp(2 * torch.logsumexp(weights, 1) - torch.logsumexp(2 * weights, 1)) / self.k
        curve = [10**i for i in range(1, 6) if 10**i < self.k]
        return [
            Measurement("nll", marginal_nll(weights, self.k), "nats", "lower"),
            *(
                Measurement(f"nll/curve/{k}", marginal_nll(weights, k), "nats", "lower")
                for k in curve
            ),
            Measurement("nll/ess", float(ess.mean()), "share", "none"),
            Measurement("elbo", float(weights.mean()), "nats", "higher"),
        ]
