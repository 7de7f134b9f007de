"""Builds a study's page: ``python -m reports.build study=NAME [runs=DIR]``.

Several ``study=`` make a page that compares them (`reports.compare`); ``--list`` says which there
are. Reads ``rows.parquet``, ``manifest.json``, and what the trials left, and writes ``report.html``
into the same folder: one file that needs no other and no network. The same folder gives the same
bytes.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reports import manifest as manifests
from reports.manifest import Manifest
from reports.page.page import REPORT, fragment, page, replace

if TYPE_CHECKING:
    import pandas as pd

    from reports.report import Report, Section
    from reports.statistics.records import Answer


@dataclass(frozen=True)
class Built:
    """A report that was built, and what it was built from.

    Attributes:
        path: of the page.
        manifest: the study's.
        rows: its measurements.
        answer: what the statistics say.
        figures: SVG of the figures that are of use outside the page too, by name.
    """

    path: Path
    manifest: Manifest
    rows: pd.DataFrame
    answer: Answer
    figures: dict[str, bytes]


def build(folder: Path) -> Built:
    """Write the report of the study in `folder`.

    Raises:
        ValueError: the study's rows or manifest are missing or malformed, or disagree.
    """
    from reports.report import read

    report = read(folder)
    sections = fill(report)
    path = folder / REPORT
    replace(path, render(report, sections).encode())
    figures = {name: one.drawn for made in sections for name, one in made.figures.items()}
    return Built(path, report.manifest, report.rows, report.answer, figures)


def fill(report: Report) -> list[Section]:
    """The sections that the page of a study has, in order."""
    from reports.pen import own_matplotlib
    from reports.sections import SECTIONS

    own_matplotlib()  # before a section draws with what imports it
    return [made for section in SECTIONS if (made := section(report)) is not None]


def render(report: Report, sections: Sequence[Section]) -> str:
    """The page of a study as text: the first section opens it, the others are in its contents."""
    texts = [
        fragment(f"sections/{one.name}.html.j2", study=report.study, **one.values)
        for one in sections
    ]
    return page(
        "build.html.j2",
        study=report.study,
        head=texts[0],
        sections=list(zip(sections[1:], texts[1:], strict=True)),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status: 0, or 2 for bad input, said on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m reports.build",
        description="Build the report of a study again, or a page that compares studies.",
    )
    parser.add_argument(
        "settings",
        nargs="*",
        metavar="key=value",
        help="study=NAME (or its folder), several of them to compare; runs=DIR",
    )
    parser.add_argument("--list", action="store_true", help="list the studies under runs")
    given = parser.parse_args(arguments)
    try:
        names, runs = _settings(given.settings)
        if given.list:
            print("\n".join(listing(manifests.expanded(runs))) or f"no study in {runs!r}")
            return 0
        if not names:
            raise ValueError("which study? Say study=NAME; --list shows those there are")
        folders = [manifests.find(name, runs) for name in names]
        if len(folders) == 1:
            print(build(folders[0]).path)
        else:
            from reports.compare import compare

            print(compare(folders))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def listing(runs: Path) -> list[str]:
    """A line for each study under `runs`: name, budget, trials done, date, question."""
    lines: list[tuple[str, ...]] = []
    for name in manifests.studies(runs):
        path = runs / name / "manifest.json"
        date = datetime.datetime.fromtimestamp(path.stat().st_mtime).strftime("%Y-%m-%d %H:%M")
        try:
            manifest = manifests.load(runs / name)
        except ValueError:
            lines.append((name, "?", "?", date, "its manifest cannot be read: build it to see why"))
            continue
        study, trials = manifest["study"], manifest["trials"]
        done = sum(trial["status"] == "done" for trial in trials)
        lines.append((name, study["budget"], f"{done}/{len(trials)}", date, study["question"]))
    lines = [tuple(map(_printable, line)) for line in lines]
    heads = [("study", "budget", "done", "date", "question"), *lines] if lines else []
    widths = [max(map(len, column)) for column in zip(*heads, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in heads
    ]


def _settings(given: Sequence[str]) -> tuple[list[str], str]:
    """The studies and the folder of runs that the command line names."""
    names, runs = list[str](), "runs"
    for item in given:
        key, equals, value = item.partition("=")
        if not equals or key not in ("study", "runs") or not value:
            raise ValueError(f"cannot read {item!r}; known are study=NAME and runs=DIR")
        if key == "runs":
            runs = value
        else:
            names.append(value)
    return names, runs


def _printable(text: str) -> str:
    """The text without what a terminal would obey."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


if __name__ == "__main__":
    sys.exit(main())
