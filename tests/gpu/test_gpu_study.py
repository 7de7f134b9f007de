"""A study on a GPU, two trials at a time on one card: as a user would start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
for module in ("omegaconf", "optuna", "pandas", "pyarrow", "sklearn", "jinja2", "seaborn"):
    pytest.importorskip(module)


def test_two_trials_at_a_time_on_one_card(device, tmp_path):
    """Rows are complete, nothing failed, and both trials of a pair were trained on the GPU."""
    shared = ["gpus_per_trial=0.5"] if device.type == "cuda" else []
    ran = subprocess.run(
        [
            sys.executable, "-m", "bench.run", "study=smoke", f"device={device.type}", "workers=2",
            *shared, "arms=[additive,matrix]", "baselines=[]", "tracking.enabled=false",
            f"runs={tmp_path}",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY) + os.pathsep
             + os.environ.get("PYTHONPATH", "")},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    results = [json.loads(path.read_text()) for path in tmp_path.rglob("trials/*/result.json")]
    assert [result["status"] for result in results] == ["done"] * 4
    assert not any(result["unmeasured"] for result in results)
    assert (tmp_path / "smoke" / "report.html").exists()
