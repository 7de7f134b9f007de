"""Figures of a study, each a static picture inside the page: functions of rows, curves and arrays.

Charts are SVG whose ink is the reader's text colour, so they read in light and dark; panels of
images are PNG. The same input gives the same bytes. Names are data: they are drawn as plain text
(no mathematical markup), shortened where long, and stripped of unprintable characters.

Legend: `N`, `M`, `K` images, `A` steps of a path, `H`, `W` pixels.
"""

from __future__ import annotations

import base64
import io
import json
import math
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reports.factorial import Factorial, Means
from reports.rows import Manifest, Study, Tuning, confirmed
from reports.statistics import Comparison, Interval, interval_text, number, t_interval
from reports.tables import MANY_ARMS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

Image = NDArray[np.uint8]

# Okabe and Ito's palette for the colour-blind, in mid-tones that stand out on white and on black.
COLOURS = {"arm": "#2b8cc9", "baseline": "#c96f0b", "reference": "#8c8c8c"}
EVERY_COLOUR = (
    "#2b8cc9", "#c96f0b", "#1a9850", "#d0558f", "#8a6fd1", "#a8761a", "#0f9494", "#d9534f",
)  # fmt: skip
DASHES = {"arm": "-", "baseline": (0, (4, 1.5)), "reference": (0, (1, 1.2))}
SHAPES = "osD^vP*X"
MARKERS = {"arm": "o", "baseline": "s", "reference": "D"}
VERDICTS = {"better": "#1a9850", "worse": "#d0558f", "equivalent": "#2b8cc9"}
NEUTRAL = "#8c8c8c"
GUIDE = (0, 170, 60)  # Fig. 3's green vertical lines

CURVES = ("validation/elbo", "train/loss")
MOST_POINTS = 200  # of one curve: more cannot be seen
MOST_DRAWN = 20_000  # of all curves of a term together: more make the page heavy
MOST_IMAGES = 10  # of one panel
MOST_LINES = 4  # of a panel of paths
MOST_ARMS = 24  # that have a line, a panel or pictures of their own
FEWEST_CANDIDATES = 4  # below, a rank correlation says nothing

EFFICIENCY = re.compile(r"label_efficiency/(?P<data>.+)/(?P<n>[1-9][0-9]*)")
COSTS = ("cost/seconds", "cost/parameters")
LAWS = (
    "algebra/inverse",
    "algebra/identity",
    "algebra/learned_identity",
    "algebra/composition",
    "equivariance",
)
NUMBERS = {"path_steps": 1, "T_map": 2, "T_map_target": 1}  # arrays of numbers: dimensions
STACKS = ("interpolation_input", "path_output")  # rows of pictures: four dimensions

_INK = "#0a0b0c"  # stands for the reader's text colour until the SVG is written
_INK_STYLE = (
    "<style>svg{color:#1d2329}@media(prefers-color-scheme:dark){svg{color:#dfe4ea}}"
    "@media print{svg{color:#1d2329}}</style>"
)


@dataclass(frozen=True)
class Figure:
    """A picture for an ``img`` element: its data URI, and in words what it shows.

    `note` says what it leaves out, for its caption.
    """

    uri: str
    alt: str
    note: str = ""


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


def label_efficiency(study: Study, rows: pd.DataFrame) -> Figure | None:
    """The paper's Fig. 2: accuracy against the number of labelled samples, a panel per data set.

    Lines join means over seeds; bands are t intervals at the study's level. None where nothing of
    the kind was measured.
    """
    import seaborn as sns

    measured = _alike(confirmed(rows))
    parts = measured.metric.str.extract(EFFICIENCY)
    measured = measured.assign(data=parts.data, n=parts.n.astype("Int64"))[parts.n.notna()]
    if measured.empty:
        return None
    names, note = _few(study, measured.arm)
    measured = measured[measured.arm.isin(names)]
    panels = list(measured.groupby("data", sort=False))
    with _chart(3.7 * len(panels) + 1.6, 3.1) as canvas:
        grid = canvas.subplots(1, len(panels), squeeze=False)[0]
        for axes, (data, own) in zip(grid, panels, strict=True):
            _efficiency_panel(axes, study, own)
            axes.set_title(_short(str(data), 40))
            axes.set_xlabel("labelled samples")
        grid[0].set_ylabel("accuracy")
        _arm_legend(canvas, study, names)
        sns.despine(canvas)
        drawn = _svg(canvas)
    said = "; ".join(
        f"{data}, {n} samples: " + ", ".join(_mean_of(own[own.n == n], names))
        for data, own in panels
        for n in sorted({int(own.n.min()), int(own.n.max())})
    )
    return Figure(drawn, f"Accuracy by number of labelled samples. {said}.", note)


