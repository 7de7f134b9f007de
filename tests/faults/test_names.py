"""Names that people give - of studies, arms, metrics' data - are data: no path, no markup, no key.

Whole runs with MLflow and Optuna, which have opinions of their own about names.
"""

from __future__ import annotations

import pytest
from harness import TINY, bench, with_database, write

from bench.store import slug
from reports import rows

NAMES = [
    "../x",
    "a/b",
    "nul\0byte",
    "x" * 300,
    "🙂 rotation",
    "שלום \u202eabc",
    "<script>alert(1)</script>",
    "a: b # c",
    ".",
    "-rf",
    "%s{0}$HOME",
]


@pytest.mark.soak
def test_arms_of_any_name(tmp_path, fresh):
    """Tuned, too: their names are in Optuna's and MLflow's keys and in the names of figures."""
    with_database(fresh, tmp_path)
    vae = TINY["arms"]["vae"]
    write(
        tmp_path,
        family="rotation",
        seeds=1,
        arms={name: {**vae, "trainer": {"halve_every": 50 + i}} for i, name in enumerate(NAMES)},
        trainer={**TINY["trainer"], "steps": 2},
        primary={**TINY["primary"], "treatment": NAMES[0], "control": NAMES[1]},
        tune={"trials": 2, "generation": 2},
    )
    done = bench(tmp_path, "study=tiny.yaml", "workers=2")
    assert done.status == 0, done.out + done.err
    assert "was not told" not in done.out
    frame = rows.load(done.store)
    assert {*frame[frame.stage == "confirm"].arm} == {*NAMES}
    outside = {path.name for path in tmp_path.iterdir()}
    assert outside == {"tiny.yaml", "runs", "mlflow.db", "mlflow.db.lock", "mlruns"} - (
        {"mlflow.db.lock"} - outside
    )
    page = (done.store / "report.html").read_text()
    assert "<script>alert(1)" not in page


@pytest.mark.parametrize("name", NAMES)
def test_studies_of_any_name(tmp_path, fresh, name):
    with_database(fresh, tmp_path)
    write(
        tmp_path,
        name=name,
        family="rotation",
        seeds=1,
        trainer={**TINY["trainer"], "steps": 1},
        metrics={"likelihood": {"k": 1, "images": 1}},
    )
    done = bench(tmp_path, "study=tiny.yaml", "workers=2")
    assert done.status == 0, done.out + done.err
    assert "was not told" not in done.out
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [slug(name)]
    assert {*rows.load(tmp_path / "runs" / slug(name)).study} == {name}
    again = bench(tmp_path, "study=tiny.yaml", "workers=2")
    assert "0 to run" in again.out
