"""All metrics of all arms, and the figures that set them side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from reports.cells import Cell, Table, means, measure
from reports.manifest import ArmEntry, StudyEntry, TrialEntry
from reports.pen import (
    COLOURS,
    INK,
    MARKERS,
    NEUTRAL,
    Figure,
    arm_legend,
    arm_style,
    axis_label,
    chart,
    logarithmic,
    of_thousands,
    role_legend,
    svg,
)
from reports.report import Report, Section
from reports.rows import alike, confirmed
from reports.statistics import published
from reports.statistics.intervals import t_interval
from reports.study import MANY_ARMS, declared, few, latent_size, many, trained_on, warnings
from reports.words import ARROWS, number, short

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

EFFICIENCY = re.compile(r"label_efficiency/(?P<data>.+)/(?P<n>[1-9][0-9]*)")
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
            "efficiency": label_efficiency(study, rows),
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
            axes.plot(
                own.value, [y] * len(own), MARKERS[role], color=COLOURS[role], ms=6, ls="",
                mec="white", mew=0.6, zorder=3,
            )  # fmt: skip
            axes.plot(own.value.mean(), y, "|", color=INK, ms=13, mew=1.4, zorder=4)
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
        role_legend(canvas, [study["arms"][name]["role"] for name in names])
        drawn = svg(canvas)
    means = "; ".join(
        f"{name} {number(group.mean())}" for name, group in measured.groupby("arm").value
    )
    return Figure(drawn, f"Dots per seed of {primary['metric']}. Means: {means or 'no values'}.")


def label_efficiency(study: StudyEntry, rows: pd.DataFrame) -> Figure | None:
    """The paper's Fig. 2: accuracy against the number of labelled samples, a panel per data set.

    Lines join means over seeds; bands are t intervals at the study's level. None where nothing of
    the kind was measured.
    """
    import seaborn as sns

    measured = alike(confirmed(rows))
    parts = measured.metric.str.extract(EFFICIENCY)
    measured = measured.assign(data=parts.data, n=parts.n.astype("Int64"))[parts.n.notna()]
    if measured.empty:
        return None
    names, note = few(study, measured.arm)
    measured = measured[measured.arm.isin(names)]
    panels = list(measured.groupby("data", sort=False))
    with chart(3.7 * len(panels) + 1.6, 3.1) as canvas:
        grid = canvas.subplots(1, len(panels), squeeze=False)[0]
        for axes, (data, own) in zip(grid, panels, strict=True):
            _efficiency_panel(axes, study, own)
            axes.set_title(short(str(data), 40))
            axes.set_xlabel("labelled samples")
        grid[0].set_ylabel("accuracy")
        arm_legend(canvas, study, names)
        sns.despine(canvas)
        drawn = svg(canvas)
    said = "; ".join(
        f"{data}, {n} samples: " + ", ".join(_mean_of(own[own.n == n], names))
        for data, own in panels
        for n in sorted({int(own.n.min()), int(own.n.max())})
    )
    return Figure(drawn, f"Accuracy by number of labelled samples. {said}.", note)


def _efficiency_panel(axes: Axes, study: StudyEntry, measured: pd.DataFrame) -> None:
    for name in study["arms"]:
        own = measured[measured.arm == name]
        if own.empty:
            continue
        style, points = arm_style(study, name), []
        for n, values in own.groupby("n").value:
            interval = t_interval(values.to_numpy(), study["level"])
            points.append((int(n), values.mean(), interval.half if interval else 0.0))
        n, means, halves = map(np.array, zip(*points, strict=True))
        axes.fill_between(n, means - halves, means + halves, color=style["color"], alpha=0.12, lw=0)
        axes.plot(n, means, **style, lw=1.5, ms=5, mec="white", mew=0.5)
    logarithmic(axes)


def cost_against_quality(study: StudyEntry, rows: pd.DataFrame) -> Figure | None:
    """The primary metric against each cost of `COSTS`: a mark per arm, means with t intervals.

    None where no arm has both.
    """
    import seaborn as sns

    metric, measured = study["primary"]["metric"], alike(confirmed(rows))
    quality = _summary(measured[measured.metric == metric], study["level"])
    costs = {name: _summary(measured[measured.metric == name], study["level"]) for name in COSTS}
    shown = {name: found for name, found in costs.items() if found.keys() & quality.keys()}
    if not shown:
        return None
    names, note = few(study, quality)
    first = measured[measured.metric == metric].iloc[0]
    units = dict(zip(measured.metric, measured.unit, strict=True))
    with chart(3.3 * len(shown) + 1.6, 3.0) as canvas:
        grid = canvas.subplots(1, len(shown), squeeze=False, sharey=True)[0]
        for axes, (cost, found) in zip(grid, shown.items(), strict=True):
            for name in (name for name in names if name in found):
                (x, wide), (y, high) = found[name], quality[name]
                style = arm_style(study, name)
                axes.errorbar(
                    x, y, xerr=wide, yerr=high, color=style["color"], marker=style["marker"], ms=7,
                    lw=1, mec="white", mew=0.6,
                )  # fmt: skip
            values = [mean for mean, _ in found.values()]
            if min(values) > 0 and max(values) > 8 * min(values):
                logarithmic(axes)
            axes.xaxis.set_major_formatter(of_thousands)
            axes.set_xlabel(axis_label(cost, units[cost], ""))
        grid[0].set_ylabel(axis_label(metric, first.unit, first.direction))
        arm_legend(canvas, study, names)
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


def _summary(measured: pd.DataFrame, level: float) -> dict[str, tuple[float, float]]:
    """The mean of each arm over seeds, and half its t interval, 0 where there is none."""
    found = {}
    for name, values in measured.groupby("arm").value:
        interval = t_interval(values.to_numpy(), level)
        found[str(name)] = float(values.mean()), interval.half if interval else 0.0
    return found


def _mean_of(measured: pd.DataFrame, names: Sequence[str]) -> list[str]:
    means = measured.groupby("arm").value.mean()
    return [f"{name} {number(means[name])}" for name in names if name in means.index]