def cost_against_quality(study: Study, rows: pd.DataFrame) -> Figure | None:
    """The primary metric against each cost of `COSTS`: a mark per arm, means with t intervals.

    None where no arm has both.
    """
    import seaborn as sns

    metric, measured = study["primary"]["metric"], _alike(confirmed(rows))
    quality = _summary(measured[measured.metric == metric], study["level"])
    costs = {name: _summary(measured[measured.metric == name], study["level"]) for name in COSTS}
    shown = {name: found for name, found in costs.items() if found.keys() & quality.keys()}
    if not shown:
        return None
    names, note = _few(study, quality)
    first = measured[measured.metric == metric].iloc[0]
    units = dict(zip(measured.metric, measured.unit, strict=True))
    with _chart(3.3 * len(shown) + 1.6, 3.0) as canvas:
        grid = canvas.subplots(1, len(shown), squeeze=False, sharey=True)[0]
        for axes, (cost, found) in zip(grid, shown.items(), strict=True):
            for name in (name for name in names if name in found):
                (x, wide), (y, high) = found[name], quality[name]
                style = _arm_style(study, name)
                axes.errorbar(
                    x, y, xerr=wide, yerr=high, color=style["color"], marker=style["marker"], ms=7,
                    lw=1, mec="white", mew=0.6,
                )  # fmt: skip
            values = [mean for mean, _ in found.values()]
            if min(values) > 0 and max(values) > 8 * min(values):
                _logarithmic(axes)
            axes.xaxis.set_major_formatter(_of_thousands)
            axes.set_xlabel(_axis(cost, units[cost], ""))
        grid[0].set_ylabel(_axis(metric, first.unit, first.direction))
        _arm_legend(canvas, study, names)
        sns.despine(canvas)
        drawn = _svg(canvas)
    said = "; ".join(
        f"{name}: {number(quality[name][0])}, "
        + ", ".join(
            f"{cost} {number(found[name][0])}" for cost, found in shown.items() if name in found
        )
        for name in names
    )
    return Figure(drawn, f"{metric} against cost. {said}.", note)


def algebra(study: Study, rows: pd.DataFrame) -> Figure | None:
    """Residuals of the laws of `LAWS` for every arm that has any, on a logarithmic colour scale.

    A cell is framed where the arm's form claims the law that the metric's name ends with. None
    where nothing of the kind was measured.
    """
    measured = _alike(confirmed(rows))
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


def tuning_history(study: Study, tuning: Tuning) -> Figure | None:
    """The objective of every candidate of every arm, and the best so far; None without any."""
    import seaborn as sns
    from matplotlib.ticker import MaxNLocator

    names, note = _few(study, [name for name in study["arms"] if _finished(tuning, name)])
    found = {name: _finished(tuning, name) for name in names}
    if not found:
        return None
    best = np.minimum if tuning["direction"] == "lower" else np.maximum
    with _small_multiples(len(found), 0.5) as (canvas, panels):
        for (name, tried), axes in zip(found.items(), panels, strict=True):
            colour = COLOURS[study["arms"][name]["role"]]
            numbers, objectives = zip(*((n, value) for n, value, _ in tried), strict=True)
            axes.plot(numbers, objectives, "o", color=colour, ms=4.5, mec="white", mew=0.5)
            axes.step(
                numbers, best.accumulate(objectives), where="post", color=colour, lw=1.4, alpha=0.8
            )
            chosen = tuning["chosen"].get(name)
            if chosen is not None and chosen in numbers:
                place = numbers.index(chosen)
                axes.plot(chosen, objectives[place], "o", ms=9, mfc=(0, 0, 0, 0), mec=_INK)
            axes.set_title(_two_lines(name, 24))
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        canvas.supxlabel("candidate", fontsize=9)
        canvas.supylabel(_short(tuning["metric"]), fontsize=9)
        sns.despine(canvas)
        drawn = _svg(canvas)
    said = "; ".join(
        f"{name}: first {number(tried[0][1])}, best "
        f"{number(float(best.reduce([value for _, value, _ in tried])))} of {len(tried)}"
        for name, tried in found.items()
    )
    return Figure(drawn, f"{tuning['metric']} by candidate. {said}.", note)


