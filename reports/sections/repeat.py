"""Where it ran, and how to repeat it."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from reports.cells import settings
from reports.report import Report, Section
from reports.rows import confirmed

if TYPE_CHECKING:
    import pandas as pd


def section(report: Report) -> Section:
    """The command, how long it took, and the surroundings."""
    values = {
        "time": training_time(report.rows),
        "environment": settings(report.manifest["environment"]),
    }
    return Section("repeat", "Repeat", values)


def training_time(rows: pd.DataFrame) -> str:
    """How long the confirmation trials trained in all, as a sentence; empty where nobody knows."""
    known = confirmed(rows)
    known = known[(known.metric == "cost/seconds") & known.value.notna()]
    if known.empty:
        return ""
    total = float(known.value.sum())
    return (
        f"Training the {len(known):,} finished confirmation trials took "
        f"{datetime.timedelta(seconds=round(total))} (h:mm:ss) of wall time in all, "
        f"{total / len(known):,.1f} s each on average; tuning and evaluation come on top."
    )
