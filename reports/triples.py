"""One page about which plugins work together: ``python -m reports.triples FOLDER``.

Reads the ``FORM-DIVERGENCE-FAMILY.json`` files that ``python -m bench.triple`` left in the folder
and writes ``index.html`` there: for each family a heat map of forms by divergences, how far the
held-out reconstruction loss fell, each cell a link to what was measured.

Exit status: 0; 1 if a triple failed or one of the crossing is missing; 2 if nothing can be read.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from reports.cells import Cell, Table
from reports.manifest import expanded
from reports.page.page import page, replace
from reports.pen import own_matplotlib
from reports.words import writable

PAGE = "index.html"

STEPS = 5
"""Shades of a heat map."""


@dataclass(frozen=True)
class Triple:
    """What was measured of one triple, as `bench.triple` wrote it.

    Attributes:
        file: where it was read, relative to the page.
        form: of r(z, T).
        divergence: of coherence and prior.
        family: of image transformations.
        fall: of the held-out reconstruction loss, as a share of its start.
        required: the least that it must be.
        curve: (step, loss in nats).
        gradients: name -> norm at the last step.
        contracts: (kind, name, tests that passed).
        problems: what is wrong; empty: nothing.
        seconds: that it took.
        data: the data set.
    """

    file: str
    form: str
    divergence: str
    family: str
    fall: float
    required: float
    curve: tuple[tuple[int, float], ...]
    gradients: dict[str, float]
    contracts: tuple[tuple[str, str, int], ...]
    problems: tuple[str, ...]
    seconds: float
    data: str

    @property
    def name(self) -> str:
        """FORM-DIVERGENCE-FAMILY."""
        return f"{self.form}-{self.divergence}-{self.family}"

    @property
    def shade(self) -> int:
        """1 to `STEPS`: how far the loss fell, beyond what is required."""
        beyond = (self.fall - self.required) / (1 - self.required)
        return min(STEPS, max(1, 1 + int(STEPS * beyond)))


def read(path: Path) -> Triple:
    """The triple in a file.

    Raises:
        ValueError: it is no such file.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Triple(
            path.name,
            str(found["form"]),
            str(found["divergence"]),
            str(found["family"]),
            float(found["fall"]),
            float(found["required"]),
            tuple((int(at["step"]), float(at["nats"])) for at in found["curve"]),
            {str(what): float(norm) for what, norm in found["gradients"].items()},
            tuple(
                (str(kind), str(part["name"]), int(part["passed"]))
                for kind, part in found["contracts"].items()
            ),
            tuple(map(str, found["problems"])),
            float(found["seconds"]),
            str(found["data"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is no result of bench.triple: {error!r}") from error


def write(folder: Path) -> tuple[Path, list[str]]:
    """Write the page; where it is, and what is wrong.

    Raises:
        ValueError: the folder holds no result, or a file that is none.
    """
    own_matplotlib()
    triples = {triple.name: triple for triple in map(read, sorted(folder.glob("*-*-*.json")))}
    if not triples:
        raise ValueError(f"no FORM-DIVERGENCE-FAMILY.json in {folder}; bench.triple writes them")
    forms, divergences, families = (
        list(dict.fromkeys(getattr(triple, axis) for triple in triples.values()))
        for axis in ("form", "divergence", "family")
    )
    every = list(map("-".join, product(forms, divergences, families)))
    missing = [name for name in every if name not in triples]
    broken = [triple for triple in triples.values() if triple.problems]
    html = page(
        "triples.html.j2",
        triples=triples,
        every=[triples[name] for name in every if name in triples],
        forms=forms,
        divergences=divergences,
        families=families,
        missing=missing,
        broken=broken,
        details=details(list(triples.values())),
    )
    path = folder / PAGE
    replace(path, html.encode())
    wrong = [f"{triple.name}: {problem}" for triple in broken for problem in triple.problems]
    return path, [*wrong, *(f"{name}: was not run" for name in missing)]


def details(triples: Sequence[Triple]) -> Table:
    """Everything measured, a line for each triple."""
    header = ("triple", "fell by", "from, nats", "to, nats", "steps", "gradient of T",
              "gradient of h_xi", "contract tests", "seconds", "result")  # fmt: skip
    rows = [
        (
            Cell(triple.name, links=(("json", triple.file),)),
            Cell(f"{triple.fall:.0%}"),
            Cell(f"{triple.curve[0][1]:.1f}"),
            Cell(f"{triple.curve[-1][1]:.1f}"),
            Cell(str(triple.curve[-1][0])),
            Cell(f"{triple.gradients.get('T', float('nan')):.3g}"),
            Cell(f"{triple.gradients.get('h_xi', float('nan')):.3g}"),
            Cell(str(sum(passed for _, _, passed in triple.contracts))),
            Cell(f"{triple.seconds:.0f}"),
            Cell("failed" if triple.problems else "works", kind="words"),
        )
        for triple in triples
    ]
    return Table(tuple(map(Cell, header)), tuple(rows))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    given: list[Any] = list(sys.argv[1:] if arguments is None else arguments)
    if len(given) != 1 or given[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if given and given[0] in ("-h", "--help") else 2
    writable()
    folder = expanded(given[0])
    try:
        path, wrong = write(folder)
    except (ValueError, OSError) as error:
        print(f"reports.triples: {error}", file=sys.stderr)
        return 2
    for problem in wrong:
        print(f"FAILED: {problem}", file=sys.stderr)
    print(path)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
