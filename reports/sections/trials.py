"""Every trial with its files and the command that repeats it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from reports.cells import Cell, Table, measure, role_kind
from reports.manifest import Manifest, StudyEntry, TrialEntry
from reports.report import Report, Section
from reports.rows import confirmed
from reports.study import all_machines, machines

if TYPE_CHECKING:
    import pandas as pd

FILES = {"result": "result.json", "setup": "trial.json"}
"""What a trial leaves in its folder besides what the manifest names: a word for each, its file."""


def section(report: Report) -> Section:
    """All trials, one a line."""
    found = trials(report.folder, report.manifest, report.rows)
    return Section("trials", "Trials", {"trials": found})


def trials(folder: Path, manifest: Manifest, rows: pd.DataFrame) -> Table:
    """Every trial: how it ended, its primary metric, its files, and the command that repeats it.

    Where trials were trained on unlike machines, which one, too.

    Args:
        folder: the study's; only files that are there are linked, relative to it.
        manifest: the study's manifest.
        rows: its measurements.
    """
    metric = manifest["study"]["primary"]["metric"]
    unlike = len(all_machines(manifest["trials"])) > 1
    measured = confirmed(rows)  # what tuning measured, on validation data, stands with the tuning
    measured = measured[measured.metric == metric]
    values = dict(zip(measured.trial, measured.value, strict=True))
    lines = tuple(
        (
            Cell(trial["arm"], kind=role_kind(trial["role"])),
            Cell(str(trial["seed"]), raw=(trial["seed"],)),
            Cell(trial["stage"]),
            Cell(trial["status"]),
            Cell(f"{trial['steps']:,}", raw=(trial["steps"],)),
            measure(values.get(trial["trial"]), 1e-3),
            Cell(trial["trial"], links=_files(folder, trial)),
            Cell(command(manifest["study"], trial), kind="code"),
            *([Cell(machines(trial))] if unlike else []),
        )
        for trial in manifest["trials"]
    )
    header = ["arm", "seed", "stage", "outcome", "steps", metric, "key and files", "command"]
    header += ["trained on"] if unlike else []
    return Table(tuple(Cell(text) for text in header), lines)


def command(study: StudyEntry, trial: TrialEntry) -> str:
    """What trains and measures a trial anew: the study's command for its arm and seed alone.

    The sides of the primary contrast stay, since there is no study without them, and ``runs``
    leads to a folder of its own, where nothing is there to be taken instead. A trial of tuning is
    repeated with the whole search of its arm.
    """
    primary = study["primary"]
    names = dict.fromkeys((trial["arm"], primary["treatment"], primary["control"]))
    kept: dict[str, list[str]] = {"arms": [], "baselines": []}
    for name in study["arms"]:
        if name in names:
            kept["arms" if study["arms"][name]["role"] == "arm" else "baselines"].append(name)
    seeds = [trial["seed"]] if trial["stage"] == "confirm" else study["seeds"][:1]
    narrowed = [f"{key}=[{','.join(map(_yaml, names))}]" for key, names in kept.items()]
    narrowed += [f"seeds={seeds}", "runs=again"]
    return f"{study['command']} {shlex.join(narrowed)}"


def _files(folder: Path, trial: TrialEntry) -> tuple[tuple[str, str], ...]:
    """The files of a trial that are there, each with its address relative to the study's folder."""
    key = trial["trial"]
    own = {} if key in ("", ".", "..") or "/" in key or "\0" in key else dict(FILES)
    paths = {word: f"trials/{key}/{file}" for word, file in own.items()}
    named = {"curve": trial["curve"], "pictures": trial["pictures"]}
    named["originals"] = trial.get("clusters")
    paths |= {word: path for word, path in named.items() if path}
    return tuple((word, quote(path)) for word, path in paths.items() if (folder / path).is_file())


_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"}


def _yaml(name: str) -> str:
    """A name as an entry of a YAML list: as it is where that is read back as text."""
    plain = re.fullmatch(r"[A-Za-z][\w.-]*", name, re.ASCII) and name.lower() not in _WORDS
    return name if plain else json.dumps(name)
