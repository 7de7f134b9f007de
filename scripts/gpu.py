"""What a GPU makes of this project, on a machine that has torch and no network.

    python scripts/gpu.py pack                # here: the wheels that are missing there, into .whl/
    python scripts/gpu.py run OUT             # there, in this checkout: tests/gpu and timings

OUT gets ``results.json``, ``results.md`` and ``tests.txt``. All is over after `--minutes`; the
paper's training goes on for as long as they leave. ``--device cpu`` rehearses it where there is no
GPU: tiny, and no number of it means a thing. Exit status: 0; 1 a test or a timing failed; 2 there
is no GPU.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
WHEELS = REPOSITORY / ".whl"

WANTED = ("safetensors", "filelock", "pydantic", "pyyaml", "omegaconf", "pytest")
"""What training, trials and tests/gpu import besides torch, torchvision and numpy."""

WHOLE = ("rich", "optuna", "cmaes")
"""Small ones that a whole study needs besides; where the large ones (pandas, pyarrow, scikit-learn,
seaborn) are not there, its test is skipped, and so are metrics that fit with scikit-learn."""

LARGE = {"numpy", "torch", "torchvision"}
PYTHONS = ("3.11", "3.12")
MOST_MIB = 60
GLIBC = ("2_28", "2_27", "2_17", "2_5")

Result = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How much is timed: little of it in a rehearsal."""

    batches: tuple[int, ...] = (32, 100)
    steps: int = 100
    repeats: int = 9
    trial_steps: int = 300
    at_once: tuple[int, ...] = (1, 2, 4, 8)


REHEARSAL = Size((8,), 2, 2, 4, (1, 2))


# --- here: wheels --------------------------------------------------------------------------------


def pack(also: Sequence[str], pythons: Sequence[str]) -> int:
    """Fill ``.whl/`` from the package index; returns the exit status."""
    shutil.rmtree(WHEELS, ignore_errors=True)
    platforms = [f"--platform=manylinux_{version}_x86_64" for version in GLIBC]
    platforms += ["--platform=manylinux2014_x86_64", "--platform=manylinux1_x86_64"]
    for python in pythons:
        subprocess.run(
            [
                sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:", "-d", WHEELS,
                f"--python-version={python}", *platforms, *WANTED, *WHOLE, *also,
            ],
            check=True,
        )  # fmt: skip
    for wheel in WHEELS.iterdir():
        if wheel.name.partition("-")[0].lower() in LARGE:
            wheel.unlink()
    mib = sum(wheel.stat().st_size for wheel in WHEELS.iterdir()) / 2**20
    print(f"{len(list(WHEELS.iterdir()))} wheels, {mib:.1f} MiB, in {WHEELS}")
    if mib > MOST_MIB:
        print(f"that is more than {MOST_MIB} MiB; leave something out", file=sys.stderr)
    return int(mib > MOST_MIB)


def unpacked(folder: Path) -> dict[str, str]:
    """An environment for Python with what is in ``.whl/`` and not on this machine, in `folder`."""
    there = {
        (distribution.metadata["Name"] or "").lower().replace("_", "-")
        for distribution in importlib.metadata.distributions()
    }
    names = {wheel.name.partition("-")[0].lower().replace("_", "-") for wheel in WHEELS.glob("*")}
    # an old one of these is there wherever torch is, and others want a newer one
    missing = sorted(names - there | names & {"typing-extensions"})
    if missing:
        subprocess.run(
            [
                sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps",
                "--no-compile", "--find-links", WHEELS, "--target", folder, *missing,
            ],
            check=True,
        )  # fmt: skip
    path = [str(REPOSITORY), str(folder), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path)), "OMP_NUM_THREADS": "1"}


# --- there: what is timed, each in a process of its own -------------------------------------------


def facts(device: str, size: Size, options: argparse.Namespace) -> Result:
    """The machine."""
    import torch

    from bench.plan.machine import cores, hardware

    return {
        "device": hardware(device),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "cores": cores(),
        "rehearsal": device == "cpu",
    }


def configurations(device: str, *more: str) -> dict[str, Any]:
    """Arm and seed -> its trial, of the study that the README runs."""
    from bench.plan.machine import look
    from bench.plan.trials import plan
    from bench.study.resolve import resolve

    study, _ = resolve(
        ["study=additive_vs_matrix", "arms=[additive,matrix]", "baselines=[]", f"device={device}",
         *more]
    )  # fmt: skip
    return {f"{trial.arm}/{trial.seed}": trial for trial in plan(study, look(study))}


