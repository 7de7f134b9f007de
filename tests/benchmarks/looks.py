"""How often studies with looks are wrong, and what they save: ``python -m tests.benchmarks.looks``.

Prints the tables of docs/looks.md; one word more, such as ``errors``, prints that table alone.
Studies are simulated value by value; of `reports.statistics.looks` they know the level of each look
alone. Differences have deviation 1. All of it takes about a minute of one core; AdaStop, which is
compared with them, is held to its package where that is installed.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from reports.statistics.looks import per_look, schedule
from reports.statistics.power import chance, seeds_to_decide

LEVEL = 0.05
STUDIES = 100_000
SLOW = 500  # of AdaStop
MAIN = (4, 8, 12, 16)
SETS = (
    (16,), (8, 16), (4, 8), MAIN, (2, 4, 6, 8), (3, 6, 9, 12, 15), (6, 10, 14, 18),
    tuple(range(4, 17)), tuple(range(4, 33, 4)), tuple(range(4, 65, 4)),
)  # fmt: skip
LAWS: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "normal": lambda rng, size: rng.standard_normal(size),
    "uniform": lambda rng, size: rng.uniform(-1, 1, size),
    "t, 3 degrees of freedom": lambda rng, size: rng.standard_t(3, size),
    "normal, 1 in 10 five times as far": lambda rng, size: (
        rng.standard_normal(size) * np.where(rng.random(size) < 0.1, 5, 1)
    ),
    "difference of two exponentials": lambda rng, size: (
        rng.exponential(size=size) - rng.exponential(size=size)
    ),
    "gamma of shape 4 (skewness 1)": lambda rng, size: rng.gamma(4, size=size) - 4,
    "exponential (skewness 2)": lambda rng, size: rng.exponential(size=size) - 1,
    "lognormal (skewness 6.2)": lambda rng, size: rng.lognormal(size=size) - math.exp(0.5),
}


@dataclass(frozen=True)
class Ended:
    """Studies at the look that ended them."""

    word: np.ndarray  # 1 better, -1 worse, 0 equivalent, 9 inconclusive
    seeds: np.ndarray
    mean: np.ndarray
    missed: np.ndarray  # its interval does not hold the true mean

    def share(self, *words: int) -> float:
        """Of studies that say one of these words."""
        return float(np.isin(self.word, words).mean())


def ended(
    values: np.ndarray, looks: Sequence[int], at: float, margin: float = 0.0, truth: float = 0.0
) -> Ended:
    """Each row's study: it stops at the first look whose t interval at level `at` decides."""
    rows = len(values)
    end = Ended(np.full(rows, 9), np.zeros(rows, int), np.zeros(rows), np.zeros(rows, bool))
    going = np.arange(rows)
    for n in looks:
        seen = values[going, :n]
        mean = seen.mean(1)
        half = -stdtrit(n - 1, at / 2) * seen.std(1, ddof=1) / math.sqrt(n)
        low, high = mean - half, mean + half
        inside = (low >= -margin) & (high <= margin)
        word = np.select([low > margin, high < -margin, inside], [1, -1, 0], 9)
        end.word[going], end.seeds[going], end.mean[going] = word, n, mean
        end.missed[going] = (low > truth) | (high < truth)
        going = going[word == 9]
    return end


def normal(truth: float, seeds: int, seed: int = 0) -> np.ndarray:
    """Studies of normal differences."""
    return truth + np.random.default_rng([7, seed]).standard_normal((STUDIES, seeds))


