"""The latent transformation: whether T acts, residuals of its laws, and maps of T."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reports.cells import Cell, Table, means_by_arm, measure
from reports.files import Pictures
from reports.manifest import StudyEntry
from reports.pen import INK, Figure, annotated, chart, room, small_multiples, svg
from reports.report import Report, Section
from reports.rows import alike, confirmed
from reports.study import few
from reports.words import ARROWS, number, short, stacked, two_lines

if TYPE_CHECKING:
    import pandas as pd

ACTS = (
    "act/mrr",
    "act/hit1",
    "act/skill",
    "act/gain",
    "act/composition",
    "act_inverse/mrr",
    "act_pixels/mrr",
    "act_difference/mrr",
    "T/r2",
    "T/ceiling",
)
"""What is asked of T, and what stands beside it."""

LAWS = (
    "algebra/inverse",
    "algebra/identity",
    "algebra/learned_identity",
    "algebra/composition",
    "equivariance",
)


def section(report: Report) -> Section | None:
    """What T does to a latent; None where no arm has one that was looked at."""
    laws, maps = algebra(report.study, report.rows), t_maps(report.study, report.pictures)
    acting = acts(report.study, report.rows)
    if not (laws or maps or acting.rows):
        return None
    return Section(
        "transformations",
        "Latent transformation",
        {"acts": acting, "algebra": laws, "t_maps": maps, "seed": report.seed},
    )


def acts(study: StudyEntry, rows: pd.DataFrame) -> Table:
    """What T does to other images, for every arm with a T, and what chance gives; see `ACTS`.

    No rows where nothing of the kind was measured. Nothing is in bold: only declared contrasts are
    tests.
    """
    measured = alike(confirmed(rows))
    found = measured[measured.metric.isin(ACTS) & np.isfinite(measured.value)]
    chance = measured.set_index("metric").value
    having = [
        arm for arm in study["arms"] if ((found.arm == arm) & (found.metric == ACTS[0])).any()
    ]
    if not having:
        return Table((), ())
    columns = [[Cell("arm"), *(Cell(arm) for arm in having), Cell("chance", kind="reference")]]
    for metric, group in found.groupby("metric", sort=False):
        by_arm = means_by_arm(study, group)
        guess = chance[chance.index == f"act/{metric.split('/')[-1]}/chance"].mean()
        guess = None if metric == ACTS[-1] else 0.0 if np.isnan(guess) else guess
        columns.append(
            [
                Cell(
                    f"{metric} {ARROWS.get(group.direction.iloc[0], '')}".strip(),
                    group.unit.iloc[0],
                ),
                *(by_arm[arm] for arm in having),
                measure(guess, kind="reference"),
            ]
        )
    header, *lines = zip(*columns, strict=True)
    return Table(header, tuple(lines))


def algebra(study: StudyEntry, rows: pd.DataFrame) -> Figure | None:
    """Residuals of the laws of `LAWS` for every arm that has any, on a logarithmic colour scale.

    A cell is framed where the arm's form claims the law that the metric's name ends with. None
    where nothing of the kind was measured.
    """
    measured = alike(confirmed(rows))
    measured = measured[measured.metric.isin(LAWS) & np.isfinite(measured.value)]
    means = measured.groupby(["arm", "metric"]).value.mean().unstack()
    means = means.reindex(
        index=[name for name in study["arms"] if name in means.index],
        columns=[law for law in LAWS if law in means.columns],
    )
    if means.empty:
        return None
    claimed = {
        (i, j)
        for i, name in enumerate(means.index)
        for j, law in enumerate(means.columns)
        if law.split("/")[-1] in study["arms"][name].get("claims", ())
    }
    said = "; ".join(
        f"{name}: "
        + ", ".join(
            f"{law} {number(value)}{' (claimed)' if (i, j) in claimed else ''}"
            for j, (law, value) in enumerate(line.items())
            if np.isfinite(value)
        )
        for i, (name, line) in enumerate(means.iterrows())
    )
    return Figure(_law_map(means, claimed), f"Residuals of laws. {said}.")


def _law_map(means: pd.DataFrame, claimed: set[tuple[int, int]]) -> bytes:
    from matplotlib.patches import Rectangle

    values = means.to_numpy(float)
    # exact zeros have no logarithm; float32 cannot tell less than this from them
    logs = np.log10(np.maximum(values, 1e-9))
    words = [[number(v) if np.isfinite(v) else "n/a" for v in line] for line in values]
    names = [short(name, 30) for name in means.index]
    with chart(room(names) + 1.05 * values.shape[1], 0.8 + 0.34 * len(values)) as canvas:
        axes = canvas.subplots()
        annotated(axes, logs, words, -8.0, 1.0, "crest")
        for i, j in claimed:
            axes.add_patch(Rectangle((j, i), 1, 1, fill=False, ec=INK, lw=1.6, clip_on=False))
        axes.set_xticks(axes.get_xticks(), [stacked(name) for name in means.columns])
        axes.set_yticks(axes.get_yticks(), names)
        axes.tick_params(length=0, labelrotation=0)
        return svg(canvas)


def t_maps(study: StudyEntry, pictures: Pictures) -> Figure | None:
    """Two dimensions of T for each arm that has them, coloured by the true parameter."""
    import seaborn as sns

    having = [name for name, own in pictures.items() if {"T_map", "T_map_target"} <= own.keys()]
    names, note = few(study, having)
    found = {name: (pictures[name]["T_map"], pictures[name]["T_map_target"]) for name in names}
    if not found:
        return None
    told = {str(own["T_map_name"]) for own in pictures.values() if "T_map_name" in own}
    target = ", ".join(sorted(told)) or "the true parameter"
    every = np.concatenate([values for _, values in found.values()])
    with small_multiples(
        len(found), 0.15, size=(1.7, 1.5), margins=(0.1, 0.9, 0.1), share=(False, False)
    ) as (canvas, panels):
        for (name, (places, values)), axes in zip(found.items(), panels, strict=True):
            # a picture inside the drawing: a thousand dots as shapes would be ten times as heavy
            dots = axes.scatter(
                places[:, 0], places[:, 1], c=values, s=7, lw=0, cmap="plasma", rasterized=True,
                vmin=every.min(), vmax=every.max(),
            )  # fmt: skip
            axes.set_title(two_lines(name, 24))
            axes.tick_params(bottom=False, left=False, labelbottom=False, labelleft=False)
        edge = max(axes.get_position().x1 for axes in panels)
        bar = canvas.add_axes((edge + 0.015, 0.2, 0.012, 0.6))
        canvas.colorbar(dots, cax=bar, label=short(target))
        sns.despine(canvas)
        drawn = svg(canvas)
    said = f"T of {', '.join(found)} in two dimensions, coloured by {target}."
    return Figure(drawn, said, note)
