"""One trial: fit, evaluate, leave its files. Knows neither MLflow nor Optuna.

Runs in a process of its own; what it sends through its pipe is for the display, what counts is in
its folder.
"""

from __future__ import annotations

import errno
import io
import json
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, get_args

import numpy as np
import torch

from bench.execute.once import Asked, once
from bench.plan.keys import digest
from bench.plan.machine import hardware
from bench.plan.trials import Trial
from bench.store import Measured, Result, TrialFolder
from tvae import checkpoint, data, registry
from tvae.data import stored
from tvae.data.inputs import with_channels
from tvae.divergences.base import gaussian_kl
from tvae.evaluation.base import Context, Direction, Exploded
from tvae.faultpoints import reach
from tvae.files import write_atomically
from tvae.models.base import Model, build
from tvae.pictures import pictures
from tvae.streams import Streams
from tvae.trainer import Diverged, Record, State, Training, fit

FACTS = "facts.json"
VALIDATION_IMAGES = 100
"""Enough for a curve, few enough that the cheapest model's training takes no 3 % longer."""

CHECKED = 1000
"""Images that a model must make something finite of, before anything is measured."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""Errors of the disk, which say nothing about a trial."""


Emit = Callable[[Record | tuple[str, int, int]], None]
"""Takes records of training, and (what, done, total) of evaluation."""

SELDOM = 0.5
"""Seconds between two words on the progress of evaluation."""


