"""Accuracy with few labels against scikit-learn's classifier, fitted set by set.

The metric computes all sets of a draw at once; a mistake in which images belong to which set would
look like a better or worse embedding in Fig. 2.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

import tvae
from tvae.data import Dataset
from tvae.data.records import Split
from tvae.evaluation.base import Context
from tvae.evaluation.label_efficiency import LabelEfficiency, mean_over_log
from tvae.families.rotation import Rotation
from tvae.streams import Streams


def bright(seed: int, n: int) -> Split:
    """Noise that is brighter in the rows of its label, so that labels can be told."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n)
    images = rng.integers(0, 100, (n, 28, 28))
    for image, label in zip(images, labels, strict=True):
        image[7 * label : 7 * label + 7] += rng.integers(0, 100)
    return Split(images.astype(np.uint8), labels)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return Dataset.of("bright", bright(0, 230), bright(1, 60), bright(2, 90))


@pytest.fixture
def context(build, data):
    def context(arm=None, **changes):
        fixed = {"family": Rotation(), "datasets": {"a": data, "b": data}, "split": "test"}
        model = build(None) if arm is None else arm
        return Context(model, **{"seed": 7, **fixed, **changes})

    return context


def values(metric, context) -> dict[str, float]:
    return {m.name: m.value for m in metric(context)}


@pytest.mark.parametrize("k", [1, 5])
def test_it_is_scikit_learn_fitted_on_every_set(context, k):
    measured, draws = context(), 4
    found = values(LabelEfficiency(k, draws), measured)
    for label, data in measured.datasets.items():
        train, test = (measured.model.embed(s.images).numpy() for s in (data.train, data.test))
        orders = Streams(7)(f"evaluation/labelled/{label}")
        scores = {n: [] for n in (10, 20, 50, 100, 200)}
        for _ in range(draws):
            order = torch.randperm(230, generator=orders).numpy()
            for n, of in scores.items():
                chosen = order[:n]
                theirs = KNeighborsClassifier(k, algorithm="brute")
                theirs.fit(train[chosen], data.train.labels[chosen])
                of.append(theirs.score(test, data.test.labels))
        for n, of in scores.items():
            assert found[f"label_efficiency/{label}/{n}"] == pytest.approx(np.mean(of), abs=1e-12)
        assert f"label_efficiency/{label}/500" not in found
        curve = [np.mean(of) for of in scores.values()]
        expected = mean_over_log(list(scores), np.array(curve))
        assert found[f"label_efficiency/{label}"] == pytest.approx(expected)
        assert np.std(curve) > 0.01, "a curve that does not rise shows nothing"


def test_the_summary_is_the_mean_over_the_logarithm():
    """Of a curve that rises with log n, the value half way; of a step, by where the step is."""
    sizes = [10, 20, 50, 100, 1000]
    assert mean_over_log(sizes, np.log10(sizes)) == pytest.approx(2)
    assert mean_over_log([1, 10, 1000], np.array([0, 0, 1.0])) == pytest.approx(1 / 3)
    assert mean_over_log([10], np.array([0.3])) == 0.3


def test_arms_of_a_seed_have_the_same_sets_and_seeds_others(context):
    metric, config = LabelEfficiency(draws=2), {"latent_dim": 4}
    tied = {"latent_transform": "additive", "coherence": "kl", "prior": "kl", "hidden": 8}
    plain, arm = (
        tvae.build(config | options).eval()
        for options in ({"name": "autoencoder"}, {"name": "tvae", **tied})
    )
    first, again = (values(metric, context(model)) for model in (plain, arm))
    other = values(metric, context(plain, seed=8))
    assert first == again, "encoders of one seed start alike"
    assert first != other
    assert first["label_efficiency/a/10"] != first["label_efficiency/b/10"]
    alone = context(plain)
    alone.datasets = {"b": alone.datasets["b"]}
    assert values(metric, alone).items() <= first.items()


def test_more_draws_keep_the_first(context):
    one, two = (
        values(LabelEfficiency(draws=d), context())["label_efficiency/a/50"] for d in (1, 2)
    )
    orders = Streams(7)("evaluation/labelled/a")
    torch.randperm(230, generator=orders)
    assert one != two
    assert abs(2 * two - one) <= 1


def test_sets_that_there_are_not(context, data):
    assert LabelEfficiency(5).sizes(8000) == [10, 20, 50, 100, 200, 500, 1000, 2000, 5000]
    assert LabelEfficiency(50).sizes(10_000)[0] == 50
    assert LabelEfficiency(5).sizes(10**6)[-1] == 10_000
    for k, images in ((5, 9), (60, 50)):
        with pytest.raises(ValueError, match=f"no n for k = {k} and {images} train images"):
            LabelEfficiency(k).sizes(images)
    empty = Dataset.of("empty", data.train, data.validation, Split(*(
        array[:0] for array in (data.test.images, data.test.labels))))  # fmt: skip
    with pytest.raises(ValueError, match="no test point"):
        LabelEfficiency()(context(datasets={"empty": empty}))


def test_progress_is_that_of_all_draws(context):
    told: list[tuple[str, int, int]] = []
    measured = context(progress=lambda *progress: told.append(progress))
    LabelEfficiency(draws=3)(measured)
    mine = [t for t in told if t[0] == "label_efficiency/a"]
    assert mine[-1][1] == mine[-1][2] == 3 * 200 * 90
    assert [done for _, done, _ in mine] == sorted(done for _, done, _ in mine)
    assert ("embedding a", 230, 230) in told
