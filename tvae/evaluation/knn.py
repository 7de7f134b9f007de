"""Usefulness of the embedding for classification."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tvae.evaluation.base import (
    Context,
    Direction,
    Measurement,
    Metric,
    at_least,
)


class KNN(Metric):
    """Accuracy of k-nearest-neighbours on E(x), in [0, 1], higher is better.

    Fitted on each data set's train embeddings, tested on its held-out ones; Euclidean distance,
    uniform votes. ``knn_standardised/...`` first gives each latent dimension mean 0 and deviation
    1 on the train embeddings.

    Args:
        k: neighbours, at least 1 (5 is ours).

    Source: paper, Sec. 3, Table 1.
    """

    uses_family = False

    def __init__(self, k: int = 5) -> None:
        self.k = at_least("k", k, 1)

    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What is measured, and which way is better."""
        return dict.fromkeys(
            (f"{name}/{label}" for name in ("knn", "knn_standardised") for label in labels),
            "higher",
        )

    def __call__(self, context: Context) -> list[Measurement]:
        """``knn/DATA`` and ``knn_standardised/DATA`` for every data set."""
        out = []
        for label, data in context.datasets.items():
            train = context.embeddings(label, "train")
            held_out = context.embeddings(label, context.split)
            labels = data.train.labels, context.held_out(label).labels
            mean, deviation = train.mean(0), train.std(0) + 1e-12
            scaled = (train - mean) / deviation, (held_out - mean) / deviation
            out += [
                Measurement(
                    f"knn/{label}", self.accuracy(train, held_out, *labels), "accuracy", "higher"
                ),
                Measurement(
                    f"knn_standardised/{label}",
                    self.accuracy(*scaled, *labels),
                    "accuracy",
                    "higher",
                ),
            ]
        return out

    def accuracy(
        self, train: np.ndarray, test: np.ndarray, y_train: np.ndarray, y_test: np.ndarray
    ) -> float:
        """Share of `test` (M D) whose k nearest of `train` (N D) vote for their label."""
        from sklearn.neighbors import KNeighborsClassifier

        if not (np.isfinite(train).all() and np.isfinite(test).all()):
            return 0.0  # an exploded encoder tells no class from another
        classifier = KNeighborsClassifier(n_neighbors=self.k, algorithm="brute")
        return float(classifier.fit(train, y_train).score(test, y_test))
