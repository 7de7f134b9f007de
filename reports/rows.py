"""The row schema: one measurement, one row, with its provenance.

A study's folder is what the report reads, and all that it reads::

    runs/STUDY/
      rows.parquet      the measurements, columns below; those of tuning too, where there was any
      manifest.json     the study, its trials and where they ran: `reports.manifest`
      trials/KEY/       curve.jsonl and pictures.npz of one trial, and clusters.npz where a data set
                        holds several variants of each original: `reports.files`
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from reports.manifest import find, listed

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: dict[str, str] = {
    "study": "string",
    "arm": "string",
    "role": "string",  # arm | baseline | reference (raw pixels: no training behind it)
    "seed": "int64",
    "stage": "string",  # confirm | tune
    "status": "string",  # done | pruned | diverged | failed | interrupted
    "trial": "string",  # the training key: the name of its folder under trials/
    "evaluation": "string",  # the evaluation key
    "metric": "string",  # such as knn/affnist
    "value": "float64",  # NaN: not applicable to this arm
    "unit": "string",  # accuracy, nats, ratio, R^2, ...
    "direction": "string",  # higher | lower | none: which way is better
    "fingerprint": "string",  # equal only where two values were measured in the same way
    "split": "string",  # test | validation
}
"""Columns of ``rows.parquet`` and their pandas types, in order."""
ALLOWED: dict[str, str] = {
    "role": "arm|baseline|reference",
    "stage": "confirm|tune",
    "status": "done|pruned|diverged|failed|interrupted",
    "direction": "higher|lower|none",
    "split": "test|validation",
}
"""For columns with a fixed vocabulary, the pattern that a whole value must match."""


def load(study: str | Path, runs: str | Path = "runs") -> pd.DataFrame:
    """Read and check the rows of a study.

    Args:
        study: the study's name under `runs`, or its folder.
        runs: the folder of all studies.

    Returns:
        One measurement a row, exactly the columns and types of `COLUMNS`.

    Raises:
        ValueError: no such study, an unreadable file, a missing or unknown column, a wrong type, a
            value outside a column's vocabulary, or a confirmed value that stands there twice.
    """
    import pandas as pd
    import pyarrow as pa

    path = find(study, runs) / "rows.parquet"
    try:
        frame = pd.read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{path}: cannot be read as Parquet: {error}") from error
    problems = list(_row_problems(frame))
    if problems:
        raise ValueError(listed(path, problems))
    return frame[list(COLUMNS)].astype(COLUMNS)


def confirmed(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that may enter a comparison: finished confirmation trials, measured on test data."""
    return rows[(rows.stage == "confirm") & (rows.status == "done") & (rows.split == "test")]


def alike(measured: pd.DataFrame) -> pd.DataFrame:
    """Finite values, and of each metric only those measured in the way that most were."""
    import numpy as np

    measured = measured[np.isfinite(measured.value)]
    counts = measured.groupby(["metric", "fingerprint"]).size().sort_values(kind="stable")
    most = dict(counts.index)  # the last, most frequent one of each metric stays
    return measured[measured.fingerprint == measured.metric.map(most)]


def _row_problems(frame: pd.DataFrame) -> Iterator[str]:
    from pandas.api import types

    accepted = {
        "string": lambda column: types.is_string_dtype(column) and not column.isna().any(),
        "int64": types.is_integer_dtype,
        "float64": types.is_numeric_dtype,
    }
    unknown = [name for name in frame.columns if name not in COLUMNS]
    if unknown:
        yield f"unknown columns: {', '.join(map(str, unknown))}"
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        yield f"missing columns: {', '.join(missing)}"
    if frame.empty:
        return
    wrong = [name for name in COLUMNS if name in frame and not accepted[COLUMNS[name]](frame[name])]
    for name in wrong:
        yield f"{name}: is {frame[name].dtype} or has gaps; must be {COLUMNS[name]} throughout"
    if missing or wrong:
        return
    for name, pattern in ALLOWED.items():
        bad = frame.loc[~frame[name].str.fullmatch(pattern), name].unique()
        if len(bad):
            yield f"{name}: {', '.join(map(repr, bad[:5]))}; must be one of {pattern}"
    fixed = confirmed(frame)
    twice = fixed[fixed.duplicated(["arm", "seed", "metric"])]
    for row in twice.head(5).itertuples():
        yield f"{row.metric} of {row.arm!r} at seed {row.seed} is there more than once"