def tuning_importance(study: Study, tuning: Tuning) -> Figure | None:
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
    names = [_short(name, 30) for name in found]
    with _chart(_room(names) + 0.95 * len(paths), 0.8 + 0.34 * len(found)) as canvas:
        axes = canvas.subplots()
        _annotated(axes, values, words, 0.0, 1.0, "crest")
        axes.set_xticks(axes.get_xticks(), [_stacked(path) for path in paths])
        axes.set_yticks(axes.get_yticks(), names)
        axes.tick_params(length=0, labelrotation=0)
        drawn = _svg(canvas)
    said = "; ".join(
        f"{name}: " + ", ".join(f"{path} {value:.2f}" for path, value in own.items())
        for name, own in found.items()
    )
    return Figure(drawn, f"Absolute rank correlation with {tuning['metric']}. {said}.")


def t_maps(study: Study, pictures: Pictures) -> Figure | None:
    """Two dimensions of T for each arm that has them, coloured by the true parameter."""
    import seaborn as sns

    having = [name for name, own in pictures.items() if {"T_map", "T_map_target"} <= own.keys()]
    names, note = _few(study, having)
    found = {name: (pictures[name]["T_map"], pictures[name]["T_map_target"]) for name in names}
    if not found:
        return None
    told = {str(own["T_map_name"]) for own in pictures.values() if "T_map_name" in own}
    target = ", ".join(sorted(told)) or "the true parameter"
    every = np.concatenate([values for _, values in found.values()])
    with _small_multiples(
        len(found), 0.15, size=(1.7, 1.5), margins=(0.1, 0.9, 0.1), share=(False, False)
    ) as (canvas, panels):
        for (name, (places, values)), axes in zip(found.items(), panels, strict=True):
            # a picture inside the drawing: a thousand dots as shapes would be ten times as heavy
            dots = axes.scatter(
                places[:, 0], places[:, 1], c=values, s=7, lw=0, cmap="plasma", rasterized=True,
                vmin=every.min(), vmax=every.max(),
            )  # fmt: skip
            axes.set_title(_two_lines(name, 24))
            axes.tick_params(bottom=False, left=False, labelbottom=False, labelleft=False)
        edge = max(axes.get_position().x1 for axes in panels)
        bar = canvas.add_axes((edge + 0.015, 0.2, 0.012, 0.6))
        canvas.colorbar(dots, cax=bar, label=_short(target))
        sns.despine(canvas)
        drawn = _svg(canvas)
    said = f"T of {', '.join(found)} in two dimensions, coloured by {target}."
    return Figure(drawn, said, note)


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
    """The arrays of one ``pictures.npz``: uint8 pictures, numbers, and text on how they were made.

    Raises:
        ValueError: the file is missing or unreadable, an array is neither text nor of the type and
            dimensions that its name asks for, or the sizes disagree.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"cannot be read: {error}") from error
    texts = {name for name, array in arrays.items() if array.dtype.kind == "U"}
    pictures = {name: arrays[name] for name in arrays.keys() - texts - NUMBERS.keys()}
    for name in sorted(pictures):
        array, deep = pictures[name], 4 if name in STACKS else 3
        if array.dtype != np.uint8 or array.ndim != deep or not array.size:
            must = "uint8, K N H W" if deep == 4 else "uint8, N H W"
            raise ValueError(f"{name} is {array.dtype} {array.shape}; must be {must}")
    for name in sorted(arrays.keys() & NUMBERS.keys()):
        array, deep = arrays[name], NUMBERS[name]
        if array.dtype.kind not in "fiu" or array.ndim != deep or not np.isfinite(array).all():
            must = f"finite numbers of {deep} dimension{'s' if deep > 1 else ''}"
            raise ValueError(f"{name} is {array.dtype} {array.shape}; must be {must}")
    if len({array.shape[-2:] for array in pictures.values()}) > 1:
        raise ValueError("its pictures are not all of one size")
    for name in ("transfer_source", "interpolation_input"):
        if len(pictures.get(name, "xyz")) != 3:
            raise ValueError(f"{name} must hold 3 pictures: x, x_1, x_2")
    if "T_map" in arrays and (
        arrays["T_map"].shape[1] != 2
        or arrays.get("T_map_target", arrays["T_map"]).shape[:1] != arrays["T_map"].shape[:1]
    ):
        raise ValueError("T_map must hold two numbers for each of T_map_target's")
    return arrays


Pictures = Mapping[str, Mapping[str, NDArray[Any]]]  # arm -> what its pictures.npz holds


def load_one_seed(folder: Path, manifest: Manifest) -> tuple[int | None, Pictures, list[str]]:
    """The pictures of every arm at one seed: the first of those at which most arms have any.

    Returns:
        The seed (None without any pictures), arrays by arm, and a sentence for each file that could
        not be read.
    """
    problems = list[str]()
    trials = [
        trial
        for trial in manifest["trials"]
        if trial["stage"] == "confirm" and trial["pictures"] is not None
    ]
    if not trials:
        return None, {}, problems
    seeds = [trial["seed"] for trial in trials]
    seed = max(sorted(set(seeds)), key=seeds.count)
    pictures: dict[str, dict[str, NDArray[Any]]] = {}
    for trial in trials:
        if trial["seed"] == seed and trial["pictures"] is not None:
            try:
                pictures[trial["arm"]] = load_pictures(folder / trial["pictures"])
            except ValueError as error:
                problems.append(f"pictures of {trial['arm']}, seed {seed}: {error}")
    return seed, pictures, problems


def galleries(study: Study, pictures: Pictures) -> list[Gallery]:
    """The panels of pictures that are not empty; arguments as `load_one_seed` gives them."""
    every = [
        _reconstructions(study, pictures),
        _samples(study, pictures),
        _transfers(study, pictures),
        _interpolations(study, pictures),
        _paths(study, pictures),
    ]
    return [gallery for gallery in every if any(strip.figure for strip in gallery.strips)]


def _reconstructions(study: Study, pictures: Pictures) -> Gallery:
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


def _samples(study: Study, pictures: Pictures) -> Gallery:
    strips = [
        Strip(arm, role, Figure(_png(_tile([own["samples"]])), f"Samples of {arm}"))
        if "samples" in (own := pictures.get(arm, {}))
        else Strip(arm, role, None, "no pictures")
        for arm, role in _trained(study)
    ]
    return Gallery("Samples", "G(z) with z drawn from the prior.", "lines", None, tuple(strips))


def _transfers(study: Study, pictures: Pictures) -> Gallery:
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


def _interpolations(study: Study, pictures: Pictures) -> Gallery:
    inputs, outputs = (
        {arm: own[name] for arm, own in pictures.items() if name in own}
        for name in ("interpolation_input", "interpolation_output")
    )
    same = _all_equal(inputs.values())
    strips = []
    for arm, role in _trained(study):
        if arm not in outputs:
            strips.append(Strip(arm, role, None, "no pictures"))
            continue
        own = [outputs[arm]] if same or arm not in inputs else [*inputs[arm], outputs[arm]]
        strips.append(Strip(arm, role, Figure(_png(_tile(own)), f"Interpolations by {arm}")))
    shared = None
    if same and inputs:
        figure = Figure(_png(_tile(list(next(iter(inputs.values()))))), "The images x, x_1 and x_2")
        shared = Strip("x, x_1, x_2", "", figure, "a row each")
    return Gallery(
        "Interpolation",
        "As in the paper's Figure 4. Rows: x, its two views x_1 = f(x) and x_2 = f^-1(x), then of "
        "each arm G((z_1 + z_2) / 2), the image half-way between the views in latent space, which "
        "ought to be x. Half-way along a straight line favours a form that moves along one.",
        "lines",
        shared,
        tuple(strips),
    )


def _paths(study: Study, pictures: Pictures) -> Gallery:
    strips = []
    for arm, role in _trained(study):
        own = pictures.get(arm, {})
        if "path_output" not in own:
            strips.append(Strip(arm, role, None, "no pictures"))
            continue
        output = own["path_output"]
        kept = _spread_out(output.shape[1], MOST_IMAGES)
        figure = Figure(_png(_tile(list(output[:MOST_LINES, kept]))), f"Path of T by {arm}")
        steps = own.get("path_steps", np.zeros(0))
        told = len(steps) == output.shape[1]
        note = f"a = {', '.join(f'{a:.2g}' for a in steps[kept])}" if told else ""
        strips.append(Strip(arm, role, figure, note))
    return Gallery(
        "Along T",
        "G(r(z_1, T^-a)) for growing a, one image a row: each form's own way from x_1 = f(x) "
        "(a = 0) back to x (a = 1).",
        "blocks",
        None,
        tuple(strips),
    )


def _spread_out(n: int, most: int) -> list[int]:
    """At most `most` of n places, evenly apart, the first and the last among them."""
    return sorted({round(i) for i in np.linspace(0, n - 1, min(n, most))})


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
    arms = study["arms"]
    names, _ = _few(study, [name for name, arm in arms.items() if arm["role"] != "reference"])
    return [(name, arms[name]["role"]) for name in names]


def _few(study: Study, having: Iterable[str]) -> tuple[list[str], str]:
    """The arms among `having`, in their order, and what to say where these are not all.

    At most `MOST_ARMS`: the primary contrast's, and the first others.
    """
    there, primary = set(having), study["primary"]
    names = [name for name in study["arms"] if name in there]
    first = [name for name in names if name in (primary["treatment"], primary["control"])]
    kept = {*first, *[name for name in names if name not in first][: MOST_ARMS - len(first)]}
    if len(kept) == len(names):
        return names, ""
    note = f"Of {len(names)} arms {len(kept)}: the primary contrast's and the first others."
    return [name for name in names if name in kept], note


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
    from PIL import Image as Picture

    file, grey = io.BytesIO(), image[:, :, 0]
    plain = (image == grey[:, :, None]).all()
    Picture.fromarray(grey if plain else image).save(file, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


@contextmanager
def _chart(width: float, height: float, *, fitted: bool = True) -> Iterator[Canvas]:
    """A canvas in inches, under settings that make it deterministic and its text plain.

    Args:
        width: of the whole drawing.
        height: likewise.
        fitted: find room for what is written beside the axes; they must be placed where not.
    """
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
        # 72 dots to the inch, as SVG is drawn
        yield NewCanvas((width, height), dpi=72, layout="constrained" if fitted else None)


@contextmanager
def _small_multiples(
    n: int,
    gap: float,
    *,
    size: tuple[float, float] = (1.7, 1.05),
    margins: tuple[float, float, float] = (0.85, 0.1, 0.55),
    share: tuple[bool, bool] = (True, False),
) -> Iterator[tuple[Canvas, list[Axes]]]:
    """A canvas with `n` panels of one size in a grid, placed by hand: fitting many takes seconds.

    Args:
        n: panels, at least one.
        gap: inches between two panels beside each other, for what is written there.
        size: width and height of a panel, in inches.
        margins: on the left, on the right and below, in inches.
        share: one scale for all, across and up.
    """
    columns = min(4 if n <= MANY_ARMS else 6, n)
    lines = math.ceil(n / columns)
    (across, high), (left, right, below), above = size, margins, 0.42
    width = left + columns * across + (columns - 1) * gap + right
    height = below + lines * (high + above)
    with _chart(width, height, fitted=False) as canvas:
        grid = canvas.subplots(
            lines, columns, squeeze=False, sharex=share[0], sharey=share[1],
            gridspec_kw={
                "left": left / width, "right": 1 - right / width, "wspace": gap / across,
                "bottom": below / height, "top": 1 - above / height, "hspace": above / high,
            },
        )  # fmt: skip
        for i, axes in enumerate(grid.flat):
            if i >= n:
                axes.set_axis_off()
            elif i + columns >= n:  # nothing below it
                axes.tick_params(labelbottom=True)
        yield canvas, list(grid.flat[:n])


def _svg(canvas: Canvas) -> str:
    """The drawing as a data URI; called within `_chart`, since tick labels are made on drawing."""
    layout = canvas.get_layout_engine()
    if layout is not None:  # by itself: saving would draw everything once more to lay it out
        layout.execute(canvas)
        canvas.set_layout_engine(None)
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

    names, note = _few(study, curves.arm)
    # Only what is measured in the same way for every arm may share an axis: objectives differ.
    share = not term.startswith("train/")
    gap = 0.2 if share else 0.55
    with _small_multiples(len(names), gap, share=(True, share)) as (canvas, panels):
        for name, axes in zip(names, panels, strict=True):
            own = curves[curves.arm == name]
            colour = COLOURS[study["arms"][name]["role"]]
            axes.plot(*_broken(own), color=colour, lw=0.7, alpha=0.55)
            mean = own.groupby("step").value.mean()
            axes.plot(mean.index, mean, color=colour, lw=1.8)
            axes.set_title(_two_lines(name, 24))
        canvas.supxlabel("step", fontsize=9)
        canvas.supylabel(_short(term), fontsize=9)
        sns.despine(canvas)
        drawn = _svg(canvas)
    curves = curves[curves.arm.isin(names)]
    last = curves.sort_values("step").groupby(["arm", "seed"]).value.last().groupby("arm").mean()
    said = "; ".join(f"{name} {number(value)}" for name, value in last.items())
    return Figure(drawn, f"{term} by step. At the last step: {said}.", note)


def _broken(curves: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Steps and values of all seeds as one line, broken between seeds: cheap to draw."""
    parts = [seed[["step", "value"]].to_numpy(float) for _, seed in curves.groupby("seed")]
    gap = np.full((1, 2), np.nan)
    line = np.concatenate([part for own in parts for part in (own, gap)])
    return line[:, 0], line[:, 1]