def rate(share: float, studies: int = STUDIES) -> str:
    """A share in per cent and its standard error."""
    return f"{share:.2%} ± {math.sqrt(max(share * (1 - share), 1 / studies) / studies):.2%}"


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table in Markdown."""
    print(f"\n### {title}\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |", flush=True)


def name(looks: Sequence[int]) -> str:
    """Looks in few signs."""
    if len(looks) > 5:
        return f"{looks[0]}, {looks[1]}, ... {looks[-1]}"
    return ", ".join(map(str, looks))


def errors() -> None:
    """Wrong verdicts with no difference and at the edge of the region of equivalence."""
    rows = []
    for looks in SETS:
        at, row = per_look(looks, LEVEL), []
        null = normal(0, looks[-1])
        row += [ended(null, looks, LEVEL).share(1, -1), ended(null, looks, at).share(1, -1)]
        for margin in (0.5, 1.0):
            edge = ended(normal(margin, looks[-1]), looks, at, margin, margin)
            row += [edge.share(1, -1), float(edge.missed.mean())]
        rows.append([name(looks), f"{at:.4f}", *map(rate, row)])
    header = ["looks", "level per look", "naive: wrong at 0", "wrong at 0"]
    header += [f"R = {r}: {what}" for r in (0.5, 1) for what in ("wrong", "interval misses")]
    table("errors", header, rows)


def savings() -> None:
    """Power and seeds against a fixed design."""
    for most, margin, effects in (
        (16, 0.0, (0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)),
        (32, 0.0, (0.3, 0.5, 0.7, 1.0, 1.5, 2.0)),
        (16, 1.0, (0.0, 0.3, 2.0, 3.0)),
    ):
        looks, rows = schedule(most), []
        at = per_look(looks, LEVEL)
        for effect in effects:
            end = ended(normal(effect, most), looks, at, margin, effect)
            right = end.share(1 if effect > margin else 0)
            same = seeds_to_decide(effect, 1.0, margin, LEVEL, min(right, 0.99))
            whole = chance(most, effect, 1.0, margin, LEVEL)
            found = end.mean[end.word == 1]
            rows.append(
                [effect, f"{right:.1%}", f"{end.seeds.mean():.1f}", same,
                 f"{1 - end.seeds.mean() / same:.0%}", f"{whole:.1%}", rate(end.missed.mean()),
                 f"{found.mean():.2f}" if effect > margin else "-"]
            )  # fmt: skip
        header = ["true difference", "right", "seeds, mean", "fixed, as often right", "saved"]
        header += [f"fixed {most}: right", "interval misses", "mean of *better*"]
        table(f"savings, looks {name(looks)}, R = {margin:g}", header, rows)


def schedules() -> None:
    """Which looks: power and seeds of several sets that end at 16."""
    rows = []
    for looks in (
        MAIN, (16,), (8, 16), (4, 8, 16), (2, 4, 8, 16), (3, 6, 9, 12, 16), (5, 9, 12, 16),
        (6, 8, 10, 12, 14, 16), tuple(range(4, 17, 2)), tuple(range(4, 17)), tuple(range(2, 17)),
    ):  # fmt: skip
        at = per_look(looks, LEVEL)
        row = [name(looks), f"{at:.4f}"]
        for effect, margin in ((0.5, 0.0), (1.0, 0.0), (2.0, 0.0), (3.0, 0.0), (0.0, 1.0)):
            end = ended(normal(effect, 16), looks, at, margin)
            row.append(f"{end.seeds.mean():.1f}, {end.share(1 if effect > margin else 0):.1%}")
        rows.append(row)
    header = ["looks", "level per look", "0.5", "1", "2", "3", "0, R = 1"]
    table("schedules: mean seeds, share right", header, rows)


def laws() -> None:
    """Wrong verdicts where differences are not normal."""
    rows, others = [], (MAIN, (8, 16), (12, 16))
    for i, (law, draw) in enumerate(LAWS.items()):
        values = draw(np.random.default_rng([11, i]), (STUDIES, 16))
        row = [ended(values, [n], LEVEL).share(1, -1) for n in (4, 16)]
        row += [ended(values, looks, per_look(looks, LEVEL)).share(1, -1)
                for looks in others]  # fmt: skip
        rows.append([law, *map(rate, row)])
    table("laws", ["law of the differences", "fixed 4", "fixed 16", *map(name, others)], rows)


def missing() -> None:
    """Pairs that are missing at the planned looks, independently of what they would have been."""
    at, values = per_look(MAIN, LEVEL), normal(0, 16)
    counts = range(2, 17)
    misses = {
        n: np.abs(values[:, :n].mean(1)) * math.sqrt(n) / values[:, :n].std(1, ddof=1)
        > -stdtrit(n - 1, at / 2)
        for n in counts
    }
    rates = {}
    for lost in itertools.product(range(5), repeat=4):  # of each four seeds
        there = sorted({n for n in np.cumsum(4 - np.array(lost)) if n >= 2})
        if there:
            rates[lost] = float(np.any([misses[int(n)] for n in there], axis=0).mean())
    worst = max(rates, key=lambda lost: rates[lost])
    rows = [
        ["none", rate(rates[0, 0, 0, 0])],
        [f"{worst} of each 4, the worst", rate(rates[worst])],
    ]
    for q in (0.05, 0.2, 0.5):
        total = 0.0
        for lost, found in rates.items():
            total += found * math.prod(math.comb(4, m) * q**m * (1 - q) ** (4 - m) for m in lost)
        rows.append([f"each with chance {q:.0%}", rate(total)])
    rng = np.random.default_rng(5)
    for q in (0.1, 0.3):  # a trial fails where its difference would be low
        chances = 2 * q * (values < np.median(values))
        rows.append([f"{q:.0%}, all among the lower half", rate(_lossy(values, rng, chances, at))])
    table(f"missing pairs, looks {name(MAIN)}: some interval misses", ["missing", "rate"], rows)


def _lossy(values: np.ndarray, rng: np.random.Generator, chances: np.ndarray, at: float) -> float:
    kept = np.where(rng.random(values.shape) < chances, np.nan, values)
    missed = np.zeros(len(values), bool)
    for n in MAIN:
        seen = kept[:, :n]
        count = np.isfinite(seen).sum(1)
        some = count >= 2
        seen, count = seen[some], count[some]
        t = np.abs(np.nanmean(seen, 1)) * np.sqrt(count) / np.nanstd(seen, 1, ddof=1)
        missed[some] |= t > -stdtrit(count - 1, at / 2)
    return float(missed.mean())


def extended() -> None:
    """Looks that are added to a study that was finished and inconclusive."""
    values, rows = normal(0, 24), []
    more = (20, 24)
    together = per_look((*MAIN, *more), LEVEL)
    for first, at, why, later in (
        ((16,), LEVEL, "0.05", LEVEL),
        (MAIN, per_look(MAIN, LEVEL), "0.05", LEVEL),
        (MAIN, per_look(MAIN, LEVEL), "of the first looks", per_look(MAIN, LEVEL)),
        (MAIN, per_look(MAIN, LEVEL), "of all six looks", together),
        (MAIN, together, "of all six looks, declared beforehand", together),
    ):
        wrong = ended(values, first, at).share(1, -1)
        going = ended(values, first, at).word == 9
        wrong += going.mean() * ended(values[going], more, later).share(1, -1)
        rows.append([name(first), f"{at:.4f}", f"{why}: {later:.4f}", rate(float(wrong))])
    header = ["looks", "at", f"then, at {name(more)}, the level", "wrong at 0"]
    table("extended", header, rows)


def families() -> None:
    """Secondary contrasts, all without a difference, read by Holm within the level of a look."""
    at, rows, studies, block = per_look(MAIN, LEVEL), [], 40_000, 4_000
    for m, shared in itertools.product((1, 5, 20), (0.0, 0.5, 0.9, 0.99)):
        rng, stop, ever = np.random.default_rng([m, int(100 * shared)]), 0, 0
        for _ in range(studies // block):
            common = rng.standard_normal((block, 1, 16))
            own = rng.standard_normal((block, m + 1, 16))
            x = math.sqrt(shared) * common + math.sqrt(1 - shared) * own
            going, any_look = np.ones(block, bool), np.zeros(block, bool)
            for n in MAIN:
                seen = x[:, :, :n]
                t = np.abs(seen.mean(2)) * math.sqrt(n) / seen.std(2, ddof=1)
                # Holm is wrong about some true null where the smallest p is at most level / m
                wrong = t[:, 1:].max(1) > -stdtrit(n - 1, at / m / 2)
                any_look |= wrong
                ends = going & ((t[:, 0] > -stdtrit(n - 1, at / 2)) | (n == MAIN[-1]))
                stop += int((ends & wrong).sum())
                going &= ~ends
            ever += int(any_look.sum())
        rows.append([m, shared, rate(stop / studies, studies), rate(ever / studies, studies)])
    header = ["contrasts", "correlation, primary included", "wrong at the primary's stop",
              "wrong at any look"]  # fmt: skip
    table(f"families, looks {name(MAIN)}", header, rows)


def adastop() -> None:
    """AdaStop (Mathieu et al. 2023) on the same data; it compares two unpaired samples."""
    rng = np.random.default_rng(3)
    try:
        from adastop import MultipleAgentsComparator
    except ImportError:
        print("\nno comparison with the package: pip install adastop==0.1.3 tabulate")
    else:
        for seed in range(4):
            a, b = rng.standard_normal((2, 16)) + np.array([[seed / 2], [0]])
            theirs = MultipleAgentsComparator(n=4, K=4, alpha=LEVEL, seed=seed)
            for n in MAIN:
                theirs.partial_compare({"a": a[:n], "b": b[:n]}, verbose=False)
                if theirs.is_finished:
                    break
            word, seeds, bounds = permuted(a, b, rng, LEVEL)
            assert (word, seeds) == (theirs.decisions["[0 1]"], n)
            # at the first two looks every permutation is there, so nothing is left to chance
            np.testing.assert_allclose(bounds[:2], [bound for _, bound in theirs.boundary[:2]])
    rows = []
    for rho, effect in itertools.product((0.0, 0.5, 0.9), (0.0, 1.0)):
        rng = np.random.default_rng([5, int(10 * rho)])
        shared, a, b = rng.standard_normal((3, SLOW, 16))
        scale = 1 / math.sqrt(2 * (1 - rho))  # so that a - b has variance 1
        a, b = (scale * (math.sqrt(rho) * shared + math.sqrt(1 - rho) * x) for x in (a, b))
        a = a + effect
        ours, row = ended(a - b, MAIN, per_look(MAIN, LEVEL)), [rho, effect]
        for alpha in (LEVEL, LEVEL / 2):
            said = [permuted(x, y, rng, alpha) for x, y in zip(a, b, strict=True)]
            for word in ("larger", "smaller"):
                row.append(rate(float(np.mean([one == word for one, *_ in said])), SLOW))
            row.append(f"{np.mean([n for _, n, _ in said]):.1f}")
        row += [rate(ours.share(1), SLOW), rate(ours.share(-1), SLOW), f"{ours.seeds.mean():.1f}"]
        rows.append(row)
    header = ["correlation", "true difference"]
    for alpha in (LEVEL, LEVEL / 2):
        header += [f"AdaStop at {alpha}: larger", "smaller", "seeds"]
    table("adastop", [*header, f"paired, at {LEVEL}: better", "worse", "seeds"], rows)


def permuted(
    a: np.ndarray, b: np.ndarray, rng: np.random.Generator, alpha: float, most: int = 10_000
) -> tuple[str, int, list[float]]:
    """What adastop 0.1.3 does with two agents and its default beta = 0, as arrays.

    Its own loops take seconds a study. `adastop` holds this to them.
    """
    n, total, spent, bounds = 4, math.comb(8, 4), 0.0, []
    splits = np.array(list(itertools.combinations(range(2 * n), n)))
    sums, count = np.zeros(1), 1
    for k, seeds in enumerate(MAIN):
        block = np.concatenate([a[seeds - n : seeds], b[seeds - n : seeds]])
        if total ** (k + 1) < most:
            sums, count = np.add.outer(_differences(block, splits), sums).ravel(), total ** (k + 1)
        else:
            drawn = rng.random((len(sums), 2 * n)).argsort(1)[:, :n]
            drawn[0] = np.arange(n)  # what was observed
            sums = sums + _differences(block, drawn)
        values, above = np.sort(sums), np.arange(len(sums))[::-1] / count
        allowed = spent + above <= alpha * (k + 1) / len(MAIN)
        bounds.append(values[allowed][0] if allowed.any() else math.inf)
        spent += above[allowed][0] if allowed.any() else 0.0
        observed = (k + 1) * (a[:seeds].mean() - b[:seeds].mean())
        if abs(observed) > bounds[-1]:
            return ("larger" if observed > 0 else "smaller"), seeds, bounds
        sums = sums[np.abs(sums) <= bounds[-1]]
    return "equal", seeds, bounds


def _differences(block: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Mean of those of each row of `first` minus the mean of the others, which are as many."""
    return (2 * block[first].sum(1) - block.sum()) / first.shape[1]


if __name__ == "__main__":
    every = (errors, savings, schedules, laws, missing, extended, families, adastop)
    for part in every:
        if part.__name__ in sys.argv[1:] or len(sys.argv) == 1:
            part()
