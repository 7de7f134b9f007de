"""Tables of a study as plain records, which the template sets; every cell is text to be escaped."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from reports import published
from reports.factorial import Effect
from reports.rows import (
    Arm,
    Candidate,
    Manifest,
    Status,
    Study,
    Trial,
    Tuning,
    confirmed,
    flat,
    latent_size,
    trained_on,
)
from reports.statistics import (
    Comparison,
    Interval,
    holm_levels,
    interval_text,
    number,
    t_interval,
)

if TYPE_CHECKING:
    import pandas as pd

ARROWS = {"higher": "↑", "lower": "↓"}
NOTHING = "n/a"
MANY_ARMS = 12
"""More arms than this are no columns to read, and no figure for the head of a page."""


@dataclass(frozen=True)
class Cell:
    """A cell: its text, a smaller second line, and a kind that the style sheet knows.

    `raw` holds the numbers behind the text, one or the two ends of an interval, and `half` the one
    behind the note's ``±``, so that a reader can sort by them and ask for other digits. `links` are
    texts with the addresses they lead to.
    """

    text: str
    note: str = ""
    kind: str = ""
    raw: tuple[float, ...] = ()
    half: float | None = None
    links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Table:
    """A table whose rows begin with their heading. Empty tables are not shown.

    `minor` numbers the columns that may be left out at first where there is a choice.
    """

    header: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    minor: frozenset[int] = frozenset()

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
    """Every arm, a row each, and every metric on test data, a column each.

    A name of more than two parts, such as ``T/r2_linear/angle``, is a detail of the metric that its
    first two parts name; details have a table of their own.

    A cell has the mean over seeds and half the width of its t interval at the study's level, and n
    where it is not the number of the study's seeds. Values measured in different ways
    (fingerprints) never share a column. The primary metric comes first, the others in their order;
    a metric with published numbers is followed by those. Metrics that the study does not declare,
    and that have none, are minor. For bold see `supported_best`.
    """
    measured = confirmed(rows)
    measured = measured[(measured.metric.str.count("/") > 1) == details]
    told, primary = declared(study), study["primary"]["metric"]
    measured = measured.sort_values("metric", key=lambda names: names != primary, kind="stable")
    keys = ["metric", "fingerprint", "unit", "direction"]
    several = measured.groupby("metric").fingerprint.nunique()
    seeds = sorted(int(seed) for seed in measured.seed.unique())
    columns, minor, seen = [_arm_column(study)], set[int](), set[str]()
    for (metric, fingerprint, unit, direction), group in measured.groupby(keys, sort=False):
        heading = Cell(
            f"{metric} {ARROWS.get(direction, '')}".strip(),
            f"{unit}, measured as {fingerprint}" if several[metric] > 1 else unit,
        )
        table = group.pivot(index="arm", columns="seed", values="value")
        values = table.reindex(index=list(study["arms"]), columns=seeds).to_numpy(float)
        beside = None if metric in seen else _published_column(study, str(metric), str(unit))
        seen.add(metric)
        if metric not in told and not beside:
            minor.add(len(columns))
        columns.append([heading, *_means(study, values, direction)])
        columns += [beside] if beside else []
    header, *lines = zip(*columns, strict=True)
    return Table(header, tuple(lines) if len(columns) > 1 else (), frozenset(minor))


def declared(study: Study) -> set[str]:
    """The metrics of the primary and the secondary contrasts."""
    return {contrast["metric"] for contrast in (study["primary"], *study["secondary"])}


def means_by_arm(study: Study, rows: pd.DataFrame) -> dict[str, Cell]:
    """A cell for each arm from the rows of one metric, measured in one way; nothing in bold."""
    table = rows.pivot(index="arm", columns="seed", values="value")
    values = table.reindex(index=list(study["arms"])).to_numpy(float)
    return dict(zip(study["arms"], _means(study, values, ""), strict=True))


def supported_best(values: NDArray[np.float64], direction: str, level: float) -> int | None:
    """The row with the best mean, if it is better than every other row beyond the play of seeds.

    Every paired difference, best - other, must have its t interval wholly on the better side of 0
    at the level of Holm's step-down over all the others. Among the rows compared this way the
    choice of the best one is itself made by looking, so this is a reading aid and no declared test.

    Args:
        values: a row for each arm, a column for each seed, NaN where there is none.
        direction: which way is better.
        level: two-sided, before the adjustment.
    """
    from scipy.stats import t

    there = np.flatnonzero(np.isfinite(values).any(axis=1))
    if direction not in ("higher", "lower") or len(there) < 2:
        return None
    oriented = values[there] if direction == "higher" else -values[there]
    best = int(np.nanmean(oriented, axis=1).argmax())
    every = np.delete(oriented[best] - oriented, best, axis=0)
    n = np.isfinite(every).sum(axis=1)
    if n.min() < 2:
        return None
    means, error = np.nanmean(every, axis=1), np.nanstd(every, axis=1, ddof=1) / np.sqrt(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(error > 0, 2 * t.sf(np.abs(means) / error, n - 1), means == 0)
    # an interval at a level leaves 0 outside exactly where p is at most that level
    supported = (means > 0) & (p <= holm_levels(p.tolist(), level))
    return int(there[best]) if supported.all() else None


def contrasts(comparisons: Sequence[Comparison], *, adjusted: bool) -> Table:
    """Contrasts with all that is said of them.

    Args:
        comparisons: of the primary alone, or of the declared family.
        adjusted: show what Holm's adjustment gives (for a family).
    """
    header = ["contrast", "verdict", "mean difference", "interval"]
    header += ["Holm-adjusted interval"] if adjusted else []
    header += ["paired t p", "sign-flip p", "bootstrap", "P(better)", "effect d_z", "detectable"]
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
            _measure(found.mean, resolution, f"n = {found.n}", signed=True),
            _interval(found.interval),
        ]
        cells += [_interval(found.adjusted)] if adjusted else []
        how = "" if found.p_flip_exact else "sampled"
        cells += [
            Cell(p_text(found.p_t), raw=_raw(found.p_t)),
            Cell(
                p_text(found.p_flip),
                f"Holm {p_text(found.p_holm)}" if found.p_holm is not None else how,
                raw=_raw(found.p_flip),
            ),
            Cell(
                interval_text(found.bootstrap, resolution),
                f"over {found.bootstrap_over}" if found.bootstrap_over != "seeds" else "",
                raw=_raw(*_ends(found.bootstrap)),
            ),
            _measure(found.improvement),
            _measure(found.effect, signed=True),
            _measure(found.detectable),
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
        lines.append(
            (
                Cell(term.name, " × ".join(term.factors)),
                Cell(one.verdict, _decides(one), f"verdict {one.verdict}"),
                _measure(one.mean, resolution, f"n = {one.n}", signed=True),
                _interval(one.interval),
                _interval(one.adjusted),
                Cell(
                    p_text(one.p_t),
                    f"sign-flip {p_text(one.p_flip)}, Holm {p_text(one.p_holm)}",
                    raw=_raw(one.p_t),
                ),
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
                _objective(known.get(0), spread),
                _objective(winner, spread),
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
            _measure(line.mean, line.prediction.half if line.prediction else None, f"n = {line.n}"),
            Cell(interval_text(line.prediction, signed=False), raw=_raw(*_ends(line.prediction))),
            _measure(line.published.value, note=line.published.model),
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
                Cell(plain(arm["differs"][path])) if path in arm["differs"] else Cell("—")
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
    if any("claims" in arm for arm in specs.values()):
        claims = (", ".join(arm.get("claims", ())) or "—" for arm in specs.values())
        lines.append((Cell("claims"), *(Cell(text, kind="words") for text in claims)))
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


def parts(study: Study) -> Table:
    """The plugins that the arms are made of, with what each of them says of itself."""
    every = list(study["arms"])
    header = ("part", "name", "in its author's words", "arms", "origin")
    rows = [
        (
            Cell(part["role"]),
            Cell(part["name"]),
            Cell(part["summary"].replace("``", ""), kind="words"),
            Cell("all" if part["arms"] == every else ", ".join(part["arms"]), kind="words"),
            Cell(part["origin"]),
        )
        for part in study.get("parts", [])
    ]
    return Table(tuple(map(Cell, header)), tuple(rows))


def outcomes(statuses: Sequence[str]) -> tuple[int, str]:
    """How many are done, and the others counted by outcome, such as ``2 diverged, 1 failed``."""
    others = [(statuses.count(status), status) for status in get_args(Status) if status != "done"]
    return statuses.count("done"), ", ".join(f"{n} {status}" for n, status in others if n)


def outcome_counts(manifest: Manifest) -> list[tuple[str, str]]:
    """How the trials of each stage ended, as label and text."""
    stages = {"confirm": "confirmation trials", "tune": "tuning trials"}
    found = []
    for stage, label in stages.items():
        ends = [trial["status"] for trial in manifest["trials"] if trial["stage"] == stage]
        done, others = outcomes(ends)
        if ends:
            text = f"{done:,} of {len(ends):,} done" + (f"; {others}" if others else "")
            found.append((label, text))
    return found


def failures(manifest: Manifest) -> Table:
    """Every trial that did not end as planned or has a note; pruning while tuning is planned."""
    lines = tuple(
        (
            Cell(trial["arm"], kind=_role_kind(trial["role"])),
            Cell(str(trial["seed"]), raw=(trial["seed"],)),
            Cell(trial["stage"]),
            Cell(trial["status"]),
            Cell(f"{trial['steps']:,}", raw=(trial["steps"],)),
            Cell(trial["reason"], kind="words"),
            Cell("; ".join(trial.get("notes", ())), kind="words"),
        )
        for trial in manifest["trials"]
        if trial["status"] not in ("done", "pruned") or trial.get("notes")
    )
    header = ("arm", "seed", "stage", "outcome", "steps", "reason", "notes")
    return Table(tuple(Cell(text) for text in header), lines)


FILES = {"result": "result.json", "setup": "trial.json"}
"""What a trial leaves in its folder besides what the manifest names: a word for each, its file."""


def trials(folder: Path, manifest: Manifest, rows: pd.DataFrame) -> Table:
    """Every trial: how it ended, its primary metric, its files, and the command that repeats it.

    Args:
        folder: the study's; only files that are there are linked, relative to it.
        manifest: the study's manifest.
        rows: its measurements.
    """
    metric = manifest["study"]["primary"]["metric"]
    measured = confirmed(rows)  # what tuning measured, on validation data, stands with the tuning
    measured = measured[measured.metric == metric]
    values = dict(zip(measured.trial, measured.value, strict=True))
    lines = tuple(
        (
            Cell(trial["arm"], kind=_role_kind(trial["role"])),
            Cell(str(trial["seed"]), raw=(trial["seed"],)),
            Cell(trial["stage"]),
            Cell(trial["status"]),
            Cell(f"{trial['steps']:,}", raw=(trial["steps"],)),
            _measure(values.get(trial["trial"]), 1e-3),
            Cell(trial["trial"], links=_files(folder, trial)),
            Cell(command(manifest["study"], trial), kind="code"),
        )
        for trial in manifest["trials"]
    )
    header = ("arm", "seed", "stage", "outcome", "steps", metric, "key and files", "command")
    return Table(tuple(Cell(text) for text in header), lines)


def command(study: Study, trial: Trial) -> str:
    """What trains and measures a trial anew: the study's command for its arm and seed alone.

    The sides of the primary contrast stay, since there is no study without them, and ``runs``
    leads to a folder of its own, where nothing is there to be taken instead. A trial of tuning is
    repeated with the whole search of its arm.
    """
    primary = study["primary"]
    names = dict.fromkeys((trial["arm"], primary["treatment"], primary["control"]))
    kept: dict[str, list[str]] = {"arms": [], "baselines": []}
    for name in study["arms"]:
        if name in names:
            kept["arms" if study["arms"][name]["role"] == "arm" else "baselines"].append(name)
    seeds = [trial["seed"]] if trial["stage"] == "confirm" else study["seeds"][:1]
    narrowed = [f"{key}=[{','.join(map(_yaml, names))}]" for key, names in kept.items()]
    narrowed += [f"seeds={seeds}", "runs=again"]
    return f"{study['command']} {shlex.join(narrowed)}"


def fingerprints(rows: pd.DataFrame) -> Table:
    """How each metric was measured: unit, better side and fingerprint."""
    columns = ["metric", "unit", "direction", "split", "fingerprint"]
    known = rows.loc[rows.stage == "confirm", columns].drop_duplicates().sort_values(columns)
    lines = tuple(tuple(Cell(value) for value in line) for line in known.itertuples(index=False))
    return Table(tuple(Cell(name) for name in columns), lines)


def settings(values: Mapping[str, object]) -> Table:
    """Nested settings, a line for each leaf under its dotted path."""
    lines = tuple((Cell(path), Cell(plain(value), kind="words")) for path, value in flat(values))
    return Table((Cell("setting"), Cell("value")), lines)


def _arm_header(corner: str, study: Study) -> tuple[Cell, ...]:
    # The role stands under every name, so that a baseline is never taken for an arm.
    return (
        Cell(corner),
        *(Cell(name, arm["role"], arm["role"]) for name, arm in study["arms"].items()),
    )


def _arm_column(study: Study) -> list[Cell]:
    primary = study["primary"]
    sides = {primary["treatment"]: ", treatment", primary["control"]: ", control"}
    return [
        Cell("arm"),
        *(
            Cell(name, arm["role"] + sides.get(name, ""), arm["role"])
            for name, arm in study["arms"].items()
        ),
    ]


def _published_column(study: Study, metric: str, unit: str) -> list[Cell] | None:
    """What was published of this metric for the model that each arm repeats; None: nothing."""
    entries = [_published(study, name, arm, metric, unit) for name, arm in study["arms"].items()]
    if not any(entries):
        return None
    return [
        Cell("published", metric, "published", links=(("what differs", "#published"),)),
        *(
            _measure(entry.value, note=f"{entry.model}, {entry.place}", kind="published")
            if entry
            else Cell("—", kind="published faint")
            for entry in entries
        ),
    ]


def _published(
    study: Study, name: str, arm: Arm, metric: str, unit: str
) -> published.Published | None:
    train, size = trained_on(study, name), latent_size(study, name)
    if train is None or size is None:
        return None
    entry = published.lookup(arm.get("published", ""), train, metric, size)
    return entry if entry is not None and entry.unit == unit else None


def _files(folder: Path, trial: Trial) -> tuple[tuple[str, str], ...]:
    """The files of a trial that are there, each with its address relative to the study's folder."""
    key = trial["trial"]
    own = {} if key in ("", ".", "..") or "/" in key or "\0" in key else dict(FILES)
    paths = {word: f"trials/{key}/{file}" for word, file in own.items()}
    named = {"curve": trial["curve"], "pictures": trial["pictures"]}
    named["originals"] = trial.get("clusters")
    paths |= {word: path for word, path in named.items() if path}
    return tuple((word, quote(path)) for word, path in paths.items() if (folder / path).is_file())


