"""What a trial costs on Ray that it does not cost here: trials with next to nothing to train.

A cluster of this machine: a head without CPUs, and two nodes of one each, against two local
processes. Whole runs of a study by its command, as somebody waits for them, by the clock on the
wall; of the driver alone, its processor's time.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.benchmarks.turns import CONTROL, race
from tests.cluster.conftest import a_cluster

STUDY = """\
question: What does a trial cost that has next to nothing to do?
budget: smoke
data: {train: mnist}
family: rotation_crop
model: {name: autoencoder, latent_dim: 2, prior: kl}
arms:
  a: {model: {w_prior: 1.0}}
  b: {model: {w_prior: 0.5}}
metrics: {reconstruction: {images: 10}}
trainer: {steps: 1}
primary: {treatment: b, control: a, metric: reconstruction/z0, equivalence: 1.0}
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with a_cluster() as cluster:
        yield cluster.address


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., float]:
    """Runs the study's command; the seconds that the driver's processor took."""
    study, fresh = tmp_path / "idle.yaml", itertools.count()
    study.write_text(STUDY)

    def run(trials: int, *arguments: str) -> float:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "bench.run", f"study={study}", f"seeds={trials // 2}",
                "threads=1", "tracking.enabled=false", f"runs={tmp_path / str(next(fresh))}",
                *arguments,
            ],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return used.ru_utime + used.ru_stime

    return run


def test_overhead_of_a_trial(benchmark, address, run):
    trials = 60

    def on_ray() -> None:
        run(trials, "executor=ray", f"ray.address={address}")

    others = {CONTROL: on_ray, "local processes": lambda: run(trials, "workers=2")}
    title = f"a trial of a study of {trials} with nothing to do; ours is Ray"
    race(benchmark, on_ray, others, 3, title=title, count=trials, clock=time.perf_counter)


def test_a_thousand_trials(benchmark, address, run):
    used = benchmark.pedantic(
        run, (1000, "executor=ray", f"ray.address={address}"), rounds=1, iterations=1
    )
    benchmark.extra_info["driver's processor, s"] = used
    print(f"\n1,000 trials of one step: {used:.0f} s of the driver's processor, ", end="")
    print(f"{benchmark.stats.stats.max:.0f} s on the wall")