def prepared(trial: Any, batch: int, device: str) -> tuple[Any, Any, Any, Any]:
    """(state, images, family, training) of a trial with batches of `batch`."""
    import torch

    from bench.execute.trial import repeatable
    from tvae import data, registry
    from tvae.data.inputs import with_channels
    from tvae.models.base import build
    from tvae.trainer import State, Training

    if device == "cuda":
        repeatable()
    torch.set_num_threads(1)
    images = with_channels(data.load("mnist_small").train.images).to(device)
    state = State.start(build(trial.config["model"], 0).to(device), 0)
    family = registry.families.build(trial.config["family"])
    return state, images, family, Training(**{**trial.config["trainer"], "batch_size": batch})


def spread(times: Sequence[float]) -> Result:
    """Median, least and most, in milliseconds."""
    return {"ms": statistics.median(times), "least": min(times), "most": max(times)}


def steps(device: str, size: Size, options: argparse.Namespace) -> Result:
    """A step of the training loop, by arm and batch, with and without the thread that draws."""
    import torch

    from tvae.trainer import fit

    def clock() -> float:
        if device == "cuda":
            torch.cuda.synchronize()
        return 1000 * time.perf_counter()

    found = {}
    for name, trial in configurations(device, "seeds=1").items():
        for batch in size.batches:
            for ahead in (False, True):
                state, images, family, training = prepared(trial, batch, device)
                total = size.steps * (size.repeats + 1)
                training = replace(training, steps=total, record_every=size.steps)
                loop = fit(state, images, family, training, ahead=ahead)
                times = []
                next(loop)  # warm-up
                for _ in range(size.repeats):
                    began = clock()
                    next(loop)
                    times.append((clock() - began) / size.steps)
                loop.close()
                key = f"{name.partition('/')[0]}, batch {batch}"
                found[f"{key}, {'drawn ahead' if ahead else 'drawn when asked'}"] = spread(times)
    return found


def graphs(device: str, size: Size, options: argparse.Namespace) -> Result:
    """The same step as a captured CUDA graph, where the form allows."""
    found: Result = {}
    for name, trial in configurations(device, "seeds=1").items():
        for batch in size.batches:
            key = f"{name.partition('/')[0]}, batch {batch}"
            if device == "cpu":
                found[key] = {"not capturable": "a CPU has no graphs"}
                continue
            try:
                found |= {f"{key}, {how}": t for how, t in captured(trial, batch, size).items()}
            except (RuntimeError, ValueError) as error:  # of what cannot be captured
                found[key] = {"not capturable": str(error).strip().splitlines()[0]}
                break  # the context may be lost with it
    return found


def captured(trial: Any, batch_size: int, size: Size) -> dict[str, Result]:
    """Replays of one step, alone and with new images, views and noise before each."""
    import torch
    from torch import Tensor

    from tvae.models.base import Views
    from tvae.streams import Streams
    from tvae.trainer import batch, groups

    state, images, family, _ = prepared(trial, batch_size, "cuda")

    class Held(Streams):
        """Noise that lies where it was first put."""

        def __init__(self) -> None:
            super().__init__(0)
            self.held: dict[str, Tensor] = {}

        def normal(self, name: str, like: Tensor) -> Tensor:
            if name not in self.held:
                self.held[name] = torch.randn_like(like)
            return self.held[name]

    held, order = Held(), torch.arange(batch_size)

    def seen() -> list[Tensor]:
        x, views = batch(images, order, family, True, state.streams)
        return [x, *(views.images if views else ())]

    optimizer = torch.optim.Adam(groups(state.model), lr=1e-4, fused=True, capturable=True)
    x, x_1, x_2 = inputs = seen()
    views = Views(x_1, x_2, family.inverse != "none")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        state.model.objective(x, views, held)["loss"].backward()
        optimizer.step()

    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def renewed() -> None:
        for old, new in zip(inputs, seen(), strict=True):
            old.copy_(new)
        for name, noise in held.held.items():
            noise.copy_(state.streams.normal(name, noise))
        graph.replay()

    def timed(replay: Callable[[], None]) -> Result:
        times = []
        for _ in range(size.repeats + 1):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            for _ in range(size.steps):
                replay()
            end.record()
            torch.cuda.synchronize()
            times.append(begin.elapsed_time(end) / size.steps)
        return spread(times[1:])

    return {"replay alone": timed(graph.replay), "with new inputs": timed(renewed)}


