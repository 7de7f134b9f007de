"""Training curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.files import CURVES
from reports.manifest import StudyEntry
from reports.pen import COLOURS, Figure, small_multiples, svg, titled
from reports.report import Report, Section
from reports.study import few
from reports.words import number, short, two_lines

if TYPE_CHECKING:
    import pandas as pd


def section(report: Report) -> Section:
    """A figure for each term that was recorded while training."""
    return Section("curves", "Curves", {"curves": training_curves(report.study, report.curves)})


def training_curves(study: StudyEntry, curves: pd.DataFrame) -> tuple[tuple[str, Figure], ...]:
    """A panel per arm for each term of `CURVES`: a thin line a seed, a bold one their mean.

    Args:
        study: gives the order of the arms and their roles.
        curves: columns arm, seed, step, term, value, as `load_curves` gives them.
    """
    return tuple(
        (term, _curve_figure(study, term, own))
        for term in CURVES
        if len(own := curves[curves.term == term])
    )


def _curve_figure(study: StudyEntry, term: str, curves: pd.DataFrame) -> Figure:
    import seaborn as sns

    names, note = few(study, curves.arm)
    # Only what is measured in the same way for every arm may share an axis: objectives differ.
    share = not term.startswith("train/")
    gap = 0.2 if share else 0.55
    with small_multiples(len(names), gap, share=(True, share)) as (canvas, panels):
        for name, axes in zip(names, panels, strict=True):
            own = curves[curves.arm == name]
            colour = COLOURS[study["arms"][name]["role"]]
            for seed, one in own.groupby("seed"):
                (line,) = axes.plot(one.step, one.value, color=colour, lw=0.7, alpha=0.55)
                titled(line, f"{name}, seed {seed}: {number(one.value.iloc[-1])} at the last step")
            mean = own.groupby("step").value.mean()
            axes.plot(mean.index, mean, color=colour, lw=1.8)
            axes.set_title(two_lines(name, 24))
        canvas.supxlabel("step", fontsize=9)
        canvas.supylabel(short(term), fontsize=9)
        sns.despine(canvas)
        drawn = svg(canvas)
    curves = curves[curves.arm.isin(names)]
    last = curves.sort_values("step").groupby(["arm", "seed"]).value.last().groupby("arm").mean()
    said = "; ".join(f"{name} {number(value)}" for name, value in last.items())
    return Figure(drawn, f"{term} by step. At the last step: {said}.", note)
