"""How well the model generates: marginal likelihood.

Legend: `N` images, `D` latent size, `S` side of an image, `K` samples per image, `k` samples of a
group.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

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

BLOCK = 1000
"""Samples of an image that are drawn and added up at once, whatever is decoded at once: noise and
sums then do not depend on it. A power of ten, as the points of the curve over k."""

FEW = 10
"""Effective samples of an image, on average, below which estimates are not to be ranked: they hang
on a handful of samples, and fall short the more the worse q_phi is, whatever the model's worth."""

ENCODES = 1000
"""Images encoded at once."""

CPU_DECODES, GPU_DECODES = 500, 16_000
"""Latents decoded at once: on a CPU more than fit its caches take up to twice as long each."""


@torch.no_grad()
def log_weights(
    model: Model, x: Tensor, k: int, streams: Streams, decodes: int | None = None
) -> Iterator[Tensor]:
    """Log importance weights in nats, a tile of n images and s samples at a time.

    ``log w_ij = log p(x_i|z_ij) + log pi(z_ij) - log q(z_ij|x_i)``, z_ij drawn from q(z|x_i).

    The next n images follow when all `k` samples of those before have come. Every image is encoded
    once. No more than the larger of `decodes` and `BLOCK` samples exist at any time, whatever N
    and k.

    Args:
        model: with a standard normal prior.
        x: N 1 S S in [0, 1].
        k: samples per image.
        streams: noise comes from the stream ``importance``.
        decodes: latents decoded at once, a matter of speed and memory: beyond rounding it changes
            nothing. None: what is fast on the device of `x`.
    """
    if decodes is None:
        decodes = CPU_DECODES if x.device.type == "cpu" else GPU_DECODES
    images = max(1, decodes // k)
    for first in range(0, len(x), ENCODES):
        chunk = x[first : first + ENCODES]
        means, logvars = model.encode(chunk)
        for i in range(0, len(chunk), images):
            tile = slice(i, i + images)
            for noise in _noises(means[tile], k, streams, decodes):
                # several images have all their samples at once, one may have a part of them
                parts = noise.split(max(1, decodes // len(noise)), dim=1)
                weights = [
                    _weigh(model, chunk[tile], means[tile], logvars[tile], part) for part in parts
                ]
                yield torch.cat(weights, 1)


def _noises(means: Tensor, k: int, streams: Streams, decodes: int) -> Iterator[Tensor]:
    """Standard normal noise for the latents of n images, n s D, `k` for each in all."""
    at_once = max(1, decodes // BLOCK) * BLOCK
    for begin in range(0, k, at_once):
        samples = range(begin, min(begin + at_once, k), BLOCK)
        yield torch.stack(
            [
                # drawn image by image, block by block, so that the tiles decide nothing
                torch.cat(
                    [
                        streams.normal("importance", mean.new_empty(min(BLOCK, k - j), len(mean)))
                        for j in samples
                    ]
                )
                for mean in means
            ]
        )


def _weigh(model: Model, x: Tensor, mean: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """Log weights n s of the images x (n 1 S S) at z = mean + deviation * noise (n s D)."""
    n, s = noise.shape[:2]
    z = mean[:, None] + torch.exp(0.5 * logvar)[:, None] * noise
    log_likelihood = model.log_likelihood(z.flatten(0, 1), x.repeat_interleave(s, 0))
    # the normalising constants of prior and posterior cancel
    log_prior = -0.5 * z.square().sum(2)
    log_posterior = -0.5 * (noise.square().sum(2) + logvar.sum(1)[:, None])
    weights: Tensor = log_likelihood.unflatten(0, (n, s)) + log_prior - log_posterior
    return weights.double()


class Groups:
    """The mean over disjoint groups of k samples of ``log (1/k) sum_j w_j``, without the samples.

    A last group that is not full does not count.

    Args:
        k: samples of a group; k or `BLOCK` divides the other, or all samples are one group.
    """

    def __init__(self, k: int) -> None:
        self.k = k
        self.total: Tensor | float = 0.0
        self.groups = 0
        self.open: Tensor | None = None
        self.filled = 0

    def add(self, block: Tensor) -> None:
        """The next log weights of the same images, n s; `BLOCK` of each, or the last ones."""
        whole = block.shape[1] // self.k
        if whole:
            groups = block[:, : whole * self.k].unflatten(1, (whole, self.k))
            self._close(groups.logsumexp(2))
            return
        more = block.logsumexp(1)
        self.open = more if self.open is None else torch.logaddexp(self.open, more)
        self.filled += block.shape[1]
        if self.filled == self.k:
            self._close(self.open[:, None])
            self.open, self.filled = None, 0

    def _close(self, sums: Tensor) -> None:
        self.total = self.total + sums.sum(1)
        self.groups += sums.shape[1]

    def mean(self) -> Tensor:
        """One value for each image."""
        mean = self.total / self.groups - math.log(self.k)
        assert isinstance(mean, Tensor), "no group is full"
        return mean


class Likelihood(Metric):
    """Importance-weighted estimate of -log p(x), in nats, lower is better.

    ``-log p(x) <= -E log (1/k) sum_j p(x|z_j) pi(z_j) / q(z_j|x)``, z_j from q_phi(z|x), tighter as
    k grows. ``nll/curve/K`` is the same with K = 10, 100, ... samples, averaged over the disjoint
    groups of K among the k; ``elbo`` with K = 1 and its sign turned (higher is better). ``nll/ess``
    is the effective share of the samples, (sum w)^2 / (k sum w^2), in (0, 1]: near 1/k the estimate
    hangs on one sample. Below `FEW` effective samples, k times that share on average over the
    images, ``nll`` carries a warning. Pixels are grey, so this bounds the likelihood of dynamically
    binarised images.

    Time is that of decoding k x images latents; memory does not depend on either.

    Args:
        k: importance samples per image, at least 1 (the paper does not say; 5000 is usual).
        images: held-out images, a subset fixed by the seed, at least 1.

    Source: Burda et al., "Importance Weighted Autoencoders" (ICLR 2016), Eq. 8; paper, Sec. 3,
    which does not name its estimator.
    """

    uses_likelihood = True
    uses_family = False
    choices = (
        "The nats: importance-weighted, {k:,} samples for each of {images:,} test images, on grey "
        "pixels.",
    )

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
        curve = [10**i for i in range(1, 6) if 10**i < self.k]
        means, ess = self.estimates(context, [1, *curve, self.k])
        few = (
            f"fewer than {FEW} effective of {self.k:,} importance samples, too few to rank arms by"
        )
        warning = few if ess * self.k < FEW else ""
        return [
            Measurement("nll", -means[self.k], "nats", "lower", warning),
            *(Measurement(f"nll/curve/{k}", -means[k], "nats", "lower") for k in curve),
            Measurement("nll/ess", ess, "share", "none"),
            Measurement("elbo", means[1], "nats", "higher"),
        ]

    def estimates(self, context: Context, sizes: Sequence[int]) -> tuple[dict[int, float], float]:
        """(k -> mean log evidence by groups of k, for k in `sizes`; mean effective share)."""
        x = context.sample(self.images)
        # plain numbers: small tensors that stay among large ones that go would fragment memory
        totals, shares, done = dict.fromkeys(sizes, 0.0), 0.0, 0
        sums, squares = {k: Groups(k) for k in sizes}, Groups(self.k)
        for weights in log_weights(context.model, x, self.k, Streams(context.seed)):
            for block in weights.split(BLOCK, dim=1):
                squares.add(2 * block)
                for groups in sums.values():
                    groups.add(block)
            done += weights.numel()
            context.progress("nll", done, len(x) * self.k)
            if squares.groups:  # all samples of these images are in
                means = {k: groups.mean() for k, groups in sums.items()}
                totals = {k: total + float(means[k].sum()) for k, total in totals.items()}
                # (sum w)^2 / (k sum w^2), of means in place of sums
                shares += float(torch.exp(2 * means[self.k] - squares.mean()).sum())
                sums, squares = {k: Groups(k) for k in sizes}, Groups(self.k)
        return {k: total / len(x) for k, total in totals.items()}, shares / len(x)
