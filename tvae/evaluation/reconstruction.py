"""How much of an image its latents keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch

from tvae.divergences.base import Side
from tvae.evaluation.base import (
    NOT_APPLICABLE,
    Context,
    Direction,
    Measurement,
    Metric,
    at_least,
)
from tvae.models.base import infers_T
from tvae.streams import Streams


class Reconstruction(Metric):
    """-log p(x|z_0) and -log p(x|z), in nats per image (summed over pixels), lower is better.

    ``reconstruction/z0``: z_0 from q_phi(z|x). ``reconstruction/z``: z from q_psi(z|z_1, z_2) with
    z_i from q_phi(z|x_i), the likelihood of the indirect coherence term F; only with T.

    Args:
        images: held-out images, at least 1.

    Source: paper, Eq. 3 and the definition of F below it.
    """

    uses_likelihood = True
    needs: ClassVar[Mapping[str, frozenset[str]]] = {"reconstruction/z": frozenset({"views", "T"})}

    def __init__(self, images: int = 1000) -> None:
        self.images = at_least("images", images, 1)

    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What is measured, and which way is better."""
        return {"reconstruction/z0": "lower", "reconstruction/z": "lower"}

    @torch.no_grad()
    def __call__(self, context: Context) -> list[Measurement]:
        """``reconstruction/z0`` and ``reconstruction/z``."""
        model, streams = context.model, Streams(context.seed)
        from_z = NOT_APPLICABLE
        if infers_T(model) and context.family.has_views:
            probe = context.probe(self.images)
            q_0, q_1, q_2 = model.posteriors([probe.x, probe.x_1, probe.x_2], streams)
            mean, logvar = model.infer_z(q_1.sample, q_2.sample)
            z = Side.gaussian(mean, logvar, streams.normal("latent", mean)).sample
            from_z = -float(model.log_likelihood(z, probe.x).mean())
            x = probe.x
        else:
            x = context.sample(self.images)
            (q_0,) = model.posteriors([x], streams)
        from_z0 = -float(model.log_likelihood(q_0.sample, x).mean())
        return [
            Measurement("reconstruction/z0", from_z0, "nats", "lower"),
            Measurement("reconstruction/z", from_z, "nats", "lower"),
        ]
