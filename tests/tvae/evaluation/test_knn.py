"""k-nearest-neighbour accuracy against distances and votes counted one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from tvae.data import Dataset, Split
from tvae.evaluation.base import Context
from tvae.evaluation.knn import KNN
from tvae.families.rotation import Rotation

rng = np.random.default_rng(0)
CENTRES = 1.5 * rng.standard_normal((4, 3))


def clusters(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping Gaussian classes in three dimensions."""
    labels = rng.integers(0, 4, n)
    return (CENTRES[labels] + rng.standard_normal((n, 3))).astype(np.float32), labels


TRAIN, Y_TRAIN = clusters(300)
TEST, Y_TEST = clusters(120)


def brute_force(train, test, y_train, y_test, k: int) -> float:
    """Ties of votes go to the smallest label."""
    right = 0
    for point, label in zip(test, y_test, strict=True):
        distances = [float(np.sum((point.astype(float) - other) ** 2)) for other in train]
        nearest = sorted(range(len(train)), key=lambda i: distances[i])[:k]
        right += np.bincount(y_train[nearest]).argmax() == label
    return right / len(test)


@pytest.mark.parametrize("k", [1, 5, 8])
def test_accuracy_is_that_of_counting(k):
    found = KNN(k).accuracy(TRAIN, TEST, Y_TRAIN, Y_TEST)
    assert found == pytest.approx(brute_force(TRAIN, TEST, Y_TRAIN, Y_TEST, k))
    assert 0.4 < found < 0.95, "an accuracy that no mistake could change shows nothing"


def test_the_default_is_scikit_learns():
    theirs = KNeighborsClassifier().fit(TRAIN, Y_TRAIN).score(TEST, Y_TEST)
    assert KNN().accuracy(TRAIN, TEST, Y_TRAIN, Y_TEST) == pytest.approx(theirs)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_embeddings_that_are_not_finite_classify_nothing(bad):
    broken = TRAIN.copy()
    broken[3, 1] = bad
    assert KNN().accuracy(broken, TEST, Y_TRAIN, Y_TEST) == 0
    assert KNN().accuracy(TRAIN, broken, Y_TRAIN, Y_TRAIN) == 0


class Given:
    """A context whose embeddings are given."""

    split = "validation"

    def __init__(self, scale: np.ndarray) -> None:
        empty = np.zeros((300, 1, 1), np.uint8)
        train = Split(empty, Y_TRAIN)
        held_out = Split(empty[:120], Y_TEST)
        wrong = Split(empty[:120], (Y_TEST + 1) % 4)
        self.datasets = {"a": Dataset("a", train, held_out, wrong, "")}
        self.arrays = {"train": TRAIN * scale + 3, "validation": TEST * scale + 3, "test": None}

    def embeddings(self, label: str, split: str) -> np.ndarray:
        return self.arrays[split]

    def held_out(self, label: str) -> Split:
        return getattr(self.datasets[label], self.split)


def test_standardising_undoes_the_scale_of_a_dimension():
    """By the train embeddings' deviation; the raw accuracy lives off the loudest dimension."""
    scale = np.array([1, 300, 0.01], np.float32)
    found = {m.name: m.value for m in KNN()(Given(scale))}
    mean, deviation = TRAIN.mean(0), TRAIN.std(0)
    labels = Y_TRAIN, Y_TEST
    scaled = (TRAIN - mean) / deviation, (TEST - mean) / deviation
    assert found["knn_standardised/a"] == pytest.approx(brute_force(*scaled, *labels, 5), abs=0.01)
    raw = brute_force(TRAIN * scale + 3, TEST * scale + 3, *labels, 5)
    assert found["knn/a"] == pytest.approx(raw, abs=0.01)
    assert found["knn_standardised/a"] > found["knn/a"] + 0.05


def test_a_dead_dimension_does_not_break_standardising():
    found = {m.name: m.value for m in KNN()(Given(np.array([1, 1, 0], np.float32)))}
    labels = Y_TRAIN, Y_TEST
    expected = brute_force(
        TRAIN[:, :2] / TRAIN[:, :2].std(0), TEST[:, :2] / TRAIN[:, :2].std(0), *labels, 5
    )
    assert found["knn_standardised/a"] == pytest.approx(expected, abs=0.01)


def test_end_to_end(build, noisy_data):
    """Every data set of the context, on its own train embeddings and held-out split."""
    other = Dataset("other", noisy_data.train, noisy_data.test, noisy_data.validation, "")
    context = Context(build(None), Rotation(), {"noise": noisy_data, "other": other}, "test", 0)
    found = {m.name: m.value for m in KNN(3)(context)}
    embed = context.model.embed
    for name, data in context.datasets.items():
        train, test = (embed(split.images).numpy() for split in (data.train, data.test))
        expected = brute_force(train, test, data.train.labels, data.test.labels, 3)
        assert found[f"knn/{name}"] == pytest.approx(expected)
    assert isinstance(found["knn/noise"], float)
    assert torch.is_grad_enabled()
