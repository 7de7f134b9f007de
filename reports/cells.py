"""Tables as plain records, which a template sets; every cell is text to be escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reports.manifest import StudyEntry
from reports.statistics.best import supported_best
from reports.statistics.intervals import t_interval
from reports.statistics.records import Interval, ends
from reports.study import MANY_ARMS, flat
from reports.words import NOTHING, interval_text, number, plain

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Cell:
    """A cell: its text, a smaller second line, and a kind that the style sheet knows.

    `raw` holds the numbers behind the text, one or the two ends of an interval, and `half` the one
    behind the note's ``±``, so that a reader can sort by them and ask for other digits. `links` are
    texts with the addresses they lead to, and `id` is what a link to the cell ends with.
    """

    text: str
    note: str = ""
    kind: str = ""
    raw: tuple[float, ...] = ()
    half: float | None = None
    links: tuple[tuple[str, str], ...] = ()
    id: str = ""


@dataclass(frozen=True)
class Table:
    """A table whose rows begin with their heading. Empty tables are not shown.

    `minor` numbers the columns that may be left out at first where there is a choice.
    """

    header: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    minor: frozenset[int] = frozenset()

    def long(self, corner: str) -> Table:
        """The table, turned where it has more than `MANY_ARMS` columns and fewer rows than columns.

        Args:
            corner: the heading of the first column if it is turned.
        """
        if not self.rows or len(self.header) <= max(MANY_ARMS, len(self.rows)) + 1:
            return self
        header, *rows = zip(self.header, *self.rows, strict=True)
        return Table((Cell(corner), *header[1:]), tuple(rows))


def measure(
    value: float | None,
    resolution: float | None = None,
    note: str = "",
    kind: str = "",
    *,
    signed: bool = False,
) -> Cell:
    """A number to read, to two digits of `resolution` where given; ``n/a`` where there is none."""
    return Cell(_number(value, resolution, signed=signed), note, kind, raw(value))


def _number(value: float | None, resolution: float | None = None, *, signed: bool = False) -> str:
    return NOTHING if value is None else number(value, resolution, signed=signed)


def interval_cell(interval: Interval | None) -> Cell:
    """The ends of an interval, and its coverage."""
    coverage = interval.coverage if interval else ""
    return Cell(interval_text(interval), coverage, raw=raw(*ends(interval)))


def row_id(place: int) -> str:
    """The id of a secondary contrast's row, by its place in the declared family."""
    return f"contrast-{place + 1}"


def verdict_kind(word: str) -> str:
    """The kind of what holds a verdict."""
    return f"verdict {word.replace('/', '')}"


def raw(*values: float | None) -> tuple[float, ...]:
    """The numbers behind a cell; none unless all of them are known and finite."""
    found = tuple(float(value) for value in values if value is not None and math.isfinite(value))
    return found if len(found) == len(values) else ()


def role_kind(role: str) -> str:
    """The kind of a cell that names an arm: its role, unless that is the usual one."""
    return "" if role == "arm" else role


def settings(values: Mapping[str, object]) -> Table:
    """Nested settings, a line for each leaf under its dotted path."""
    lines = tuple((Cell(path), Cell(plain(value), kind="words")) for path, value in flat(values))
    return Table((Cell("setting"), Cell("value")), lines)


def means_by_arm(study: StudyEntry, rows: pd.DataFrame) -> dict[str, Cell]:
    """A cell for each arm from the rows of one metric, measured in one way; nothing in bold."""
    table = rows.pivot(index="arm", columns="seed", values="value")
    values = table.reindex(index=list(study["arms"])).to_numpy(float)
    return dict(zip(study["arms"], means(study, values, ""), strict=True))


def means(study: StudyEntry, values: NDArray[np.float64], direction: str) -> list[Cell]:
    """A cell for each arm's values, to the digits that the column's typical interval warrants.

    Args:
        study: gives the roles, the level and how many seeds there should be.
        values: a row for each arm, a column for each seed, NaN where there is none.
        direction: which way is better.
    """
    level, roles = study["level"], [arm["role"] for arm in study["arms"].values()]
    own = [line[np.isfinite(line)] for line in values]
    intervals = [t_interval(line, level) for line in own]
    halves = [interval.half for interval in intervals if interval and interval.half]
    digits = float(np.median(halves)) if halves else None
    # a reference has nothing trained behind it, so it neither wins nor stands in the way
    ours = np.where(np.array(roles)[:, None] == "reference", np.nan, values)
    best = supported_best(ours, direction, level)
    cells = []
    for i, (line, interval) in enumerate(zip(own, intervals, strict=True)):
        if not len(line):
            cells.append(Cell(NOTHING, kind="faint"))
            continue
        half = interval.half if interval and interval.half else None
        notes = [f"±{number(half, digits)}"] if half else []
        if len(line) != len(study["seeds"]) or len(line) == 1:
            notes.append(f"n = {len(line)}")
        mean = float(line.mean())
        kind = "best" if i == best else ""
        cells.append(Cell(number(mean, digits), ", ".join(notes), kind, (mean,), half))
    return cells
