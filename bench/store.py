"""The truth on disk: a folder per study, in it a folder per trial, every file whole or absent.

::

    runs/STUDY/
      study.yaml       the resolved study; ``study=runs/STUDY/study.yaml`` runs it again
      manifest.json    what the report reads besides the rows
      rows.parquet     the measurements
      report.html
      optuna.db        or ledger: what its trials are called in a database of many studies
      trials/KEY/      trial.json, curve.jsonl, model.json, weights.safetensors,
                       pictures.npz, result.json, notes.json where something happened on the way,
                       traceback.txt after a crash, step-*.safetensors while it trains
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, NotRequired

from typing_extensions import TypedDict  # pydantic reads the standard library's from 3.12 on

from tvae.files import write_atomically

Status = Literal["done", "pruned", "diverged", "failed", "interrupted"]


def slug(name: str) -> str:
    """A folder name for a name given by a person: itself if harmless, else a stem and a hash."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", plain).strip("-")[:60]
    if stem and stem == name:
        return name
    return f"{stem or 'study'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


RECIPE = "trial.json"
LOCK = ".lock"
"""In a trial's folder: held by the process that writes there."""


class Recipe(TypedDict):
    """What a trial was made from: the contents of its two keys, to say later what has changed."""

    arm: str
    stage: Literal["tune", "confirm"]
    training: dict[str, object]
    evaluation: dict[str, object]
    machines: NotRequired[list[str]]  # what trained it so far, in order


class Measured(TypedDict):
    """A measurement as it is stored; `source` is the metric that made it, None: not applicable.

    `warning` is that of `tvae.evaluation.base.Measurement`, absent where there is none.
    """

    name: str
    value: float | None
    unit: str
    direction: Literal["higher", "lower", "none"]
    source: str
    warning: NotRequired[str]


@dataclass(frozen=True)
class Result:
    """How a trial ended.

    Attributes:
        status: see `Status`.
        reason: why, in a line; empty when done.
        evaluation: the evaluation key that the measurements belong to.
        measurements: what was measured.
        facts: ``seconds``, ``steps``, ``batch_size``, ``peak_mib`` of training.
        weights: of the model's divergences in its loss, by what each is there for.
        notes: what happened on the way, such as a corrupt checkpoint that was passed over.
        unmeasured: metric -> why it measured nothing: it failed, and cost itself alone.
        machines: what trained it, as `bench.plan.machine.hardware` says it: one, or in their order
            those that it was continued on.
        metric_seconds: metric -> CPU seconds that it took. What metrics share, such as embeddings,
            is taken by the first that asks for it.
    """

    status: Status
    reason: str = ""
    evaluation: str = ""
    measurements: list[Measured] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unmeasured: dict[str, str] = field(default_factory=dict)
    machines: list[str] = field(default_factory=list)
    metric_seconds: dict[str, float] = field(default_factory=dict)


