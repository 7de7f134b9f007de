"""Whether r acts on latents as f acts on images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch

from tvae.evaluation.base import (
    NOT_APPLICABLE,
    Context,
    Direction,
    Measurement,
    Metric,
    at_least,
)
from tvae.models.base import infers_T


class Equivariance(Metric):
    """``equivariance`` = E ||r(E(x),T_x) - E(f(x))||^2 / E ||E(f(x)) - E(x)||^2.

    T_x = h_xi(E(f(x)), E(f^-1(x))). A ratio, at least 0; 0: applying T_x to the latent is the same
    as encoding the transformed image; 1: no better than doing nothing. There is no reference
    without T: the latent difference gives E(x) + E(f(x)) - E(x), which is E(f(x)), hence 0 for any
    encoder; so would a T that copies it, and a map of E(x) to the mean of E(f(x)), which never sees
    f, is below 1: a description, of which no side is better. Whether T means the same for another
    image is what ``act`` asks.

    Args:
        images: held-out images, at least 2.

    Source: ours; the generative story that it tests is the paper's, Sec. 2, Fig. 1b.
    """

    needs: ClassVar[Mapping[str, frozenset[str]]] = {"equivariance": frozenset({"views", "T"})}

    def __init__(self, images: int = 1000) -> None:
        self.images = at_least("images", images, 2)

    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What is measured, and which way is better."""
        return {"equivariance": "none"}

    @torch.no_grad()
    def __call__(self, context: Context) -> list[Measurement]:
        """``equivariance``."""
        value, model = NOT_APPLICABLE, context.model
        if infers_T(model) and context.family.has_views:
            probe = context.probe(self.images)
            assert probe.t is not None
            error = (model.r(probe.e, probe.t) - probe.e_1).square().sum()
            value = float(error / (probe.e_1 - probe.e).square().sum())
        return [Measurement("equivariance", value, "ratio", "none")]
