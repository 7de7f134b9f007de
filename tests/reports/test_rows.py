"""Loading rows: whatever is wrong on disk is refused in words that say where and what.

The report trusts nothing it reads: files may be old, torn, or made by somebody else.
"""

from __future__ import annotations

import re

import pandas as pd
import pytest

from reports import manifest as manifests
from reports import rows
from tests.reports.written import ROW


def test_a_good_study_loads_by_name_and_by_folder(write):
    runs = write()
    for frame in (rows.load("forms", runs), rows.load(runs / "forms")):
        assert list(frame.columns) == list(rows.COLUMNS)
        assert frame.iloc[0].to_dict() == ROW
        assert frame.dtypes.astype(str).to_dict() == rows.COLUMNS
    assert manifests.load("forms", runs)["study"]["question"] == "q"


def test_a_study_without_rows_loads(write):
    frame = pd.DataFrame(columns=list(rows.COLUMNS))
    assert rows.load("forms", write(frame)).empty


def test_an_unknown_study_is_answered_with_a_near_match(write):
    with pytest.raises(ValueError, match=r"no study 'form'.*did you mean 'forms'"):
        rows.load("form", write())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"role": "king"}, "role: 'king'; must be one of arm|baseline|reference"),
        ({"status": "fine"}, "status: 'fine'"),
        ({"stage": "dress rehearsal"}, "stage: 'dress rehearsal'"),
        ({"direction": "up"}, "direction: 'up'"),
        ({"split": "train"}, "split: 'train'"),
        ({"seed": 1.5}, "seed: is float64"),
        ({"value": "much"}, "value: is"),
        ({"arm": None}, "arm: is"),
        ({"colour": "red"}, "unknown columns: colour"),
    ],
)
def test_bad_rows_are_refused_by_column(write, change, message):
    runs = write(pd.DataFrame([ROW | change, ROW | change | {"metric": "other"}]))
    with pytest.raises(ValueError, match=re.escape(message)):
        rows.load("forms", runs)


def test_missing_columns_are_named(write):
    runs = write(pd.DataFrame([ROW]).drop(columns=["unit", "split"]))
    with pytest.raises(ValueError, match="missing columns: unit, split"):
        rows.load("forms", runs)


def test_a_value_measured_twice_is_refused(write):
    with pytest.raises(ValueError, match="m of 'a' at seed 1 is there more than once"):
        rows.load("forms", write(pd.DataFrame([ROW, ROW | {"value": 0.7}])))


def test_a_file_that_is_no_parquet_is_refused(write):
    runs = write()
    (runs / "forms" / "rows.parquet").write_bytes(b"half a file")
    with pytest.raises(ValueError, match="cannot be read as Parquet"):
        rows.load("forms", runs)
