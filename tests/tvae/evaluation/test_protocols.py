"""Images that are larger than a model's input, in the three ways that a study can choose.

An embedding of a shrunk image is another one than that of its middle: what classifies embeddings
must see those of the protocol, in the train split and in the held-out one alike.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

import tvae
from tvae.data import Dataset, Split
from tvae.data.inputs import as_input
from tvae.evaluation.base import Context
from tvae.evaluation.knn import KNN
from tvae.evaluation.label_efficiency import LabelEfficiency
from tvae.evaluation.linear_probe import LinearProbe
from tvae.families.rotation import Rotation
from tvae.shapes import GREY_28, ImageShape

SIZES = {"resize": GREY_28, "centre_crop": GREY_28, "native": ImageShape(1, 40, 40)}


def large(seed: int, n: int) -> Split:
    rng = np.random.default_rng(seed)
    return Split(rng.integers(0, 256, (n, 40, 40), dtype=np.uint8), rng.integers(0, 3, n))


@pytest.fixture(scope="module")
def data() -> Dataset:
    return Dataset.of("large", large(0, 120), large(1, 40), large(2, 90))


@pytest.fixture
def context(data, noisy_data, build):
    def context(protocol: str, config=None) -> Context:
        model = build(None) if config is None else tvae.build(config).eval()
        datasets = {"noise": noisy_data, "large": data}
        return Context(model, Rotation(), datasets, "test", 3, protocol=protocol)

    return context


def values(metric, context) -> dict[str, float]:
    return {m.name: m.value for m in metric(context)}


@pytest.mark.parametrize("config", [None, {"name": "pixels"}])
@pytest.mark.parametrize("protocol", SIZES)
def test_the_embeddings_are_those_of_the_protocol(protocol, config, context, data):
    measured = context(protocol, config)
    train, test = (
        measured.model.embed(as_input(split.images, SIZES[protocol], protocol)).numpy()
        for split in (data.train, data.test)
    )
    truth = data.train.labels, data.test.labels
    theirs = KNeighborsClassifier(5, algorithm="brute").fit(train, truth[0])
    expected = theirs.score(test, truth[1])
    assert values(KNN(), measured)["knn/large"] == expected
    linear = LinearProbe().accuracy(train, test, *truth)
    assert values(LinearProbe(), measured)["linear/large"] == linear
    # a set of all images is k-NN
    metric = LabelEfficiency(draws=1)
    metric.sizes = lambda images: [images]
    assert values(metric, measured)["label_efficiency/large/120"] == expected


def test_the_protocols_differ(context):
    for metric in (KNN(), LabelEfficiency(draws=1)):
        found = [values(metric, context(protocol)) for protocol in SIZES]
        parts = [{n: v for n, v in each.items() if "large" in n} for each in found]
        assert parts[0] != parts[1] != parts[2] != parts[0]
        rest = [{n: v for n, v in each.items() if "large" not in n} for each in found]
        assert rest[0] == rest[1] == rest[2], "images of the model's size enter as they are"