_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"}


def _yaml(name: str) -> str:
    """A name as an entry of a YAML list: as it is where that is read back as text."""
    plain = re.fullmatch(r"[A-Za-z][\w.-]*", name, re.ASCII) and name.lower() not in _WORDS
    return name if plain else json.dumps(name)


def _role_kind(role: str) -> str:
    return "" if role == "arm" else role


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


def _objective(tried: Candidate | None, spread: float | None) -> Cell:
    return _measure(tried["objective"] if tried else None, spread / 10 if spread else None)


def _winner(found: Tuning, arm: str) -> tuple[str, str]:
    if arm not in found["chosen"]:
        return "not chosen", ""
    number_of = found["chosen"][arm]
    if number_of is None:
        return "no winner", "no candidate finished: the defaults were confirmed"
    return str(number_of), "" if number_of else "the defaults"


def _values(tried: Candidate | None) -> str:
    values = tried["values"] if tried else {}
    return ", ".join(f"{path}={plain(value)}" for path, value in values.items()) or "—"


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
                _objective(candidate, spread),
                Cell(candidate["status"]),
                *(_setting(values[path]) if path in values else Cell("—") for path in paths),
                Cell(candidate["reason"], kind="words"),
            )
        )
    header = ("number", "objective", "outcome", *paths, "reason")
    return Table(tuple(Cell(text) for text in header), tuple(lines))


