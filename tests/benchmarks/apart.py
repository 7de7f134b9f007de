"""Benchmarks in processes of their own: for what a process is started with, or loads.

`serve` is the process's side, `Process` and `compare` are that of whoever asks. Nothing but the
standard library is imported, so that a process knows only what it times.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

Benchmark = Callable[[], object]


class Broken(Exception):
    """There is nothing to compare."""


def serve(benchmarks: Mapping[str, Callable[[], Benchmark]]) -> None:
    """Answer each name, a line, with seconds of the processor or why there are none, a line.

    Args:
        benchmarks: name -> what makes the benchmark, which is run once before it is timed.
    """
    answers, sys.stdout = sys.stdout, sys.stderr
    ready: dict[str, Benchmark] = {}
    for line in sys.stdin:
        name = line.rstrip("\n")
        try:
            if name not in ready:
                ready[name] = benchmarks[name]()
                ready[name]()
            started = time.process_time()
            ready[name]()
            said: object = time.process_time() - started
        except Exception as error:  # whatever another commit has no notion of
            said = f"{type(error).__name__}: {error}"
        print(json.dumps(said), file=answers, flush=True)


class Process:
    """A process that serves benchmarks.

    Args:
        command: what Python is given.
        folder: where it runs.
        environment: added to ours.
    """

    def __init__(
        self, command: Sequence[str], folder: Path | None = None, **environment: str
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=folder, env=os.environ | environment,
        )  # fmt: skip

    def run(self, name: str) -> float | str:
        """Seconds that a benchmark took, or why it cannot be run."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(name + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            return f"the process ended ({self.process.wait()})"
        found: float | str = json.loads(answer)
        return found

    def end(self) -> None:
        """Let the process end, as it does where nothing more is asked."""
        self.process.communicate()


def orders(names: Iterable[str]) -> Iterator[list[str]]:
    """The names in orders drawn at random, the same ones each time, without an end."""
    names, drawn = list(names), random.Random(0)
    while True:
        yield drawn.sample(names, len(names))


def compare(
    processes: Mapping[str, Process],
    benchmarks: Mapping[str, str],
    rounds: int,
    lenient: Iterable[str] = (),
) -> dict[str, float] | str:
    """Seconds of each process, its median over turns that are taken in an order drawn anew.

    Args:
        processes: by name.
        benchmarks: name of a process -> what it is to run.
        rounds: turns, at least 1.
        lenient: processes that may be unable to; then why is returned.

    Raises:
        Broken: another one cannot.
    """
    spent: dict[str, list[float]] = {name: [] for name in processes}
    for _, order in zip(range(rounds), orders(processes), strict=False):
        for name in order:
            said = processes[name].run(benchmarks[name])
            if not isinstance(said, str):
                spent[name].append(said)
            elif name in lenient:
                return said
            else:
                raise Broken(f"{benchmarks[name]}: {said}")
    return {name: median(times) for name, times in spent.items()}


def race(
    benchmark: Any,
    contestants: Mapping[str, tuple[Sequence[str], Mapping[str, str], str]],
    starts: int,
    rounds: int,
    *,
    title: str,
    count: int = 1,
) -> None:
    """Time contestants in processes of their own, started anew several times; print a table.

    Each start counts once, by the medians of its turns, and the intervals are over the starts: a
    process can be faster than another one with the same code, however often both take their turns.

    Args:
        benchmark: pytest-benchmark's fixture, which keeps the seconds of a start and the ratios.
        contestants: name -> (what Python is given, environment, benchmark); the first is ours.
        starts: at least 2.
        rounds: turns of each start.
        title: of the table.
        count: how many steps one turn has: times are told for one.
    """
    from tests.benchmarks.turns import ratio

    spent: dict[str, list[float]] = {name: [] for name in contestants}

    def start() -> None:
        processes: dict[str, Process] = {}
        try:
            for name, (command, environment, _) in contestants.items():
                processes[name] = Process(command, **environment)
            found = compare(processes, {k: what for k, (*_, what) in contestants.items()}, rounds)
        finally:
            for process in processes.values():
                process.end()
        assert not isinstance(found, str)
        for name, seconds in found.items():
            spent[name].append(seconds)

    benchmark.pedantic(start, rounds=starts)
    ours, *others = contestants
    ratios = {name: ratio(spent[name], spent[ours]) for name in others}
    benchmark.extra_info["times as long"] = {name: str(found) for name, found in ratios.items()}
    print(f"\n{title}, {starts} starts of {rounds} turns")
    for name, times in spent.items():
        told = f"  {ratios[name]} times ours" if name in ratios else ""
        print(f"  {name:34s}{1e3 * median(times) / count:10.4g} ms{told}")
