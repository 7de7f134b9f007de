"""A study of one row, written to disk with changes."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from reports import rows

ROW = {
    "study": "s", "arm": "a", "role": "arm", "seed": 1, "stage": "confirm", "status": "done",
    "trial": "k", "evaluation": "e", "metric": "m", "value": 0.5, "unit": "u",
    "direction": "higher", "fingerprint": "f", "split": "test",
}  # fmt: skip
CONTRAST = {"treatment": "a", "control": "b", "metric": "m", "equivalence": 0.1}
ARM = {"role": "arm", "summary": "", "differs": {}}
STUDY = {
    "name": "s", "question": "q", "budget": "quick", "budget_warning": "",
    "level": 0.05, "arms": {"a": ARM, "b": ARM}, "primary": CONTRAST, "secondary": [],
    "seeds": [1], "config": {}, "choices": [], "command": "c",
}  # fmt: skip
TRIAL = {
    "trial": "k", "arm": "a", "role": "arm", "seed": 1, "stage": "confirm", "status": "done",
    "reason": "", "steps": 1, "curve": None, "pictures": None,
}  # fmt: skip
CANDIDATE = {
    "number": 0, "values": {"a.b": 1.5, "c": 2, "d": "x", "e": True, "f": None},
    "objective": 0.5, "status": "done", "reason": "",
}  # fmt: skip
TUNING = {
    "metric": "m", "direction": "higher", "sampler": "random", "pruner": "median", "trials": 1,
    "seeds": [9], "generation": 4, "candidates": {"a": [CANDIDATE]}, "chosen": {"a": 0},
    "notes": [],
}  # fmt: skip


@pytest.fixture
def write(tmp_path):
    """Writes a study, with changes to one row, the study and one trial; returns the runs folder."""

    def write(frame=None, study=None, trial=None):
        folder = tmp_path / "forms"
        folder.mkdir(exist_ok=True)
        if frame is None:
            frame = pd.DataFrame([ROW]).astype(rows.COLUMNS)
        frame.to_parquet(folder / "rows.parquet")
        manifest = {
            "study": STUDY | (study or {}), "trials": [TRIAL | (trial or {})], "environment": {},
        }  # fmt: skip
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return tmp_path

    return write