def _heat_map(found: Factorial, means: Means, low: float, high: float) -> Figure:
    down, across = ([_two_lines(level, 12) for level in levels] for levels in means.levels)
    halves = means.half[np.isfinite(means.half)]
    digits = float(np.median(halves)) if len(halves) else None
    words = [
        [_mean_text(*cell, digits) for cell in zip(*line, strict=True)]
        for line in zip(means.mean, means.half, strict=True)
    ]
    with _chart(1.3 + 0.88 * len(across), 0.8 + 0.46 * len(down)) as canvas:
        axes = canvas.subplots()
        colours = "crest_r" if found.direction == "lower" else "crest"
        _annotated(axes, means.mean, words, low, high, colours)
        axes.set_xticks(axes.get_xticks(), across)
        axes.set_yticks(axes.get_yticks(), down)
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


def _alike(measured: pd.DataFrame) -> pd.DataFrame:
    """Finite values, and of each metric only those measured in the way that most were."""
    measured = measured[np.isfinite(measured.value)]
    counts = measured.groupby(["metric", "fingerprint"]).size().sort_values(kind="stable")
    most = dict(counts.index)  # the last, most frequent one of each metric stays
    return measured[measured.fingerprint == measured.metric.map(most)]


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


def _efficiency_panel(axes: Axes, study: Study, measured: pd.DataFrame) -> None:
    for name in study["arms"]:
        own = measured[measured.arm == name]
        if own.empty:
            continue
        style, points = _arm_style(study, name), []
        for n, values in own.groupby("n").value:
            interval = t_interval(values.to_numpy(), study["level"])
            points.append((int(n), values.mean(), interval.half if interval else 0.0))
        n, means, halves = map(np.array, zip(*points, strict=True))
        axes.fill_between(n, means - halves, means + halves, color=style["color"], alpha=0.12, lw=0)
        axes.plot(n, means, **style, lw=1.5, ms=5, mec="white", mew=0.5)
    _logarithmic(axes)


