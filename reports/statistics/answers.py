"""The answer of a study, as it declared that it would be found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reports.manifest import StudyEntry, TrialEntry
from reports.statistics.originals import with_originals
from reports.statistics.records import Answer, Comparison
from reports.statistics.sensitivity import sensitivity
from reports.statistics.verdicts import compare, family
from reports.study import warnings
from reports.words import looks_text, sentence

if TYPE_CHECKING:
    import pandas as pd


def answer(
    study: StudyEntry,
    rows: pd.DataFrame,
    trials: Sequence[TrialEntry] = (),
    folder: Path | None = None,
) -> Answer:
    """Compare as the study declared: the primary contrast alone, the secondary ones as a family.

    Args:
        study: the study's declaration.
        rows: its rows, as `reports.rows.load` gives them.
        trials: the manifest's, for what became of each; without them no sensitivity is known.
        folder: the study's, for what the trials left of each original; without it the bootstrap
            draws seeds alone.
    """
    primary, looks = compare(rows, study["primary"], study["level"], seeds=study["seeds"]), ""
    if "looks" in study:
        looks = looks_text(study["looks"])
        if not study["looks"]["reached"]:
            # what is there is no look, whatever its interval says
            primary = replace(primary, verdict="inconclusive", needed=None)
        elif primary.needed is not None:
            # of a new study, which has one look at the level of all
            whole = compare(rows, study["primary"], study["looks"]["level"], seeds=study["seeds"])
            primary = replace(primary, needed=whole.needed)
    secondary = family(rows, study["secondary"], study["level"], seeds=study["seeds"])
    primary, *others = (_warned(one, trials) for one in (primary, *secondary))
    secondary = tuple(others)
    survives = sensitivity(primary, rows, trials, study["level"])
    if folder is not None:
        primary, *others = (with_originals(one, trials, folder) for one in (primary, *secondary))
        secondary = tuple(others)
    said = " ".join(filter(None, (sentence(primary).strip(), looks)))
    return Answer(said, primary, secondary, study["budget_warning"], survives)


def _warned(found: Comparison, trials: Sequence[TrialEntry]) -> Comparison:
    """The comparison with a note for every warning that a value of it carries."""
    contrast = found.contrast
    notes = []
    for words, arms in warnings(trials, contrast["metric"]):
        sides = [arm for arm in (contrast["treatment"], contrast["control"]) if arm in arms]
        if sides:
            notes.append(f"warning about {contrast['metric']}: {words} ({', '.join(sides)})")
    return replace(found, notes=(*found.notes, *notes))