def _means(study: Study, values: NDArray[np.float64], direction: str) -> list[Cell]:
    """A cell for each arm's values, to the digits that the column's typical interval warrants.

    Args:
        study: gives the roles, the level and how many seeds there should be.
        values: a row for each arm, a column for each seed, NaN where there is none.
        direction: which way is better.
    """
    level, roles = study["level"], [arm["role"] for arm in study["arms"].values()]
    own = [line[np.isfinite(line)] for line in values]
    intervals = [t_interval(line, level) for line in own]
    halves = [interval.half for interval in intervals if interval and interval.half]
    digits = float(np.median(halves)) if halves else None
    # a reference has nothing trained behind it, so it neither wins nor stands in the way
    ours = np.where(np.array(roles)[:, None] == "reference", np.nan, values)
    best = supported_best(ours, direction, level)
    cells = []
    for i, (line, interval) in enumerate(zip(own, intervals, strict=True)):
        if not len(line):
            cells.append(Cell(NOTHING, kind="faint"))
            continue
        half = interval.half if interval and interval.half else None
        notes = [f"±{number(half, digits)}"] if half else []
        if len(line) != len(study["seeds"]) or len(line) == 1:
            notes.append(f"n = {len(line)}")
        mean = float(line.mean())
        kind = "best" if i == best else ""
        cells.append(Cell(number(mean, digits), ", ".join(notes), kind, (mean,), half))
    return cells


