"""Accuracy against the variants of the fit set, against scikit-learn on subsets made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

import tvae
from tvae.data import Dataset, Split
from tvae.evaluation.base import Context
from tvae.evaluation.fit_set import FitSet, ranks
from tvae.registry import families

ORIGINALS, VARIANTS = 20, 6


def variants(seed: int, order: np.ndarray) -> Split:
    """Variants of noisy images, in an order."""
    rng = np.random.default_rng(seed)
    source = np.tile(np.arange(ORIGINALS), VARIANTS)[order]
    labels = source % 3
    images = rng.integers(0, 120, (len(source), 28, 28)) + 45 * labels[:, None, None]
    return Split(images.astype(np.uint8), labels.astype(np.int64), source=source)


def measured(train: Split, test: Split, k: int = 3) -> dict[str, float]:
    model = tvae.build({"name": "autoencoder", "latent_dim": 4}).eval()
    datasets = {"noisy": Dataset.of("noisy", train, test, test)}
    context = Context(model, families.make("none"), datasets, "test", 0)
    return {m.name: m.value for m in FitSet(k)(context)}


@pytest.mark.parametrize("order", ["by variant", "by original", "shuffled"])
def test_each_point_is_k_nn_on_the_first_variants(order):
    count = ORIGINALS * VARIANTS
    orders = {
        "by variant": np.arange(count),
        "by original": np.arange(count).reshape(VARIANTS, ORIGINALS).T.ravel(),
        "shuffled": np.random.default_rng(1).permutation(count),
    }
    train, test = variants(2, orders[order]), variants(3, np.arange(count))
    found = measured(train, test)
    model = tvae.build({"name": "autoencoder", "latent_dim": 4}).eval()
    points, others = (model.embed(split.images).numpy() for split in (train, test))
    curve = {}
    for v in (1, 2, 4, 6):
        seen = dict.fromkeys(range(ORIGINALS), 0)
        kept = []
        for i, original in enumerate(train.source):
            if seen[original] < v:
                kept.append(i)
            seen[original] += 1
        theirs = KNeighborsClassifier(3, algorithm="brute").fit(points[kept], train.labels[kept])
        curve[v] = theirs.score(others, test.labels)
    assert {name: found[name] for name in found if name.count("/") == 2} == {
        f"fit_set/noisy/{v}": value for v, value in curve.items()
    }
    logs = np.log(list(curve))
    steps = np.diff(logs) * (np.array(list(curve.values()))[1:] + list(curve.values())[:-1]) / 2
    assert found["fit_set/noisy"] == pytest.approx(steps.sum() / (logs[-1] - logs[0]))


def test_an_original_that_lacks_a_variant_has_those_it_has():
    split = variants(0, np.delete(np.arange(ORIGINALS * VARIANTS), [ORIGINALS + 4]))
    own = ranks(split)[split.source == 4]
    assert list(own) == list(range(VARIANTS - 1))
    assert list(np.bincount(ranks(split))) == [ORIGINALS] * (VARIANTS - 1) + [ORIGINALS - 1]


def test_of_images_without_variants_it_is_k_nn(noisy_data):
    found = measured(noisy_data.train, noisy_data.test)
    assert list(found) == ["fit_set/noisy", "fit_set/noisy/1"]
    model = tvae.build({"name": "autoencoder", "latent_dim": 4}).eval()
    points, others = (
        model.embed(split.images).numpy() for split in (noisy_data.train, noisy_data.test)
    )
    theirs = KNeighborsClassifier(3, algorithm="brute").fit(points, noisy_data.train.labels)
    assert {*found.values()} == {theirs.score(others, noisy_data.test.labels)}
