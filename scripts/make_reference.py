"""Keeps what reference studies came to, and writes the page about all of them.

``python scripts/make_reference.py runs/STUDY`` copies a study's folder without its weights to
``reports/reference/STUDY``; without one it writes ``reports/reference/README.md`` from the rows
that are kept there, with the figures of `FIGURES`, and with ``--check`` it says whether that page
is stale. What a person has to say of a study stands in its ``notes.md``, which is left alone.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from reports.build import build
from reports.files import load_one_seed
from reports.pen import Figure
from reports.report import load
from reports.rows import confirmed
from reports.sections.metrics import fitted, primary_values
from reports.statistics.answers import answer
from reports.statistics.records import Comparison
from reports.study import all_machines, resolved, training
from reports.words import effect_text, outcomes, sentence

if TYPE_CHECKING:
    import pandas as pd

    from reports.manifest import StudyEntry

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "reports" / "reference"
NOTES = "notes.md"
KEPT = (
    "study.yaml", "manifest.json", "rows.parquet", "references/*.json",
    *(f"trials/*/{name}" for name in
      ("trial.json", "result.json", "curve.jsonl", "clusters.npz", "notes.json")),
)  # fmt: skip
"""What goes along, besides the pictures of the one seed that the report shows; a study goes on from
it, and trains no trial again that has ended."""

LIMIT = 12_000_000
"""Bytes of a study that are kept at most, its report among them."""

FIGURES: dict[str, Callable[[StudyEntry, pd.DataFrame], Figure]] = {
    "additive_vs_matrix-standard": primary_values,
    "fit_set": lambda study, rows: fitted(study, rows)[0][1],
}
"""The figure of a study's page that other documents show, as ``docs/STUDY.svg``."""

MEANS = (
    "knn/affnist", "knn_standardised/affnist", "linear/mnist", "act/mrr", "act_difference/mrr",
    "act_own/mrr", "act/gain", "act/skill", "rate/x",
)  # fmt: skip
"""What the page has the means of, for the arms of every study in which it was measured."""

HEAD = """\
# Reference studies

What the studies of this project came to: their rows, curves, results and reports, without weights.
This page is written from the rows by `python scripts/make_reference.py`, and a test fails where it
is stale. What follows from it for the paper is in [findings](../../docs/findings.md). Differences
are treatment - control, with the interval that decides: of a primary contrast its own, of secondary
ones Holm's. The means are over seeds; side by side they decide nothing. Hours are those of all
trials one after the other, on one thread each.

A study goes on from what is kept here:

    mkdir -p runs && cp -r reports/reference/STUDY runs/

and then its command, with more seeds or arms; trials that have ended are not run again as long as
the code that trains and measures them is the same.
"""


def keep(folder: Path, to: Path) -> None:
    """Copy what is kept of the study in `folder` into `to`, in place of what was kept before.

    Where its data lay is nobody's business: ``DIR`` stands for it. The report is built anew.

    Raises:
        ValueError: it is no study's folder, or too large.
    """
    manifest, _ = load(folder)
    study = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
    root = study["data"].get("root")
    files = [path for pattern in KEPT for path in sorted(folder.glob(pattern))]
    shown, _, _ = load_one_seed(folder, manifest)
    files += [
        folder / trial["pictures"]
        for trial in manifest["trials"]
        if trial["seed"] == shown and trial["pictures"] is not None
    ]
    page = folder / "report.html"  # is built anew, much the same
    size = sum(path.stat().st_size for path in [*files, page] if path.exists())
    if size > LIMIT:
        raise ValueError(f"{folder}: {size:,} bytes, at most {LIMIT:,} are kept of a study")
    for name in ("trials", "references"):
        shutil.rmtree(to / name, ignore_errors=True)
    for path in files:
        target = to / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    for path in (to / "study.yaml", to / "manifest.json") if root else ():
        path.write_text(path.read_text(encoding="utf-8").replace(root, "DIR"), encoding="utf-8")
    build(to)


def text(reference: Path, studies: Path) -> str:
    """The page about the studies under `reference`.

    Args:
        reference: a folder of study folders.
        studies: the folder of study files, to say which were not run.
    """
    folders = sorted(path.parent for path in reference.glob("*/manifest.json"))
    parts = [HEAD, *("\n".join(_study(folder)) for folder in folders)]
    names = [folder.name for folder in folders]
    absent = [
        path.stem
        for path in sorted(studies.glob("*.yaml"))
        if path.stem not in ("baselines", "smoke")
        and not any(name.partition("-")[0] == path.stem for name in names)
    ]
    if absent:
        listed = ", ".join(f"`{name}`" for name in absent)
        parts.append(f"## Not run\n\nNobody has had the hours for {listed} yet.\n")
    return "\n".join(parts)


