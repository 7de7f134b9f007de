"""The looks of a study that ends when it is decided: what each said, and where it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reports.cells import Cell, Table, interval_cell, measure
from reports.manifest import LooksEntry, StudyEntry
from reports.report import Report, Section
from reports.statistics.intervals import t_interval
from reports.statistics.pairs import pair
from reports.statistics.planning import expected
from reports.statistics.records import Interval, Pairs, Verdict
from reports.statistics.verdicts import word
from reports.words import looks_text

if TYPE_CHECKING:
    import pandas as pd


def section(report: Report) -> Section | None:
    """Where the study stands, what keeps its level, every look, and what one look would need."""
    looks = report.study.get("looks")
    if looks is None:
        return None
    passed = passed_looks(report.study, looks, report.rows)
    values = {
        "standing": looks_text(looks),
        "boundary": boundary(report.study["level"], looks),
        "looks": table(looks, passed),
        "fixed": fixed(looks, passed),
    }
    return Section("looks", "Looks", values)


@dataclass(frozen=True)
class Passed:
    """The primary contrast as a look saw it."""

    seeds: int
    pairs: Pairs
    interval: Interval | None
    verdict: Verdict


def passed_looks(study: StudyEntry, looks: LooksEntry, rows: pd.DataFrame) -> list[Passed]:
    """Every look that was passed, from the rows of its seeds alone."""
    found = []
    for seeds in looks["planned"][: looks["reached"]]:
        pairs = pair(rows, study["primary"], study["seeds"][:seeds])
        interval = t_interval(np.asarray(pairs.differences, dtype=float), study["level"])
        found.append(Passed(seeds, pairs, interval, word(pairs, study["level"])))
    return found


def boundary(each: float, looks: LooksEntry) -> str:
    """What every look is read at, and what that keeps."""
    count, together = len(looks["planned"]), 100 * (1 - looks["level"])
    return (
        f"Each of {count} looks at {100 * (1 - each):.3g}%, together {together:g}%: "
        "the level of a single look is so strict that the interval of any of them misses the true "
        f"difference in at most {100 * looks['level']:g}% of studies, wherever a study ends."
    )


def table(looks: LooksEntry, passed: list[Passed]) -> Table:
    """A row for each look that was planned."""
    lines = []
    for k, seeds in enumerate(looks["planned"]):
        head = (Cell(f"{k + 1}", raw=(k + 1,)), Cell(str(seeds), raw=(seeds,)))
        if k >= len(passed):
            later = "not needed" if looks["decided"] else "open" if k == len(passed) else "to come"
            lines.append((*head, *[Cell("")] * 3, Cell(later)))
            continue
        found = passed[k]
        mean = float(np.mean(found.pairs.differences)) if found.pairs.differences else None
        half = found.interval.half if found.interval else None
        lines.append(
            (
                *head,
                Cell(str(len(found.pairs.differences)), raw=(len(found.pairs.differences),)),
                measure(mean, half, signed=True),
                interval_cell(found.interval),
                Cell(found.verdict, kind=f"verdict {found.verdict}"),
            )
        )
    header = ("look", "seeds", "n", "mean difference", "interval", "verdict")
    return Table(tuple(Cell(text) for text in header), tuple(lines))


def fixed(looks: LooksEntry, passed: list[Passed]) -> str:
    """What one look would have needed, were what the last one found the truth; may be empty."""
    d = np.asarray(passed[-1].pairs.differences if passed else (), dtype=float)
    if len(d) < 2 or d.std(ddof=1) == 0:
        return ""
    pairs = passed[-1].pairs
    mean = float(-d.mean() if pairs.direction == "lower" else d.mean())
    found = expected(
        looks["planned"],
        looks["level"],
        mean,
        float(d.std(ddof=1)),
        pairs.contrast["equivalence"],
    )
    if not found.fixed:
        return ""
    return (
        "Were the difference and the spread seen at the last look the true ones, a study with "
        f"these looks would come to the right word in {found.right:.0%} of cases and take "
        f"{found.seeds:.3g} seeds on average; one with a single look at "
        f"{100 * (1 - looks['level']):g}% would need {found.fixed:,} to be right as often."
    )
