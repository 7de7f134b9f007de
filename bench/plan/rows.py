"""Endings of trials -> rows, as `reports.rows` has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from reports.rows import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

    from bench.plan.progress import Ending


def rows(study: str, endings: Iterable[Ending]) -> list[dict[str, Any]]:
    """One row per measurement, columns as `reports.rows.COLUMNS`.

    Args:
        study: its name.
        endings: of its trials.
    """
    out = []
    for ending in endings:
        trial, result = ending.trial, ending.result
        for measured in result.measurements:
            value = measured["value"]
            out.append(
                {
                    "study": study,
                    "arm": trial.arm,
                    "role": trial.role,
                    "seed": trial.seed,
                    "stage": trial.stage,
                    "status": result.status,
                    "trial": trial.training_key,
                    "evaluation": trial.evaluation_key,
                    "metric": measured["name"],
                    "value": float("nan") if value is None else float(value),
                    "unit": measured["unit"],
                    "direction": measured["direction"],
                    "fingerprint": trial.fingerprint(measured["source"], measured["name"]),
                    "split": trial.split,
                }
            )
    return out


def frame(found: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Rows as a table of the schema's columns and types."""
    import pandas as pd

    return pd.DataFrame(list(found), columns=list(COLUMNS)).astype(COLUMNS)
