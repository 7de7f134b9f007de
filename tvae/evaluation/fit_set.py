"""What more variants of the same images are worth to a nearest-neighbour classifier."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from tvae.data import Split
from tvae.evaluation._neighbours import accuracy, nearest
from tvae.evaluation.base import (
    Context,
    Direction,
    Measurement,
)
from tvae.evaluation.knn import KNN
from tvae.evaluation.label_efficiency import mean_over_log


def ranks(split: Split) -> np.ndarray:
    """Which variant of its original each image is, N, from 0, in their order."""
    count = len(split.images)
    if split.source is None:
        return np.zeros(count, np.int64)
    order = np.argsort(split.source, kind="stable")
    ordered = split.source[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    found = np.empty(count, np.int64)
    found[order] = np.arange(count) - np.repeat(first, np.diff(np.r_[first, count]))
    return found


class FitSet(KNN):
    """Accuracy of k-NN on E(x) against the variants that it is fitted on, in [0, 1], higher better.

    ``fit_set/DATA/v`` is the accuracy on the held-out images of k-nearest-neighbours (as
    ``knn/DATA``, which it is for all V) fitted on the first v variants of each original of the
    train split, for v = 1, 2, 4, ... and V. ``fit_set/DATA`` is the mean of that curve over log v,
    by the trapezoidal rule. AffNIST has variants; of a data set without any V is 1.

    Args:
        k: neighbours, at least 1 (5 is ours) and at most the originals.

    Source: ours. The paper fits on the 1.6 million images of AffNIST, 32 variants of each digit
    (Sec. 3): how much of Table 1 is theirs is not told.
    """

    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What is measured, and which way is better."""
        return dict.fromkeys((f"fit_set/{label}" for label in labels), "higher")

    def __call__(self, context: Context) -> list[Measurement]:
        """``fit_set/DATA`` and a row for each v, for every data set."""
        out = []
        for label, data in context.datasets.items():
            rank = ranks(data.train)
            most = int(rank.max(initial=0)) + 1
            name = f"fit_set/{label}"
            variants = [*(2**i for i in range(most.bit_length()) if 2**i < most), most]
            sizes = [int((rank < v).sum()) for v in variants]
            train, test = (
                torch.from_numpy(context.embeddings(label, split)).to(context.device)
                for split in ("train", context.split)
            )
            y_train, y_test = data.train.labels, context.held_out(label).labels
            if (np.diff(rank) < 0).any():  # else there is no need of a copy of gigabytes
                order = np.argsort(rank, kind="stable")
                train, y_train = train[torch.from_numpy(order).to(train.device)], y_train[order]
            found = nearest(train, test, self.k, sizes, progress=partial(context.progress, name))
            values = [
                accuracy(neighbours, y_train[:n], y_test)
                for n, neighbours in zip(sizes, found, strict=True)
            ]
            mean = mean_over_log(variants, np.asarray(values))
            out.append(Measurement(name, mean, "accuracy", "higher"))
            out += [
                Measurement(f"{name}/{v}", value, "accuracy", "higher")
                for v, value in zip(variants, values, strict=True)
            ]
        return out
