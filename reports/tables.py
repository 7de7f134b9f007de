"""Tables of a study as plain records, which the template sets; every cell is text to be escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np

from reports import published
from reports.factorial import Effect
from reports.rows import Candidate, Manifest, Status, Study, Tuning, confirmed, flat
from reports.statistics import Comparison, interval_text, number, t_interval

if TYPE_CHECKING:
    import pandas as pd

ARROWS = {"higher": "↑", "lower": "↓"}
NOTHING = "n/a"
MANY_ARMS = 12
"""More arms than this are no columns to read, and no figure for the head of a page."""


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

    def long(self, corner: str) -> Table:
        """The table, turned where it has more than `MANY_ARMS` columns and fewer rows than columns.

        Args:
            corner: the heading of the first column if it is turned.
        """
        if not self.rows or len(self.header) <= max(MANY_ARMS, len(self.rows)) + 1:
            return self
        header, *rows = zip(self.header, *self.rows, strict=True)
        return Table((Cell(corner), *header[1:]), tuple(rows))


def metrics(study: Study, rows: pd.DataFrame, *, details: bool) -> Table:
    """Every metric on test data, a row each, and every arm, a column each; turned for many arms.

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
    return Table(_arm_header("metric", study), tuple(lines)).long("arm")


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
    return _remarks(
        (
            f"{found.contrast['treatment']} − {found.contrast['control']} "
            f"({found.contrast['metric']})",
            found,
        )
        for found in comparisons
    )


def effects(found: Sequence[Effect]) -> Table:
    """Main effects or interactions of a crossed study, with what decides about each."""
    header = ["effect", "verdict", "mean", "interval", "Holm-adjusted interval", "paired t p"]
    lines = []
    for effect in found:
        term, one = effect.term, effect.found
        resolution = one.interval.half if one.interval else None
        plain, adjusted = one.interval, one.adjusted
        lines.append(
            (
                Cell(term.name, " × ".join(term.factors)),
                Cell(one.verdict, _decides(one), f"verdict {one.verdict}"),
                Cell(_number(one.mean, resolution, signed=True), f"n = {one.n}"),
                Cell(interval_text(plain), plain.coverage if plain else ""),
                Cell(interval_text(adjusted), adjusted.coverage if adjusted else ""),
                Cell(_p(one.p_t), f"sign-flip {_p(one.p_flip)}, Holm {_p(one.p_holm)}"),
            )
        )
    return Table(tuple(Cell(text) for text in header), tuple(lines))


def effect_notes(found: Sequence[Effect]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What is to be said of effects beyond their numbers: each remark once, and of which."""
    return _remarks(
        (f"{' × '.join(effect.term.factors)}: {effect.term.name}", effect.found) for effect in found
    )


def tuning(study: Study, found: Tuning) -> Table:
    """A line for each arm that was tuned: its candidates' outcomes, the defaults and the winner."""
    header = ("arm", "candidates", "objective of the defaults", "of the winner", "winner", "values")
    lines = []
    for name, arm in study["arms"].items():
        if name not in found["candidates"]:
            continue
        tried = found["candidates"][name]
        known: dict[int | None, Candidate] = {one["number"]: one for one in tried}
        winner, spread = known.get(found["chosen"].get(name)), _spread(tried)
        done, others = outcomes([one["status"] for one in tried])
        lines.append(
            (
                Cell(name, arm["role"], arm["role"]),
                Cell(f"{done} / {len(tried)}", others),
                Cell(_objective(known.get(0), spread)),
                Cell(_objective(winner, spread)),
                Cell(*_winner(found, name)),
                Cell(_values(winner or known.get(0)), kind="words"),
            )
        )
    return Table(tuple(Cell(text) for text in header), tuple(lines))


def candidates(study: Study, found: Tuning) -> tuple[tuple[str, Table], ...]:
    """All that was tried for each arm that was tuned, a line for each candidate."""
    return tuple(
        (name, _tried(found["candidates"][name], found["chosen"].get(name)))
        for name in study["arms"]
        if found["candidates"].get(name)
    )


def beside_published(found: Sequence[published.Beside]) -> Table:
    """Ours beside the paper's; see `reports.published.Beside`."""
    header = (
        "arm",
        "training data",
        "metric",
        "ours",
        "prediction interval",
        "published",
        "within",
        "place",
    )
    words = {True: "yes", False: "no", None: "not compared"}
    lines = tuple(
        (
            Cell(line.arm),
            Cell(line.published.train, f"latent size {line.latent_dim}"),
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
    """What differs between the arms: each differing path, parameters, and trials by stage.

    Turned for many arms.
    """
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
    return Table(_arm_header("", study), tuple(lines)).long("arm")


def outcomes(statuses: Sequence[str]) -> tuple[int, str]:
    """How many are done, and the others counted by outcome, such as ``2 diverged, 1 failed``."""
    others = [(statuses.count(status), status) for status in get_args(Status) if status != "done"]
    return statuses.count("done"), ", ".join(f"{n} {status}" for n, status in others if n)


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


def _remarks(
    named: Iterable[tuple[str, Comparison]],
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    said: dict[str, list[str]] = {}
    for who, found in named:
        for note in found.notes:
            said.setdefault(note, []).append(who)
    return tuple((note, tuple(who)) for note, who in said.items())


def _spread(tried: Sequence[Candidate]) -> float | None:
    """How far objectives lie apart, a tenth of which must be legible to tell them apart."""
    known = [c["objective"] for c in tried if c["objective"] is not None]
    finite = [value for value in known if math.isfinite(value)]
    return max(finite) - min(finite) if finite else None


def _objective(tried: Candidate | None, spread: float | None) -> str:
    return _number(tried["objective"] if tried else None, spread / 10 if spread else None)


def _winner(found: Tuning, arm: str) -> tuple[str, str]:
    if arm not in found["chosen"]:
        return "not chosen", ""
    number_of = found["chosen"][arm]
    if number_of is None:
        return "no winner", "no candidate finished: the defaults were confirmed"
    return str(number_of), "" if number_of else "the defaults"


def _values(tried: Candidate | None) -> str:
    values = tried["values"] if tried else {}
    return ", ".join(f"{path}={_plain(value)}" for path, value in values.items()) or "—"


def _tried(tried: Sequence[Candidate], chosen: int | None) -> Table:
    paths = list(dict.fromkeys(path for candidate in tried for path in candidate["values"]))
    spread = _spread(tried)
    lines = []
    for candidate in tried:
        number_of, values = candidate["number"], candidate["values"]
        marks = ["the defaults"] * (number_of == 0) + ["the winner"] * (number_of == chosen)
        lines.append(
            (
                Cell(str(number_of), ", ".join(marks)),
                Cell(_objective(candidate, spread)),
                Cell(candidate["status"]),
                *(Cell(_plain(values[path]) if path in values else "—") for path in paths),
                Cell(candidate["reason"], kind="words"),
            )
        )
    header = ("number", "objective", "outcome", *paths, "reason")
    return Table(tuple(Cell(text) for text in header), tuple(lines))


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
