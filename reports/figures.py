"""Figures of a study, each a static picture inside the page: functions of rows, curves and arrays.

Charts are SVG whose ink is the reader's text colour, so they read in light and dark; panels of
images are PNG. The same input gives the same bytes. Names are data: they are drawn as plain text
(no mathematical markup), shortened where long, and stripped of unprintable characters.

Legend: `N`, `M` images, `H`, `W` pixels.
"""

from __future__ import annotations

import base64
import io
import json
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reports.factorial import Factorial, Means
from reports.rows import Manifest, Study, confirmed
from reports.statistics import Comparison, Interval, interval_text, number
from reports.tables import MANY_ARMS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

Image = NDArray[np.uint8]

# Okabe and Ito's palette for the colour-blind, in mid-tones that stand out on white and on black.
COLOURS = {"arm": "#2b8cc9", "baseline": "#e08214", "reference": "#8c8c8c"}
MARKERS = {"arm": "o", "baseline": "s", "reference": "D"}
VERDICTS = {"better": "#1a9850", "worse": "#d0558f", "equivalent": "#2b8cc9"}
NEUTRAL = "#8c8c8c"
GUIDE = (0, 170, 60)  # Fig. 3's green vertical lines

CURVES = ("validation/elbo", "train/loss")
MOST_POINTS = 200  # of one curve: more cannot be seen
MOST_DRAWN = 20_000  # of all curves of a term together: more make the page heavy
MOST_IMAGES = 10  # of one panel

_INK = "#0a0b0c"  # stands for the reader's text colour until the SVG is written
_INK_STYLE = (
    "<style>svg{color:#1d2329}@media(prefers-color-scheme:dark){svg{color:#dfe4ea}}"
    "@media print{svg{color:#1d2329}}</style>"
)


@dataclass(frozen=True)
class Figure:
    """A picture for an ``img`` element: its data URI, and in words what it shows."""

    uri: str
    alt: str


@dataclass(frozen=True)
class Strip:
    """One arm's panel of pictures; `note` says why where there is none, or how it was made."""

    label: str
    role: str
    figure: Figure | None
    note: str = ""


@dataclass(frozen=True)
class Gallery:
    """The pictures of one seed: an optional panel of what all arms saw, and one strip per arm.

    `layout` is a class of the style sheet: ``lines`` for one row of images each, ``blocks`` for
    panels of several rows.
    """

    title: str
    caption: str
    layout: str
    shared: Strip | None
    strips: tuple[Strip, ...]


def primary_pairs(found: Comparison, rows: pd.DataFrame) -> Figure | None:
    """The primary contrast: both values of each seed joined by a line, then their differences.

    The right half has the mean difference with the interval that decides, over the region of
    practical equivalence. None where no seed has a pair.
    """
    import seaborn as sns

    if found.mean is None:
        return None
    contrast = found.contrast
    sides = (contrast["control"], contrast["treatment"])
    measured = confirmed(rows)
    measured = measured[measured.metric == contrast["metric"]].set_index(["arm", "seed"]).value
    with _chart(4.6, 3.1) as canvas:
        values, differences = canvas.subplots(1, 2, width_ratios=(1.5, 1))
        for seed in found.pairs.seeds:
            values.plot(
                (0, 1), [measured[side, seed] for side in sides], "o-", color=NEUTRAL,
                mfc=COLOURS["arm"], mec="white", mew=0.6, ms=7, lw=1.2,
            )  # fmt: skip
        values.set_xticks((0, 1), [_two_lines(side, 15) for side in sides])
        values.set_xlim(-0.35, 1.35)
        values.set_ylabel(_axis(contrast["metric"], found.pairs.unit, found.pairs.direction))
        _difference_panel(differences, found)
        sns.despine(canvas)
        drawn = _svg(canvas)
    said = f"{_who(found)}, {contrast['metric']}, per seed: " + ", ".join(
        number(difference, signed=True) for difference in found.pairs.differences
    )
    return Figure(drawn, f"{said}. Interval {interval_text(found.adjusted)}.")


