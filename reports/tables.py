"""Tables of a study as plain records, which the template sets; every cell is text to be escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reports import published
from reports.rows import Manifest, Study, confirmed, flat
from reports.statistics import Comparison, interval_text, number, t_interval

if TYPE_CHECKING:
    import pandas as pd

ARROWS = {"higher": "↑", "lower": "↓"}
NOTHING = "n/a"


@dataclass(frozen=True)
class Cell:
    """A cell: its text, a smaller second line, and a kind that the style sheet knows."""

    text: str
    note: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """A table whose rows begin with their heading. Empty tables are not shown."""

    header: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]


def metrics(study: Study, rows: pd.DataFrame, *, details: bool) -> Table:
    """Every metric on test data, a row each, and every arm, a column each.

    A name of more than two parts, such as ``T/r2_linear/angle``, is a detail of the metric that its
    first two parts name; details have a table of their own.

    A cell has the mean over seeds and half the width of its t interval at the study's level, and n
    where it is not the number of the study's seeds. Values measured in different ways
    (fingerprints) never share a row. The primary metric comes first, the others in their order.
    """
    measured = confirmed(rows)
    measured = measured[(measured.metric.str.count("/") > 1) == details]
    primary = study["primary"]["metric"]
    measured = measured.sort_values("metric", key=lambda names: names != primary, kind="stable")
    keys = ["metric", "fingerprint", "unit", "direction"]
    several = measured.groupby("metric").fingerprint.nunique()
    lines = []
    for (metric, fingerprint, unit, direction), group in measured.groupby(keys, sort=False):
        heading = Cell(
            f"{metric} {ARROWS.get(direction, '')}".strip(),
            f"{unit}, measured as {fingerprint}" if several[metric] > 1 else unit,
        )
        finite = group[np.isfinite(group.value)]
        values = [finite.value[finite.arm == arm].to_numpy() for arm in study["arms"]]
        lines.append((heading, *_means(values, study["level"], len(study["seeds"]))))
    return Table(_arm_header("metric", study), tuple(lines))


def contrasts(comparisons: Sequence[Comparison], *, adjusted: bool) -> Table:
    """Contrasts with all that is said of them.

    Args:
        comparisons: of the primary alone, or of the declared family.
        adjusted: show what Holm's adjustment gives (for a family).
    """
    header = ["contrast", "verdict", "mean difference", "interval"]
    header += ["Holm-adjusted interval"] if adjusted else []
    header += ["bootstrap", "sign-flip p", "P(better)", "effect d_z", "detectable"]
    lines = []
    for found in comparisons:
        pairs, contrast = found.pairs, found.contrast
        arrow = ARROWS.get(pairs.direction, "")
        resolution = found.interval.half if found.interval else None
        cells = [
            Cell(
                f"{contrast['treatment']} − {contrast['control']}",
                f"{contrast['metric']} {arrow}, ±{contrast['equivalence']:g} {pairs.unit}",
            ),
            Cell(found.verdict, _decides(found), f"verdict {found.verdict.replace('/', '')}"),
            Cell(_number(found.mean, resolution, signed=True), f"n = {found.n}"),
            Cell(interval_text(found.interval), found.interval.coverage if found.interval else ""),
        ]
        if adjusted:
            interval = found.adjusted
            cells.append(Cell(interval_text(interval), interval.coverage if interval else ""))
        how = "" if found.p_flip_exact else "sampled"
        cells += [
            Cell(interval_text(found.bootstrap, resolution)),
            Cell(_p(found.p_flip), f"Holm {_p(found.p_holm)}" if found.p_holm is not None else how),
            Cell(_number(found.improvement)),
            Cell(_number(found.effect, signed=True)),
            Cell(_number(found.detectable)),
        ]
        lines.append(tuple(cells))
    return Table(tuple(Cell(text) for text in header), tuple(lines))


def notes(comparisons: Sequence[Comparison]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What is to be said of contrasts beyond their numbers: each remark once, and of which."""
    said: dict[str, list[str]] = {}
    for found in comparisons:
        contrast = found.contrast
        who = f"{contrast['treatment']} − {contrast['control']} ({contrast['metric']})"
        for note in found.notes:
            said.setdefault(note, []).append(who)
    return tuple((note, tuple(who)) for note, who in said.items())


