"""How many labels the embedding needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from tvae.evaluation._neighbours import accuracy, nearest
from tvae.evaluation.base import (
    Context,
    Direction,
    Measurement,
    Metric,
    at_least,
)
from tvae.streams import Streams

SIZES = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
"""Labelled samples; the paper's axis has no numbers that could be read off the text."""


class LabelEfficiency(Metric):
    """Accuracy of k-NN on E(x) with few labels, in [0, 1], higher is better.

    ``label_efficiency/DATA/n`` is the accuracy on the held-out images of k-nearest-neighbours
    (Euclidean, uniform votes, ties to the smallest label) fitted on n images of that data set's
    train split, mean over `draws` sets of n, for each n of 10, 20, 50, ... 10,000 that the split
    has and that is at least k. ``label_efficiency/DATA`` is the mean of that curve over log n, by
    the trapezoidal rule: one number for Fig. 2.

    A draw is a random order of the train split, of which the first n are the labelled ones: plain
    sampling without replacement, not balanced by class, so that of 10 labels some classes may
    have none; larger sets hold the smaller ones of their draw (ours; the paper says "a small set
    of labelled samples"). The orders come from a stream of their own for each data set: every
    model of a seed gets the same sets. The neighbours are exact.

    Args:
        k: neighbours, at least 1 (5 is ours).
        draws: sets for each n, at least 1.

    Source: paper, Sec. 3, Fig. 2 (there 20 runs, on AffNIST).
    """

    uses_family = False
    embedding_only = True
    embeds = True
    choices = (
        "With few labels: k = {k} nearest neighbours, {draws} random draws of the labelled images, "
        "not balanced by class.",
    )

    def __init__(self, k: int = 5, draws: int = 20) -> None:
        self.k = at_least("k", k, 1)
        self.draws = at_least("draws", draws, 1)

    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What is measured, and which way is better."""
        return dict.fromkeys((f"label_efficiency/{label}" for label in labels), "higher")

    def refuses(self, sizes: Mapping[str, int]) -> str:
        """A data set for which there is no n; see `Metric.refuses`."""
        for label, images in sizes.items():
            try:
                self.sizes(images)
            except ValueError as error:
                return f"{label}: {error}"
        return ""

    def __call__(self, context: Context) -> list[Measurement]:
        """``label_efficiency/DATA`` and a row for each n, for every data set.

        Raises:
            ValueError: a train split with fewer than 10 or k images, or no held-out image.
        """
        return [found for label in context.datasets for found in self._curve(context, label)]

    def _curve(self, context: Context, label: str) -> list[Measurement]:
        train, test = (
            torch.from_numpy(context.embeddings(label, split)) for split in ("train", context.split)
        )
        sizes = self.sizes(len(train))
        labelled = context.room(sizes[-1], train)
        name = f"label_efficiency/{label}"
        means = np.zeros(len(sizes))
        y_train, y_test = context.datasets[label].train.labels, context.held_out(label).labels
        orders = Streams(context.seed)(f"evaluation/labelled/{label}")
        for draw in range(self.draws):
            order = torch.randperm(len(train), generator=orders)[: sizes[-1]]
            torch.index_select(train, 0, order, out=labelled)
            means += self.accuracies(
                labelled.to(context.device),
                test.to(context.device),
                y_train[order.numpy()],
                y_test,
                sizes,
                _share(context, name, draw, self.draws),
            )
        means /= self.draws
        return [
            Measurement(name, mean_over_log(sizes, means), "accuracy", "higher"),
            *(
                Measurement(f"{name}/{n}", float(mean), "accuracy", "higher")
                for n, mean in zip(sizes, means, strict=True)
            ),
        ]

    def sizes(self, images: int) -> list[int]:
        """The numbers of labelled samples for a train split of so many images.

        Raises:
            ValueError: there is none.
        """
        found = [n for n in SIZES if self.k <= n <= images]
        if not found:
            raise ValueError(
                f"label_efficiency has no n for k = {self.k} and {images} train images: it takes "
                f"those of {', '.join(map(str, SIZES))} from k to the number of images"
            )
        return found

    def accuracies(
        self,
        train: Tensor,
        test: Tensor,
        y_train: np.ndarray,
        y_test: np.ndarray,
        sizes: Sequence[int],
        progress: Callable[[int, int], None],
    ) -> list[float]:
        """The accuracy with the first n of `train` (N D) on `test` (M D), for each n of `sizes`."""
        found = nearest(train, test, self.k, sizes, progress=progress)
        return [
            accuracy(neighbours, y_train[:n], y_test)
            for n, neighbours in zip(sizes, found, strict=True)
        ]


def mean_over_log(sizes: Sequence[int], values: np.ndarray) -> float:
    """The mean of a curve over log n, joined by straight lines; of one point its value."""
    if len(sizes) == 1:
        return float(values[0])
    logs = np.log(sizes)
    return float(np.trapezoid(values, logs) / (logs[-1] - logs[0]))


def _share(context: Context, name: str, draw: int, draws: int) -> Callable[[int, int], None]:
    """Progress of one draw as progress of all."""
    return lambda done, total: context.progress(name, draw * total + done, draws * total)
