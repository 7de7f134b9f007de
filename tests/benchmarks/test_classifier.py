"""How long the frozen classifier of ``label_kept`` takes to train, and how much it then knows.

One for each study: as the study's budget trains it. The full data sets are measured where there is
a folder with them: ``TVAE_DATA_ROOT=FOLDER``.
"""

from __future__ import annotations

import os
import time

import pytest
import torch
import yaml

from bench.study.schema import REPOSITORY
from tvae import data
from tvae.evaluation._classifier import classifier, recognised
from tvae.registry import families
from tvae.streams import Streams


def steps(budget: str) -> int:
    content = yaml.safe_load((REPOSITORY / f"studies/budgets/{budget}.yaml").read_text())
    return int(content["metrics"]["label_kept"]["steps"])


def full(name: str) -> data.Dataset:
    try:
        return data.load(name, root=os.environ.get("TVAE_DATA_ROOT"))
    except data.MissingData:
        pytest.skip(f"needs the full {name}: set TVAE_DATA_ROOT to a folder that has it")


@pytest.mark.parametrize(
    ("name", "budget", "least"),
    [
        ("mnist_small", "quick", 0.95),
        ("fashion_mnist_small", "quick", 0.8),
        ("mnist", "standard", 0.98),
        ("fashion_mnist", "standard", 0.87),
    ],
)
def test_training(benchmark, name, budget, least):
    torch.set_num_threads(1)
    known = data.load(name) if name.endswith("small") else full(name)
    family = families.make("rotation_crop")
    arguments = (known, family, steps(budget), torch.device("cpu"))
    started = time.process_time()
    network = benchmark.pedantic(classifier, arguments, rounds=1)
    seconds = time.process_time() - started
    images = torch.tensor(known.test.images)[:, None].float() / 255
    labels = torch.tensor(known.test.labels)
    turned = family.apply(images, family.draw(len(images), Streams(0)("benchmark")))
    found = {"as they are": recognised(network, images, labels),
             "transformed": recognised(network, turned, labels)}  # fmt: skip
    benchmark.extra_info["accuracy"] = found
    print(
        f"\n{name}, {steps(budget)} steps: {seconds:.1f} s of one core; test accuracy "
        f"{found['as they are']:.4f} as they are, {found['transformed']:.4f} transformed"
    )
    assert found["as they are"] > least