def primary_values(study: Study, rows: pd.DataFrame) -> Figure:
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
    with _chart(width, 0.9 + height * len(names)) as canvas:
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
            axes.plot(own.value.mean(), y, "|", color=_INK, ms=13, mew=1.4, zorder=4)
        axes.set_yticks(range(len(names)), [_short(name, most) for name in names])
        for name, tick in zip(names, axes.get_yticklabels(), strict=True):
            if name in (primary["treatment"], primary["control"]):
                tick.set_fontweight("bold")
        axes.set_ylim(len(names) - 0.4, -0.6)
        if len(measured):
            first = measured.iloc[0]
            axes.set_xlabel(_axis(primary["metric"], first.unit, first.direction))
        axes.grid(axis="y", color=NEUTRAL, alpha=0.25, lw=0.6)
        sns.despine(canvas, left=True)
        axes.tick_params(axis="y", length=0)
        _role_legend(canvas, [study["arms"][name]["role"] for name in names])
        drawn = _svg(canvas)
    means = "; ".join(
        f"{name} {number(group.mean())}" for name, group in measured.groupby("arm").value
    )
    return Figure(drawn, f"Dots per seed of {primary['metric']}. Means: {means or 'no values'}.")


def cell_means(found: Factorial) -> tuple[Figure, ...]:
    """A heat map for each pair of factors: marginal means, half-widths of their intervals.

    All share one scale of colour, on which darker is better.
    """
    every = np.concatenate([means.mean.ravel() for means in found.means] or [np.zeros(0)])
    return tuple(_heat_map(found, means, every.min(), every.max()) for means in found.means)


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
    with _chart(7.6, sum(heights) + 0.25 * len(heights)) as canvas:
        grid = canvas.subplots(len(shown), squeeze=False, height_ratios=heights)[:, 0]
        for axes, (metric, group) in zip(grid, shown.items(), strict=True):
            _forest_panel(axes, metric, group)
        sns.despine(canvas, left=True)
        drawn = _svg(canvas)
    said = "; ".join(
        f"{_who(found)} on {metric}: {found.verdict}, "
        f"{number(found.mean or 0, signed=True)} {interval_text(found.adjusted)}"
        for metric, group in shown.items()
        for found in group
    )
    return Figure(drawn, f"Differences with intervals. {said}.")


def training_curves(study: Study, curves: pd.DataFrame) -> tuple[tuple[str, Figure], ...]:
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


