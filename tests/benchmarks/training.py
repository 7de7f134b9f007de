"""What a training learns in the same CPU time: ``python -m tests.benchmarks.training BUDGET``.

For ``quick`` the forms of the default study, on embedded digits and their rotations, in about a
minute of one core; for ``standard`` a shift on the full Fashion-MNIST (``TVAE_DATA_ROOT=FOLDER``)
with rotations and crops, in about four; for ``mmd`` the same under the MMD between marginals. Told
are the CPU seconds of training, the ELBO of 2,000 validation images, the share of decoded test
images that a classifier gives their label, whether T acts, and the spread of T, which is 0 where
h_xi has died. More words, such as ``batch_size=16 steps=700 learning_rate=8e-3``, are one more
training in the place of the list.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import torch

import tvae
from bench.arguments import parse
from bench.execute.local import MALLOC
from tvae import data, registry
from tvae.data.inputs import with_channels
from tvae.divergences.base import gaussian_kl
from tvae.evaluation._classifier import classifier, recognised
from tvae.evaluation.act import Act
from tvae.evaluation.base import Context
from tvae.evaluation.probe import ProbeT
from tvae.models.base import Model
from tvae.streams import Streams
from tvae.trainer import State, Training, fit

Setting = dict[str, Any]
SHORT: Setting = {"batch_size": 16, "steps": 900, "learning_rate": 8e-3, "warm_up": 300}
LONG: Setting = {"batch_size": 32, "steps": 2500, "learning_rate": 4e-3, "warm_up": 200}
BUDGETS: dict[str, dict[str, Any]] = {
    "quick": {
        "data": "mnist_small",
        "family": {"name": "rotation", "max_angle": 60},
        "model": {"latent_dim": 16, "T_dim": 2, "coherence": "kl", "prior": "kl"},
        "forms": ["additive", "matrix"],
        "trainings": [
            {"batch_size": 32, "steps": 650, "learning_rate": 1e-3},
            {"batch_size": 32, "steps": 650, "learning_rate": 2e-3},
            {"batch_size": 32, "steps": 650, "learning_rate": 4e-3},
            {"batch_size": 32, "steps": 650, "learning_rate": 8e-3},
            {"batch_size": 16, "steps": 1000, "learning_rate": 4e-3},
            {"batch_size": 16, "steps": 1000, "learning_rate": 7e-3},
            {"batch_size": 8, "steps": 1500, "learning_rate": 3e-3},
            {"batch_size": 16, "steps": 900, "learning_rate": 3e-3, "warm_up": 50},
            {"batch_size": 16, "steps": 900, "learning_rate": 4e-3, "warm_up": 50},
            {"batch_size": 16, "steps": 900, "learning_rate": 6e-3, "warm_up": 200},
            SHORT,
            {"batch_size": 16, "steps": 900, "learning_rate": 12e-3, "warm_up": 400},
            {**SHORT, "schedule": "constant"},
        ],
    },
    "standard": {
        "data": "fashion_mnist",
        "family": {"name": "rotation_crop"},
        "model": {"latent_dim": 10, "coherence": "kl", "prior": "kl"},
        "forms": ["additive"],
        "trainings": [
            {"batch_size": 100, "steps": 1050, "learning_rate": 1e-3},
            {"batch_size": 100, "steps": 1050, "learning_rate": 4e-3, "warm_up": 200},
            {"batch_size": 32, "steps": 2500, "learning_rate": 2e-3, "warm_up": 200},
            LONG,
            {**LONG, "schedule": "constant"},
            {**LONG, "schedule": "halving", "halve_every": 1},
            {"batch_size": 16, "steps": 4000, "learning_rate": 3e-3, "warm_up": 300},
        ],
    },
    "mmd": {
        "data": "fashion_mnist",
        "family": {"name": "rotation_crop"},
        "model": {"latent_dim": 10, "coherence": "mmd", "prior": "mmd"},
        "forms": ["additive"],
        "trainings": [
            {"batch_size": 16, "steps": 4000, "learning_rate": 3e-3, "warm_up": 300},
            LONG,
            {"batch_size": 64, "steps": 1500, "learning_rate": 4e-3, "warm_up": 200},
            {"batch_size": 100, "steps": 1050, "learning_rate": 4e-3, "warm_up": 200},
            {"batch_size": 200, "steps": 550, "learning_rate": 4e-3, "warm_up": 200},
        ],
    },
}


@torch.no_grad()
def elbo(model: Model, images: torch.Tensor) -> float:
    """E[log p(x|z)] - KL[q(z|x), pi], a sample each, nats per image."""
    (q,) = model.posteriors([images], Streams(9))
    assert q.mean is not None
    assert q.logvar is not None
    zero = torch.zeros_like(q.mean)
    reconstruction = -model.log_likelihood(q.sample, images)
    return -float((reconstruction + gaussian_kl(q.mean, q.logvar, zero, zero)).mean())


def learned(budget: dict[str, Any], form: str, setting: Setting) -> dict[str, float]:
    """What one training comes to."""
    dataset = data.load(budget["data"], root=os.environ.get("TVAE_DATA_ROOT"))
    family = registry.families.build(budget["family"])
    config = {"name": "tvae", "latent_transform": form, **budget["model"]}
    state = State.start(tvae.build(config, 0), 0)
    images = with_channels(dataset.train.images)
    began = time.process_time()
    for _ in fit(state, images, family, Training(**{"wide_rate": 0.1, **setting})):
        pass
    found = {"CPU s": time.process_time() - began}
    model = state.model.eval()
    context = Context(model, family, {"own": dataset}, "test", seed=0)
    x, test = (
        with_channels(split.images[:2000]).float() / 255
        for split in (dataset.validation, dataset.test)
    )
    judge = classifier(dataset, family, 600, torch.device("cpu"))
    labels = torch.tensor(dataset.test.labels[:2000])
    found["ELBO"] = elbo(model, x)
    with torch.no_grad():
        found["label kept"] = recognised(judge, model.generate(model.embed(test)), labels)
    for metric in (Act(images=300, fit=2000), ProbeT()):
        found |= {one.name: one.value for one in metric(context)}
    return found


def main() -> None:
    """Print a line for each training."""
    torch.set_num_threads(1)
    if any(name not in os.environ for name in MALLOC):  # as trials have it
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **MALLOC})
    budget = BUDGETS[sys.argv[1] if len(sys.argv) > 1 else "quick"]
    (setting, _) = parse(sys.argv[2:], [])
    for trained in [setting] if setting else budget["trainings"]:
        for form in budget["forms"]:
            found = learned(budget, form, trained)
            told = ("CPU s", "ELBO", "label kept", "act/mrr", "act/gain", "T/r2", "T/spread")
            said = " ".join(f"{name}={value}" for name, value in trained.items())
            print(f"{said} {form}:", ", ".join(f"{n} {found[n]:.3g}" for n in told), flush=True)


if __name__ == "__main__":
    main()
