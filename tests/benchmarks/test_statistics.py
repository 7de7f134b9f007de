"""How long a verdict takes: 10 arms at 20 seeds, 27 contrasts in the family, below a second.

The console's last lines and the report both wait for it. The heaviest case of the exact sign-flip
test is 20 seeds, which is why it is the one measured. The processor's time counts, since nothing
here runs in parallel or waits, and neighbours on a machine lengthen the clock's.
"""

from __future__ import annotations

import itertools
import time

import numpy as np
import pandas as pd
import pytest

from reports.rows import COLUMNS
from reports.statistics.answers import answer

ARMS = [f"arm {i}" for i in range(10)]
METRICS = [f"metric {i}" for i in range(20)]
SEEDS = list(range(20))
LIMIT = 1.0  # s


def contrast(arm, metric):
    return {"treatment": arm, "control": ARMS[0], "metric": metric, "equivalence": 0.1}


@pytest.mark.benchmark(timer=time.process_time)
def test_answer(benchmark):
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        [
            ("s", arm, "arm", seed, "confirm", "done", f"{arm}{seed}", "e", metric, rng.normal(),
             "u", "higher", "f", "test")
            for metric, arm, seed in itertools.product(METRICS, ARMS, SEEDS)
        ],
        columns=list(COLUMNS),
    ).astype(COLUMNS)  # fmt: skip
    study = {
        "primary": contrast(ARMS[1], METRICS[0]),
        "secondary": [contrast(arm, METRICS[0]) for arm in ARMS[2:]]
        + [contrast(ARMS[1], metric) for metric in METRICS[1:]],
        "level": 0.05,
        "seeds": SEEDS,
        "budget_warning": "",
    }
    answer(study, rows)  # SciPy is loaded
    found = benchmark.pedantic(answer, (study, rows), rounds=5)
    assert len(found.secondary) == 27
    assert all(one.p_flip_exact for one in found.secondary)
    assert benchmark.stats.stats.min < LIMIT