def _logarithmic(axes: Axes) -> None:
    """A logarithmic x-axis; matplotlib labels one in mathematical markup, which is not drawn."""
    from matplotlib.ticker import NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(_of_thousands)
    axes.xaxis.set_minor_formatter(NullFormatter())


def _of_thousands(value: float, _: float | None = None) -> str:
    """A label such as ``300``, ``10k`` or ``2.5M``."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{sign}"
    return f"{value:g}"


def _arm_style(study: Study, name: str) -> dict[str, Any]:
    """Colour, marker and dashes by which an arm is known among many, the same in every figure."""
    place, role = list(study["arms"]).index(name), study["arms"][name]["role"]
    turn = place // len(EVERY_COLOUR)
    return {
        "color": EVERY_COLOUR[place % len(EVERY_COLOUR)],
        "marker": SHAPES[(place + turn) % len(SHAPES)],
        "linestyle": DASHES[role],
    }


def _arm_legend(canvas: Canvas, study: Study, names: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], **_arm_style(study, name), ms=5, lw=1.5, label=_short(name, 26))
        for name in names
    ]
    columns = math.ceil(len(handles) / 24)
    canvas.legend(handles=handles, loc="outside right center", frameon=False, ncols=columns)


def _finished(
    tuning: Tuning, arm: str
) -> list[tuple[int, float, dict[str, float | int | str | bool | None]]]:
    """Number, objective and values of an arm's candidates that have a finite objective."""
    return [
        (one["number"], one["objective"], one["values"])
        for one in tuning["candidates"].get(arm, ())
        if one["objective"] is not None and math.isfinite(one["objective"])
    ]