def beside_published(found: Sequence[published.Beside]) -> Table:
    """Ours beside the paper's; see `reports.published.Beside`."""
    header = ("arm", "metric", "ours", "prediction interval", "published", "within", "place")
    words = {True: "yes", False: "no", None: "not compared"}
    lines = tuple(
        (
            Cell(line.arm),
            Cell(line.published.metric, line.published.unit),
            Cell(number(line.mean, line.prediction.half if line.prediction else None),
                 f"n = {line.n}"),
            Cell(interval_text(line.prediction, signed=False)),
            Cell(number(line.published.value), line.published.model),
            Cell(words[line.within]),
            Cell(line.published.place),
        )
        for line in found
    )  # fmt: skip
    return Table(tuple(Cell(text) for text in header), lines)


def arms(study: Study, manifest: Manifest) -> Table:
    """What differs between the arms: each differing path, parameters, and trials by stage."""
    specs = study["arms"]
    paths = list(dict.fromkeys(path for arm in specs.values() for path in arm["differs"]))
    lines = [(Cell("summary"), *(Cell(arm["summary"], kind="words") for arm in specs.values()))]
    lines += [
        (
            Cell(path),
            *(
                Cell(_plain(arm["differs"][path])) if path in arm["differs"] else Cell("—")
                for arm in specs.values()
            ),
        )
        for path in paths
    ]
    lines.append(
        (
            Cell("parameters"),
            *(
                Cell(f"{arm['parameters']:,}" if "parameters" in arm else NOTHING)
                for arm in specs.values()
            ),
        )
    )
    for stage in ("tune", "confirm"):
        of_stage = [trial for trial in manifest["trials"] if trial["stage"] == stage]
        if of_stage:
            counts = [
                [trial["status"] for trial in of_stage if trial["arm"] == name] for name in specs
            ]
            lines.append(
                (
                    Cell(f"{stage} trials", "done of all"),
                    *(Cell(f"{of.count('done')} / {len(of)}") for of in counts),
                )
            )
    return Table(_arm_header("", study), tuple(lines))


def failures(manifest: Manifest) -> Table:
    """Every trial that did not end as planned, with its reason; pruning while tuning is planned."""
    lines = tuple(
        (
            Cell(trial["arm"]),
            Cell(str(trial["seed"])),
            Cell(trial["stage"]),
            Cell(trial["status"]),
            Cell(f"{trial['steps']:,}"),
            Cell(trial["reason"], kind="words"),
        )
        for trial in manifest["trials"]
        if trial["status"] not in ("done", "pruned")
    )
    header = ("arm", "seed", "stage", "outcome", "steps", "reason")
    return Table(tuple(Cell(text) for text in header), lines)


def fingerprints(rows: pd.DataFrame) -> Table:
    """How each metric was measured: unit, better side and fingerprint."""
    columns = ["metric", "unit", "direction", "split", "fingerprint"]
    known = rows.loc[rows.stage == "confirm", columns].drop_duplicates().sort_values(columns)
    lines = tuple(tuple(Cell(value) for value in line) for line in known.itertuples(index=False))
    return Table(tuple(Cell(name) for name in columns), lines)


def settings(values: Mapping[str, object]) -> Table:
    """Nested settings, a line for each leaf under its dotted path."""
    lines = tuple((Cell(path), Cell(_plain(value), kind="words")) for path, value in flat(values))
    return Table((Cell("setting"), Cell("value")), lines)


def _arm_header(corner: str, study: Study) -> tuple[Cell, ...]:
    # The role stands under every name, so that a baseline is never taken for an arm.
    return (
        Cell(corner),
        *(Cell(name, arm["role"], arm["role"]) for name, arm in study["arms"].items()),
    )


def _means(arms: Sequence[np.ndarray], level: float, expected: int) -> list[Cell]:
    """A cell for each arm's values, to the digits that the row's typical interval warrants."""
    intervals = [t_interval(values, level) for values in arms]
    halves = [interval.half for interval in intervals if interval and interval.half]
    digits = float(np.median(halves)) if halves else None
    cells = []
    for values, interval in zip(arms, intervals, strict=True):
        if not len(values):
            cells.append(Cell(NOTHING, kind="faint"))
            continue
        notes = [f"±{number(interval.half, digits)}"] if interval and interval.half else []
        notes += [f"n = {len(values)}"] if len(values) != expected or len(values) == 1 else []
        cells.append(Cell(number(float(values.mean()), digits), ", ".join(notes)))
    return cells


def _number(value: float | None, resolution: float | None = None, *, signed: bool = False) -> str:
    return NOTHING if value is None else number(value, resolution, signed=signed)


def _p(value: float | None) -> str:
    if value is None:
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _decides(found: Comparison) -> str:
    if found.verdict != "inconclusive" or found.interval is None:
        return ""
    if found.seeds_needed is None:
        return "no number of seeds would do"
    return f"about {found.seeds_needed:,} seeds"


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return "—" if value is None else str(value)
