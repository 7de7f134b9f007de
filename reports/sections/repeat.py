"""Where it ran, and how to repeat it."""

from __future__ import annotations

import datetime
from collections import defaultdict
from typing import TYPE_CHECKING

from reports.cells import Cell, Table, measure, settings
from reports.manifest import Manifest
from reports.report import Report, Section
from reports.rows import confirmed
from reports.study import all_machines

if TYPE_CHECKING:
    import pandas as pd


def section(report: Report) -> Section:
    """The command, how long training and measuring took, and the surroundings."""
    values = {
        "time": training_time(report.rows),
        "machines": trained_on(report.manifest),
        "measuring": measuring(report.manifest),
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


def trained_on(manifest: Manifest) -> str:
    """What trained the confirmation trials, as a sentence; empty where nobody knows."""
    known = all_machines(manifest["trials"])
    if len(known) == 1:
        return f"Trained on {next(iter(known))}."
    each = (f"{machine} ({count} trials)" for machine, count in known.most_common())
    return f"Trained on unlike machines: {'; '.join(each)}." if known else ""


def measuring(manifest: Manifest) -> Table:
    """What every metric took of the confirmation trials, longest first; empty where nobody knows.

    CPU seconds: the mean over the trials, the mean of the arm that took longest, and the sum.
    """
    took: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for trial in manifest["trials"]:
        if trial["stage"] == "confirm":
            for metric, seconds in trial.get("metric_seconds", {}).items():
                took[metric][trial["arm"]].append(seconds)
    lines = []
    for metric, by_arm in took.items():
        means = {arm: sum(each) / len(each) for arm, each in by_arm.items()}
        longest = max(means, key=lambda arm: means[arm])
        total, trials = (sum(map(of, by_arm.values())) for of in (sum, len))
        lines.append((total, metric, total / trials, longest, means[longest]))
    return Table(
        tuple(map(Cell, ("metric", "a trial", "at most", "all trials"))),
        tuple(
            (
                Cell(metric),
                measure(mean, 0.1),
                measure(most, 0.1, note=longest),
                measure(total, 1.0),
            )
            for total, metric, mean, longest, most in sorted(lines, reverse=True)
        ),
    )
