"""Whether the image lies between its views in the latent space."""

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
    at_least,
)
from tvae.models.base import Transforming, infers_T

STEPS = (0.0, 0.25, 0.5, 0.75)
"""Values of a before the end of the path, a = 1."""


def along(model: Transforming, z_1: Tensor, t: Tensor, a: float) -> Tensor:
    """r(z_1, T^-a), N D: from z_1 (a = 0) the part a of the way back to z (a = 1).

    T^a is the form's own path from the identity to T, `LatentTransform.scale`.
    """
    back: Tensor = model.r.inverse(z_1, model.r.scale(t, a))
    return back


class Interpolation(Metric):
    """-log p(x|z') for a z' made from x's views alone, in nats per image: descriptions.

    z_i = E(x_i), x_1 = f(x), x_2 = f^-1(x). By the model's likelihood, summed over pixels, as in
    ``reconstruction``.

    - ``interpolation/middle``: z' = (z_1 + z_2)/2, for any encoder. The paper's choice, which
      favours the additive form: there (z + T + z - T)/2 = z.
    - ``interpolation/path``: z' = r(z_1, T^-1), T = h_xi(z_1, z_2): the end of the form's own path
      r(z_1, T^-a) from x_1's latent back to x's, where a = 1. Not applicable where f has no
      inverse: then r(., T^-1) was never trained.
    - ``interpolation/path/A``: against the same x on the way there, A = 0, 0.25, 0.5, 0.75.

    No side of them is better: a map of E(x_1) to the mean of E(x), which sees no T, does well.

    Args:
        images: held-out images, at least 1.

    Source: paper, Sec. 3, Fig. 4 (there as pictures, of the middle alone).
    """

    uses_likelihood = True
    needs: ClassVar[Mapping[str, frozenset[str]]] = {
        "interpolation/middle": frozenset({"views"}),
        "interpolation/path": frozenset({"views", "inverse", "T"}),
    }

    def __init__(self, images: int = 1000) -> None:
        self.images = at_least("images", images, 1)

    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What is measured, and which way is better."""
        return {"interpolation/middle": "none", "interpolation/path": "none"}

    @torch.no_grad()
    def __call__(self, context: Context) -> list[Measurement]:
        """``interpolation/middle``, ``interpolation/path`` and the points of the path."""
        model, family = context.model, context.family
        values = dict.fromkeys(self.directions([]), NOT_APPLICABLE)
        if family.has_views:
            probe = context.probe(self.images)

            def error(z: Tensor) -> float:
                parts = zip(z.split(500), probe.x.split(500), strict=True)
                return -float(torch.cat([model.log_likelihood(*part) for part in parts]).mean())

            values["interpolation/middle"] = error((probe.e_1 + probe.e_2) / 2)
            if infers_T(model) and family.inverse != "none":
                assert probe.t is not None
                for a in (1.0, *STEPS):
                    name = "interpolation/path" + (f"/{a:g}" if a < 1 else "")
                    values[name] = error(along(model, probe.e_1, probe.t, a))
        return [Measurement(name, value, "nats", "none") for name, value in values.items()]
