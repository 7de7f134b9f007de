"""How the arms were tuned: outcomes, histories, what mattered."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reports.cells import Cell, Table, measure, raw
from reports.manifest import CandidateEntry, StudyEntry, TuningEntry
from reports.pen import COLOURS, INK, Figure, annotated, chart, room, small_multiples, svg, titled
from reports.report import Report, Section
from reports.study import few, many, resolved, trained_on
from reports.words import number, outcomes, plain, short, stacked, two_lines

FEWEST_CANDIDATES = 4  # below, a rank correlation says nothing


def section(report: Report) -> Section | None:
    """The search of every arm; None where nothing was tuned."""
    study, tuned = report.study, report.study.get("tuning")
    if tuned is None:
        return None
    return Section(
        "tuning",
        "Tuning",
        {
            "tuned": tuned,
            "target": target(study, tuned),
            "tuning": tuning(study, tuned),
            "tuning_history": tuning_history(study, tuned),
            "tuning_importance": tuning_importance(study, tuned),
            "fewest_candidates": FEWEST_CANDIDATES,
            "candidates": candidates(study, tuned),
            "many": many(study),
        },
    )


def target(study: StudyEntry, found: TuningEntry) -> str:
    """That tuning saw labels of a data set that others only transfer to; empty where it did not.

    A metric of a data set has its name after a slash, such as ``METRIC/DATA``.
    """
    parts = found["metric"].split("/")[1:]
    seen: dict[str, list[str]] = {}
    for arm in found["candidates"]:
        transfer = resolved(study, arm, "data.transfer")
        for label in transfer if isinstance(transfer, list) else ():
            if label in parts and label != trained_on(study, arm):
                seen.setdefault(label, []).append(arm)
    return " ".join(
        f"{found['metric']} is measured on {label}, a transfer data set: the settings of "
        f"{'every arm' if len(arms) == len(found['candidates']) else ', '.join(arms)} were chosen "
        f"with labels of {label} (of its train and validation images), so {label} is no unseen "
        "domain here, and a study that claims transfer without its labels tunes on the data that "
        "it trains on."
        for label, arms in seen.items()
    )


def tuning(study: StudyEntry, found: TuningEntry) -> Table:
    """A line for each arm that was tuned: its candidates' outcomes, the defaults and the winner."""
    header = ("arm", "candidates", "objective of the defaults", "of the winner", "winner", "values")
    lines = []
    for name, arm in study["arms"].items():
        if name not in found["candidates"]:
            continue
        tried = found["candidates"][name]
        known: dict[int | None, CandidateEntry] = {one["number"]: one for one in tried}
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


def candidates(study: StudyEntry, found: TuningEntry) -> tuple[tuple[str, Table], ...]:
    """All that was tried for each arm that was tuned, a line for each candidate."""
    return tuple(
        (name, _tried(found["candidates"][name], found["chosen"].get(name)))
        for name in study["arms"]
        if found["candidates"].get(name)
    )


def _tried(tried: Sequence[CandidateEntry], chosen: int | None) -> Table:
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


def _spread(tried: Sequence[CandidateEntry]) -> float | None:
    """How far objectives lie apart, a tenth of which must be legible to tell them apart."""
    known = [c["objective"] for c in tried if c["objective"] is not None]
    finite = [value for value in known if math.isfinite(value)]
    return max(finite) - min(finite) if finite else None


def _objective(tried: CandidateEntry | None, spread: float | None) -> Cell:
    return measure(tried["objective"] if tried else None, spread / 10 if spread else None)


def _winner(found: TuningEntry, arm: str) -> tuple[str, str]:
    if arm not in found["chosen"]:
        return "not chosen", ""
    number_of = found["chosen"][arm]
    if number_of is None:
        return "no winner", "no candidate finished: the defaults were confirmed"
    return str(number_of), "" if number_of else "the defaults"


def _values(tried: CandidateEntry | None) -> str:
    values = tried["values"] if tried else {}
    return ", ".join(f"{path}={plain(value)}" for path, value in values.items()) or "—"


def _setting(value: object) -> Cell:
    number_of = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    return Cell(plain(value), raw=raw(number_of))


