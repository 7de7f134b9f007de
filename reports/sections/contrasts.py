"""The declared contrasts: tables, the forest of intervals, remarks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from reports.cells import Cell, Table, interval_cell, measure, raw, row_id, verdict_kind
from reports.pen import INK, NEUTRAL, VERDICTS, Figure, axis_label, chart, svg, titled
from reports.report import Report, Section
from reports.sections.metrics import VALUES_CAPTION, primary_values
from reports.statistics.records import Comparison, ends
from reports.study import many
from reports.words import (
    ARROWS,
    decides,
    effect_text,
    interval_text,
    number,
    p_text,
    remarks,
    short,
    who,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def section(report: Report) -> Section:
    """Every declared contrast, with the interval that decides it."""
    primary, secondary = report.answer.primary, report.answer.secondary
    everything = (primary, *secondary)
    values = None if many(report.study) else primary_values(report.study, report.rows)
    drawn = forest(everything)
    return Section(
        "contrasts",
        "Contrasts",
        {
            "values": values,
            "values_caption": VALUES_CAPTION,
            "primary": contrasts([primary], adjusted=False),
            "secondary": contrasts(secondary, adjusted=True),
            "forest": drawn,
            "notes": notes(everything),
            "total": len(everything),
        },
        {name: one for name, one in (("arms", values), ("contrasts", drawn)) if one},
    )


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
    for place, found in enumerate(comparisons):
        pairs, contrast = found.pairs, found.contrast
        arrow = ARROWS.get(pairs.direction, "")
        resolution = found.interval.half if found.interval else None
        cells = [
            Cell(
                f"{contrast['treatment']} − {contrast['control']}",
                f"{contrast['metric']} {arrow}, ±{contrast['equivalence']:g} {pairs.unit}",
                id=row_id(place) if adjusted else "",
            ),
            Cell(found.verdict, decides(found), verdict_kind(found.verdict)),
            measure(found.mean, resolution, f"n = {found.n}", signed=True),
            interval_cell(found.interval),
        ]
        cells += [interval_cell(found.adjusted)] if adjusted else []
        how = "" if found.p_flip_exact else "sampled"
        cells += [
            Cell(p_text(found.p_t), raw=raw(found.p_t)),
            Cell(
                p_text(found.p_flip),
                f"Holm {p_text(found.p_holm)}" if found.p_holm is not None else how,
                raw=raw(found.p_flip),
            ),
            Cell(
                interval_text(found.bootstrap, resolution),
                f"over {found.bootstrap_over}" if found.bootstrap_over != "seeds" else "",
                raw=raw(*ends(found.bootstrap)),
            ),
            measure(found.improvement),
            measure(found.effect, signed=True),
            measure(found.detectable),
        ]
        lines.append(tuple(cells))
    return Table(tuple(Cell(text) for text in header), tuple(lines))


def notes(comparisons: Sequence[Comparison]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What is to be said of contrasts beyond their numbers: each remark once, and of which."""
    return remarks(
        (
            f"{found.contrast['treatment']} − {found.contrast['control']} "
            f"({found.contrast['metric']})",
            found,
        )
        for found in comparisons
    )


def forest(comparisons: Sequence[Comparison]) -> Figure | None:
    """Contrasts with their intervals, the region of equivalence and the verdict, by metric.

    Thick: the interval at the study's level; thin: at the Holm-adjusted level, which decides; an
    arrow where it leaves the picture. None where no contrast has a pair.
    """
    import seaborn as sns

    shown: dict[str, list[Comparison]] = {}
    for found in comparisons:
        if found.mean is not None:
            shown.setdefault(found.contrast["metric"], []).append(found)
    if not shown:
        return None
    heights = [0.55 + 0.3 * len(group) for group in shown.values()]
    with chart(7.6, sum(heights) + 0.25 * len(heights)) as canvas:
        grid = canvas.subplots(len(shown), squeeze=False, height_ratios=heights)[:, 0]
        for axes, (metric, group) in zip(grid, shown.items(), strict=True):
            _forest_panel(axes, metric, group)
        sns.despine(canvas, left=True)
        drawn = svg(canvas)
    said = "; ".join(
        f"{who(found)} on {metric}: {found.verdict}, "
        f"{number(found.mean or 0, signed=True)} {interval_text(found.adjusted)}"
        for metric, group in shown.items()
        for found in group
    )
    return Figure(drawn, f"Differences with intervals. {said}.")


def _forest_panel(axes: Axes, metric: str, group: Sequence[Comparison]) -> None:
    reach = 1.1 * max(
        [found.contrast["equivalence"] for found in group]
        + [abs(found.mean or 0) for found in group]
        + [abs(end) for found in group for end in ends(found.interval)]
        + [1e-12]
    )
    for y, found in enumerate(group):
        margin, mean = found.contrast["equivalence"], found.mean or 0.0
        axes.fill_between((-margin, margin), y - 0.42, y + 0.42, color=NEUTRAL, alpha=0.25, lw=0)
        colour = VERDICTS.get(found.verdict, NEUTRAL)
        for end in ends(found.adjusted):
            axes.plot((mean, np.clip(end, -reach, reach)), (y, y), color=colour, lw=1.2)
            if abs(end) > reach:
                axes.plot(math.copysign(reach, end), y, ">" if end > 0 else "<", color=colour, ms=5)
        axes.plot(ends(found.interval), [y] * len(ends(found.interval)), color=colour, lw=3.6)
        (mark,) = axes.plot(mean, y, "o", color=colour, mec="white", mew=0.6, ms=6)
        titled(mark, f"{who(found)}, {metric}: {found.verdict}, {effect_text(found)}")
        axes.text(
            1.02, y, found.verdict, transform=axes.get_yaxis_transform(), va="center",
            color=INK, fontsize=8.5,
        )  # fmt: skip
    axes.axvline(0, color=INK, lw=0.8, zorder=0)
    axes.set_xlim(-1.03 * reach, 1.03 * reach)
    axes.set_ylim(len(group) - 0.5, -0.5)
    axes.set_yticks(range(len(group)), [_who_in_lines(found) for found in group])
    axes.tick_params(axis="y", length=0)
    pairs = group[0].pairs
    axes.set_xlabel(f"difference in {axis_label(metric, pairs.unit, pairs.direction)}")


def _who_in_lines(found: Comparison) -> str:
    contrast = found.contrast
    treatment, control = (short(contrast[side], 34) for side in ("treatment", "control"))
    one = f"{treatment} − {control}"
    return one if len(one) <= 38 else f"{treatment}\n− {control}"
