"""What the sections of a study's page are made of, and what one of them is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from reports import manifest as manifests
from reports import rows as measurements
from reports.files import Pictures, load_curves, load_one_seed
from reports.manifest import Manifest, StudyEntry
from reports.pen import Figure
from reports.statistics.answers import answer
from reports.statistics.records import Answer

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Report:
    """All that was read of a study, and its answer.

    Attributes:
        folder: the study's.
        manifest: what was declared, and what became of each trial.
        rows: the measurements.
        answer: what the statistics say.
        curves: of all confirmation trials; columns arm, seed, step, term, value.
        seed: at which the pictures were made; None without any.
        pictures: of every arm that has any, at that seed.
        unread: a sentence for each file of a trial that could not be read, or not to the end.
    """

    folder: Path
    manifest: Manifest
    rows: pd.DataFrame
    answer: Answer
    curves: pd.DataFrame
    seed: int | None
    pictures: Pictures
    unread: tuple[str, ...]

    @property
    def study(self) -> StudyEntry:
        """The study, as the manifest declares it."""
        return self.manifest["study"]


@dataclass(frozen=True)
class Section:
    """A section of a study's page: what its template, ``NAME.html.j2``, is filled with.

    Attributes:
        name: of its template, and in addresses.
        title: in the contents.
        values: for the template, which has ``study`` besides.
        figures: those that are of use outside the page too, by the name of their file.
    """

    name: str
    title: str
    values: Mapping[str, object]
    figures: Mapping[str, Figure] = field(default_factory=dict)


def read(folder: Path) -> Report:
    """Everything about the study in `folder`.

    Raises:
        ValueError: the study's rows or manifest are missing or malformed, or disagree.
    """
    manifest, rows = load(folder)
    found = answer(manifest["study"], rows, manifest["trials"], folder)
    curves, unread_curves = load_curves(folder, manifest)
    seed, pictures, unread_pictures = load_one_seed(folder, manifest)
    unread = (*unread_curves, *unread_pictures)
    return Report(folder, manifest, rows, found, curves, seed, pictures, unread)


def load(folder: Path) -> tuple[Manifest, pd.DataFrame]:
    """Manifest and rows of the study in `folder`, which must agree.

    Raises:
        ValueError: either is missing or malformed, or they disagree.
    """
    rows, manifest = measurements.load(folder), manifests.load(folder)
    strangers = sorted(set(rows.arm) - set(manifest["study"]["arms"]))
    if strangers:
        raise ValueError(f"{folder}: rows of arms that the study lacks: {', '.join(strangers)}")
    return manifest, rows
