"""Contestants that take turns, so that whatever disturbs a machine disturbs all of them alike.

A ratio is that of one contestant's time to another's in the same turn; its interval is Student's,
of the mean logarithm over the turns. A control, a second copy of the first contestant that goes
through the same procedure, shows what a ratio of nothing looks like: how far its own is from 1 is
the error of all the others, that of places in memory included, which no interval tells. The order
within a turn is drawn anew each time, because who comes after a long one finds cold caches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tests.benchmarks.apart import orders

CONTROL = "ours again"


@dataclass(frozen=True)
class Ratio:
    """A ratio with its interval.

    Attributes:
        value: the geometric mean over the turns.
        low: the interval's lower end.
        high: its upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


def ratio(numerator: Sequence[float], denominator: Sequence[float], level: float = 0.95) -> Ratio:
    """How many times the denominator the numerator is, turn by turn; at least two turns."""
    logs = np.log(np.asarray(numerator) / np.asarray(denominator))
    found = stats.ttest_1samp(logs, 0).confidence_interval(level) if np.ptp(logs) else logs[[0, 0]]
    return Ratio(*(float(np.exp(log)) for log in (logs.mean(), *found)))


def race(
    benchmark,
    ours: Callable[[], object],
    others: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    title: str,
    count: int = 1,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, Ratio]:
    """Time all contestants in turn and print a table.

    Args:
        benchmark: pytest-benchmark's fixture, which keeps the times of `ours` and the ratios.
        ours: runs once; what it does is timed, after one turn that is not.
        others: likewise; one of them should be `CONTROL`.
        rounds: turns, at least two.
        title: of the table.
        count: how many steps or images one turn has: times are told for one.
        clock: the processor's time, unless somebody waits for something else.

    Returns:
        name -> how many times as long as `ours`.
    """
    contestants = {"ours": ours, **others}
    spent: dict[str, list[float]] = {name: [] for name in contestants}
    queue = (name for order in orders(contestants) for name in order)

    def turn(name: str) -> None:
        started = clock()
        contestants[name]()
        spent[name].append(clock() - started)

    def until_ours() -> None:
        while (name := next(queue)) != "ours":
            turn(name)

    for contestant in contestants.values():
        contestant()
    benchmark.pedantic(turn, ("ours",), setup=until_ours, rounds=rounds)
    while min(map(len, spent.values())) < rounds:
        turn(next(queue))
    ratios = {name: ratio(spent[name], spent["ours"]) for name in others}
    benchmark.extra_info["times as long"] = {name: str(found) for name, found in ratios.items()}
    print(f"\n{title}, {rounds} turns")
    for name, times in spent.items():
        told = f"  {ratios[name]} times ours" if name in ratios else ""
        print(f"  {name:34s}{1e3 * np.median(times) / count:10.4g} ms{told}")
    return ratios
