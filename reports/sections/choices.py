"""Choices where the paper is silent."""

from __future__ import annotations

from reports.report import Report, Section


def section(report: Report) -> Section:
    """What the study says that it chose; the template reads it off the study."""
    return Section("choices", "Choices", {})