def trials(device: str, size: Size, options: argparse.Namespace) -> Result:
    """Trials an hour, so many at a time, whole processes of them: trained, and measured little."""
    from bench.execute.base import Finished, Job, Recorded
    from bench.execute.local import LocalExecutor

    each, quick = max(2, 8 // len(size.at_once)), 750
    count = each * max(size.at_once)
    planned = configurations(
        device, f"seeds={count}", f"trainer.steps={size.trial_steps}", "trainer.checkpoint_every=0"
    )
    chosen = [replace(trial, metrics={"cost": {}}) for trial in planned.values()][:count]
    found: Result = {"steps of a trial": size.trial_steps}
    for workers in size.at_once:
        with tempfile.TemporaryDirectory() as folder:
            jobs = []
            for trial in chosen[: each * workers]:
                path = Path(folder) / "trials" / trial.training_key
                path.mkdir(parents=True)
                source = {"mnist": {"name": "mnist_small"}}
                jobs.append(Job(trial, path, source, "none"))
            began, last, failed = time.perf_counter(), {}, []
            for event in LocalExecutor(workers).run(jobs):
                if isinstance(event, Recorded):
                    last[event.trial.name] = event.record
                elif isinstance(event, Finished) and event.result.status != "done":
                    failed.append(f"{event.trial.name}: {event.result.reason}")
            seconds = time.perf_counter() - began
        training = statistics.mean(r["seconds"] / r["step"] for r in last.values()) if last else 0.0
        own = seconds * workers / len(jobs)  # of one trial, start and end included
        rest = own - training * size.trial_steps
        found[f"{workers} at a time"] = {
            "trials": len(jobs),
            "trials an hour": 3600 * len(jobs) / seconds,
            "ms a step of each": 1000 * training,
            f"trials of {quick} steps an hour, extrapolated": 3600
            * workers
            / (rest + quick * training),
            "failed": failed,
        }
    return found


def paper(device: str, size: Size, options: argparse.Namespace) -> Result:
    """The first large training of the paper's Table 1, for the time that is left."""
    from bench.execute.base import Finished, Job, Recorded
    from bench.execute.local import LocalExecutor
    from bench.plan.machine import look
    from bench.plan.trials import plan
    from bench.study.resolve import resolve

    ends = time.monotonic() + options.seconds
    full = options.data is not None
    data = [f"data.root={options.data}"] if full else ["data.size=small"]
    study, _ = resolve(
        ["study=paper_table1", "budget=paper", *data, "data.transfer=[]", "~data.variants",
         "baselines=[]", "primary.metric=nll", f"device={device}",
         f"trainer.record_every={size.steps}"]
    )  # fmt: skip
    world = look(study)
    planned = plan(study, world)
    trial = next(t for t in planned if t.arm == study.primary.treatment)
    label = trial.data["train"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trials" / trial.training_key
        path.mkdir(parents=True)
        sources = {label: world.source(study.setups[trial.arm].data, label)}
        executor, records, said = LocalExecutor(1), [], ""
        with closing(executor.run([Job(trial, path, sources, "none")])) as events:
            for event in events:
                if isinstance(event, Recorded):
                    records.append(event.record)
                elif isinstance(event, Finished):
                    said = f"{event.result.status}: {event.result.reason}"
                if time.monotonic() > ends or said:
                    break
    if said:
        return {"failed": [said]}
    if len(records) < 2:
        return {"not timed": f"{options.seconds:.0f} s were too few for two records"}
    first, last = records[0], records[-1]
    rate = (last["step"] - first["step"]) / (last["seconds"] - first["seconds"])
    return {
        "arm": trial.arm,
        "data": label if full else f"{label}, the included subset",
        "steps": last["step"],
        "of": trial.steps,
        "train/loss at the end": last["train/loss"],
        "steps a second": rate,
        "hours of this training, projected": trial.steps / rate / 3600,
        f"hours of all {len(planned)} trainings one after the other, projected from this one": len(
            planned
        )
        * trial.steps
        / rate
        / 3600,
    }


PARTS = {part.__name__: part for part in (facts, steps, graphs, trials, paper)}
SHARE = {"facts": 60, "steps": 120, "graphs": 60, "trials": 150, "tests": 240}
"""Seconds that a part may take at most; the paper's training takes what is left."""


# --- there: all of it ----------------------------------------------------------------------------


def run(options: argparse.Namespace) -> int:
    """Everything, into OUT; returns the exit status."""
    began, out = time.monotonic(), Path(options.out)

    def left() -> float:
        return 60 * options.minutes - (time.monotonic() - began)

    if options.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            print("error: torch sees no GPU here; --device cpu rehearses", file=sys.stderr)
            return 2
    out.mkdir(parents=True, exist_ok=True)
    results: Result = {}
    with tempfile.TemporaryDirectory() as folder:
        environment = unpacked(Path(folder))
        for part in ("facts", "steps", "graphs", "trials", "tests", "paper"):
            seconds = min(SHARE.get(part, 1e9), left() - 15)
            print(f"{part}: at most {seconds:.0f} s", flush=True)
            ask = _tests if part == "tests" else _part
            results[part] = ask(part, options, environment, seconds)
            (out / "results.json").write_text(json.dumps(results, indent=1))
            (out / "results.md").write_text(table(results))
    print((out / "results.md").read_text())
    return int(any(map(_failed, results.values())))


def _part(part: str, options: argparse.Namespace, environment: Any, seconds: float) -> Result:
    command = [sys.executable, __file__, "part", part, "--device", options.device]
    command += ["--seconds", f"{max(1.0, seconds - 30):.0f}"]
    command += ["--data", options.data] if options.data else []
    status, text = _within(command, environment, seconds)
    last = text.strip().rpartition("\n")[2]
    try:
        found: Result = json.loads(last) if status == 0 else {}
    except ValueError:
        found = {}
    return found or {"failed": [f"status {status}", *text.strip().splitlines()[-8:]]}


def _tests(part: str, options: argparse.Namespace, environment: Any, seconds: float) -> Result:
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "--tb=short", "tests/gpu"]
    chosen = {"TVAE_TEST_DEVICE": options.device}
    status, text = _within(command, {**environment, **chosen}, seconds)
    (Path(options.out) / "tests.txt").write_text(text)
    last = text.strip().rpartition("\n")[2]
    return {"tests/gpu": last, "failed": [] if status == 0 else [f"status {status}"]}


def _within(command: Sequence[str], environment: Any, seconds: float) -> tuple[int | str, str]:
    """(exit status, what it said) of a command; after `seconds` it and what it started end."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=said, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            status: int | str = process.wait(max(1.0, seconds))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            status = f"none: it took longer than {seconds:.0f} s"
        said.seek(0)
        return status, said.read()


def _failed(found: Any) -> bool:
    return isinstance(found, dict) and (
        bool(found.get("failed")) or any(map(_failed, found.values()))
    )


def table(results: Result) -> str:
    """The results in Markdown."""
    machine = results["facts"]
    lines = [f"{name}: {value}  " for name, value in machine.items()]
    for part in ("steps", "graphs", "trials", "tests", "paper"):
        lines += ["", f"| {part} | |", "|---|---|"]
        found = results.get(part, {})
        lines += [f"| {name} | {_cell(value)} |" for name, value in found.items() if value != []]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
    if isinstance(value, dict) and "ms" in value:
        return f"{value['ms']:.3f} ms ({value['least']:.3f} to {value['most']:.3f})"
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_cell(each)}" for name, each in value.items() if each != [])
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="gather wheels here")
    packing.add_argument("--also", nargs="*", default=[], help="packages besides")
    packing.add_argument("--python", nargs="*", default=PYTHONS, help="versions there")
    for name in ("run", "part"):
        command = commands.add_parser(name, help="tests and timings" if name == "run" else "one")
        command.add_argument("out" if name == "run" else "part")
        command.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
        command.add_argument("--data", help="a folder with the full data sets' IDX files")
        command.add_argument("--minutes", type=float, default=9.0, help="for all of it")
        command.add_argument("--seconds", type=float, default=60.0, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.command == "pack":
        return pack(options.also, options.python)
    if options.command == "run":
        return run(options)
    size = REHEARSAL if options.device == "cpu" else Size()
    print(json.dumps(PARTS[options.part](options.device, size, options)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