def load_curves(folder: Path, manifest: Manifest) -> tuple[pd.DataFrame, list[str]]:
    """The curves of all confirmation trials, and a sentence for each that could not be read whole.

    A line that is not a JSON object ends its file: an interrupted trial may leave half of one.

    Returns:
        A frame with columns arm, seed, step, term, value (finite), and the problems.
    """
    import pandas as pd

    records: list[tuple[str, int, float, str, float]] = []
    problems = []
    curves = [
        (trial, trial["curve"])
        for trial in manifest["trials"]
        if trial["stage"] == "confirm" and trial["curve"] is not None
    ]
    most = min(MOST_POINTS, max(2, MOST_DRAWN // max(1, len(curves))))
    for trial, path in curves:
        lines, problem = _json_lines(folder / path)
        if problem:
            problems.append(f"curve of {trial['arm']}, seed {trial['seed']}: {problem}")
        every = math.ceil(len(lines) / most) or 1
        for i, line in enumerate(lines):
            step = line.get("step")
            if step is None or not _finite(step) or ((len(lines) - 1 - i) % every and i):
                continue
            records += [
                (trial["arm"], trial["seed"], float(step), term, float(line[term]))
                for term in CURVES
                if _finite(line.get(term))
            ]
    return pd.DataFrame(records, columns=["arm", "seed", "step", "term", "value"]), problems


def load_pictures(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of one ``pictures.npz``: uint8 pictures, and text for how they were made.

    Raises:
        ValueError: the file is missing or unreadable, or an array is neither text nor uint8 of
            three dimensions, or the sizes disagree.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"cannot be read: {error}") from error
    pictures = {name: array for name, array in arrays.items() if array.dtype.kind != "U"}
    for name, array in pictures.items():
        if array.dtype != np.uint8 or array.ndim != 3 or not array.size:
            raise ValueError(f"{name} is {array.dtype} {array.shape}; must be uint8, N H W")
    if len({array.shape[1:] for array in pictures.values()}) > 1:
        raise ValueError("its pictures are not all of one size")
    if len(pictures.get("transfer_source", "xyz")) != 3:
        raise ValueError("transfer_source must hold 3 pictures: x, x_1, x_2")
    return arrays


def galleries(folder: Path, manifest: Manifest) -> tuple[int | None, list[Gallery], list[str]]:
    """The pictures of every arm at one seed: the first of those at which most arms have any.

    Returns:
        The seed (None without any pictures), the galleries that are not empty, and a sentence for
        each file that could not be read.
    """
    study, problems = manifest["study"], list[str]()
    trials = [
        trial
        for trial in manifest["trials"]
        if trial["stage"] == "confirm" and trial["pictures"] is not None
    ]
    if not trials:
        return None, [], problems
    seeds = [trial["seed"] for trial in trials]
    seed = max(sorted(set(seeds)), key=seeds.count)
    pictures: dict[str, dict[str, NDArray[Any]]] = {}
    for trial in trials:
        if trial["seed"] == seed and trial["pictures"] is not None:
            try:
                pictures[trial["arm"]] = load_pictures(folder / trial["pictures"])
            except ValueError as error:
                problems.append(f"pictures of {trial['arm']}, seed {seed}: {error}")
    every = [
        _reconstructions(study, pictures),
        _samples(study, pictures),
        _transfers(study, pictures),
    ]
    kept = [gallery for gallery in every if any(strip.figure for strip in gallery.strips)]
    return seed, kept, problems


def _reconstructions(study: Study, pictures: Mapping[str, Mapping[str, Image]]) -> Gallery:
    inputs, outputs = (
        {arm: own[name] for arm, own in pictures.items() if name in own}
        for name in ("reconstruction_input", "reconstruction_output")
    )
    same = _all_equal(inputs.values())
    strips = []
    for arm, role in _trained(study):
        if arm not in outputs:
            strips.append(Strip(arm, role, None, "no pictures"))
            continue
        rows = [outputs[arm]] if same or arm not in inputs else [inputs[arm], outputs[arm]]
        strips.append(Strip(arm, role, Figure(_png(_tile(rows)), f"Reconstructions by {arm}")))
    shared = None
    if same and inputs:
        first = next(iter(inputs.values()))
        shared = Strip("input", "", Figure(_png(_tile([first])), "The images to reconstruct"))
    return Gallery(
        "Reconstructions",
        "Test images and G(E(x)) of each arm.",
        "lines",
        shared,
        tuple(strips),
    )


def _samples(study: Study, pictures: Mapping[str, Mapping[str, Image]]) -> Gallery:
    strips = [
        Strip(arm, role, Figure(_png(_tile([own["samples"]])), f"Samples of {arm}"))
        if "samples" in (own := pictures.get(arm, {}))
        else Strip(arm, role, None, "no pictures")
        for arm, role in _trained(study)
    ]
    return Gallery("Samples", "G(z) with z drawn from the prior.", "lines", None, tuple(strips))


def _transfers(study: Study, pictures: Mapping[str, Mapping[str, NDArray[Any]]]) -> Gallery:
    needed = ("transfer_source", "transfer_reconstruction", "transfer_forward", "transfer_inverse")
    data = {arm: own for arm, own in pictures.items() if {"transfer_input", *needed} <= own.keys()}
    strips = []
    for arm, role in _trained(study):
        own = data.get(arm)
        if own is None:
            strips.append(Strip(arm, role, None, "no pictures"))
            continue
        columns = [own["transfer_source"]] + [
            np.stack(column) for column in zip(*(own[name] for name in needed[1:]), strict=False)
        ]
        strips.append(
            Strip(
                arm,
                role,
                Figure(_png(_guided(columns)), f"Transfer of a transformation by {arm}"),
                f"by {own['transfer_kind']}" if "transfer_kind" in own else "",
            )
        )
    return Gallery(
        "Transfer",
        "As in the paper's Figure 3. First column: x, x_1 = f(x) and x_2 = f^-1(x), from which T "
        "is inferred. Other columns, other images x': G(E(x')), then G(r(z', T)), then "
        "G(r(z', T^-1)). An arm without T uses the latent difference E(x_1) - E(x), added. The "
        "green lines help to see rotation.",
        "blocks",
        _transfer_truth(data),
        tuple(strips),
    )


def _transfer_truth(data: Mapping[str, Mapping[str, NDArray[Any]]]) -> Strip | None:
    names = ("transfer_source", "transfer_input", "transfer_truth")
    whole = [own for own in data.values() if set(names) <= own.keys()]
    if not whole or not all(_all_equal(own[name] for own in whole) for name in names):
        return None
    source, inputs, truth = (whole[0][name] for name in names)
    pairs = [np.stack([x, y]) for x, y in zip(inputs, truth, strict=False)]
    figure = Figure(_png(_guided([source[:2], *pairs])), "The images x' and the true f(x')")
    return Strip("the data", "", figure, "x' and f(x')")


def _trained(study: Study) -> list[tuple[str, str]]:
    return [
        (name, arm["role"]) for name, arm in study["arms"].items() if arm["role"] != "reference"
    ]


def _all_equal(arrays: Any) -> bool:
    first, *others = list(arrays) or [None]
    return all(np.array_equal(first, other) for other in others)


def _tile(rows: Sequence[Image]) -> Image:
    """Rows of images N H W beside each other, a pixel of white between: H' W' 3."""
    strips = [
        np.concatenate([np.pad(image, 1, constant_values=255) for image in row[:MOST_IMAGES]], 1)
        for row in rows
    ]
    width = min(strip.shape[1] for strip in strips)
    grey = np.concatenate([strip[:, :width] for strip in strips])
    return np.repeat(grey[:, :, None], 3, axis=2)


def _guided(columns: Sequence[Image]) -> Image:
    """Columns of stacked images, each K H W, enlarged, with a green line down every image."""
    drawn = []
    for i, column in enumerate(columns[: MOST_IMAGES + 1]):
        large = np.repeat(np.repeat(column, 3, axis=1), 3, axis=2)
        colour = np.repeat(large[..., None], 3, axis=3)
        colour[:, :, colour.shape[2] // 2] = GUIDE
        right = 12 if i == 0 else 2  # sets the triplet apart from what it is applied to
        padded = np.pad(colour, ((0, 0), (2, 2), (2, right), (0, 0)), constant_values=255)
        drawn.append(padded.reshape(-1, *padded.shape[2:]))
    return np.concatenate(drawn, axis=1)


def _png(image: Image) -> str:
    from matplotlib.image import imsave

    file = io.BytesIO()
    imsave(file, image, format="png", pil_kwargs={"optimize": True})
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


@contextmanager
def _chart(width: float, height: float) -> Iterator[Canvas]:
    """A canvas in inches, under settings that make it deterministic and its text plain."""
    import matplotlib as mpl
    import seaborn as sns
    from matplotlib.figure import Figure as NewCanvas

    plain: dict[Any, Any] = {
        "svg.hashsalt": "report",
        "svg.fonttype": "path",
        "text.parse_math": False,
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "axes.labelsize": 9,
        "axes.titlesize": 9,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "legend.fontsize": 8.5,
        "axes.linewidth": 0.8,
        **dict.fromkeys(
            ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK
        ),
    }
    with mpl.rc_context(), sns.axes_style("ticks"), mpl.rc_context(plain):
        yield NewCanvas(figsize=(width, height), layout="constrained")


def _svg(canvas: Canvas) -> str:
    """The drawing as a data URI; called within `_chart`, since tick labels are made on drawing."""
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    canvas.savefig(file, format="svg", metadata=nothing, transparent=True)
    text = file.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    opened = text.index(">") + 1
    text = text[:opened] + _INK_STYLE + text[opened:]
    return "data:image/svg+xml;base64," + base64.b64encode(text.encode()).decode()


def _difference_panel(axes: Axes, found: Comparison) -> None:
    margin = found.contrast["equivalence"]
    if margin:
        axes.axhspan(-margin, margin, color=NEUTRAL, alpha=0.25, lw=0)
    axes.axhline(0, color=_INK, lw=0.8)
    axes.plot(
        [0] * found.n,
        found.pairs.differences,
        "o",
        color=COLOURS["arm"],
        mec="white",
        mew=0.6,
        ms=6,
    )
    if found.adjusted is not None and found.mean is not None:
        axes.plot((0.5, 0.5), (found.adjusted.low, found.adjusted.high), color=_INK, lw=1.6)
        axes.plot(0.5, found.mean, "D", color=_INK, ms=5)
    axes.set_xlim(-0.4, 0.9)
    ticks = ["per\nseed", found.adjusted.coverage if found.adjusted else ""]
    axes.set_xticks((0, 0.5), ticks)
    axes.set_ylabel("difference")


def _forest_panel(axes: Axes, metric: str, group: Sequence[Comparison]) -> None:
    reach = 1.1 * max(
        [found.contrast["equivalence"] for found in group]
        + [abs(found.mean or 0) for found in group]
        + [abs(end) for found in group for end in _ends(found.interval)]
        + [1e-12]
    )
    for y, found in enumerate(group):
        margin, mean = found.contrast["equivalence"], found.mean or 0.0
        axes.fill_between((-margin, margin), y - 0.42, y + 0.42, color=NEUTRAL, alpha=0.25, lw=0)
        colour = VERDICTS.get(found.verdict, NEUTRAL)
        for end in _ends(found.adjusted):
            axes.plot((mean, np.clip(end, -reach, reach)), (y, y), color=colour, lw=1.2)
            if abs(end) > reach:
                axes.plot(math.copysign(reach, end), y, ">" if end > 0 else "<", color=colour, ms=5)
        axes.plot(_ends(found.interval), [y] * len(_ends(found.interval)), color=colour, lw=3.6)
        axes.plot(mean, y, "o", color=colour, mec="white", mew=0.6, ms=6)
        axes.text(
            1.02, y, found.verdict, transform=axes.get_yaxis_transform(), va="center",
            color=_INK, fontsize=8.5,
        )  # fmt: skip
    axes.axvline(0, color=_INK, lw=0.8, zorder=0)
    axes.set_xlim(-1.03 * reach, 1.03 * reach)
    axes.set_ylim(len(group) - 0.5, -0.5)
    axes.set_yticks(range(len(group)), [_who_in_lines(found) for found in group])
    axes.tick_params(axis="y", length=0)
    pairs = group[0].pairs
    axes.set_xlabel(f"difference in {_axis(metric, pairs.unit, pairs.direction)}")


def _ends(interval: Interval | None) -> tuple[float, ...]:
    return () if interval is None else (interval.low, interval.high)


def _curve_figure(study: Study, term: str, curves: pd.DataFrame) -> Figure:
    import seaborn as sns

    names = [name for name in study["arms"] if (curves.arm == name).any()]
    columns = min(4 if len(names) <= MANY_ARMS else 6, len(names))
    lines = math.ceil(len(names) / columns)
    # Only what is measured in the same way for every arm may share an axis: objectives differ.
    share = not term.startswith("train/")
    with _chart(0.6 + 2.2 * columns, 0.4 + 1.5 * lines) as canvas:
        grid = iter(canvas.subplots(lines, columns, squeeze=False, sharex=True, sharey=share).flat)
        for name, axes in zip(names, grid, strict=False):  # leaves the spare axes in `grid`
            own = curves[curves.arm == name]
            colour = COLOURS[study["arms"][name]["role"]]
            style = {"data": own, "x": "step", "y": "value", "ax": axes, "color": colour}
            sns.lineplot(**style, units="seed", estimator=None, lw=0.7, alpha=0.55)
            sns.lineplot(**style, errorbar=None, lw=1.8)
            axes.set_title(_two_lines(name, 24))
            axes.set(xlabel="", ylabel="")
        for axes in grid:
            axes.set_axis_off()
        canvas.supxlabel("step", fontsize=9)
        canvas.supylabel(_short(term), fontsize=9)
        sns.despine(canvas)
        drawn = _svg(canvas)
    last = curves.sort_values("step").groupby(["arm", "seed"]).value.last().groupby("arm").mean()
    said = "; ".join(f"{name} {number(value)}" for name, value in last.items())
    return Figure(drawn, f"{term} by step. At the last step: {said}.")


def _heat_map(found: Factorial, means: Means, low: float, high: float) -> Figure:
    import seaborn as sns
    from seaborn.utils import relative_luminance

    down, across = ([_two_lines(level, 12) for level in levels] for levels in means.levels)
    halves = means.half[np.isfinite(means.half)]
    digits = float(np.median(halves)) if len(halves) else None
    words = [
        [_mean_text(*cell, digits) for cell in zip(*line, strict=True)]
        for line in zip(means.mean, means.half, strict=True)
    ]
    with _chart(1.3 + 0.88 * len(across), 0.8 + 0.46 * len(down)) as canvas:
        axes = canvas.subplots()
        sns.heatmap(
            means.mean, ax=axes, vmin=low, vmax=high, annot=np.array(words), fmt="", cbar=False,
            cmap="crest_r" if found.direction == "lower" else "crest", annot_kws={"fontsize": 8},
            xticklabels=across, yticklabels=down,
        )  # fmt: skip
        for text, colour in zip(axes.texts, axes.collections[0].get_facecolor(), strict=True):
            # seaborn writes white on mid-tones, where black is read better
            text.set_color("black" if relative_luminance(colour) > 0.18 else "white")
        axes.set_xlabel(_short(means.factors[1]))
        axes.set_ylabel(_short(means.factors[0]))
        axes.tick_params(length=0, labelrotation=0)
        drawn = _svg(canvas)
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


def _role_legend(canvas: Canvas, roles: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], marker=MARKERS[role], color=COLOURS[role], ls="", label=role)
        for role in COLOURS
        if role in roles
    ]
    handles.append(Line2D([], [], marker="|", color=_INK, ls="", ms=11, mew=1.6, label="mean"))
    canvas.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)


