"""Studies that ship and whose images, networks or views are not the default's, run to their end."""

from __future__ import annotations

import numpy as np
import pytest
from harness import bench

from reports import rows

STUDIES = {
    # study -> (selection, a measurement that its question is about, arms that have it)
    "composing": ("arms=[additive,matrix]", "act/composition", {"additive", "matrix"}),
    "views": ("arms=[four,eight]", "act/gain", {"four", "eight"}),
    "sampling_T": ("arms=[free,medium]", "drawn/coverage", {"free", "medium"}),
}


@pytest.mark.parametrize("name", STUDIES)
def test_it_runs_and_answers(name, tmp_path):
    arms, metric, having = STUDIES[name]
    given = (arms, "baselines=[]", "seeds=1", "tracking.enabled=false", "trainer.steps=4")
    ran = bench(tmp_path, f"study={name}", "budget=smoke", "workers=2", *given)
    assert ran.status == 0, ran.out + ran.err
    (folder,) = (tmp_path / "runs").iterdir()
    assert (folder / "report.html").stat().st_size > 10_000
    frame = rows.load(folder)
    measured = frame[(frame.metric == metric) & np.isfinite(frame.value)]
    assert {*measured.arm} == having
