"""Whether a T that is drawn from its prior is a transformation.

Legend: `N` images, `K` transformations of each, `M` draws of T, `D` latent size, `P` size of T.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from tvae.evaluation._classifier import classifier, recognised
from tvae.evaluation.base import (
    NOT_APPLICABLE,
    Context,
    Direction,
    Measurement,
    Metric,
    at_least,
)
from tvae.evaluation.transfer import generated
from tvae.models.base import infers_T
from tvae.streams import Streams

DIRECTIONS: dict[str, Direction] = {
    "drawn/coverage": "higher",
    "drawn/nearest": "none",
    "drawn/label_kept": "none",
}
UNITS = ("skill", "ratio", "share")

NEIGHBOURS = 3
"""A candidate is reached by what is nearer than the third nearest of the others."""


class Drawn(Metric):
    """r(E(x), T) with T from its prior, beside E(f(x)) with f from the family.

    - ``drawn/coverage``: of K candidates E(f_k(x)) the share that M draws of r(E(x), T) reach, c,
      on a scale where M other E(f(x)) have 1 and what knows nothing of x's own transformations has
      0: (c - c_0) / (c_f - c_0), c_0 the larger of what E(x) itself and M transformations of
      another image reach. A candidate is reached by what comes nearer than the third nearest of
      the other candidates. At most about 1; negative for what reaches less than the blind do.
    - ``drawn/nearest``: mean distance of r(E(x), T) to the nearest candidate, over that of another
      E(f(x)). More than 1: T leads elsewhere. A T that never moves has a small one.
    - ``drawn/label_kept``: the share of G(r(E(x), T)) that a classifier gives x's label, in [0, 1].
      So does a T that never moves.

    T has a prior to be drawn from where the objective has a term for it; without one it is noise.

    Args:
        images: N, at least 1.
        candidates: K, at least 5.
        draws: M, at least 1.
        steps: of the classifier's training.

    Raises:
        ValueError: an option is below that.

    Source: paper, Eq. 1 (pi(T)); coverage is that of Naeem et al., "Reliable Fidelity and Diversity
    Metrics for Generative Models" (ICML 2020), in latent space, image by image; the scale is ours.
    """

    needs: ClassVar[Mapping[str, frozenset[str]]] = dict.fromkeys(
        DIRECTIONS, frozenset({"T", "views"})
    )

    def __init__(
        self, images: int = 100, candidates: int = 40, draws: int = 40, steps: int = 1000
    ) -> None:
        self.images = at_least("images", images, 1)
        self.candidates = at_least("candidates", candidates, 5)
        self.draws = at_least("draws", draws, 1)
        self.steps = at_least("steps", steps, 1)

    def decodes(self) -> int:
        """One drawn T for each image."""
        return self.images

    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What is measured, and which way is better."""
        return dict(DIRECTIONS)

    @torch.no_grad()
    def __call__(self, context: Context) -> list[Measurement]:
        """All three; not applicable without T or without views."""
        values = dict.fromkeys(DIRECTIONS, NOT_APPLICABLE)
        if infers_T(context.model) and context.family.has_views:
            values = dict(zip(DIRECTIONS, self.measured(context), strict=True))
        return [
            Measurement(name, values[name], unit, direction)
            for (name, direction), unit in zip(DIRECTIONS.items(), UNITS, strict=True)
        ]

    def measured(self, context: Context) -> tuple[float, float, float]:
        """The three of them, in their order."""
        model, family, device = context.model, context.family, context.device
        assert infers_T(model)
        x, labels = context.sample(self.images), context.labels(self.images)
        noise = Streams(context.seed)
        data = next(iter(context.datasets.values()))
        judge = classifier(data, family, self.steps, device, context.cache)
        e = context.embed("x", x).to(device)

        def transformed(count: int, stream: str) -> Tensor:
            """E(f(x)), N `count` D."""
            draws = []
            for _ in range(count):
                seen = family.apply(x, family.draw(len(x), noise(stream)))
                draws.append(context.embed("f(x)", seen).to(device))
            return torch.stack(draws, 1)

        candidates = transformed(self.candidates, "evaluation/drawn/candidates")
        truth = transformed(self.draws, "evaluation/drawn/truth")
        t = model.draw_T(len(x) * self.draws, noise("evaluation/drawn/T")).to(e)
        drawn = model.r(e.repeat_interleave(self.draws, 0), t).unflatten(0, (len(x), -1))
        ours, most, *blind = (
            float(covered(points, candidates).mean())
            for points in (drawn, truth, e[:, None], truth.roll(1, 0))
        )
        near, near_truth = (
            float(torch.cdist(points.double(), candidates.double()).amin(2).mean())
            for points in (drawn, truth)
        )
        least = max(blind)
        # where the truth reaches no more than the blind do, nothing can be told
        coverage = (ours - least) / (most - least) if most > least else 0.0
        nearest = near / near_truth if near_truth > 0 else NOT_APPLICABLE
        kept = recognised(judge, generated(model, drawn[:, 0]), labels)
        return coverage, nearest, kept


def covered(points: Tensor, candidates: Tensor) -> Tensor:
    """Which candidates are reached by a point, see `Drawn`: N K, bool as numbers.

    Args:
        points: N M D.
        candidates: N K D, K above `NEIGHBOURS`.
    """
    points, candidates = points.double(), candidates.double()
    # the nearest of all is the candidate itself; kthvalue may not run where bits must repeat
    near = torch.cdist(candidates, candidates).topk(NEIGHBOURS + 1, dim=2, largest=False).values
    radius = near.amax(2)
    nearer = torch.cdist(candidates, points) < radius[:, :, None]
    return nearer.any(2).double()
