"""k-nearest-neighbour accuracy against distances and votes counted one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from tvae.data import Dataset, Split
from tvae.evaluation.base import Context
from tvae.evaluation.knn import KNN, deviations
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
    found = KNN(k).correct(TRAIN, TEST, Y_TRAIN, Y_TEST).mean()
    assert found == pytest.approx(brute_force(TRAIN, TEST, Y_TRAIN, Y_TEST, k))
    assert 0.4 < found < 0.95, "an accuracy that no mistake could change shows nothing"


def test_the_default_is_scikit_learns():
    theirs = KNeighborsClassifier().fit(TRAIN, Y_TRAIN).score(TEST, Y_TEST)
    assert KNN().correct(TRAIN, TEST, Y_TRAIN, Y_TEST).mean() == pytest.approx(theirs)


class Given:
    """A context whose embeddings are given."""

    split = "validation"
    device = torch.device("cpu")

    def __init__(self, scale: np.ndarray) -> None:
        empty = np.zeros((300, 1, 1), np.uint8)
        train = Split(empty, Y_TRAIN)
        held_out = Split(empty[:120], Y_TEST)
        wrong = Split(empty[:120], (Y_TEST + 1) % 4)
        self.datasets = {"a": Dataset("a", train, held_out, wrong, "")}
        self.arrays = {"train": TRAIN * scale + 3, "validation": TEST * scale + 3, "test": None}

    def progress(self, what: str, done: int, total: int) -> None:
        self.told = {**getattr(self, "told", {}), what: done / total}

    def embeddings(self, label: str, split: str) -> np.ndarray:
        return self.arrays[split]

    def held_out(self, label: str) -> Split:
        return getattr(self.datasets[label], self.split)

    def by_original(self, name: str, label: str, outcomes: np.ndarray) -> None:
        self.kept = {**getattr(self, "kept", {}), name: outcomes}


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


def test_progress_is_told_to_the_end():
    given = Given(np.ones(3, np.float32))
    KNN()(given)
    assert given.told == {"knn/a": 1, "knn_standardised/a": 1}


@pytest.mark.parametrize(("limit", "value"), [("PART", 7), ("COORDINATES", 30)])
def test_deviations_are_those_of_the_whole_whatever_the_parts(limit, value, monkeypatch):
    monkeypatch.setattr(f"tvae.evaluation.knn.{limit}", value)
    points = np.column_stack([TRAIN * [1, 300, 1e-3] + [0, 1e4, 0], np.full(300, 7.7)])
    expected = [*np.std(points[:, :3], axis=0), 1]
    np.testing.assert_allclose(deviations(points), expected, rtol=1e-9)


def test_what_cannot_be_classified():
    with pytest.raises(ValueError, match="301 neighbours of 300 train points"):
        KNN(301).correct(TRAIN, TEST, Y_TRAIN, Y_TEST).mean()
    with pytest.raises(ValueError, match="no test point"):
        KNN().correct(TRAIN, TEST[:0], Y_TRAIN, Y_TEST[:0])
    assert KNN().correct(TRAIN, TEST, np.full(300, 2), np.full(120, 2)).mean() == 1, (
        "a single class"
    )
    everybody = np.bincount(Y_TRAIN).argmax()
    assert KNN(300).correct(TRAIN, TEST, Y_TRAIN, Y_TEST).mean() == np.mean(everybody == Y_TEST)


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