def _axis(metric: str, unit: str, direction: str) -> str:
    side = {"higher": ", higher is better", "lower": ", lower is better"}
    return f"{_short(metric)} ({_short(unit)}{side.get(direction, '')})"


def _who(found: Comparison, most: int = 60) -> str:
    contrast = found.contrast
    return f"{_short(contrast['treatment'], most)} − {_short(contrast['control'], most)}"


def _who_in_lines(found: Comparison) -> str:
    contrast = found.contrast
    treatment, control = (_short(contrast[side], 34) for side in ("treatment", "control"))
    one = f"{treatment} − {control}"
    return one if len(one) <= 38 else f"{treatment}\n− {control}"


def _two_lines(name: str, most: int) -> str:
    """A name on one line, or on two of at most `most` signs, broken between words if it can be."""
    plain = _short(name, 2 * most)
    if len(plain) <= most:
        return plain
    cut = max(plain.rfind(sign, 1, most) for sign in "-_ /") + 1 or most
    return f"{plain[:cut]}\n{_short(plain[cut:], most)}"


def _short(name: str, most: int = 24) -> str:
    plain = "".join(sign if sign.isprintable() else "\ufffd" for sign in name)
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _json_lines(path: Path) -> tuple[list[dict[str, Any]], str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [], f"cannot be read: {error}"
    lines: list[dict[str, Any]] = []
    for i, line in enumerate(text.splitlines(), start=1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            return lines, f"line {i} is not a JSON object; what follows was left out"
        lines.append(record)
    return lines, ""
