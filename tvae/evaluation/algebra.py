"""How well the latent transformations behave as the image transformations do."""

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
    at_least,
)
from tvae.models.tvae import TVAE
from tvae.streams import Streams

NAMES = ("inverse", "identity", "learned_identity", "composition")


class Algebra(Metric):
    """Residuals of the laws of a transformation group, at least 0, lower is better.

    - ``algebra/inverse``: E ||r(r(z,T),T^-1) - z|| / ||z||, z = E(x): numerical, near 0 for exact
      forms.
    - ``algebra/identity``: E ||r(z,T_id) - z|| / ||z||, likewise.
    - ``algebra/learned_identity``: E ||r(E(x), h_xi(E(x),E(x))) - E(x)|| / E ||E(f(x)) - E(x)||.
    - ``algebra/composition``: E ||r(r(E(x),T_f),T_g) - E(g(f(x)))|| / E ||E(g(f(x))) - E(x)||; 1 is
      no better than doing nothing.
    - ``algebra/DIAGNOSTIC``: the median of each number that the form wants measured, such as the
      condition number of its matrix.

    Args:
        images: held-out images, at least 2.

    Source: paper, Sec. 1 and 2 (the laws); the residuals are ours.
    """

    def __init__(self, images: int = 1000) -> None:
        self.images = at_least("images", images, 2)

    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What is measured, and which way is better."""
        return dict.fromkeys((f"algebra/{name}" for name in NAMES), "lower")

    @torch.no_grad()
    def __call__(self, context: Context) -> list[Measurement]:
        """The four residuals and the form's own diagnostics."""
        model, family = context.model, context.family
        if not isinstance(model, TVAE) or not family.has_views:
            return [Measurement(f"algebra/{n}", NOT_APPLICABLE, "ratio", "lower") for n in NAMES]
        probe = context.probe(self.images)
        z, t_f = probe.e, probe.t
        assert t_f is not None

        def length(v: Tensor) -> Tensor:
            norms: Tensor = torch.linalg.vector_norm(v, dim=1)
            return norms

        identity = model.r.identity().to(z).expand(len(z), -1)
        learned = model.infer_T(z, z)

        g = family.draw(len(z), Streams(context.seed)("evaluation/second"))
        views = family.apply(probe.x, g), family.apply(probe.x, family.invert(g))
        t_g = model.infer_T(*(model.embed(view).to(z) for view in views))
        both = model.embed(family.apply(probe.x_1, g)).to(z)

        values = {
            "inverse": (length(model.r.inverse(model.r(z, t_f), t_f) - z) / length(z)).mean(),
            "identity": (length(model.r(z, identity) - z) / length(z)).mean(),
            "learned_identity": length(model.r(z, learned) - z).mean()
            / length(probe.e_1 - z).mean(),
            "composition": length(model.r(model.r(z, t_f), t_g) - both).mean()
            / length(both - z).mean(),
        }
        return [
            *(Measurement(f"algebra/{n}", float(v), "ratio", "lower") for n, v in values.items()),
            *(
                Measurement(f"algebra/{n}", float(v.median()), "median", "none")
                for n, v in model.r.diagnostics(t_f).items()
            ),
        ]