def tuning_history(study: StudyEntry, tuning: TuningEntry) -> Figure | None:
    """The objective of every candidate of every arm, and the best so far; None without any."""
    import seaborn as sns
    from matplotlib.ticker import MaxNLocator

    names, note = few(study, [name for name in study["arms"] if _finished(tuning, name)])
    found = {name: _finished(tuning, name) for name in names}
    if not found:
        return None
    best = np.minimum if tuning["direction"] == "lower" else np.maximum
    with small_multiples(len(found), 0.5) as (canvas, panels):
        for (name, tried), axes in zip(found.items(), panels, strict=True):
            colour = COLOURS[study["arms"][name]["role"]]
            numbers, objectives = zip(*((n, value) for n, value, _ in tried), strict=True)
            (dots,) = axes.plot(
                numbers, objectives, "o", color=colour, ms=4.5, mec="white", mew=0.5
            )
            titled(dots, *(f"{name}, candidate {n}: {number(value)}" for n, value, _ in tried))
            axes.step(
                numbers, best.accumulate(objectives), where="post", color=colour, lw=1.4, alpha=0.8
            )
            chosen = tuning["chosen"].get(name)
            if chosen is not None and chosen in numbers:
                place = numbers.index(chosen)
                axes.plot(chosen, objectives[place], "o", ms=9, mfc=(0, 0, 0, 0), mec=INK)
            axes.set_title(two_lines(name, 24))
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        canvas.supxlabel("candidate", fontsize=9)
        canvas.supylabel(short(tuning["metric"]), fontsize=9)
        sns.despine(canvas)
        drawn = svg(canvas)
    said = "; ".join(
        f"{name}: first {number(tried[0][1])}, best "
        f"{number(float(best.reduce([value for _, value, _ in tried])))} of {len(tried)}"
        for name, tried in found.items()
    )
    return Figure(drawn, f"{tuning['metric']} by candidate. {said}.", note)


def tuning_importance(study: StudyEntry, tuning: TuningEntry) -> Figure | None:
    """|Spearman's rank correlation| of each tuned number with the objective, arms by settings.

    Over finished candidates, where an arm has `FEWEST_CANDIDATES` of them; settings that are no
    numbers, or that did not vary, have none. None where no arm has any.
    """
    from scipy.stats import spearmanr

    found: dict[str, dict[str, float]] = {}
    for name in study["arms"]:
        tried = _finished(tuning, name)
        for path in dict.fromkeys(path for _, _, values in tried for path in values):
            pairs = [
                (float(value), objective)
                for _, objective, values in tried
                if isinstance(value := values.get(path), int | float)
            ]
            own, objectives = zip(*pairs, strict=True) if pairs else ((), ())
            varies = len(set(own)) > 1 and len(set(objectives)) > 1
            if len(pairs) >= FEWEST_CANDIDATES and varies:
                rank = spearmanr(own, objectives).statistic
                found.setdefault(name, {})[path] = abs(float(rank))
    if not found:
        return None
    paths = list(dict.fromkeys(path for own in found.values() for path in own))
    values = np.array([[own.get(path, math.nan) for path in paths] for own in found.values()])
    words = [[f"{value:.2f}" if np.isfinite(value) else "" for value in line] for line in values]
    names = [short(name, 30) for name in found]
    with chart(room(names) + 0.95 * len(paths), 0.8 + 0.34 * len(found)) as canvas:
        axes = canvas.subplots()
        annotated(axes, values, words, 0.0, 1.0, "crest")
        axes.set_xticks(axes.get_xticks(), [stacked(path) for path in paths])
        axes.set_yticks(axes.get_yticks(), names)
        axes.tick_params(length=0, labelrotation=0)
        drawn = svg(canvas)
    said = "; ".join(
        f"{name}: " + ", ".join(f"{path} {value:.2f}" for path, value in own.items())
        for name, own in found.items()
    )
    return Figure(drawn, f"Absolute rank correlation with {tuning['metric']}. {said}.")


def _finished(
    tuning: TuningEntry, arm: str
) -> list[tuple[int, float, dict[str, float | int | str | bool | None]]]:
    """Number, objective and values of an arm's candidates that have a finite objective."""
    return [
        (one["number"], one["objective"], one["values"])
        for one in tuning["candidates"].get(arm, ())
        if one["objective"] is not None and math.isfinite(one["objective"])
    ]
