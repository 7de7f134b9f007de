"""Trials an hour of two workers against one, on two cores, one thread each.

Whole runs of a small study by its command, start and report included, as somebody waits for them.
By the clock on the wall: a machine that is busy with something else tells nothing.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Callable

from tests.benchmarks.turns import CONTROL, race

TRIALS = 6
STUDY = f"""\
question: How fast are two workers?
budget: quick
data: {{train: mnist}}
family: rotation_crop
model: {{name: autoencoder, latent_dim: 10, prior: kl}}
arms:
  a: {{model: {{w_prior: 1.0}}}}
  b: {{model: {{w_prior: 0.5}}}}
metrics: {{reconstruction: {{images: 100}}, cost: {{}}}}
seeds: {TRIALS // 2}
trainer: {{steps: 160}}
primary: {{treatment: b, control: a, metric: reconstruction/z0, equivalence: 1.0}}
"""


def test_workers(benchmark, tmp_path):
    study = tmp_path / "workers.yaml"
    study.write_text(STUDY)
    fresh = itertools.count()

    def running(workers: int) -> Callable[[], None]:
        def run() -> None:
            command = [
                sys.executable, "-m", "bench.run", f"study={study}", f"workers={workers}",
                "threads=1", "tracking.enabled=false", f"runs={tmp_path / str(next(fresh))}",
            ]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr + done.stdout

        return run

    others = {CONTROL: running(2), "one worker": running(1)}
    title = f"a trial of a study of {TRIALS}; ours is two workers"
    race(benchmark, running(2), others, 3, title=title, count=TRIALS, clock=time.perf_counter)
