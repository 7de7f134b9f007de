"""How each metric was measured, and the whole configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.cells import Cell, Table, settings
from reports.report import Report, Section

if TYPE_CHECKING:
    import pandas as pd


def section(report: Report) -> Section:
    """Fingerprints and configuration."""
    values = {
        "fingerprints": fingerprints(report.rows),
        "config": settings(report.study["config"]),
    }
    return Section("protocol", "Protocol", values)


def fingerprints(rows: pd.DataFrame) -> Table:
    """How each metric was measured: unit, better side and fingerprint."""
    columns = ["metric", "unit", "direction", "split", "fingerprint"]
    known = rows.loc[rows.stage == "confirm", columns].drop_duplicates().sort_values(columns)
    lines = tuple(tuple(Cell(value) for value in line) for line in known.itertuples(index=False))
    return Table(tuple(Cell(name) for name in columns), lines)