def _law_map(means: pd.DataFrame, claimed: set[tuple[int, int]]) -> str:
    from matplotlib.patches import Rectangle

    values = means.to_numpy(float)
    # exact zeros have no logarithm; float32 cannot tell less than this from them
    logs = np.log10(np.maximum(values, 1e-9))
    words = [[number(v) if np.isfinite(v) else "n/a" for v in line] for line in values]
    names = [_short(name, 30) for name in means.index]
    with _chart(_room(names) + 1.05 * values.shape[1], 0.8 + 0.34 * len(values)) as canvas:
        axes = canvas.subplots()
        _annotated(axes, logs, words, -8.0, 1.0, "crest")
        for i, j in claimed:
            axes.add_patch(Rectangle((j, i), 1, 1, fill=False, ec=_INK, lw=1.6, clip_on=False))
        axes.set_xticks(axes.get_xticks(), [_stacked(name) for name in means.columns])
        axes.set_yticks(axes.get_yticks(), names)
        axes.tick_params(length=0, labelrotation=0)
        return _svg(canvas)


def _annotated(
    axes: Axes,
    values: NDArray[np.float64],
    words: Sequence[Sequence[str]],
    low: float,
    high: float,
    colours: str,
) -> None:
    """A heat map with `words` in its cells, black or white as the cell's colour asks."""
    import seaborn as sns
    from seaborn.utils import relative_luminance

    sns.heatmap(
        values, ax=axes, vmin=low, vmax=high, cmap=colours, cbar=False, linewidths=0.6,
        linecolor=(0, 0, 0, 0),
    )  # fmt: skip
    axes.collections[0].update_scalarmappable()
    faces = axes.collections[0].get_facecolor()
    for place, word in enumerate(word for line in words for word in line):
        i, j = divmod(place, values.shape[1])
        known = np.isfinite(values[i, j])
        # seaborn writes white on mid-tones, where black is read better
        dark = known and relative_luminance(faces[place]) <= 0.18
        axes.text(
            j + 0.5, i + 0.5, word, ha="center", va="center", fontsize=8,
            color="white" if dark else "black" if known else _INK,
        )  # fmt: skip


def _room(names: Sequence[str]) -> float:
    """Inches that tick labels take beside a heat map."""
    return 0.4 + 0.075 * max(map(len, names), default=0)


def _stacked(path: str) -> str:
    """A dotted or slashed name, a part a line, so that columns stay narrow."""
    return "\n".join(_short(part, 16) for part in re.split(r"(?<=[/.])", path) if part)


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
