"""How long a report takes: at most 10 s for 1,000 trials, and 5 MB for ten arms at three seeds.

In a process of its own, as a person waits for it, with what a study leaves: 30 metrics a trial,
curves of all trials, pictures of one seed. `few` has many seeds, `many` has many arms.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reports import rows
from reports.page.page import REPORT

METRICS = ("knn/affnist", "nll", *(f"label_efficiency/affnist/{10**n}" for n in range(1, 5)),
           "cost/seconds", *(f"metric{i}/value" for i in range(23)))  # fmt: skip


def fabricate(folder: Path, arms: int, seeds: int) -> None:
    """A study's folder as `bench.collect` writes it."""
    rng = np.random.default_rng(0)
    records, trials = [], []
    names = [f"form_{i}" for i in range(arms)]
    steps = np.arange(1, 121)
    for rank, name in enumerate(names):
        for seed in range(seeds):
            key = f"{rank:08x}{seed:08x}"
            trial = folder / "trials" / key
            trial.mkdir(parents=True)
            (trial / "result.json").write_text("{}")
            curve = [
                {"step": int(s), "train/loss": 300 / s**0.3, "validation/elbo": -200 / s**0.1}
                for s in steps
            ]
            (trial / "curve.jsonl").write_text("\n".join(map(json.dumps, curve)))
            if seed == 0:
                images = rng.integers(0, 256, (16, 28, 28), dtype=np.uint8)
                transfer = {
                    f"transfer_{part}": images[:8]
                    for part in ("input", "truth", "reconstruction", "forward", "inverse")
                }
                np.savez(
                    trial / "pictures.npz", reconstruction_input=images, samples=images,
                    reconstruction_output=images, transfer_source=images[:3], **transfer,
                    interpolation_input=images[:12].reshape(3, 4, 28, 28),
                    interpolation_output=images[:4], T_map=rng.normal(size=(1000, 2)),
                    T_map_target=rng.normal(size=1000), T_map_name=np.array("angle"),
                    path_output=np.stack([images[:10]] * 3), path_steps=np.linspace(0, 1, 10),
                )  # fmt: skip
            trials.append(
                {
                    "trial": key, "arm": name, "role": "arm", "seed": seed, "stage": "confirm",
                    "status": "done", "reason": "", "steps": 160,
                    "curve": f"trials/{key}/curve.jsonl",
                    "pictures": f"trials/{key}/pictures.npz" if seed == 0 else None,
                }
            )  # fmt: skip
            records += [
                ("study", name, "arm", seed, "confirm", "done", key, f"e{key}", metric,
                 float(rng.normal(0.1 * (rank == 3), 0.05)), "share", "higher", "f", "test")
                for metric in METRICS
            ]  # fmt: skip
    pair = {"treatment": names[1], "control": names[0], "metric": METRICS[0], "equivalence": 0.01}
    secondary = [pair | {"treatment": name} for name in names[2:9]]
    study = {
        "name": "study", "question": "How long does it take?", "budget": "quick",
        "budget_warning": "", "level": 0.05,
        "arms": {
            name: {"role": "arm", "summary": "", "differs": {"model.form": name}} for name in names
        },
        "primary": pair, "secondary": secondary, "seeds": list(range(seeds)),
        "config": {"data": {"train": "fashion_mnist"}, "model": {"latent_dim": 10}},
        "choices": [], "command": "python -m bench.run study=study",
    }  # fmt: skip
    manifest = {"study": study, "trials": trials, "environment": {"python": "3.11"}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    frame = pd.DataFrame(records, columns=list(rows.COLUMNS)).astype(rows.COLUMNS)
    frame.to_parquet(folder / "rows.parquet")


@pytest.mark.parametrize(
    ("arms", "seeds"), [(10, 3), (10, 100), (100, 10)], ids=["default", "few", "many"]
)
def test_building(benchmark, tmp_path, arms, seeds):
    folder = tmp_path / "study"
    fabricate(folder, arms, seeds)
    command = [sys.executable, "-m", "reports.build", f"study={folder}"]
    benchmark.pedantic(lambda: subprocess.run(command, check=True), rounds=3)
    size = (folder / REPORT).stat().st_size / 1e6
    benchmark.extra_info["MB"] = round(size, 2)
    print(f"\n{arms} arms, {seeds} seeds: {size:.2f} MB")
    assert benchmark.stats.stats.min <= 10
    assert arms > 10 or seeds > 3 or size <= 5
