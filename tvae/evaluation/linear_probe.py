"""Whether classes can be told apart by planes in the latent space."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch

from tvae.evaluation.base import (
    Context,
    Direction,
    Measurement,
    Metric,
    at_least,
)
from tvae.streams import Streams

PART = 50_000
"""Points that are classified at once, a matter of memory."""


class LinearProbe(Metric):
    """Accuracy of a logistic regression on standardised E(x), in [0, 1], higher is better.

    ``linear/DATA``: multinomial, L2 penalty of strength 1 (scikit-learn's C = 1), fitted by L-BFGS
    on that data set's train embeddings, each dimension with mean 0 and deviation 1 on those that
    it is fitted on, tested on its held-out ones. At most `iterations` steps, converged or not: an
    embedding that needs more is hard to use.

    Args:
        images: train images, at least 2; of a larger split a subset that the seed fixes, the same
            for every model, so that the full AffNIST takes no longer than MNIST.
        iterations: of L-BFGS, at least 1.

    Source: ours, beside the paper's k-NN (Sec. 3), as usual for learned representations.
    """

    uses_family = False
    embedding_only = True
    embeds = True

    def __init__(self, images: int = 20_000, iterations: int = 200) -> None:
        self.images = at_least("images", images, 2)
        self.iterations = at_least("iterations", iterations, 1)

    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What is measured, and which way is better."""
        return dict.fromkeys((f"linear/{label}" for label in labels), "higher")

    def __call__(self, context: Context) -> list[Measurement]:
        """``linear/DATA`` for every data set.

        Raises:
            ValueError: a data set without held-out images.
        """
        out = []
        for number, (label, data) in enumerate(context.datasets.items()):
            name = f"linear/{label}"
            train, y_train = context.embeddings(label, "train"), data.train.labels
            if len(train) > self.images:
                stream = Streams(context.seed)(f"evaluation/linear/{label}")
                chosen = torch.randperm(len(train), generator=stream)[: self.images].numpy()
                train, y_train = train[chosen], y_train[chosen]
            test, y_test = context.embeddings(label, context.split), context.held_out(label).labels
            value = self.accuracy(train, test, y_train, y_test)
            out.append(Measurement(name, value, "accuracy", "higher"))
            context.progress(name, number + 1, len(context.datasets))
        return out

    def accuracy(
        self, train: np.ndarray, test: np.ndarray, y_train: np.ndarray, y_test: np.ndarray
    ) -> float:
        """Share of `test` (M D) that a probe of `train` (N D) gives its label.

        Raises:
            ValueError: there is no test point.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        if not len(test):
            raise ValueError("there is no test point, so no share of them")
        if len(np.unique(y_train)) == 1:  # nothing to tell apart
            return float(np.mean(y_test == y_train[0]))
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=self.iterations))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the cap is meant
            probe.fit(train.astype(np.float32, copy=False), y_train)
        right = 0
        for start in range(0, len(test), PART):
            part = slice(start, start + PART)
            found = probe.predict(test[part].astype(np.float32, copy=False))
            right += int(np.sum(found == y_test[part]))
        return right / len(test)
