"""Whether a transformation that is carried over leaves the image the thing that it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from tvae.data.inputs import as_input
from tvae.evaluation._classifier import classifier, recognised
from tvae.evaluation.base import (
    NOT_APPLICABLE,
    Context,
    Direction,
    Measurement,
    Metric,
    at_least,
)
from tvae.evaluation.transfer import KINDS, MOVED_BY, generated, moved

KEPT = {f"{kind}/label_kept": kind for kind in KINDS}


class LabelKept(Metric):
    """Share of images that a frozen classifier gives their own label, in [0, 1].

    - ``transfer/label_kept``: of the swapped images G(r(E(x'), T_x)), x' another image than the x
      that T_x is inferred from, against the label of x': a description, since a T that does nothing
      keeps the label best.
    - ``transfer_difference/label_kept``: of G(E(x') + E(f(x)) - E(x)), the reference without T.
    - ``label_kept/none``: of G(E(x')), T the identity: what decoding alone keeps; higher is better.
    - ``label_kept/truth``: of the true f(x'): about the most that can be expected. No model is in
      it.
    - ``label_kept/classifier``: of all held-out images as they are, the classifier's own accuracy.

    The classifier is a small network, trained once for a data set and a family on plain and on
    transformed train images, see `tvae.evaluation._classifier.classifier`. It never sees a decoded
    image: what blurring costs shows in ``label_kept/none``.

    Args:
        images: held-out images, at least 2.
        steps: of the classifier's training, of 100 images each, at least 1.

    Source: ours; the paper shows it by pictures (Sec. 3, Fig. 3: "content and style are mostly
    unmodified").
    """

    needs: ClassVar[Mapping[str, frozenset[str]]] = {
        **{name: frozenset({"views"}) | MOVED_BY[kind] for name, kind in KEPT.items()},
        **dict.fromkeys(
            ("label_kept/none", "label_kept/truth", "label_kept/classifier"), frozenset({"views"})
        ),
    }

    def __init__(self, images: int = 1000, steps: int = 1000) -> None:
        self.images = at_least("images", images, 2)
        self.steps = at_least("steps", steps, 1)

    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What is measured, and which way is better."""
        out: dict[str, Direction] = dict.fromkeys(KEPT, "none")
        return {
            **out,
            "label_kept/none": "higher",
            "label_kept/truth": "none",
            "label_kept/classifier": "none",
        }

    @torch.no_grad()
    def __call__(self, context: Context) -> list[Measurement]:
        """The five shares; not applicable where there are no views."""
        directions = self.directions([])
        values = dict.fromkeys(directions, NOT_APPLICABLE)
        if context.family.has_views:
            values |= self.shares(context)
        return [Measurement(n, values[n], "share", which) for n, which in directions.items()]

    def shares(self, context: Context) -> dict[str, float]:
        """Those that apply to the model."""
        model, family, device = context.model, context.family, context.device
        data = next(iter(context.datasets.values()))
        network = classifier(data, family, self.steps, device, context.cache)
        probe, labels = context.probe(self.images), context.labels(self.images)
        other = probe.other.to(device)

        def share(images: Tensor) -> float:
            return recognised(network, images, labels[other])

        own = as_input(context.own.images, context.own.shape).to(device)
        out = {
            "label_kept/truth": share(family.apply(probe.x[other], probe.parameters)),
            "label_kept/classifier": recognised(
                network, own, torch.tensor(context.own.labels).to(device)
            ),
        }
        out["label_kept/none"] = share(generated(model, probe.e[other]))
        for name, kind in KEPT.items():
            z = moved(kind, model, probe, probe.e[other])
            if z is not None:
                out[name] = share(generated(model, z))
        return out
