"""Whether T carries the transformation, and not the image that it was inferred from."""

from __future__ import annotations

from collections.abc import Sequence

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
from tvae.models.base import Model
from tvae.models.tvae import TVAE

KINDS = ("transfer", "transfer_difference")
NAMES = ("own", "swapped", "none", "ratio")


def move(model: Model, probe: Probe, z: Tensor, source: Tensor) -> Tensor:
    """r(z, T_x) with the T of the probe images `source`, N D, for a model with T."""
    assert isinstance(model, TVAE)
    assert probe.t is not None
    moved: Tensor = model.r(z, probe.t[source])
    return moved


class Transfer(Metric):
    """Squared pixel error of G(r(E(x'), T_x)) against f(x'), summed over pixels, lower is better.

    T_x = h_xi(E(x_1), E(x_2)) from x's views, f the transformation that made x_1 = f(x).
    ``own``: x' = x, the floor. ``swapped``: x' is another image. ``none``: another image, T the
    identity. ``ratio`` = swapped / none: below 1, T carries the transformation to other images.
    The rows ``transfer_difference/...`` do the same without T, for any encoder: E(x') plus the
    latent difference E(f(x)) - E(x).

    Args:
        images: held-out images, at least 2.

    Source: paper, Sec. 3, Fig. 3 (there as pictures).
    """

    def __init__(self, images: int = 1000) -> None:
        self.images = at_least("images", images, 2)

    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What is measured, and which way is better."""
        return dict.fromkeys((f"{kind}/{name}" for kind in KINDS for name in NAMES), "lower")

    @torch.no_grad()
    def __call__(self, context: Context) -> list[Measurement]:
        """``transfer/own``, ``swapped``, ``none``, ``ratio``, and the same of the difference."""
        values = {f"{kind}/{n}": NOT_APPLICABLE for kind in KINDS for n in NAMES}
        if context.family.has_views:
            model, probe = context.model, context.probe(self.images)
            itself, other = torch.arange(len(probe.x)), probe.other
            # row i: the transformation of image i, applied to another image
            swapped_truth = context.family.apply(probe.x[other], probe.parameters)

            def error(z: Tensor, truth: Tensor) -> float:
                generated = torch.cat([model.generate(part) for part in z.split(1000)])
                return float((generated - truth).square().flatten(1).sum(1).mean())

            none = error(probe.e[other], swapped_truth)
            for kind in KINDS:
                if kind == "transfer" and probe.t is None:
                    continue

                def moved(z: Tensor, kind: str = kind) -> Tensor:
                    if kind == "transfer":
                        return move(model, probe, z, itself)
                    return z + probe.e_1 - probe.e

                swapped = error(moved(probe.e[other]), swapped_truth)
                values[f"{kind}/own"] = error(moved(probe.e), probe.x_1)
                values[f"{kind}/swapped"] = swapped
                values[f"{kind}/none"] = none
                values[f"{kind}/ratio"] = swapped / none
        return [
            Measurement(
                name, value, "ratio" if name.endswith("ratio") else "squared pixels", "lower"
            )
            for name, value in values.items()
        ]
