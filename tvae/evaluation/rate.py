"""How much an encoder says about an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from tvae.divergences.base import gaussian_kl
from tvae.evaluation.base import (
    NOT_APPLICABLE,
    Context,
    Direction,
    Measurement,
    Metric,
    at_least,
)


class Rate(Metric):
    """KL[q_phi(z|x_i) || N(0, I)], mean over the images, in nats, at least 0: a description.

    - ``rate/x``: of the images x.
    - ``rate/views``: of their views x_1 and x_2, the mean of both.

    It bounds from above what z can tell of an image on average. An objective that asks a KL of the
    views, too, lets them say less: two arms of unlike rates differ in what they were allowed to
    say, whatever else differs between them.

    Args:
        images: held-out images, at least 1.

    Source: Alemi et al., "Fixing a Broken ELBO" (ICML 2018), Sec. 2, Eq. 4.
    """

    needs: ClassVar[Mapping[str, frozenset[str]]] = {"rate/views": frozenset({"views"})}

    def __init__(self, images: int = 1000) -> None:
        self.images = at_least("images", images, 1)

    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What is measured, and which way is better."""
        return {"rate/x": "none", "rate/views": "none"}

    @torch.no_grad()
    def __call__(self, context: Context) -> list[Measurement]:
        """``rate/x`` and ``rate/views``."""

        def rate(x: Tensor) -> float:
            mean, logvar = context.model.encode(x)
            zero = torch.zeros_like(mean)
            return float(gaussian_kl(mean, logvar, zero, zero).mean())

        views = NOT_APPLICABLE
        if context.family.has_views:
            probe = context.probe(self.images)
            views = (rate(probe.x_1) + rate(probe.x_2)) / 2
        values = {"rate/x": rate(context.sample(self.images)), "rate/views": views}
        return [Measurement(name, value, "nats", "none") for name, value in values.items()]