def seldom(emit: Emit) -> Callable[[str, int, int], None]:
    """What tells the progress of evaluation, but not at every turn of a loop."""
    last = 0.0

    def progress(what: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SELDOM:
            last = now
            emit((what, done, total))

    return progress


class Stopped(BaseException):
    """Somebody asked the process to stop; the trial can be continued."""


class Stop:
    """SIGTERM as a wish: to be asked for while training, an exception everywhere else."""

    def __init__(self) -> None:
        self.wished = self.asked_for = False
        signal.signal(signal.SIGTERM, self._wish)

    def _wish(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
        self.wished = True
        if not self.asked_for:
            raise Stopped

    @contextmanager
    def asking(self) -> Iterator[Callable[[], bool]]:
        """Within: the wish waits until somebody asks for it."""
        self.asked_for = True
        yield lambda: self.wished
        self.asked_for = False
        if self.wished:
            raise Stopped


def dataset(source: Mapping[str, Any] | Path) -> data.Dataset:
    """A data set, of the arguments of `tvae.data.load`, or of the folder that it is stored in.

    Raises:
        ValueError: the data are missing or corrupt.
    """
    return stored.read(source) if isinstance(source, Path) else data.load(**source)


def main(
    trial: Trial,
    folder: Path,
    sources: Mapping[str, Mapping[str, Any] | Path],
    keep: str,
    emit: Emit,
) -> None:
    """Run the trial; whatever happens, leave a result.

    Args:
        trial: what to run.
        folder: its folder, which exists.
        sources: label -> what `dataset` takes, the training set first.
        keep: which checkpoints stay: ``last`` (final weights), ``none`` or ``all``.
        emit: is given the records of training as they come, and how far evaluation is.

    Raises:
        OSError: the disk is full or went read-only; there is no result.
    """
    torch.set_num_threads(trial.threads)
    # of full data sets, which are read where they lie on disk; nobody writes to them
    warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
    if trial.device == "cuda":
        repeatable()
    files = TrialFolder(folder)
    files.traceback.unlink(missing_ok=True)
    try:
        result = run(trial, files, sources, keep, emit, Stop())
    except (Diverged, Exploded) as error:
        result = Result("diverged", str(error), trial.evaluation_key)
    except Stopped:
        result = Result("interrupted", "was asked to stop", trial.evaluation_key)
    except Exception as error:  # the boundary of the process: a crash costs this trial alone
        if _is_full(error):
            raise
        write_atomically(files.traceback, traceback.format_exc().encode())
        result = Result("failed", _reason(error), trial.evaluation_key)
    files.write_result(result)


def repeatable() -> None:
    """From here on a GPU computes the same bits every time, in float32 where float32 is said.

    Convolutions would otherwise round what they multiply to TF32's 10 bits.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.allow_tf32 = False


def _is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in FULL


def _reason(error: BaseException) -> str:
    """The error in a line; torch's own for memory on a CPU is a mere RuntimeError."""
    text = f"{type(error).__name__}: {error}"
    memory = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)
    return f"out of memory: {text}" if memory or "can't allocate memory" in text else text


def run(
    trial: Trial,
    files: TrialFolder,
    sources: Mapping[str, Mapping[str, Any] | Path],
    keep: str,
    emit: Emit,
    stop: Stop,
) -> Result:
    """Train where there are no final weights yet, evaluate, and say what was measured.

    Raises:
        Diverged: the loss was not finite.
        Exploded: E(x) is not finite, or a measurement is infinite.
        Stopped: it was asked to.
    """
    device = torch.device(trial.device)
    datasets = {label: dataset(source) for label, source in sources.items()}
    family = registry.families.build(trial.config["family"])
    files.write_recipe(
        {
            "arm": trial.arm,
            "stage": trial.stage,
            "training": dict(trial.training),
            "evaluation": dict(trial.evaluation),
            "machines": files.machines(),
        },
    )
    model, facts = _model(trial, files, next(iter(datasets.values())), family, device, emit, stop)
    started = time.perf_counter()
    context = Asked(
        model=model,
        family=family,
        datasets=datasets,
        split=trial.split,
        seed=trial.seed,
        facts=facts,
        protocol=trial.data["protocol"],
        cache=files.path.parent.parent / "classifiers",
        progress=seldom(emit),
    )
    context.embed("x", context.sample(CHECKED))
    measurements: list[Measured] = []
    unmeasured: dict[str, str] = {}
    metric_seconds: dict[str, float] = {}
    for name, settings in trial.metrics.items():
        reach("metric/begin")
        began = time.process_time()
        try:
            known = {m["name"] for m in measurements}
            measure = partial(_measured, name, settings, context, known)
            if model.seeded:
                measurements += measure()
            else:
                shared = files.path.parent.parent / "references" / f"{_seedless(trial, name)}.json"
                measurements += once(shared, context, measure)
        except (Exception, SystemExit) as error:  # a metric may fail in any way
            if isinstance(error, Exploded | MemoryError) or _is_full(error):
                raise
            unmeasured[name] = _reason(error)
            write_atomically(files.traceback, traceback.format_exc().encode())
        metric_seconds[name] = time.process_time() - began
    if trial.stage == "confirm" and model.generates:
        _write_arrays(files.pictures, pictures(context))
    if context.outcomes:
        _write_arrays(files.clusters, context.outcomes)
    if keep != "all":
        for path in files.path.glob("step-*.safetensors"):
            path.unlink()
    if keep == "none" and model.trains and not unmeasured:  # or it can be measured again
        (files.path / FACTS).unlink()
        (files.path / checkpoint.WEIGHTS).unlink()
    facts.setdefault("seconds", 0.0)
    facts["evaluation_seconds"] = time.perf_counter() - started
    return Result(
        "done",
        evaluation=trial.evaluation_key,
        measurements=measurements,
        facts=facts,
        weights=model.weights,
        unmeasured=unmeasured,
        machines=files.machines() if model.trains else [],
        metric_seconds=metric_seconds,
    )


def _seedless(trial: Trial, metric: str) -> str:
    """Digest of all that a metric of a model that is the same for every seed depends on."""
    training, evaluation = dict(trial.training), dict(trial.evaluation)
    del training["seed"], evaluation["training"]
    return digest({"metric": metric, "training": training, "evaluation": evaluation})


def _measured(
    name: str, settings: Mapping[str, Any], context: Context, known: set[str]
) -> list[Measured]:
    """What a metric gives.

    Args:
        name: of the metric.
        settings: of the metric.
        context: what it measures.
        known: names of measurements that other metrics gave.

    Raises:
        Exploded: a number that has a better side is infinite.
        ValueError: a name comes twice, or a direction is none.
    """
    metric = registry.metrics.make(name, **settings)
    out: list[Measured] = []
    for found in metric(context) if metric.applies_to(context.model) else []:
        if found.name in known:
            raise ValueError(f"the name {found.name} comes twice")
        known.add(found.name)
        if found.direction not in get_args(Direction):
            raise ValueError(f"the direction of {found.name} is {found.direction!r}")
        value = float(found.value)
        if np.isinf(value) and found.direction != "none":
            raise Exploded(f"{found.name} is {value}")
        measured: Measured = {
            "name": str(found.name),
            # JSON has no NaN; None says "not applicable"
            "value": value if np.isfinite(value) else None,
            "unit": str(found.unit),
            "direction": found.direction,
            "source": name,
        }
        if found.warning:
            measured["warning"] = str(found.warning)
        out.append(measured)
    return out


def _write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def _model(
    trial: Trial,
    files: TrialFolder,
    dataset: data.Dataset,
    family: Any,
    device: torch.device,
    emit: Emit,
    stop: Stop,
) -> tuple[Model, dict[str, float]]:
    """The trained model and what its training cost; of one that is not trained, nothing.

    Raises:
        Diverged: the loss was not finite.
        Stopped: it was asked to.
    """
    if trial.role == "reference":
        model = build(trial.config["model"], trial.seed, dataset.shape)
        model.fit(dataset.train.images)
        return model.to(device).eval(), {}
    facts = _trained(files)
    if facts is None:
        _train(trial, files, dataset, family, device, emit, stop)
        facts = _trained(files)
        assert facts is not None
    model = checkpoint.load(files.path, device)
    if device.type == "cpu":  # a third less for convolutions, the same numbers up to rounding
        model.to(memory_format=torch.channels_last)
    return model, facts


def _trained(files: TrialFolder) -> dict[str, float] | None:
    """The facts of a training that ended and left its weights; None where there are none."""
    try:
        facts = json.loads((files.path / FACTS).read_text())
        digest = str(facts.pop("weights"))
        numbers = {str(name): float(value) for name, value in facts.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if checkpoint.intact(files.path, digest):
        return numbers
    files.note(f"the weights in {files.path} were not those that were written; trained again")
    return None


def _train(
    trial: Trial,
    files: TrialFolder,
    dataset: data.Dataset,
    family: Any,
    device: torch.device,
    emit: Emit,
    stop: Stop,
) -> None:
    """Fit from the newest intact checkpoint, leave model and facts.

    Raises:
        Diverged: the loss was not finite.
        Stopped: it was asked to; there is a checkpoint.
    """
    training = Training(**trial.config["trainer"])
    model = build(trial.config["model"], trial.seed, dataset.shape)
    state = State.start(model.to(device), trial.seed)
    saved, corrupt = checkpoint.latest_state(files.path)
    if saved is not None:
        state.load(*saved)
    for path, message in corrupt.items():
        files.note(f"{message}; continued from step {state.step}")
        path.unlink()
    files.trained_on(hardware(device.type), anew=saved is None)
    records = files.records(up_to=state.step)
    files.write_records(records)
    before = records[-1]["seconds"] if records else 0.0

    images = with_channels(dataset.train.images).to(device)
    started = time.perf_counter()
    with files.curve.open("a") as curve, stop.asking() as wished:
        for record in fit(
            state,
            images,
            family,
            training,
            validate=Validation(dataset, trial.seed, device),
            save=lambda state: checkpoint.save_state(files.path, state.step, *state.tensors()),
            stop=wished,
        ):
            record["seconds"] += before
            curve.write(json.dumps(record) + "\n")
            curve.flush()
            reach("curve/end")
            emit(record)
    seconds = before + time.perf_counter() - started
    digest = checkpoint.save_model(files.path, state.model, trial.config["model"])
    files.write_json(
        FACTS,
        {
            "seconds": seconds,
            "steps": training.steps,
            "batch_size": training.batch_size,
            "views": training.views,
            "peak_mib": peak_mib(device),
            "weights": digest,
        },
    )


class Validation:
    """The ELBO of x on a fixed subset of validation images: a curve that all arms share.

    ``elbo = E[log p(x|z_0)] - KL[q_phi(z_0|x), pi]`` in nats per image, one sample each, the same
    images and noise at every call.
    """

    def __init__(self, dataset: data.Dataset, seed: int, device: torch.device) -> None:
        images = dataset.validation.images[:VALIDATION_IMAGES]
        self.x = with_channels(images).to(device).float() / 255
        self.seed = seed

    def __call__(self, model: Model) -> dict[str, float]:
        """``elbo`` and its two parts, ``reconstruction`` and ``kl``."""
        (q,) = model.posteriors([self.x], Streams(self.seed))
        assert q.mean is not None
        assert q.logvar is not None
        zero = torch.zeros_like(q.mean)
        kl = float(gaussian_kl(q.mean, q.logvar, zero, zero).mean())
        reconstruction = -float(model.log_likelihood(q.sample, self.x).mean())
        return {"elbo": -reconstruction - kl, "reconstruction": reconstruction, "kl": kl}


def peak_mib(device: torch.device) -> float:
    """Peak memory in MiB: of the GPU if there is one, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
