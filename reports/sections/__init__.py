"""The sections of a study's page: NAME.py says what stands there, NAME.html.j2 how.

A section is a function of everything that was read; it gives what fills its template, or None where
the study has nothing of the kind. A new one is two files and its place in the tuple.
"""

from __future__ import annotations

from collections.abc import Callable

from reports.report import Report, Section
from reports.sections import (
    arms,
    choices,
    contrasts,
    curves,
    factors,
    failures,
    head,
    looks,
    metrics,
    pictures,
    protocol,
    published,
    repeat,
    transformations,
    trials,
    tuning,
)

SECTIONS: tuple[Callable[[Report], Section | None], ...] = (
    head.section,  # opens the page; has no place in the contents
    looks.section,
    contrasts.section,
    factors.section,
    metrics.section,
    transformations.section,
    published.section,
    tuning.section,
    curves.section,
    pictures.section,
    arms.section,
    choices.section,
    protocol.section,
    failures.section,
    trials.section,
    repeat.section,
)
"""All of them, in the order of the page."""