def _study(folder: Path) -> Iterator[str]:
    """The lines about one study."""
    manifest, rows = load(folder)
    study, trials = manifest["study"], manifest["trials"]
    found = answer(study, rows, trials, folder)
    statuses = [trial["status"] for trial in trials]
    done, others = outcomes(statuses)
    machines = ", ".join(all_machines(trials)) or "not recorded"
    yield f"## {study['name']}\n"
    yield f"{study['question']}\n"
    yield f"**{found.sentence}** {found.warning and f'({found.warning})'}".rstrip() + "\n"
    yield "| contrast | on | difference | seeds | |"
    yield "|---|---|---|---|---|"
    for one in (found.primary, *found.secondary):
        yield _row(one)
    yield ""
    yield from _means(study, rows)
    if folder.name in FIGURES:
        said = FIGURES[folder.name](study, rows).alt
        yield f"![A figure of its page](../../docs/{folder.name}.svg)\n\n{said}\n"
    data = f"{resolved(study, study['primary']['treatment'], 'data.size')} data"
    tuned = "every arm tuned alike" if "tuning" in study else "not tuned"
    parts = [f"budget `{study['budget']}`", data, training(study), f"{len(study['seeds'])} seeds"]
    yield f"- {', '.join([*filter(None, parts), tuned])}"
    yield f"- {done} trials done{f', {others}' if others else ''}; {_hours(folder):.1f} hours"
    yield f"- on: {machines}; torch {manifest['environment'].get('torch', '?')}"
    yield f"- `{study['command']}`"
    yield f"- [report]({folder.name}/report.html), [rows]({folder.name}/rows.parquet)\n"
    notes = folder / NOTES
    if notes.exists():
        yield notes.read_text(encoding="utf-8")


def _row(found: Comparison) -> str:
    contrast = found.contrast
    sides = f"{contrast['treatment']} - {contrast['control']}"
    told = effect_text(found) or sentence(found)
    return f"| {sides} | {contrast['metric']} | {told} | {found.n} | {found.verdict} |"


def _means(study: StudyEntry, rows: pd.DataFrame) -> Iterator[str]:
    """A table of `MEANS`, an arm each line."""
    measured = confirmed(rows).dropna(subset="value")
    table = measured.pivot_table(index="arm", columns="metric", values="value")
    names = [name for name in MEANS if name in table]
    table = table.reindex(index=list(study["arms"]), columns=names)
    yield f"| mean of | {' | '.join(names)} |"
    yield f"|---|{'---|' * len(names)}"
    for arm, values in table.iterrows():
        cells = ("" if math.isnan(value) else f"{value:.3f}" for value in values)
        yield f"| {arm} | {' | '.join(cells)} |"
    yield ""


def _hours(folder: Path) -> float:
    """What the trials in `folder` took, training and measuring."""
    seconds = 0.0
    for path in folder.glob("trials/*/result.json"):
        facts = json.loads(path.read_text())["facts"]
        seconds += facts.get("seconds", 0.0) + facts.get("evaluation_seconds", 0.0)
    return seconds / 3600


def main(arguments: Sequence[str] | None = None) -> int:
    """Keep a study, write the page, or check it; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="a study's, to be kept")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if it is stale")
    given = parser.parse_args(arguments)
    page = REFERENCE / "README.md"
    if given.folder is not None:
        if given.check:
            parser.error("--check takes no folder")
        try:
            keep(given.folder, REFERENCE / given.folder.name)
        except (ValueError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    fresh = text(REFERENCE, ROOT / "studies")
    if given.check:
        stale = not page.exists() or page.read_text(encoding="utf-8") != fresh
        print(f"{page} is {'stale: run scripts/make_reference.py' if stale else 'up to date'}")
        return int(stale)
    page.write_text(fresh, encoding="utf-8")
    for name, draw in FIGURES.items():
        manifest, rows = load(REFERENCE / name)
        (ROOT / "docs" / f"{name}.svg").write_bytes(draw(manifest["study"], rows).drawn)
    print(f"wrote {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
