"""Whether inference and generation of a view agree sample by sample."""

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


class Coherence(Metric):
    """``coherence/gap`` = E ||z_1 - r(z,T)||^2 / E ||z_1' - r(z,T)||^2, a diagnostic of pairing.

    z_1 = E(x_1), z the mean of q_psi; z_1' is the z_1 of another image. Near 1 the coherence term
    ties nothing; near 0 it ties each z_1 to its own z and T. No evidence that T means anything:
    z = (z_1 + z_2)/2, T = (z_1 - z_2)/2 gives 0 for the additive form whatever the encoder.

    Args:
        images: held-out images, at least 2.

    Source: ours.
    """

    needs: ClassVar[Mapping[str, frozenset[str]]] = {"coherence/gap": frozenset({"views", "T"})}

    def __init__(self, images: int = 1000) -> None:
        self.images = at_least("images", images, 2)

    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What is measured, and which way is better."""
        return {"coherence/gap": "none"}

    @torch.no_grad()
    def __call__(self, context: Context) -> list[Measurement]:
        """``coherence/gap``."""
        gap = NOT_APPLICABLE
        model = context.model
        if infers_T(model) and context.family.has_views:
            probe = context.probe(self.images)
            assert probe.t is not None
            z, _ = model.infer_z(probe.e_1, probe.e_2)
            generated = model.r(z, probe.t)
            own = (probe.e_1 - generated).square().sum()
            swapped = (probe.e_1[probe.other] - generated).square().sum()
            gap = float(own / swapped)
        return [Measurement("coherence/gap", gap, "ratio", "none")]
