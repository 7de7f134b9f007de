"""The machine and the data that a study meets: looked at once, before any computing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.plan.keys import digest
from bench.plan.trials import World
from bench.study.problems import ConfigError, Problem
from bench.study.schema import REPOSITORY
from bench.study.setup import Study

LIBRARIES = (
    "torch", "torchvision", "numpy", "scipy", "scikit-learn", "optuna", "mlflow", "pandas",
    "tvae-bench",
)  # fmt: skip


def look(study: Study, devices: frozenset[str] | None = None) -> World:
    """Digests of the data, torch's version and the device that ``auto`` means.

    Args:
        study: whose data and device.
        devices: types of those that trials can be given; None: those of this machine.

    Raises:
        ConfigError: data that are missing or corrupt, or a device that is not there.
    """
    from tvae import data

    problems: list[Problem] = []
    found, contents = {}, {}
    for label in study.labels:
        source = study.data.source(label)
        name = source.pop("name")
        try:
            checked = _checked(study, name, source)
            if "digest" in data.source(name).options:
                # of content that has one name, settings and place say nothing more
                (contents[label],) = checked.values()
                found[label] = digest({"source": label, "content": contents[label]})
            else:
                found[label] = digest({"source": name, "files": _files(checked, source)})
        except ValueError as error:
            problems.append(Problem(f"data ({name})", str(error)))
    device = study.device
    try:
        device_type = choose_device(device, devices)
    except ValueError as error:
        problems.append(Problem("device", str(error)))
    if problems:
        raise ConfigError(problems)
    return World(found, importlib.metadata.version("torch"), device_type, contents)


def _checked(study: Study, name: str, source: dict[str, Any]) -> Mapping[str, str]:
    """What was read of a data set -> its SHA-256."""
    from tvae import data

    try:
        return data.available(name, **source)
    except data.MissingData:
        if not study.data.download:
            raise
        data.fetch(name, **source)
        return data.available(name, **source)


def _files(checked: Mapping[str, str], source: Mapping[str, Any]) -> Mapping[str, str]:
    """What names the content of files."""
    from tvae.data.idx import official_name

    options = {name: value for name, value in source.items() if name != "root"}
    # a path says where the data are, not what they are
    contents = sorted((official_name(Path(path)), sha) for path, sha in checked.items())
    return {"options": str(sorted(options.items())), **dict(contents)}


def devices() -> frozenset[str]:
    """The device types of this machine."""
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return frozenset({"cpu", *(name for name, present in there.items() if present)})


def choose_device(wanted: str, there: frozenset[str] | None = None) -> str:
    """The device type that `wanted` means.

    Args:
        wanted: a type, or ``auto``: a GPU where there is one.
        there: types to choose from; None: those of this machine.

    Raises:
        ValueError: it is not there.
    """
    there = devices() if there is None else there
    if wanted == "auto":
        return "cuda" if "cuda" in there else "cpu"
    if wanted not in there:
        raise ValueError(f"{wanted} is not available here (there is {', '.join(sorted(there))})")
    return wanted


def count_workers(study: Study, world: World, gpus_per_trial: float = 1.0) -> int:
    """Trials at once on this machine: workers x threads = cores, or as the GPUs are shared."""
    if world.device == "cuda":
        return max(1, len(gpu_shares(gpus_per_trial)))
    return max(1, cores() // study.threads)


def gpu_shares(of: float) -> list[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them, by turns.

    Args:
        of: a GPU that each place takes, above 0 and at most 1: every GPU comes floor(1 / of) times.
    """
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else map(str, range(torch.cuda.device_count()))
    return [name.strip() for name in names] * int(1 / of + 1e-9)


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def hardware(device: str) -> str:
    """What computes here: the GPU's name, or the processor's and the instructions torch uses of it.

    Between unlike ones numbers differ by rounding, which training makes larger.
    """
    import torch

    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"{_processor()} ({torch.backends.cpu.get_cpu_capability()})"


def describe(study: Study, world: World) -> dict[str, Any]:
    """What a reader needs to judge or repeat the run: versions, commit, machine, data digests."""
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in LIBRARIES},
        "commit": _git("rev-parse", "HEAD") or "unknown",
        "tree": _tree(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": cores(),
        "device": world.device,
        "threads": study.threads,
        **{f"data digest of {label}": sha for label, sha in world.data.items()},
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _tree() -> str:
    """Whether the files are those of the commit: ``clean``, ``modified``, or ``unknown``."""
    said = _git("status", "--porcelain")
    if said is None:
        return "unknown"
    return "modified" if said else "clean"


def _git(*arguments: str) -> str | None:
    """What git says of the repository.

    None where it says nothing: there is no repository (a wheel), no git, or the repository is
    another user's, of which git does not speak (containers).
    """
    if not (REPOSITORY / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
