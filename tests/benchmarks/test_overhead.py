"""What the harness costs on top of the optimisation: at most 3 % of a bare loop's time.

Both loops run in one process, turn by turn, so that a busy machine slows both. The harness's part
holds all that a trial does while it trains: records, the validation curve, the curve's file and
checkpoints, as often as in the default budget. Start-up is left out.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
import yaml
from torch import Tensor

from bench.config import REPOSITORY
from bench.trial import Validation
from tvae import checkpoint, data, registry
from tvae.models.base import Model, Views, build
from tvae.trainer import State, Training, batch_order, fit

LIMIT = 1.03
STEPS = 5
QUICK = yaml.safe_load((REPOSITORY / "studies/budgets/quick.yaml").read_text())["trainer"]
TRAINING = Training(**QUICK)
FORM = {"name": "tvae", "coherence": "kl", "prior": "mmd"}
MODELS = {
    "additive": {**FORM, "latent_transform": "additive"},
    "vae": {"name": "autoencoder", "prior": "kl"},
}


@pytest.fixture(scope="module")
def dataset():
    torch.set_num_threads(1)
    return data.load("mnist_small")


def bare(state: State, images: Tensor, family, batches: Tensor) -> None:
    """The same optimisation, as short as it can be written."""
    model = state.model
    for indices in batches:
        x = images[indices].float() / 255
        views = None
        if model.uses_views:
            x_1, x_2, _ = family.views(x, state.streams("views"))
            views = Views(x_1, x_2, invertible=True)
        loss = model.objective(x, views, state.streams)["loss"]
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()


@pytest.mark.parametrize(("name", "rounds"), [("additive", 12), ("vae", 40)])
def test_overhead(benchmark, dataset, tmp_path, name, rounds):
    """Each part's least time over short rounds, put together as the budget has them."""
    images = torch.as_tensor(dataset.train.images).unsqueeze(1)
    family = registry.families.make("rotation_crop")
    # one state for both loops: where its weights lie in memory decides more than 3 %
    model = build({**MODELS[name], "latent_dim": 10}, seed=0).to(memory_format=torch.channels_last)
    state = State.start(model, seed=0)
    batches = batch_order(len(images), TRAINING.batch_size, seed=0, epoch=0)[:STEPS]
    validation = Validation(dataset, 0, torch.device("cpu"))
    spent: dict[str, list[float]] = {"bare": [], "harness": [], "validation": [], "checkpoint": []}

    @contextmanager
    def timed(what: str) -> Iterator[None]:
        started = time.process_time()
        yield
        spent[what].append(time.process_time() - started)

    def validate(model: Model) -> dict[str, float]:
        with timed("validation"):
            return validation(model)

    def save(state: State) -> None:
        with timed("checkpoint"):
            checkpoint.save_state(tmp_path, state.step, *state.tensors())

    training = replace(TRAINING, steps=1000, record_every=STEPS, checkpoint_every=STEPS)
    records = fit(state, images, family, training, validate=validate, save=save)

    def setup() -> None:
        with timed("bare"):
            bare(state, images, family, batches)

    def record() -> None:
        with timed("harness"), (tmp_path / "curve.jsonl").open("a") as curve:
            curve.write(json.dumps(next(records)) + "\n")

    record()  # start-up; from now on a checkpoint and a record in every round
    for times in spent.values():
        times.clear()
    benchmark.pedantic(record, setup=setup, rounds=rounds)

    parts = zip(spent["harness"], spent["validation"], spent["checkpoint"], strict=True)
    loop = min(whole - validated - saved for whole, validated, saved in parts)
    harness = (
        loop / STEPS
        + min(spent["validation"]) / TRAINING.record_every
        + min(spent["checkpoint"]) / TRAINING.checkpoint_every
    )
    ratio = harness / (min(spent["bare"]) / STEPS)
    benchmark.extra_info["ratio"] = round(ratio, 4)
    print(f"\n{name}: {ratio:.4f} of a bare loop's time")
    assert ratio <= LIMIT
