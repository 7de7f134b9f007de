"""How long trials take: from those that have ended, or else from a step measured now."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from bench.plan.progress import Ending
from bench.plan.trials import Trial
from bench.study.schema import Data
from bench.study.setup import Study

STEPS = 3
"""Steps that are run to measure one; the first warms up and does not count."""

DECODES = EMBEDS = 1000
"""Latents that are decoded, and images that are embedded, to measure one."""

AROUND = 2.0
"""Seconds that a trial takes besides its steps and decodes: data, pictures, files."""


@dataclass(frozen=True)
class Speed:
    """Of an arm on this machine: seconds per step, latent that is decoded, image embedded."""

    step: float
    decode: float
    embed: float = 0.0


class Estimate:
    """Seconds that trials of a study take.

    Args:
        study: resolved.
        endings: trials that have ended are the best measure of those to come.
    """

    def __init__(self, study: Study, endings: Iterable[Ending] = ()) -> None:
        self.study = study
        self.speeds: dict[str, Speed] = {}
        self.seen: dict[tuple[str, str], list[float]] = {}
        for ending in endings:
            self.learn(ending)

    def learn(self, ending: Ending) -> None:
        """Take into account how long a trial took."""
        facts = ending.result.facts
        if ending.result.status == "done" and {"seconds", "evaluation_seconds"} <= {*facts}:
            took = facts["seconds"] + facts["evaluation_seconds"] + AROUND
            key = ending.trial.arm, ending.trial.stage
            # of the same arm and stage only the hyperparameters differ
            self.seen.setdefault(key, []).append(took)

    def seconds(self, trial: Trial) -> float:
        """That one trial takes from its start to its end, alone on its cores."""
        seen = self.seen.get((trial.arm, trial.stage))
        if seen:
            return sum(seen) / len(seen)
        if trial.arm not in self.speeds:
            self.speeds[trial.arm] = self._speed(trial)
        speed = self.speeds[trial.arm]
        evaluation = _decodes(trial) * speed.decode + embedded(self.study, trial) * speed.embed
        return trial.steps * speed.step + evaluation + AROUND

    def _speed(self, trial: Trial) -> Speed:
        try:
            return measure(self.study, trial)
        except Exception:  # what breaks here breaks in its trial, which says why
            return Speed(0.0, 0.0)


def _decodes(trial: Trial) -> int:
    """Latents that the trial's metrics decode."""
    from tvae import registry

    return sum(
        registry.metrics.make(name, **settings).decodes()
        for name, settings in trial.metrics.items()
    )


def embedded(study: Study, trial: Trial) -> int:
    """Images that the trial's metrics embed: all of its data sets, to fit on and to test on."""
    from tvae import registry

    if not any(registry.metrics.get(name).embeds for name in trial.metrics):
        return 0
    data = study.setups[trial.arm].data
    sizes = map(data.images, data.labels)
    return sum(of[split] for of in sizes for split in ("train", trial.split))


def measure(study: Study, trial: Trial) -> Speed:
    """The speed of a trial's model on this machine, from a few steps on real images."""
    import torch

    from tvae import registry
    from tvae.models.base import build
    from tvae.trainer import State, Training, fit

    torch.set_num_threads(trial.threads)
    device = torch.device(trial.device)
    setup = study.setups[trial.arm]
    model = build(trial.config["model"], seed=0, shape=setup.shape).to(device)
    embed = _embedding(setup.data, model, device)
    if trial.role == "reference":
        return Speed(0.0, 0.0, embed)
    images = _images(json.dumps(study.data.source(trial.data["train"]))).to(device)
    training = Training(**{**trial.config["trainer"], "steps": STEPS, "record_every": 1})
    state = State.start(model, 0)
    family = registry.families.build(trial.config["family"])
    marks = [_now(device) for _ in fit(state, images, family, training)]

    x = images[:1].float() / 255
    z = torch.zeros(DECODES, trial.config["model"]["latent_dim"], device=device)
    began = _now(device)
    with torch.no_grad():
        state.model.log_likelihood(z, x.expand(DECODES, -1, -1, -1))
    decode = (_now(device) - began) / DECODES
    return Speed((marks[-1] - marks[0]) / (STEPS - 1), decode, embed)


def _embedding(data: Data, model: Any, device: Any) -> float:
    """Seconds to bring an image of the largest data set into the model's size and embed it."""
    import numpy as np
    import torch

    from tvae.data.inputs import as_input

    largest = max(data.labels, key=lambda label: data.images(label)["train"])
    shape = data.shape(largest)
    images = np.zeros((EMBEDS, *shape), np.uint8)
    began = _now(device)
    with torch.no_grad():
        read = shape if data.protocol == "native" else model.shape
        model.embed(as_input(images, read, data.protocol))
    return (_now(device) - began) / EMBEDS


def _now(device: Any) -> float:
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize()
    return time.perf_counter()


@cache
def _images(source: str) -> Any:
    from tvae import data
    from tvae.data.inputs import with_channels

    return with_channels(data.load(**json.loads(source)).train.images)
