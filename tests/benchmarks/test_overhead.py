"""What the harness costs on top of the optimisation, in times of a bare loop.

Both loops train one model in one process, turn by turn, so that a busy machine and the place of
the weights in memory slow both. The harness's part holds all that a trial does while it trains:
records, the validation curve, the curve's file and checkpoints, as often as in the default budget.
Start-up is left out. The baseline VAE has the cheapest step, so that it shows most.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from bench.execute.trial import Validation
from bench.study.schema import REPOSITORY
from tvae import checkpoint, data, registry
from tvae.models.base import Views, build
from tvae.trainer import State, Training, batch_order, fit

QUICK = yaml.safe_load((REPOSITORY / "studies/budgets/quick.yaml").read_text())["trainer"]
MODELS = {
    "additive": {"name": "tvae", "coherence": "kl", "prior": "mmd", "latent_transform": "additive"},
    "vae": {"name": "autoencoder", "prior": "kl"},
}


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


@pytest.mark.parametrize(("name", "rounds"), [("additive", 50), ("vae", 150)])
def test_overhead(benchmark, tmp_path, name, rounds):
    """A step of each loop in turn; what comes with every record or checkpoint is timed by itself.

    Neighbours on a machine disturb for seconds, so that only short turns disturb both loops alike.
    """
    torch.set_num_threads(1)
    dataset = data.load("mnist_small")
    images = torch.as_tensor(dataset.train.images).unsqueeze(1)
    family = registry.families.make("rotation_crop")
    model = build({**MODELS[name], "latent_dim": 10}, seed=0).to(memory_format=torch.channels_last)
    state = State.start(model, seed=0)
    quick = Training(**QUICK)
    batches = batch_order(len(images), quick.batch_size, seed=0, epoch=0)
    records = fit(state, images, family, replace(quick, steps=10_000, record_every=1))
    validation = Validation(dataset, 0, torch.device("cpu"))
    spent: dict[str, list[float]] = {"bare": [], "harness": [], "record": [], "checkpoint": []}

    @contextmanager
    def timed(what: str) -> Iterator[None]:
        started = time.process_time()
        yield
        spent[what].append(time.process_time() - started)

    def setup() -> None:
        with timed("bare"):
            bare(state, images, family, batches[:1])

    def step() -> None:
        with timed("harness"):
            next(records)

    bare(state, images, family, batches[:2])  # start-up
    benchmark.pedantic(step, setup=setup, rounds=rounds)
    for _ in range(7):
        with timed("record"), torch.no_grad(), (tmp_path / "curve.jsonl").open("a") as curve:
            curve.write(json.dumps(validation(model)) + "\n")
        with timed("checkpoint"):
            checkpoint.save_state(tmp_path, state.step, *state.tensors())

    median = {what: float(np.median(times)) for what, times in spent.items()}
    loop = float(np.median(np.array(spent["harness"]) / np.array(spent["bare"])))
    now_and_then = (
        median["record"] / quick.record_every + median["checkpoint"] / quick.checkpoint_every
    )
    ratio = loop + now_and_then / median["bare"]
    benchmark.extra_info["ratio"] = round(ratio, 4)
    print(f"\n{name}: {ratio:.4f} of a bare loop's time ({loop:.4f} without the curve's points)")
