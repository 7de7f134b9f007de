"""Usefulness of the embedding for classification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch

from tvae.evaluation._neighbours import Progress, correct, nearest, nothing
from tvae.evaluation.base import (
    Context,
    Direction,
    Measurement,
    Metric,
    at_least,
)

PART, COORDINATES = 100_000, 2**27
"""Points that are standardised at once, and their coordinates: a matter of memory."""


def deviations(points: np.ndarray) -> np.ndarray:
    """The standard deviation of each dimension, D values in float64; 1 where there is none.

    Args:
        points: N D, finite.
    """
    from sklearn.preprocessing import StandardScaler

    scaler, part = StandardScaler(), min(PART, max(1, COORDINATES // points.shape[1]))
    for start in range(0, len(points), part):
        scaler.partial_fit(points[start : start + part])
    found: np.ndarray = scaler.scale_
    return found


class KNN(Metric):
    """Accuracy of k-nearest-neighbours on E(x), in [0, 1], higher is better.

    Fitted on each data set's train embeddings, tested on its held-out ones; Euclidean distance,
    uniform votes, a tie of votes goes to the smallest label. ``knn_standardised/...`` first gives
    each latent dimension deviation 1 on the train embeddings. The neighbours are exact, see
    `tvae.evaluation._neighbours`.

    Args:
        k: neighbours, at least 1 (5 is ours) and at most the train images.

    Source: paper, Sec. 3, Table 1.
    """

    uses_family = False
    embedding_only = True
    embeds = True
    choices = ("k = {k} nearest neighbours, Euclidean distance, on posterior means.",)

    def __init__(self, k: int = 5) -> None:
        self.k = at_least("k", k, 1)

    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What is measured, and which way is better."""
        return dict.fromkeys(
            (f"{name}/{label}" for name in ("knn", "knn_standardised") for label in labels),
            "higher",
        )

    def refuses(self, sizes: Mapping[str, int]) -> str:
        """More neighbours than there are train images; see `Metric.refuses`."""
        few = {label: n for label, n in sizes.items() if n < self.k}
        told = ", ".join(f"{label} has {n:,}" for label, n in few.items())
        return f"k is {self.k:,} neighbours of the train images, of which {told}" if few else ""

    def __call__(self, context: Context) -> list[Measurement]:
        """``knn/DATA`` and ``knn_standardised/DATA`` for every data set."""
        out = []
        for label, data in context.datasets.items():
            train, test = (context.embeddings(label, split) for split in ("train", context.split))
            for standardise, name in enumerate((f"knn/{label}", f"knn_standardised/{label}")):
                right = self.correct(
                    train,
                    test,
                    data.train.labels,
                    context.held_out(label).labels,
                    standardise=bool(standardise),
                    device=context.device,
                    progress=partial(context.progress, name),
                )
                context.by_original(name, label, right)
                out.append(Measurement(name, float(right.mean()), "accuracy", "higher"))
        return out

    def correct(
        self,
        train: np.ndarray,
        test: np.ndarray,
        y_train: np.ndarray,
        y_test: np.ndarray,
        *,
        standardise: bool = False,
        device: str | torch.device = "cpu",
        progress: Progress = nothing,
    ) -> np.ndarray:
        """Which of `test` (M D) have k nearest of `train` (N D) that vote for their label, M bool.

        Args:
            train: N D.
            test: M D.
            y_train: N labels.
            y_test: M labels.
            standardise: give each dimension deviation 1 on `train`.
            device: where it is computed.
            progress: called with (done, total) now and then.

        Raises:
            ValueError: fewer than k train points, no test point, or one that is not finite.
        """
        points, others = (torch.from_numpy(p).to(device) for p in (train, test))
        weights = torch.from_numpy(1 / deviations(train)) if standardise else None
        (neighbours,) = nearest(points, others, self.k, weights=weights, progress=progress)
        return correct(neighbours, y_train, y_test)
