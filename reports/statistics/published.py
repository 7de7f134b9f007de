"""The paper's numbers, each with its place, beside ours.

Source: G. Giannone, J. Masci, C. Osendorfer, *No Representation without Transformation*. Published
values are constants of this file and never enter a study's rows. Which of our arms repeats which of
the paper's models is said by the study (`reports.manifest.ArmEntry.published`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reports.manifest import StudyEntry
from reports.rows import confirmed
from reports.statistics.intervals import prediction_interval
from reports.statistics.records import Interval
from reports.study import latent_size, resolved, trained_on

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Published:
    """One number of the paper.

    `latent_dim` is None where the paper does not say, and `fit` where nothing was fitted: else the
    number of images that the neighbours were. `predicts` is true where a single published value may
    be held against our prediction interval: for Table 1, not for the nats of the text, whose
    estimator the paper does not name.
    """

    model: str
    train: str
    metric: str
    value: float
    unit: str
    latent_dim: int | None
    place: str
    predicts: bool
    fit: int | None = None


@dataclass(frozen=True)
class Beside:
    """A published number and ours: mean over `n` seeds, prediction interval for one more seed.

    `latent_dim` is our arm's own latent size; its training data are those of `published`. `apart`
    says what is not known to be as published, a few words each: steps of training, and images that
    the neighbours were fitted on.
    """

    arm: str
    latent_dim: int
    published: Published
    mean: float
    n: int
    prediction: Interval | None
    apart: tuple[str, ...] = ()

    @property
    def within(self) -> bool | None:
        """Whether the published value lies in our prediction interval; None: not to be asked.

        It is asked of Table 1, and where steps, fit set and latent size are the paper's: one run's
        value says nothing about another experiment's spread.
        """
        if self.prediction is None or not self.published.predicts or self.apart:
            return None
        return self.prediction.low <= self.published.value <= self.prediction.high


STEPS = 120_000
"""Of the paper's training: 200 epochs of 60,000 images in batches of 100 (Appendix B)."""

_AFFNIST, _OFFICIAL = 1_600_000, 60_000
"""Train images: of AffNIST, 32 of each of 50,000 digits, and of the official train files, of which
the paper sets none aside."""
_COLUMNS = (
    ("M-Aff", "mnist", "knn/affnist", _AFFNIST),
    ("M-M", "mnist", "knn/mnist", _OFFICIAL),
    ("F-Aff", "fashion_mnist", "knn/affnist", _AFFNIST),
    ("F-F", "fashion_mnist", "knn/fashion_mnist", _OFFICIAL),
)
_TABLE_1 = (  # per cent
    ("VAE", 10, (55.9, 96.2, 32.8, 81.7)),
    ("VAE+", 10, (70.2, 96.7, 36.3, 82.2)),
    ("T_VAE", 10, (73.5, 96.6, 55.1, 84.0)),
    ("VAE", 100, (66.3, 96.2, 43.1, 82.6)),
    ("VAE+", 100, (79.2, 97.4, 43.3, 82.7)),
    ("T_VAE", 100, (90.6, 98.1, 81.2, 86.9)),
)
_NATS = (("T_VAE", 92.0), ("VAE", 93.0), ("VAE+", 94.0))

PUBLISHED: tuple[Published, ...] = tuple(
    Published(
        model=model,
        train=train,
        metric=metric,
        value=round(value / 100, 3),
        unit="accuracy",
        latent_dim=latent_dim,
        place=f"Table 1, column {column}, z_dim {latent_dim}",
        predicts=True,
        fit=fit,
    )
    for model, latent_dim, values in _TABLE_1
    for (column, train, metric, fit), value in zip(_COLUMNS, values, strict=True)
) + tuple(
    Published(
        model=model,
        train="mnist",
        metric="nll",
        value=value,
        unit="nats",
        latent_dim=None,
        place="Section 3, Generative Modeling ('~')",
        predicts=False,
    )
    for model, value in _NATS
)
"""Table 1 as shares, and the marginal likelihoods of Section 3 in nats."""

MODELS: frozenset[str] = frozenset(entry.model for entry in PUBLISHED)
"""The labels that `reports.manifest.ArmEntry.published` may name."""


def lookup(model: str, train: str, metric: str, latent_dim: int) -> Published | None:
    """The published number for one of our measurements, if there is one.

    Args:
        model: the paper's label of the model.
        train: name of the training data.
        metric: name of the metric, such as knn/affnist.
        latent_dim: latent size D.
    """
    for entry in PUBLISHED:
        if (entry.model, entry.train, entry.metric) == (model, train, metric) and (
            entry.latent_dim in (None, latent_dim)
        ):
            return entry
    return None


def beside(study: StudyEntry, rows: pd.DataFrame) -> tuple[Beside, ...]:
    """Every published number that one of the study's arms repeats, with ours, in the arms' order.

    An arm repeats what was published for its own training data and latent size.
    The prediction interval is for one more seed, ``mean +- t_{n-1} s sqrt(1 + 1/n)``, at the
    study's level; there is none from a single seed.
    """
    measured = confirmed(rows)
    found = []
    for name, arm in study["arms"].items():
        train, latent_dim = trained_on(study, name), latent_size(study, name)
        if train is None or latent_dim is None:
            continue
        own = measured[(measured.arm == name) & np.isfinite(measured.value)]
        for (metric, unit), group in own.groupby(["metric", "unit"], sort=True):
            entry = lookup(arm.get("published", ""), train, str(metric), latent_dim)
            if entry is not None and entry.unit == unit and group.fingerprint.nunique() == 1:
                values = group.value.to_numpy()
                found.append(
                    Beside(
                        name,
                        latent_dim,
                        entry,
                        float(values.mean()),
                        len(values),
                        prediction_interval(values, study["level"]),
                        tuple(_apart(study, name, entry)),
                    )
                )
    return tuple(found)


def fit_images(study: StudyEntry, metric: str) -> int | None:
    """Images that a metric named METRIC/DATA was fitted on; None: the study does not say."""
    return study.get("images", {}).get(metric.rpartition("/")[2], {}).get("train")


def _apart(study: StudyEntry, arm: str, entry: Published) -> Iterator[str]:
    """What sets our number apart from the published one, of what the paper says of its own."""
    ours = [("steps", resolved(study, arm, "trainer.steps"), STEPS)]
    if entry.fit is not None:
        ours.append(("images to fit on", fit_images(study, entry.metric), entry.fit))
    for what, here, there in ours:
        if here != there:
            shown = f"{here:,}" if isinstance(here, int) else "unknown"
            yield f"{what}: {shown} here, {there:,} there"
