"""Whether T carries the transformation, and not the image that it was inferred from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from tvae.evaluation.base import (
    NOT_APPLICABLE,
    Context,
    Direction,
    Measurement,
    Metric,
    Probe,
    at_least,
)
from tvae.models.base import Model, infers_T

MOVED_BY = {"transfer": frozenset({"T"}), "transfer_difference": frozenset[str]()}
"""Kind of transfer -> what it asks of a model."""
KINDS = tuple(MOVED_BY)
NAMES = ("own", "swapped", "none", "ratio")


def moved(kind: str, model: Model, probe: Probe, z: Tensor) -> Tensor | None:
    """Latents z (N D), each moved by the transformation of the probe's image in its row.

    Args:
        kind: ``transfer``: r(z, T_x); ``transfer_difference``: z + E(f(x)) - E(x).
        model: what the latents are of.
        probe: N images x.
        z: of any N images.

    Returns:
        N D; None where the model has no T and `kind` wants one.
    """
    if kind == "transfer_difference":
        return z + probe.e_1 - probe.e
    if not infers_T(model):
        return None
    assert probe.t is not None
    out: Tensor = model.r(z, probe.t)
    return out


def generated(model: Model, z: Tensor) -> Tensor:
    """G(z) of any number of latents N D, N C H W."""
    return torch.cat([model.generate(part) for part in z.split(500)])


class Transfer(Metric):
    """Squared pixel error of G(r(E(x'), T_x)) against f(x'), summed over pixels: descriptions.

    T_x = h_xi(E(x_1), E(x_2)) from x's views, f the transformation that made x_1 = f(x).
    ``own``: x' = x, the floor. ``swapped``: x' is another image. ``none``: another image, T the
    identity. ``ratio`` = swapped / none.
    The rows ``transfer_difference/...`` do the same without T, for any encoder: E(x') plus the
    latent difference E(f(x)) - E(x).

    No side of them is better: whoever predicts the mean over f makes small squared errors. A linear
    map of E(x') that never sees f has a ratio below 1. Whether T acts is for ``act`` to say.

    Args:
        images: held-out images, at least 2.

    Source: paper, Sec. 3, Fig. 3 (there as pictures).
    """

    needs: ClassVar[Mapping[str, frozenset[str]]] = {
        f"{kind}/{name}": frozenset({"views"}) | asked
        for kind, asked in MOVED_BY.items()
        for name in NAMES
    }

    def __init__(self, images: int = 1000) -> None:
        self.images = at_least("images", images, 2)

    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What is measured, and which way is better."""
        return dict.fromkeys((f"{kind}/{name}" for kind in KINDS for name in NAMES), "none")

    @torch.no_grad()
    def __call__(self, context: Context) -> list[Measurement]:
        """``transfer/own``, ``swapped``, ``none``, ``ratio``, and the same of the difference."""
        values = {f"{kind}/{n}": NOT_APPLICABLE for kind in KINDS for n in NAMES}
        if context.family.has_views:
            values |= self.errors(context)
        return [
            Measurement(
                name, value, "ratio" if name.endswith("ratio") else "squared pixels", "none"
            )
            for name, value in values.items()
        ]

    def errors(self, context: Context) -> dict[str, float]:
        """Those that apply to the model."""
        model, probe = context.model, context.probe(self.images)
        e_other = probe.e[probe.other]
        # row i: the transformation of image i, applied to another image
        swapped_truth = context.family.apply(probe.x[probe.other], probe.parameters)

        def error(z: Tensor, truth: Tensor) -> float:
            return float((generated(model, z) - truth).square().flatten(1).sum(1).mean())

        values, none = {}, error(e_other, swapped_truth)
        for kind in KINDS:
            own, swapped = (moved(kind, model, probe, z) for z in (probe.e, e_other))
            if own is None or swapped is None:
                continue
            values[f"{kind}/own"] = error(own, probe.x_1)
            values[f"{kind}/swapped"] = error(swapped, swapped_truth)
            values[f"{kind}/none"] = none
            values[f"{kind}/ratio"] = values[f"{kind}/swapped"] / none
        return values
