"""Write the levels per look: ``python scripts/make_looks.py [--check]``.

`reports/statistics/looks.json` has them for the looks that studies most often declare: the default
schedules, and looks every few seeds. All others are simulated when they are asked for, by the same
function. Takes a few minutes of one core; the same every time.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence

from reports.statistics import looks

LEVELS = (0.1, 0.05, 0.01)
MOST_SEEDS = 64  # of a default schedule
STEPS = (2, 3, 5, 6, 8, 10)
MOST_LOOKS = 6  # of those every few seeds
TOLERANCE = 1e-5  # relative: six digits are written


def declared() -> Iterator[tuple[int, ...]]:
    """The sets of two looks or more that the table has."""
    for most in range(2 * looks.STEP, MOST_SEEDS + 1):
        yield looks.schedule(most)
    for step in STEPS:
        for last in range(2, MOST_LOOKS + 1):
            yield tuple(step * k for k in range(1, last + 1))


def text() -> str:
    """The table as JSON: a line for each set of looks, its level per look at each of `LEVELS`."""
    rows = (
        json.dumps([one, [float(f"{looks.simulated(one, level):.6g}") for level in LEVELS]])
        for one in declared()
    )
    return f'{{"levels": {json.dumps(LEVELS)},\n"per look": [\n' + ",\n".join(rows) + "\n]}\n"


def stale() -> list[str]:
    """What the table has otherwise, or lacks, by its looks."""
    stored = looks.table()
    return [
        f"{list(one)} at {level}: {stored.get((one, level))}, simulated {found:.6g}"
        for one in declared()
        for level in LEVELS
        if not math.isclose(
            stored.get((one, level), math.nan),
            found := looks.simulated(one, level),
            rel_tol=TOLERANCE,
        )
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table, or check it; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if it is stale")
    if parser.parse_args(arguments).check:
        lines = stale()
        print("\n".join(lines) or "the table is up to date")
        return 1 if lines else 0
    looks.TABLE.write_text(text(), encoding="utf-8")
    print(f"wrote {looks.TABLE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
