"""What is measured on a GPU is what a CPU measures, up to the rounding of float32."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import tvae
from tvae import data, registry
from tvae.data import Dataset, Split
from tvae.evaluation._neighbours import nearest
from tvae.evaluation.base import Context
from tvae.evaluation.likelihood import log_weights
from tvae.streams import Streams

D = 8
TVAE = {"name": "tvae", "latent_dim": D, "hidden": 32, "latent_transform": "matrix",
        "coherence": "kl", "prior": "mmd", "T_dim": 2, "w_prior_T": 1.0}  # fmt: skip
CPU = torch.device("cpu")


@pytest.mark.parametrize("spread", [1.0, 1e-4, 0.0])
@pytest.mark.parametrize("sizes", [None, [100, 1000]])
def test_neighbours_are_the_same_set(device, spread, sizes):
    """Exact by what they promise: also of points that nearly coincide, and of ones that do."""
    noise = torch.Generator().manual_seed(0)
    train = torch.randn(3000, D, generator=noise)
    train[::2] = 100 + spread * train[::2]
    test = train[:200] + 0.01 * torch.randn(200, D, generator=noise)
    expected = nearest(train, test, 5, sizes)
    found = nearest(train.to(device), test.to(device), 5, sizes)
    assert all(
        torch.equal(ours.cpu(), theirs) for ours, theirs in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("k", [7, 2500])
def test_importance_weights_agree(device, k):
    """In nats of some hundreds: 1e-3 is a few units in the last place of float32."""
    x = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))

    def logarithms(device, decodes) -> torch.Tensor:
        model = tvae.build(TVAE, 0).to(device).eval()
        tiles = log_weights(model, x.to(device), k, Streams(3), decodes)
        sums = [tile.cpu() for tile in tiles]
        per_image = (
            torch.cat([tile.flatten() for tile in sums])
            if k < 1000
            else torch.cat([tile.logsumexp(1) for tile in sums])
        )
        return per_image

    # tiles of one size, so that both have them in one order
    torch.testing.assert_close(
        logarithms(device, 1000), logarithms(CPU, 1000), rtol=1e-5, atol=1e-3
    )


def datasets() -> dict[str, Dataset]:
    def few(split: Split) -> Split:
        return Split(np.array(split.images[:300]), np.array(split.labels[:300]))

    whole = data.load("mnist_small")
    return {"mnist": Dataset.of("mnist", *map(few, (whole.train, whole.validation, whole.test)))}


@pytest.fixture(scope="module")
def trained() -> dict[str, torch.Tensor]:
    """Weights after some steps on the CPU, so that what is measured is not all noise."""
    from tvae.trainer import State, Training, fit

    images = torch.tensor(datasets()["mnist"].train.images)[:, None]
    state = State.start(tvae.build(TVAE, 0), 0)
    list(fit(state, images, registry.families.make("rotation"), Training(60, 32)))
    return state.model.state_dict()


@pytest.mark.parametrize("name", registry.metrics.names())
def test_every_metric_agrees(device, name, trained):
    """Of one model: the same names, and numbers within 5 %, or 0.1 where they are shares.

    Classifiers and logistic regressions inside make a last digit larger, so this is about a wrong
    device and a wrong row, not about digits.
    """
    pytest.importorskip("sklearn")
    few = {"images": 100, "k": 10, "draws": 4, "candidates": 10, "steps": 50, "iterations": 20,
           "fit": 100}  # fmt: skip
    known = registry.options_of(registry.metrics.get(name))
    settings = {option: value for option, value in few.items() if option in known}

    def measured(device) -> dict[str, float]:
        model = tvae.build(TVAE, 0)
        model.load_state_dict(trained)
        facts = {"seconds": 2.0, "steps": 30, "batch_size": 10, "peak_mib": 5.0, "views": 2}
        context = Context(
            model.to(device).eval(), registry.families.make("rotation"), datasets(), "test", 0,
            facts,
        )  # fmt: skip
        metric = registry.metrics.make(name, **settings)
        return {m.name: m.value for m in metric(context)} if metric.comparable else {}

    ours, theirs = measured(device), measured(CPU)
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        assert math.isnan(ours[key]) == math.isnan(value), key
        if not math.isnan(value):
            assert abs(ours[key] - value) <= max(0.1, 0.05 * abs(value)), key
