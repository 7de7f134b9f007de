"""What somebody waits for before anything is computed: help, a mistyped key, a dry run.

Processes of their own, by the clock on the wall, each command in turn with an empty process and one
that imports torch and nothing else. Of the mistyped key, the message counts as much as the end: the
process goes on to find all other mistakes, for which it imports torch.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

from tests.benchmarks.turns import CONTROL, race

RUN = ("-m", "bench.run")
STUDY = (*RUN, "study=additive_vs_matrix", "budget=smoke")


def command(*arguments: str, status: int = 0) -> Callable[[], None]:
    """Runs Python to its end."""

    def run() -> None:
        done = subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
        assert done.returncode == status, done.stderr

    return run


def message(*arguments: str, said: str) -> Callable[[], None]:
    """Runs Python until the first line of its errors; the rest is not waited for."""

    def run() -> None:
        process = subprocess.Popen(
            [sys.executable, *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
            text=True, env=os.environ | {"COLUMNS": "200"},
        )  # fmt: skip
        assert process.stderr is not None
        line = process.stderr.readline()
        process.kill()
        process.communicate()
        assert said in line

    return run


def test_startup(benchmark, tmp_path):
    runs = f"runs={tmp_path}"
    wrong = (*STUDY, "trainer.stps=5", runs)
    others = {
        CONTROL: command(*RUN, "--help"),
        "an empty process": command("-c", ""),
        "import torch": command("-c", "import torch"),
        "a mistyped key, its message": message(*wrong, said="stps"),
        "a mistyped key, the end": command(*wrong, status=2),
        "dry_run=true": command(*STUDY, "dry_run=true", runs),
    }
    ours = command(*RUN, "--help")
    race(benchmark, ours, others, 5, title="ours is --help", clock=time.perf_counter)
