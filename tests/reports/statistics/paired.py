"""Toys of the statistics' tests: rows, contrasts and pairs from differences."""

from __future__ import annotations

import numpy as np
import pandas as pd

from reports.rows import COLUMNS
from reports.statistics.pairs import pair

LEVEL = 0.05
RNG = np.random.default_rng(7)
DIFFERENCES = RNG.normal(0.4, 1.0, 9)


def rows_of(values, metric="score", direction="higher", fingerprint="f", **changes):
    """Rows for {arm: {seed: value}}."""
    records = [
        {
            "study": "s", "arm": arm, "role": "arm", "seed": seed, "stage": "confirm",
            "status": "done", "trial": f"{arm}{seed}", "evaluation": "e", "metric": metric,
            "value": value, "unit": "points", "direction": direction, "fingerprint": fingerprint,
            "split": "test", **changes,
        }
        for arm, by_seed in values.items()
        for seed, value in by_seed.items()
    ]  # fmt: skip
    return pd.DataFrame(records, columns=list(COLUMNS)).astype(COLUMNS)


def contrast(treatment="new", control="old", metric="score", equivalence=0.1):
    return {
        "treatment": treatment,
        "control": control,
        "metric": metric,
        "equivalence": equivalence,
    }


def pairs_of(differences, equivalence=0.1, direction="higher"):
    n = len(differences)
    values = {
        "new": {i: 5.0 + d for i, d in enumerate(differences)},
        "old": dict.fromkeys(range(n), 5.0),
    }
    return pair(rows_of(values, direction=direction), contrast(equivalence=equivalence))
