"""The baselines: one encoder and decoder, no T."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from tvae import registry
from tvae.divergences.base import Side
from tvae.models.base import Model, Parts, Terms, Views, summed, weight_of
from tvae.shapes import GREY_28, ImageShape
from tvae.space import Factor, Space
from tvae.streams import Streams


class Autoencoder(Model):
    """L = sum over the images i of -log p(x_i|z_i) + w_prior D[q_phi(z|x_i), pi].

    With x alone and the KL it is the VAE; with the views and the KL the paper's VAE+; with the
    views and another divergence, a part of the priors, or none, its controls.

    Args:
        latent_dim: D.
        views: train on x and on the views of T_VAE's own stream instead of x alone.
        prior: the divergence from the standard normal; None: no prior term.
        w_prior: its weight, at least 0, in units of the divergence's default weight.
        prior_views: ask it of the views, too; False: of x alone, as T_VAE does.
        seed: of the initial weights.
        image_shape: of the images.
        network: encoder and decoder.
        likelihood: p(x|z).

    Source: Kingma and Welling 2013; paper, Sec. 3 (VAE+).
    """

    space: ClassVar[Space] = {"w_prior": Factor(0.1, 10.0)}
    parts: ClassVar[Parts] = {**Model.parts, "prior": registry.divergences}

    def __init__(
        self,
        latent_dim: int,
        views: bool = False,
        prior: registry.Reference | None = None,
        w_prior: float = 1.0,
        prior_views: bool = True,
        seed: int = 0,
        image_shape: ImageShape = GREY_28,
        network: registry.Reference = "paper",
        likelihood: registry.Reference = "bernoulli",
    ) -> None:
        super().__init__(latent_dim, seed, image_shape, network, likelihood)
        self.uses_views, self.prior_views = views, prior_views
        self.prior = None if prior is None else registry.divergences.build(prior)
        self.w_prior = weight_of("w_prior", w_prior, self.prior, latent_dim)

    @classmethod
    def part_space(cls, option: str, plugin: Any) -> Space:
        """See `Model.part_space`; the prior's other side, N(0, I), has moments."""
        known = plugin.prior_space if option == "prior" else None
        return super().part_space(option, plugin) if known is None else known

    def objective(self, x: Tensor, views: Views | None, streams: Streams) -> Terms:
        """The loss of one batch; see the class."""
        images = [x, *views.images] if self.uses_views and views is not None else [x]
        posteriors = self.posteriors(images, streams)
        terms = {
            "reconstruction": torch.stack(
                self.reconstructions([q.sample for q in posteriors], images)
            ).sum()
        }
        if self.prior is not None:
            noise = streams("prior/divergence")
            prior = [
                self.prior(q, Side.standard_normal(q.sample, streams), None, noise)
                for q in (posteriors if self.prior_views else posteriors[:1])
            ]
            terms["prior"] = self.w_prior * torch.stack(prior).sum()
        return summed(terms)