class TrialFolder:
    """The files of one trial."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def curve(self) -> Path:
        """The training curve, a JSON record a line."""
        return self.path / "curve.jsonl"

    @property
    def pictures(self) -> Path:
        """The pictures, arrays of bytes."""
        return self.path / "pictures.npz"

    @property
    def clusters(self) -> Path:
        """Outcomes of metrics by original image, where originals have variants."""
        return self.path / "clusters.npz"

    @property
    def traceback(self) -> Path:
        """Where a crash leaves its traceback."""
        return self.path / "traceback.txt"

    def result(self) -> Result | None:
        """How the trial ended, or None: it has not, or what says so is not intact."""
        from pydantic import TypeAdapter

        try:
            content = (self.path / "result.json").read_bytes()
            return TypeAdapter(Result).validate_json(content, strict=True)
        except (OSError, ValueError):
            return None

    def write_result(self, result: Result) -> None:
        """Say how the trial ended, and what was noted on the way."""
        self.write_json("result.json", asdict(replace(result, notes=self.notes())))

    @property
    def running(self) -> bool:
        """Whether a process is at work in the folder."""
        from filelock import FileLock, Timeout

        if not (self.path / LOCK).exists():
            return False
        try:
            with FileLock(self.path / LOCK, timeout=0):
                return False
        except Timeout:
            return True

    def recipe(self) -> Recipe | None:
        """What the trial was made from, or None: it does not say, or not intact."""
        from pydantic import TypeAdapter

        try:
            content = (self.path / RECIPE).read_bytes()
            return TypeAdapter(Recipe).validate_json(content, strict=True)
        except (OSError, ValueError):
            return None

    def write_recipe(self, recipe: Recipe) -> None:
        """Say what the trial is made from."""
        self.write_json(RECIPE, recipe)

    def notes(self) -> list[str]:
        """What was noted on the way."""
        try:
            return [str(note) for note in json.loads((self.path / "notes.json").read_text())]
        except (OSError, ValueError, TypeError):
            return []

    def note(self, message: str) -> None:
        """Note what happened on the way, such as a corrupt checkpoint that was passed over."""
        self.write_json("notes.json", [*self.notes(), message])

    def machines(self) -> list[str]:
        """What trained it so far, in order; a recipe that is not intact says nothing."""
        recipe = self.recipe()
        return [] if recipe is None else recipe.get("machines", [])

    def trained_on(self, machine: str, *, anew: bool) -> None:
        """Say in the recipe what trains it from now on; `anew`: from the start."""
        recipe = self.recipe()
        assert recipe is not None, "written before it is trained"
        before = [] if anew else recipe.get("machines", [])
        self.write_recipe({**recipe, "machines": list(dict.fromkeys([*before, machine]))})

    def write_json(self, name: str, content: object) -> None:
        """Write plain data."""
        write_atomically(self.path / name, json.dumps(content, indent=1).encode())

    def records(self, up_to: float = float("inf")) -> list[dict[str, float]]:
        """The curve's records up to a step; a torn last line is left out."""
        records = []
        for line in self.curve.read_text().splitlines() if self.curve.exists() else []:
            try:
                record = json.loads(line)
            except ValueError:
                break
            if not (isinstance(record, dict) and isinstance(record.get("step"), int)):
                break
            if record["step"] <= up_to:
                records.append(record)
        return records

    def write_records(self, records: list[dict[str, float]]) -> None:
        """Replace the curve."""
        lines = "".join(json.dumps(record) + "\n" for record in records)
        write_atomically(self.curve, lines.encode())


class Store:
    """The folder of one study.

    Args:
        runs: the folder that holds all studies.
        study: the study's name, as a person wrote it.
    """

    def __init__(self, runs: Path, study: str) -> None:
        self.path = runs / slug(study)

    def keys(self) -> list[str]:
        """The training keys of the trials that have a folder."""
        return sorted(path.name for path in self.path.glob("trials/*") if path.is_dir())

    def trial(self, key: str) -> TrialFolder:
        """The folder of the trial with that training key."""
        return TrialFolder(self.path / "trials" / key)

    @property
    def figures(self) -> Path:
        """The folder of figures as files, made if need be."""
        folder = self.path / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def write(self, name: str, content: str) -> None:
        """Write a file of the study."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path / name, content.encode())


class Owned(RuntimeError):
    """Somebody else runs this study."""


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Within: this process alone runs the study in `folder`.

    The lock is the operating system's, so that it dies with its holder.

    Raises:
        Owned: another process holds it; the message says who and since when.
    """
    from filelock import FileLock, Timeout

    note = folder / ".owner.json"
    try:
        # not at once: whoever asks after the study takes the lock for a moment
        with FileLock(folder / ".lock", timeout=0.2):
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
            note.write_text(json.dumps(owner))
            yield
    except Timeout as error:
        try:
            owner = json.loads(note.read_text())
            who = f"process {owner['pid']} on {owner['host']} since {owner['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            who = "another process"
        raise Owned(f"{folder} is being run by {who}") from error
