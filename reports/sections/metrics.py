"""All metrics of all arms, and the figures that set them side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from reports.cells import Cell, Table, means, measure
from reports.manifest import ArmEntry, StudyEntry, TrialEntry
from reports.pen import (
    COLOURS,
    INK,
    MARKERS,
    NEUTRAL,
    Figure,
    axis_label,
    chart,
    label_points,
    logarithmic,
    of_thousands,
    role_legend,
    small_multiples,
    svg,
    titled,
)
from reports.report import Report, Section
from reports.rows import alike, confirmed
from reports.statistics import published
from reports.statistics.intervals import natural, t_interval
from reports.statistics.records import Interval, ends
from reports.study import MANY_ARMS, declared, few, latent_size, many, trained_on, warnings
from reports.words import ARROWS, interval_text, number, short, two_lines

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

FITTED = {
    "label_efficiency": (
        "labelled samples",
        "As the paper's Figure 2: accuracy of nearest neighbours on {} with n labelled samples",
        "",
    ),
    "fit_set": (
        "variants of each image",
        "Accuracy of nearest neighbours on {}, fitted on v variants of each train image",
        "knn",
    ),
}
"""Accuracy against what neighbours are fitted on, ``METRIC/DATA/n``: what n counts, the caption,
and the metric that it is at the largest n, whose published numbers therefore stand beside it."""
VALUES_CAPTION = (
    " of every arm, a dot for each seed; thin lines join the dots of one seed. "
    "Bold: the primary contrast."
)
COSTS = ("cost/seconds", "cost/parameters")


def section(report: Report) -> Section:
    """Tables of all arms by all metrics; means against labels and against costs."""
    study, rows, trials = report.study, report.rows, report.manifest["trials"]
    values = primary_values(study, rows) if many(study) else None
    return Section(
        "metrics",
        "Metrics",
        {
            "values": values,
            "values_caption": VALUES_CAPTION,
            "metrics": metrics(study, rows, trials, details=False),
            "details": metrics(study, rows, trials, details=True),
            "warnings": warned(study, trials, rows),
            "fitted": fitted(study, rows),
            "cost": cost_against_quality(study, rows),
        },
        {"arms": values} if values else {},
    )


def warned(study: StudyEntry, trials: Sequence[TrialEntry], rows: pd.DataFrame) -> list[str]:
    """A sentence for each warning that confirmed values carry, with the arms that it is about."""
    return [
        f"{metric}: {words}: "
        + ", ".join(f"{arm} ({arms[arm]})" for arm in study["arms"] if arm in arms)
        + "."
        for metric in confirmed(rows).metric.unique()
        for words, arms in warnings(trials, metric)
    ]


def metrics(
    study: StudyEntry, rows: pd.DataFrame, trials: Sequence[TrialEntry] = (), *, details: bool
) -> Table:
    """Every arm, a row each, and every metric on test data, a column each.

    A name of more than two parts, such as ``T/r2/angle``, is a detail of the metric that its
    first two parts name; details have a table of their own.

    A cell has the mean over seeds and half the width of its t interval at the study's level, and n
    where it is not the number of the study's seeds. Values measured in different ways
    (fingerprints) never share a column. The primary metric comes first, the others in their order;
    a metric with published numbers is followed by those. Metrics that the study does not declare,
    and that have none, are minor. For bold see `supported_best`; a metric of which a value carries
    a warning says so and has none.
    """
    measured = confirmed(rows)
    measured = measured[(measured.metric.str.count("/") > 1) == details]
    told, primary = declared(study), study["primary"]["metric"]
    measured = measured.sort_values("metric", key=lambda names: names != primary, kind="stable")
    keys = ["metric", "fingerprint", "unit", "direction"]
    # of what does not apply nobody asks how it was measured
    known = measured.groupby(["metric", "fingerprint"]).value.transform("count") > 0
    measured = measured[known | ~measured.metric.isin(measured.metric[known])]
    several = measured.groupby("metric").fingerprint.nunique()
    seeds = sorted(int(seed) for seed in measured.seed.unique())
    columns, minor, seen = [_arm_column(study)], set[int](), set[str]()
    for (metric, fingerprint, unit, direction), group in measured.groupby(keys, sort=False):
        doubtful = bool(warnings(trials, str(metric)))
        how = f", measured as {fingerprint}" if several[metric] > 1 else ""
        how += ", see the warning" if doubtful else ""
        heading = Cell(f"{metric} {ARROWS.get(direction, '')}".strip(), f"{unit}{how}")
        table = group.pivot(index="arm", columns="seed", values="value")
        values = table.reindex(index=list(study["arms"]), columns=seeds).to_numpy(float)
        beside = None if metric in seen else _published_column(study, str(metric), str(unit))
        seen.add(metric)
        if metric not in told and not beside:
            minor.add(len(columns))
        columns.append([heading, *means(study, values, "" if doubtful else direction)])
        columns += [beside] if beside else []
    header, *lines = zip(*columns, strict=True)
    return Table(header, tuple(lines) if len(columns) > 1 else (), frozenset(minor))


def _arm_column(study: StudyEntry) -> list[Cell]:
    primary = study["primary"]
    sides = {primary["treatment"]: ", treatment", primary["control"]: ", control"}
    return [
        Cell("arm"),
        *(
            Cell(name, arm["role"] + sides.get(name, ""), arm["role"])
            for name, arm in study["arms"].items()
        ),
    ]


def _published_column(study: StudyEntry, metric: str, unit: str) -> list[Cell] | None:
    """What was published of this metric for the model that each arm repeats; None: nothing."""
    entries = [_published(study, name, arm, metric, unit) for name, arm in study["arms"].items()]
    if not any(entries):
        return None
    return [
        Cell("published", metric, "published", links=(("what differs", "#published"),)),
        *(
            measure(entry.value, note=f"{entry.model}, {entry.place}", kind="published")
            if entry
            else Cell("—", kind="published faint")
            for entry in entries
        ),
    ]


def _published(
    study: StudyEntry, name: str, arm: ArmEntry, metric: str, unit: str
) -> published.Published | None:
    train, size = trained_on(study, name), latent_size(study, name)
    if train is None or size is None:
        return None
    entry = published.lookup(arm.get("published", ""), train, metric, size)
    return entry if entry is not None and entry.unit == unit else None


def primary_values(study: StudyEntry, rows: pd.DataFrame) -> Figure:
    """The primary metric of every arm, one dot a seed, dots of the same seed joined by a line."""
    import seaborn as sns

    primary = study["primary"]
    measured = confirmed(rows)
    measured = measured[(measured.metric == primary["metric"]) & np.isfinite(measured.value)]
    # One figure, one way of measuring: values measured otherwise are left out like missing ones.
    measured = measured[measured.fingerprint.isin(measured.fingerprint.mode()[:1])]
    names = list(study["arms"])
    # Many arms have the page's width and long names, such as those of a crossing.
    width, height, most = (5.3, 0.29, 24) if len(names) <= MANY_ARMS else (7.6, 0.2, 40)
    with chart(width, 0.9 + height * len(names)) as canvas:
        axes = canvas.subplots()
        for _, seed in measured.groupby("seed"):
            row = seed.set_index("arm").value.reindex(names)
            axes.plot(row, range(len(names)), color=NEUTRAL, lw=0.8, alpha=0.6, zorder=1)
        for y, name in enumerate(names):
            role = study["arms"][name]["role"]
            own = measured[measured.arm == name]
            if own.empty:
                axes.text(
                    0.5, y, "n/a", transform=axes.get_yaxis_transform(), va="center",
                    ha="center", fontsize=8, color=NEUTRAL,
                )  # fmt: skip
                continue
            (dots,) = axes.plot(
                own.value, [y] * len(own), MARKERS[role], color=COLOURS[role], ms=6, ls="",
                mec="white", mew=0.6, zorder=4,
            )  # fmt: skip
            titled(
                dots,
                *(
                    f"{name}, seed {seed}: {number(value)}"
                    for seed, value in zip(own.seed, own.value, strict=True)
                ),
            )
            (mean,) = axes.plot(own.value.mean(), y, "|", color=INK, ms=13, mew=1.4, zorder=3)
            titled(mean, f"{name}, mean: {number(own.value.mean())}")
        axes.set_yticks(range(len(names)), [short(name, most) for name in names])
        for name, tick in zip(names, axes.get_yticklabels(), strict=True):
            if name in (primary["treatment"], primary["control"]):
                tick.set_fontweight("bold")
        axes.set_ylim(len(names) - 0.4, -0.6)
        if len(measured):
            first = measured.iloc[0]
            axes.set_xlabel(axis_label(primary["metric"], first.unit, first.direction))
        axes.grid(axis="y", color=NEUTRAL, alpha=0.25, lw=0.6)
        sns.despine(canvas, left=True)
        axes.tick_params(axis="y", length=0)
        role_legend(canvas, [study["arms"][name]["role"] for name in names], mean=True)
        drawn = svg(canvas)
    means = "; ".join(
        f"{name} {number(group.mean())}" for name, group in measured.groupby("arm").value
    )
    return Figure(drawn, f"Dots per seed of {primary['metric']}. Means: {means or 'no values'}.")


def fitted(study: StudyEntry, rows: pd.DataFrame) -> tuple[tuple[str, Figure], ...]:
    """(caption, figure) of each metric of `FITTED` on each data set; the paper's Fig. 2 is one.

    A panel per arm: its means over seeds in a band of t intervals at the study's level, and in grey
    the means of all others. Where there is one n alone, there is no curve. A published number has
    a mark where its neighbours were fitted on as many images.
    """
    measured, found = alike(confirmed(rows)), list[tuple[str, Figure]]()
    for metric, (words, caption, whole) in FITTED.items():
        parts = measured.metric.str.extract(rf"^{metric}/(?P<data>.+)/(?P<n>[1-9][0-9]*)$")
        kept = parts.n.notna() & np.isfinite(measured.value)
        own = measured.assign(data=parts.data, n=parts.n.astype("Int64"))[kept]
        found += [
            (caption.format(data), _fitted(study, str(data), words, whole, group))
            for data, group in own.groupby("data", sort=False)
            if group.n.nunique() > 1
        ]
    return tuple(found)


def _fitted(study: StudyEntry, data: str, words: str, whole: str, measured: pd.DataFrame) -> Figure:
    """Accuracy on `data` against n, which is a number of `words`; see `FITTED` for `whole`."""
    import seaborn as sns

    names, note = few(study, measured.arm)
    found = {name: _summary(measured[measured.arm == name], "n", study["level"]) for name in names}
    metric, most = f"{whole}/{data}", int(measured.n.max())
    images, stated = published.fit_images(study, metric), dict[str, published.Published]()
    for name in names:
        entry = _published(study, name, study["arms"][name], metric, "accuracy")
        if entry is not None and entry.fit == images:
            stated[name] = entry
    with small_multiples(len(names), 0.2, size=(1.7, 1.2), share=(True, True)) as (canvas, panels):
        for name, axes in zip(names, panels, strict=True):
            for other in (other for other in names if other != name):
                (line,) = axes.plot(
                    list(found[other]), [mean for mean, _ in found[other].values()],
                    color=NEUTRAL, lw=0.8, alpha=0.6, zorder=1,
                )  # fmt: skip
                titled(line, other)
            _fitted_panel(axes, name, words, COLOURS[study["arms"][name]["role"]], found[name])
            if name in stated:
                entry = stated[name]
                (mark,) = axes.plot(most, entry.value, "*", color=INK, ms=8, mew=0, zorder=5)
                titled(mark, f"{name}, published: {number(entry.value)} ({entry.place})")
            logarithmic(axes)
        canvas.supxlabel(words, fontsize=9)
        canvas.supylabel(f"accuracy on {short(data, 40)}", fontsize=9)
        sns.despine(canvas)
        drawn = svg(canvas)
    said = "; ".join(
        f"{n} {words}: "
        + ", ".join(f"{name} {number(own[n][0])}" for name, own in found.items() if n in own)
        for n in sorted({int(measured.n.min()), most})
    )
    if stated:
        note = f"{note} Star: the paper's number.".strip()
        said += "; published: " + ", ".join(f"{name} {e.value:g}" for name, e in stated.items())
    return Figure(drawn, f"Accuracy on {data} by number of {words}. {said}.", note)


def _fitted_panel(
    axes: Axes, name: str, words: str, colour: str, found: Mapping[int, tuple[float, Interval]]
) -> None:
    sizes, means = list(found), [mean for mean, _ in found.values()]
    low, high = zip(*(ends(one) for _, one in found.values()), strict=True)
    axes.fill_between(sizes, low, high, color=colour, alpha=0.25, lw=0, zorder=2)
    (line,) = axes.plot(sizes, means, "o-", color=colour, lw=1.6, ms=4.5, mec="white", mew=0.5)
    titled(
        line,
        *(
            f"{name}, {n} {words}: {number(mean)} {interval_text(one, signed=False)}"
            for n, (mean, one) in found.items()
        ),
    )
    axes.set_title(two_lines(name, 24))


def cost_against_quality(study: StudyEntry, rows: pd.DataFrame) -> Figure | None:
    """The primary metric against each cost of `COSTS`: a mark per arm, means with t intervals.

    None where no arm has both.
    """
    import seaborn as sns

    primary, measured = study["primary"], alike(confirmed(rows))
    metric, level = primary["metric"], study["level"]
    quality = _summary(measured[measured.metric == metric], "arm", level)
    costs = {name: _summary(measured[measured.metric == name], "arm", level) for name in COSTS}
    shown = {name: found for name, found in costs.items() if found.keys() & quality.keys()}
    if not shown:
        return None
    names, note = few(study, quality)
    first = measured[measured.metric == metric].iloc[0]
    units = dict(zip(measured.metric, measured.unit, strict=True))
    high = max(2.3, 0.15 * len(names))  # of the axes
    with chart(4.3 * len(shown), high + 0.8) as canvas:
        grid = canvas.subplots(1, len(shown), squeeze=False, sharey=True)[0]
        for axes, (cost, found) in zip(grid, shown.items(), strict=True):
            for name in (name for name in names if name in found):
                _cost_mark(axes, study["arms"][name]["role"], found[name], quality[name])
                said = f"{name}: {metric} {number(quality[name][0])}"
                titled(axes.lines[-1], f"{said}, {cost} {number(found[name][0])}")
            values = [mean for mean, _ in found.values()]
            if min(values) > 0 and max(values) > 8 * min(values):
                logarithmic(axes)
            axes.xaxis.set_major_formatter(of_thousands)
            axes.set_xlabel(axis_label(cost, units[cost], ""))
        for axes, found in zip(grid, shown.values(), strict=True):
            points = {name: (found[name][0], quality[name][0]) for name in names if name in found}
            label_points(axes, points, 0.15 / high, (primary["treatment"], primary["control"]))
        grid[0].set_ylabel(axis_label(metric, first.unit, first.direction))
        role_legend(canvas, [study["arms"][name]["role"] for name in names], mean=False)
        sns.despine(canvas)
        drawn = svg(canvas)
    said = "; ".join(
        f"{name}: {number(quality[name][0])}, "
        + ", ".join(
            f"{cost} {number(found[name][0])}" for cost, found in shown.items() if name in found
        )
        for name in names
    )
    return Figure(drawn, f"{metric} against cost. {said}.", note)


def _cost_mark(
    axes: Axes, role: str, cost: tuple[float, Interval], quality: tuple[float, Interval]
) -> None:
    (x, across), (y, up) = cost, quality
    axes.plot(ends(across), (y, y), color=COLOURS[role], lw=1, alpha=0.6)
    axes.plot((x, x), ends(up), color=COLOURS[role], lw=1, alpha=0.6)
    axes.plot(x, y, MARKERS[role], color=COLOURS[role], ms=7, mec="white", mew=0.6, zorder=3)


def _summary(measured: pd.DataFrame, by: str, level: float) -> dict[Any, tuple[float, Interval]]:
    """Each group's mean over seeds and its t interval, as far as there can be such values.

    Of one value the interval is that value.
    """
    found = {}
    for key, group in measured.groupby(by):
        mean = float(group.value.mean())
        interval = t_interval(group.value.to_numpy(), level) or Interval(mean, mean, level)
        found[key] = mean, natural(interval, group.unit.iloc[0])
    return found
