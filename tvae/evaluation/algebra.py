"""How well the latent transformations behave as the image transformations do."""

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
from tvae.models.base import infers_T
from tvae.streams import Streams

NAMES = (
    "algebra/inverse",
    "algebra/identity",
    "algebra/learned_identity",
    "algebra/composition",
    "algebra_difference/composition",
)


def length(v: Tensor) -> Tensor:
    """The Euclidean norm of each row, N."""
    norms: Tensor = torch.linalg.vector_norm(v, dim=1)
    return norms


class Algebra(Metric):
    """Residuals of the laws of a transformation group, ratios of at least 0: descriptions.

    T_f = h_xi(E(f(x)), E(f^-1(x))), T_g likewise of a second draw g; E averages over the images.

    - ``algebra/inverse``: E ||r(r(z,T),T^-1) - z|| / ||z||, z = E(x): numerical, near 0 for exact
      forms.
    - ``algebra/identity``: E ||r(z,T_id) - z|| / ||z||, likewise.
    - ``algebra/learned_identity``: E ||r(E(x), h_xi(E(x),E(x))) - E(x)|| / E ||E(f(x)) - E(x)||.
    - ``algebra/composition``: E ||r(r(E(x),T_f),T_g) - E(g(f(x)))|| / E ||E(g(f(x))) - E(x)||; 1 is
      no better than doing nothing.
    - ``algebra_difference/composition``: the same of shifts by latent differences, for any encoder:
      E ||E(f(x)) + E(g(x)) - E(x) - E(g(f(x)))|| / E ||E(g(f(x))) - E(x)||. (The other laws hold
      for differences by construction: their residuals would be 0.)
    - ``algebra/DIAGNOSTIC``: the median of each number that the form wants measured, such as the
      condition number of its matrix.

    No side of them is better: the first two are true by construction of exact forms, the third of a
    T that is always the identity, and the last falls for whoever predicts the mean of E(g(f(x))).
    Whether T acts as the group does is for ``act/composition`` to say.

    Args:
        images: held-out images, at least 2.

    Source: paper, Sec. 1 and 2 (the laws); the residuals are ours.
    """

    needs: ClassVar[Mapping[str, frozenset[str]]] = {
        name: frozenset({"views", "T"} if name.startswith("algebra/") else {"views"})
        for name in NAMES
    }

    def __init__(self, images: int = 1000) -> None:
        self.images = at_least("images", images, 2)

    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What is measured, and which way is better."""
        return dict.fromkeys(NAMES, "none")

    @torch.no_grad()
    def __call__(self, context: Context) -> list[Measurement]:
        """The residuals and the form's own diagnostics."""
        values, diagnostics = dict.fromkeys(NAMES, NOT_APPLICABLE), {}
        if context.family.has_views:
            values |= self.residuals(context)
            t, model = context.probe(self.images).t, context.model
            if infers_T(model) and t is not None:
                diagnostics = model.r.diagnostics(t)
        return [
            *(Measurement(name, value, "ratio", "none") for name, value in values.items()),
            *(
                Measurement(f"algebra/{name}", float(each.median()), "median", "none")
                for name, each in diagnostics.items()
            ),
        ]

    def residuals(self, context: Context) -> dict[str, float]:
        """Those that apply to the model."""
        model, family, probe = context.model, context.family, context.probe(self.images)
        z, t_f = probe.e, probe.t

        def embed(x: Tensor) -> Tensor:
            return model.embed(x).to(z)

        g = family.draw(len(z), Streams(context.seed)("evaluation/second"))
        e_g, both = embed(family.apply(probe.x, g)), embed(family.apply(probe.x_1, g))
        moved = length(both - z).mean()
        shifted = z + (probe.e_1 - z) + (e_g - z)
        out = {"algebra_difference/composition": length(shifted - both).mean() / moved}
        if infers_T(model):
            assert t_f is not None
            r, identity = model.r, model.r.identity().to(z).expand(len(z), -1)
            t_g = model.infer_T(e_g, embed(family.apply(probe.x, family.invert(g))))
            learned = length(r(z, model.infer_T(z, z)) - z).mean()
            out |= {
                "algebra/inverse": (length(r.inverse(r(z, t_f), t_f) - z) / length(z)).mean(),
                "algebra/identity": (length(r(z, identity) - z) / length(z)).mean(),
                "algebra/learned_identity": learned / length(probe.e_1 - z).mean(),
                "algebra/composition": length(r(r(z, t_f), t_g) - both).mean() / moved,
            }
        return {name: float(value) for name, value in out.items()}
