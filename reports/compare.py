"""Sets studies side by side: ``python -m reports.build study=A study=B``.

Writes ``compare-A-B.html`` beside the first study's folder, as a rule in ``runs/``. Each study
keeps its own answer; no test is made across studies, whose seeds and settings nobody paired. Values
share a table only where their fingerprints agree, and the page says where they do not.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from reports.cells import Cell, Table, means_by_arm
from reports.manifest import Manifest
from reports.page.page import REPORT, page, replace
from reports.pen import own_matplotlib
from reports.report import load
from reports.rows import confirmed
from reports.sections.head import facts, tests
from reports.statistics.answers import answer
from reports.statistics.records import Answer
from reports.study import declared as declared_in
from reports.study import flat
from reports.words import ARROWS, plain

if TYPE_CHECKING:
    import pandas as pd

LONGEST = 120  # signs of a file's name


@dataclass(frozen=True)
class Side:
    """A study in a comparison. `report` is the address of its page, empty where it has none."""

    label: str
    manifest: Manifest
    rows: pd.DataFrame
    answer: Answer
    report: str

    @property
    def tests(self) -> str:
        """The p-values of its primary contrast."""
        return tests(self.answer.primary)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What its answer rests on."""
        return facts(self.manifest)


def compare(folders: Sequence[Path]) -> Path:
    """Write the page that compares the studies in `folders`, two or more, and return its path.

    Raises:
        ValueError: a study is named twice, or a file of one is missing or malformed.
    """
    own_matplotlib()
    real = [folder.resolve() for folder in folders]
    twice = {folder for folder, path in zip(folders, real, strict=True) if real.count(path) > 1}
    if twice:
        raise ValueError(f"a study cannot be compared with itself: {min(map(str, twice))}")
    path = real[0].parent / _file_name([folder.name for folder in real])
    labels = [folder.name for folder in real]
    if len(set(labels)) < len(labels):
        labels = [str(folder) for folder in folders]
    sides = [_side(*pair, path.parent) for pair in zip(labels, real, strict=True)]
    replace(path, render(sides).encode())
    return path


def render(sides: Sequence[Side]) -> str:
    """The page as text."""
    return page(
        "compare.html.j2",
        sides=sides,
        names=[side.label for side in sides],
        values=side_by_side(sides),
        apart=apart(sides),
        settings=differing(sides),
    )


def side_by_side(sides: Sequence[Side]) -> Table:
    """Every arm of any study, a row each; every metric measured alike in two or more, by study."""
    arms = list(dict.fromkeys(name for side in sides for name in side.manifest["study"]["arms"]))
    columns = [[Cell("arm"), *(Cell(name, kind=_role(sides, name)) for name in arms)]]
    groups, minor = [_measured(side) for side in sides], set[int]()
    declared = {metric for side in sides for metric in declared_in(side.manifest["study"])}
    keys = dict.fromkeys(key for found in groups for key in found)
    for key in sorted(keys, key=lambda key: key[0] not in declared):
        pairs = zip(sides, groups, strict=True)
        having = [(side, found[key]) for side, found in pairs if key in found]
        metric, _, unit, direction = key
        name = f"{metric} {ARROWS.get(direction, '')}".strip()
        for side, rows in having if len(having) > 1 else ():
            own = means_by_arm(side.manifest["study"], rows)
            heading = Cell(name, f"{side.label}, {unit}")
            minor |= {len(columns)} if metric not in declared else set()
            columns.append([heading, *(own.get(arm, Cell("—", kind="faint")) for arm in arms)])
    header, *lines = zip(*columns, strict=True)
    return Table(header, tuple(lines) if len(columns) > 1 else (), frozenset(minor))


def apart(sides: Sequence[Side]) -> Table:
    """Metrics that are not measured alike everywhere: how each study measured them."""
    groups = [_measured(side) for side in sides]
    lines = []
    for metric in dict.fromkeys(key[0] for found in groups for key in found):
        ways = [[key for key in found if key[0] == metric] for found in groups]
        if any(own != ways[0] for own in ways):
            said = [
                "; ".join(f"{way} ({unit})" for _, way, unit, _ in own) or "not measured"
                for own in ways
            ]
            lines.append((Cell(metric), *map(Cell, said)))
    return Table((Cell("metric"), *(Cell(side.label) for side in sides)), tuple(lines))


def differing(sides: Sequence[Side]) -> Table:
    """Settings, arms and surroundings on which the studies are not all alike."""
    every = [dict(_settings(side.manifest)) for side in sides]
    paths = dict.fromkeys(path for own in every for path in own)
    lines = tuple(
        (Cell(path), *(Cell(own.get(path, "—"), kind="words") for own in every))
        for path in paths
        if len({own.get(path) for own in every}) > 1
    )
    return Table((Cell("setting"), *(Cell(side.label) for side in sides)), lines)


def _side(label: str, folder: Path, beside: Path) -> Side:
    manifest, rows = load(folder)
    report = folder / REPORT
    address = quote(Path(os.path.relpath(report, beside)).as_posix()) if report.is_file() else ""
    found = answer(manifest["study"], rows, manifest["trials"], folder)
    return Side(label, manifest, rows, found, address)


def _measured(side: Side) -> dict[tuple[str, str, str, str], pd.DataFrame]:
    """Confirmed values by metric, fingerprint, unit and direction, in their order."""
    keys = ["metric", "fingerprint", "unit", "direction"]
    groups = confirmed(side.rows).groupby(keys, sort=False)
    return {tuple(map(str, key)): rows for key, rows in groups}  # type: ignore[misc]


def _role(sides: Sequence[Side], name: str) -> str:
    arms = (side.manifest["study"]["arms"].get(name) for side in sides)
    role = next(arm["role"] for arm in arms if arm)
    return "" if role == "arm" else role


def _settings(manifest: Manifest) -> list[tuple[str, str]]:
    study = manifest["study"]
    arms = {
        name: {
            key: arm.get(key) for key in ("role", "train", "latent_dim", "parameters", "differs")
        }
        for name, arm in study["arms"].items()
    }
    told: Mapping[str, object] = {
        "budget": study["budget"],
        "level": study["level"],
        "seeds": study["seeds"],
        "primary": study["primary"],
        "config": study["config"],
        "arms": arms,
        "environment": manifest["environment"],
    }
    return [(path, plain(value)) for path, value in flat(told)]


def _file_name(names: Sequence[str]) -> str:
    joined = "-".join(names)
    if len(joined) > LONGEST:
        joined = f"{joined[:LONGEST]}-{hashlib.sha256(joined.encode()).hexdigest()[:8]}"
    return f"compare-{joined}.html"
