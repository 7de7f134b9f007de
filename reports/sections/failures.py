"""How trials ended, and every one that did not end as planned."""

from __future__ import annotations

from reports.cells import Cell, Table, role_kind
from reports.manifest import Manifest
from reports.report import Report, Section
from reports.words import outcomes


def section(report: Report) -> Section:
    """The ledger of failures, and files that could not be read."""
    values = {
        "outcomes": outcome_counts(report.manifest),
        "failures": failures(report.manifest),
        "unread": report.unread,
    }
    return Section("failures", "Failures", values)


def outcome_counts(manifest: Manifest) -> list[tuple[str, str]]:
    """How the trials of each stage ended, as label and text."""
    stages = {"confirm": "confirmation trials", "tune": "tuning trials"}
    found = []
    for stage, label in stages.items():
        ends = [trial["status"] for trial in manifest["trials"] if trial["stage"] == stage]
        done, others = outcomes(ends)
        if ends:
            text = f"{done:,} of {len(ends):,} done" + (f"; {others}" if others else "")
            found.append((label, text))
    return found


def failures(manifest: Manifest) -> Table:
    """Every trial that did not end as planned or has a note; pruning while tuning is planned."""
    lines = tuple(
        (
            Cell(trial["arm"], kind=role_kind(trial["role"])),
            Cell(str(trial["seed"]), raw=(trial["seed"],)),
            Cell(trial["stage"]),
            Cell(trial["status"]),
            Cell(f"{trial['steps']:,}", raw=(trial["steps"],)),
            Cell(trial["reason"], kind="words"),
            Cell("; ".join(trial.get("notes", ())), kind="words"),
        )
        for trial in manifest["trials"]
        if trial["status"] not in ("done", "pruned") or trial.get("notes")
    )
    header = ("arm", "seed", "stage", "outcome", "steps", "reason", "notes")
    return Table(tuple(Cell(text) for text in header), lines)
