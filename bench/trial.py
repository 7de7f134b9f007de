"""One trial: fit, evaluate, leave its files. Knows neither MLflow nor Optuna.

Runs in a process of its own; what it sends through its pipe is for the display, what counts is in
its folder.
"""

from __future__ import annotations

import io
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.plan import Trial
from bench.store import Result, TrialFolder
from tvae import checkpoint, data, registry
from tvae.divergences.base import gaussian_kl
from tvae.evaluation.base import Context
from tvae.files import write_atomically
from tvae.models.base import Model, bernoulli_nll, build
from tvae.pictures import pictures
from tvae.streams import Streams
from tvae.trainer import Diverged, Record, State, Training, fit

VALIDATION_IMAGES = 100
"""Enough for a curve, few enough that the cheapest model's training takes no 3 % longer."""


def main(
    trial: Trial,
    folder: Path,
    sources: dict[str, dict[str, Any]],
    keep: str,
    emit: Callable[[Record], None],
) -> None:
    """Run the trial; whatever happens, leave a result.

    Args:
        trial: what to run.
        folder: its folder, which exists.
        sources: label -> arguments of `tvae.data.load`, the training set first.
        keep: which checkpoints stay: ``last`` (final weights), ``none`` or ``all``.
        emit: is given the records of training as they come.
    """
    torch.set_num_threads(trial.threads)
    if trial.device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    files = TrialFolder(folder)
    files.traceback.unlink(missing_ok=True)
    try:
        result = run(trial, files, sources, keep, emit)
    except Diverged as error:
        result = Result("diverged", str(error), trial.evaluation_key)
    except Exception as error:  # the boundary of the process: a crash costs this trial alone
        write_atomically(files.traceback, traceback.format_exc().encode())
        reason = f"{type(error).__name__}: {error}"
        result = Result("failed", reason, trial.evaluation_key)
    files.write_result(result)


def run(
    trial: Trial,
    files: TrialFolder,
    sources: dict[str, dict[str, Any]],
    keep: str,
    emit: Callable[[Record], None],
) -> Result:
    """Train where there are no final weights yet, evaluate, and say what was measured.

    Raises:
        Diverged: the loss was not finite.
    """
    device = torch.device(trial.device)
    datasets = {label: data.load(**source) for label, source in sources.items()}
    family = registry.families.build(trial.config["family"])
    files.write_json(
        "trial.json",
        {"training": dict(trial.training), "evaluation": dict(trial.evaluation), "arm": trial.arm},
    )
    notes: list[str] = []
    if not (files.path / "facts.json").exists():
        train = next(iter(datasets.values()))
        notes = _train(trial, files, train, family, device, emit)
    facts = json.loads((files.path / "facts.json").read_text())
    context = Context(
        model=checkpoint.load(files.path, device),
        family=family,
        datasets=datasets,
        split=trial.split,
        seed=trial.seed,
        facts=facts,
        protocol=trial.data["protocol"],
    )
    measurements = [
        {**asdict(measured), "source": name}
        for name, settings in trial.metrics.items()
        for measured in registry.metrics.make(name, **settings)(context)
    ]
    for measured in measurements:
        # JSON has no NaN; None says "not applicable"
        if not np.isfinite(measured["value"]):
            measured["value"] = None
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **pictures(context))  # type: ignore[arg-type]
    write_atomically(files.pictures, buffer.getvalue())
    if keep != "all":
        for path in files.path.glob("step-*.safetensors"):
            path.unlink()
    if keep == "none":
        (files.path / checkpoint.WEIGHTS).unlink()
        (files.path / "facts.json").unlink()
    return Result(
        "done",
        evaluation=trial.evaluation_key,
        measurements=measurements,
        facts=facts,
        notes=notes,
    )


def _train(
    trial: Trial,
    files: TrialFolder,
    dataset: data.Dataset,
    family: Any,
    device: torch.device,
    emit: Callable[[Record], None],
) -> list[str]:
    """Fit from the newest intact checkpoint, leave model and facts; returns notes."""
    training = Training(**trial.config["trainer"])
    model = build(trial.config["model"], seed=trial.seed).to(device)
    # convolutions on a CPU are faster on this layout, whatever the weights
    model = model.to(memory_format=torch.channels_last)
    state = State.start(model, trial.seed)
    saved, corrupt = checkpoint.latest_state(files.path)
    if saved is not None:
        state.load(*saved)
    records = files.records(up_to=state.step)
    files.write_records(records)
    before = records[-1]["seconds"] if records else 0.0

    images = torch.as_tensor(dataset.train.images).unsqueeze(1).to(device)
    started = time.perf_counter()
    with files.curve.open("a") as curve:
        for record in fit(
            state,
            images,
            family,
            training,
            validate=Validation(dataset, trial.seed, device),
            save=lambda state: checkpoint.save_state(files.path, state.step, *state.tensors()),
        ):
            record["seconds"] += before
            curve.write(json.dumps(record) + "\n")
            curve.flush()
            emit(record)
    seconds = before + time.perf_counter() - started
    checkpoint.save_model(files.path, model, trial.config["model"])
    files.write_json(
        "facts.json",
        {
            "seconds": seconds,
            "steps": training.steps,
            "batch_size": training.batch_size,
            "peak_mib": peak_mib(device),
        },
    )
    return [f"{message}; the one before was used" for message in corrupt]


class Validation:
    """The ELBO of x on a fixed subset of validation images: a curve that all arms share.

    ``elbo = E[log p(x|z_0)] - KL[q_phi(z_0|x), pi]`` in nats per image, one sample each, the same
    images and noise at every call.
    """

    def __init__(self, dataset: data.Dataset, seed: int, device: torch.device) -> None:
        images = dataset.validation.images[:VALIDATION_IMAGES]
        self.x = torch.as_tensor(images).unsqueeze(1).to(device).float() / 255
        self.seed = seed

    def __call__(self, model: Model) -> dict[str, float]:
        """``elbo`` and its two parts, ``reconstruction`` and ``kl``."""
        (q,) = model.posteriors([self.x], Streams(self.seed))
        assert q.mean is not None
        assert q.logvar is not None
        zero = torch.zeros_like(q.mean)
        kl = float(gaussian_kl(q.mean, q.logvar, zero, zero).mean())
        reconstruction = float(bernoulli_nll(model.decoder(q.sample), self.x).mean())
        return {"elbo": -reconstruction - kl, "reconstruction": reconstruction, "kl": kl}


def peak_mib(device: torch.device) -> float:
    """Peak memory in MiB: of the GPU if there is one, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
