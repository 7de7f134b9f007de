"""The linear probe against scikit-learn's logistic regression on scaled embeddings, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from tvae.evaluation.base import Context
from tvae.evaluation.linear_probe import LinearProbe
from tvae.families.rotation import Rotation
from tvae.streams import Streams

rng = np.random.default_rng(0)
CENTRES = 1.5 * rng.standard_normal((4, 3))


def clusters(n: int) -> tuple[np.ndarray, np.ndarray]:
    labels = rng.integers(0, 4, n)
    return (CENTRES[labels] + rng.standard_normal((n, 3))).astype(np.float32), labels


(TRAIN, Y_TRAIN), (TEST, Y_TEST) = clusters(300), clusters(120)


def theirs(train, test, y_train, y_test) -> float:
    mean, deviation = train.astype(float).mean(0), train.astype(float).std(0)
    model = LogisticRegression(max_iter=1000).fit((train - mean) / deviation, y_train)
    return model.score((test - mean) / deviation, y_test)


@pytest.mark.parametrize("scale", [np.ones(3), np.array([1, 1e4, 1e-4])])
def test_it_is_logistic_regression_on_scaled_points(scale):
    train, test = ((p * scale + 5).astype(np.float32) for p in (TRAIN, TEST))
    found = LinearProbe().accuracy(train, test, Y_TRAIN, Y_TEST)
    assert found == pytest.approx(theirs(train, test, Y_TRAIN, Y_TEST), abs=1 / 120)
    assert 0.5 < found < 0.95


def test_planes_cannot_tell_a_ring_from_its_inside():
    angle, radius = rng.uniform(0, 2 * np.pi, 400), np.repeat([1.0, 3.0], 200)
    points = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    points, inside = points.astype(np.float32), radius < 2
    assert LinearProbe().accuracy(points, points, inside, inside) < 0.65


def test_one_class_a_dead_dimension_and_no_test_point(monkeypatch):
    assert LinearProbe().accuracy(TRAIN, TEST, np.full(300, 2), np.arange(120) % 3) == 1 / 3
    dead = LinearProbe().accuracy(TRAIN * [1, 1, 0], TEST * [1, 1, 0], Y_TRAIN, Y_TEST)
    flat = theirs(TRAIN[:, :2], TEST[:, :2], Y_TRAIN, Y_TEST)
    assert dead == pytest.approx(flat, abs=1 / 120)
    with pytest.raises(ValueError, match="no test point"):
        LinearProbe().accuracy(TRAIN, TEST[:0], Y_TRAIN, Y_TEST[:0])
    whole = LinearProbe().accuracy(TRAIN, TEST, Y_TRAIN, Y_TEST)
    monkeypatch.setattr("tvae.evaluation.linear_probe.PART", 7)
    assert LinearProbe().accuracy(TRAIN, TEST, Y_TRAIN, Y_TEST) == whole


def test_few_iterations_are_no_warning(recwarn):
    LinearProbe(iterations=1).accuracy(TRAIN, TEST, Y_TRAIN, Y_TEST)
    assert not recwarn.list


def test_a_large_split_is_fitted_on_a_part_that_the_seed_fixes(build, noisy_data):
    told = []
    context = Context(
        build(None), Rotation(), {"noise": noisy_data, "other": noisy_data}, "test", 7,
        progress=lambda *p: told.append(p),
    )  # fmt: skip
    found = {m.name: m.value for m in LinearProbe(images=25)(context)}
    train, test = (context.embeddings("noise", split) for split in ("train", "test"))
    for label in ("noise", "other"):
        stream = Streams(7)(f"evaluation/linear/{label}")
        chosen = torch.randperm(60, generator=stream)[:25].numpy()
        expected = LinearProbe().accuracy(
            train[chosen], test, noisy_data.train.labels[chosen], noisy_data.test.labels
        )
        assert found[f"linear/{label}"] == expected
    assert told[-1] == ("linear/other", 2, 2)
    (whole, _) = LinearProbe(images=60)(context)
    expected = LinearProbe().accuracy(train, test, noisy_data.train.labels, noisy_data.test.labels)
    assert whole.value == expected
