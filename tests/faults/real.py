"""A study that tunes and confirms, run as a user would, and what is compared of two such runs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import PLUGIN, REPOSITORY, with_database, write

from reports import manifest
from reports import rows as schema

ARGUMENTS = (
    "study=tiny.yaml",
    "workers=1",
    "seeds=1",
    "tune.trials=2",
    "tune.generation=1",
    "tune.steps=6",
)
"""Two arms, two candidates each, one generation after the other, then one seed each: 6 trials."""


def prepare(folder: Path, fresh) -> Path:
    """`folder` with the study file and an MLflow database, which takes seconds to make anew."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder, family="rotation")
    return with_database(fresh, folder)


def environment(**more: str) -> dict[str, str]:
    """For commands that find the code under test."""
    path = f"{PLUGIN}{os.pathsep}{REPOSITORY}"
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}


def command(
    folder: Path, *arguments: str, seconds: float = 180, **more: str
) -> subprocess.CompletedProcess[str]:
    """``python -m bench.run`` in `folder` to its end; `more` are environment variables."""
    return subprocess.run(
        [sys.executable, "-m", "bench.run", *(arguments or ARGUMENTS)],
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


@dataclass(frozen=True)
class Left:
    """What a study left that must not depend on what happened to it.

    Attributes:
        rows: as text, without what the clock and the host decide.
        files: trial and file -> content: weights and pictures as digests, curves without seconds.
        tuning: what the manifest says of it.
    """

    rows: list[str]
    files: dict[str, str]
    tuning: object


def left(store: Path) -> Left:
    """Read it."""
    frame = schema.load(store)
    frame = frame[~frame.metric.str.startswith("cost/")]
    files = {}
    for path in sorted(store.glob("trials/*/*")):
        name = f"{path.parent.name}/{path.name}"
        if path.name in ("weights.safetensors", "pictures.npz", "model.json", "trial.json"):
            files[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.name == "curve.jsonl":
            records = [json.loads(line) for line in path.read_text().splitlines()]
            files[name] = repr([sorted(r.items() - {("seconds", r["seconds"])}) for r in records])
        else:
            files[name] = ""
    for note in [name for name in files if name.endswith(("/notes.json", "/.lock"))]:
        del files[note]
    return Left(
        [repr(row) for row in frame.itertuples(index=False)],
        files,
        manifest.load(store)["study"].get("tuning"),
    )


@dataclass(frozen=True)
class Undisturbed:
    """The study run without any fault.

    Attributes:
        folder: where.
        left: what it left.
        points: every fault point that was reached.
    """

    folder: Path
    left: Left
    points: frozenset[str]

    @property
    def store(self) -> Path:
        """The study's folder."""
        return self.folder / "runs" / "tiny"


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, fresh) -> Undisturbed:
    folder = prepare(tmp_path_factory.mktemp("undisturbed"), fresh)
    log = folder / "points"
    done = command(folder, TVAE_FAULT_LOG=str(log))
    assert done.returncode == 0, done.stdout + done.stderr
    return Undisturbed(
        folder, left(folder / "runs" / "tiny"), frozenset(log.read_text().splitlines())
    )


def without_the_end(undisturbed: Undisturbed, folder: Path, fresh) -> Path:
    """A folder whose trials have all ended, of which nobody was told and nothing was collected."""
    prepare(folder, fresh)
    shutil.copytree(undisturbed.store / "trials", folder / "runs" / "tiny" / "trials")
    return folder
