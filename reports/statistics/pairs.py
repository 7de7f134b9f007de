"""The differences of a contrast, seed by seed, and what is missing or forbids them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from reports.manifest import ContrastEntry
from reports.rows import confirmed
from reports.statistics.records import Pairs

if TYPE_CHECKING:
    import pandas as pd


def pair(rows: pd.DataFrame, contrast: ContrastEntry, seeds: Sequence[int] | None = None) -> Pairs:
    """The differences of a contrast at each seed, with what is missing or forbids them."""
    return pair_all(rows, [contrast], seeds)[0]


def pair_all(
    rows: pd.DataFrame, contrasts: Sequence[ContrastEntry], seeds: Sequence[int] | None = None
) -> list[Pairs]:
    """Of each contrast what `pair` gives.

    Args:
        rows: rows of a study; only finished confirmation trials on test data are used.
        contrasts: what to compare.
        seeds: those that ought to be there; by default every confirmation seed in `rows`.
    """
    measured, expected = confirmed(rows), _expected(rows, seeds)
    return [_paired(measured, contrast, expected) for contrast in contrasts]


def incomparable(measured: pd.DataFrame, metric: str) -> str:
    """Why these values of a metric must not be compared; empty where they may be."""
    for column, why in (
        ("fingerprint", "was not measured in the same way everywhere"),
        ("unit", "has more than one unit"),
        ("direction", "has more than one better side"),
    ):
        values = sorted(measured[column].unique())
        if len(values) > 1:
            return f"{metric} {why} ({column} {', '.join(values)})"
    if len(measured) and measured.direction.iloc[0] not in ("higher", "lower"):
        return f"{metric} has no better side"
    return ""


def _expected(rows: pd.DataFrame, seeds: Sequence[int] | None) -> list[int]:
    found = rows.seed[rows.stage == "confirm"] if seeds is None else seeds
    return sorted({int(seed) for seed in found})


def _paired(measured: pd.DataFrame, contrast: ContrastEntry, expected: Sequence[int]) -> Pairs:
    measured = measured[measured.metric == contrast["metric"]]
    sides = [measured[measured.arm == contrast[side]] for side in ("treatment", "control")]
    both = measured[measured.arm.isin([contrast["treatment"], contrast["control"]])]
    unit, direction = (both[name].iloc[0] if len(both) else "" for name in ("unit", "direction"))
    empty = Pairs(contrast, (), (), (), unit, direction)

    without = [
        side.arm.iloc[0] for side in sides if len(side) and side.value.isna().all()
    ]  # has the rows, and NaN in all of them: does not apply to this arm
    if without:
        return replace(
            empty, not_applicable=f"{contrast['metric']} does not apply to {' and '.join(without)}"
        )
    refusal = incomparable(both, contrast["metric"])
    if refusal:
        return replace(empty, refusal=refusal)

    treatment, control = (side.set_index("seed").value for side in sides)
    paired, differences, missing = [], [], []
    for seed in expected:
        values = {
            contrast["treatment"]: float(treatment.get(seed, math.nan)),
            contrast["control"]: float(control.get(seed, math.nan)),
        }
        absent = [arm for arm, value in values.items() if not math.isfinite(value)]
        if absent:
            missing.append(f"seed {seed}: no value of {' and '.join(absent)}")
        else:
            paired.append(seed)
            differences.append(values[contrast["treatment"]] - values[contrast["control"]])
    return replace(
        empty, seeds=tuple(paired), differences=tuple(differences), missing=tuple(missing)
    )
