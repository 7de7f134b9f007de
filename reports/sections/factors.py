"""A crossed study: main effects, interactions, marginal means."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reports.cells import Cell, Table, interval_cell, measure, raw
from reports.pen import Figure, annotated, chart, svg
from reports.report import Report, Section
from reports.statistics.factorial import Effect, Factorial, Means, analyse
from reports.words import decides, number, p_text, remarks, short, two_lines


def section(report: Report) -> Section | None:
    """Effects and marginal means; None where nothing is crossed."""
    crossing = analyse(report.study, report.rows)
    if crossing is None:
        return None
    return Section(
        "factors",
        "Factors",
        {
            "crossing": crossing,
            "main_effects": effects(crossing.main),
            "interactions": effects(crossing.interactions),
            "effect_notes": effect_notes(crossing.effects),
            "cell_means": cell_means(crossing),
        },
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
                Cell(one.verdict, decides(one), f"verdict {one.verdict}"),
                measure(one.mean, resolution, f"n = {one.n}", signed=True),
                interval_cell(one.interval),
                interval_cell(one.adjusted),
                Cell(
                    p_text(one.p_t),
                    f"sign-flip {p_text(one.p_flip)}, Holm {p_text(one.p_holm)}",
                    raw=raw(one.p_t),
                ),
            )
        )
    return Table(tuple(Cell(text) for text in header), tuple(lines))


def effect_notes(found: Sequence[Effect]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What is to be said of effects beyond their numbers: each remark once, and of which."""
    return remarks(
        (f"{' × '.join(effect.term.factors)}: {effect.term.name}", effect.found) for effect in found
    )


def cell_means(found: Factorial) -> tuple[Figure, ...]:
    """A heat map for each pair of factors: marginal means, half-widths of their intervals.

    All share one scale of colour, on which darker is better.
    """
    every = np.concatenate([means.mean.ravel() for means in found.means] or [np.zeros(0)])
    return tuple(_heat_map(found, means, every.min(), every.max()) for means in found.means)


def _heat_map(found: Factorial, means: Means, low: float, high: float) -> Figure:
    down, across = ([two_lines(level, 12) for level in levels] for levels in means.levels)
    halves = means.half[np.isfinite(means.half)]
    digits = float(np.median(halves)) if len(halves) else None
    words = [
        [_mean_text(*cell, digits) for cell in zip(*line, strict=True)]
        for line in zip(means.mean, means.half, strict=True)
    ]
    with chart(1.3 + 0.88 * len(across), 0.8 + 0.46 * len(down)) as canvas:
        axes = canvas.subplots()
        colours = "crest_r" if found.direction == "lower" else "crest"
        annotated(axes, means.mean, words, low, high, colours)
        axes.set_xticks(axes.get_xticks(), across)
        axes.set_yticks(axes.get_yticks(), down)
        axes.set_xlabel(short(means.factors[1]))
        axes.set_ylabel(short(means.factors[0]))
        axes.tick_params(length=0, labelrotation=0)
        drawn = svg(canvas)
    said = "; ".join(
        f"{level} with {other} {text.replace(chr(10), ' ')}"
        for level, line in zip(means.levels[0], words, strict=True)
        for other, text in zip(means.levels[1], line, strict=True)
    )
    who = " and ".join(means.factors)
    return Figure(drawn, f"Marginal means of {found.metric} by {who}: {said}.")


def _mean_text(mean: float, half: float, digits: float | None) -> str:
    text = number(mean, digits)
    return f"{text}\n±{number(half, digits)}" if math.isfinite(half) else text