def _measure(
    value: float | None,
    resolution: float | None = None,
    note: str = "",
    kind: str = "",
    *,
    signed: bool = False,
) -> Cell:
    return Cell(_number(value, resolution, signed=signed), note, kind, _raw(value))


def _interval(interval: Interval | None) -> Cell:
    coverage = interval.coverage if interval else ""
    return Cell(interval_text(interval), coverage, raw=_raw(*_ends(interval)))


def _ends(interval: Interval | None) -> tuple[float, ...]:
    return (interval.low, interval.high) if interval else ()


def _raw(*values: float | None) -> tuple[float, ...]:
    found = tuple(float(value) for value in values if value is not None and math.isfinite(value))
    return found if len(found) == len(values) else ()


def _setting(value: object) -> Cell:
    number_of = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    return Cell(plain(value), raw=_raw(number_of))


def _number(value: float | None, resolution: float | None = None, *, signed: bool = False) -> str:
    return NOTHING if value is None else number(value, resolution, signed=signed)


def p_text(value: float | None) -> str:
    """A p-value to read."""
    if value is None:
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _decides(found: Comparison) -> str:
    if found.verdict != "inconclusive" or found.interval is None:
        return ""
    if found.seeds_needed is None:
        return "no number of seeds would do"
    return f"about {found.seeds_needed:,} seeds"


def plain(value: object) -> str:
    """A setting's value to read."""
    if isinstance(value, float):
        return f"{value:g}"
    return "—" if value is None else str(value)
