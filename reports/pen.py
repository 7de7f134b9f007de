"""Drawing: canvases, colours, legends, axes and heat maps of the charts in a page.

Charts are SVG whose ink is the reader's text colour, so they read in light and dark. The same input
gives the same bytes. Names are data: they are drawn as plain text (no mathematical markup),
shortened where long, and stripped of unprintable characters.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from reports.study import MANY_ARMS
from reports.words import short, width

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

# Okabe and Ito's palette for the colour-blind, in mid-tones that stand out on white and on black.
COLOURS = {"arm": "#2b8cc9", "baseline": "#c96f0b", "reference": "#8c8c8c"}
MARKERS = {"arm": "o", "baseline": "s", "reference": "D"}
VERDICTS = {"better": "#1a9850", "worse": "#d0558f", "equivalent": "#2b8cc9"}
NEUTRAL = "#8c8c8c"
INK = "#0a0b0c"  # stands for the reader's text colour until the SVG is written
_INK_STYLE = (
    "<style>svg{color:#1d2329}@media(prefers-color-scheme:dark){svg{color:#dfe4ea}}"
    "@media print{svg{color:#1d2329}}</style>"
)


_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_TITLE = "\ue000"  # before each title of an artist, which has none such in it: it is not printable


@dataclass(frozen=True)
class Figure:
    """A chart: its SVG, and in words what it shows.

    `note` says what it leaves out, for its caption.
    """

    drawn: bytes
    alt: str
    note: str = ""

    @property
    def inline(self) -> Markup:
        """The chart as an element of the page, whose text colour it takes.

        In an ``img`` no browser would show the titles of its marks.
        """
        from markupsafe import Markup

        drawn = self.drawn.decode().replace(_INK_STYLE, "", 1).removeprefix("<svg")
        return Markup('<svg role="img" aria-label="{}"').format(self.alt) + Markup(drawn)


def own_matplotlib() -> ModuleType:
    """matplotlib, whatever backend the surroundings name.

    A notebook hands its own down to the commands that it starts (``MPLBACKEND``), where it cannot
    be imported. Nothing here is shown on a screen.
    """
    if "matplotlib" in sys.modules:
        return sys.modules["matplotlib"]
    named = os.environ.get("MPLBACKEND")
    os.environ["MPLBACKEND"] = "agg"
    import matplotlib

    if named is None:
        del os.environ["MPLBACKEND"]
    else:
        os.environ["MPLBACKEND"] = named
    return matplotlib


@contextmanager
def chart(width: float, height: float, *, fitted: bool = True) -> Iterator[Canvas]:
    """A canvas in inches, under settings that make it deterministic and its text plain.

    Args:
        width: of the whole drawing.
        height: likewise.
        fitted: find room for what is written beside the axes; they must be placed where not.
    """
    mpl = own_matplotlib()
    import seaborn as sns
    from matplotlib.figure import Figure as NewCanvas

    plain: dict[Any, Any] = {
        "svg.hashsalt": "report",
        # text stays text: a reader's fonts have letters that those here lack, such as 中
        "svg.fonttype": "none",
        "text.parse_math": False,
        "font.family": ["DejaVu Sans", "sans-serif"],
        "font.size": 9,
        "axes.labelsize": 9,
        "axes.titlesize": 9,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "legend.fontsize": 8.5,
        "axes.linewidth": 0.8,
        **dict.fromkeys(
            ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK
        ),
    }
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        mpl.rcdefaults()  # a user's matplotlibrc changes nothing
        with sns.axes_style("ticks"), mpl.rc_context(plain):
            # 72 dots to the inch, as SVG is drawn
            yield NewCanvas((width, height), dpi=72, layout="constrained" if fitted else None)


@contextmanager
def small_multiples(
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
    with chart(width, height, fitted=False) as canvas:
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


def titled(artist: Artist, *titles: str) -> None:
    """Let a reader who points at a mark read what it is.

    Args:
        artist: has one mark, or one for each title.
        titles: in the order of the marks.
    """
    artist.set_gid("".join(_TITLE + short(title, 200) for title in titles))


def svg(canvas: Canvas) -> bytes:
    """The drawing as SVG; called within `chart`, since tick labels are made on drawing."""
    layout = canvas.get_layout_engine()
    if layout is not None:  # by itself: saving would draw everything once more to lay it out
        layout.execute(canvas)
        canvas.set_layout_engine(None)
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    canvas.savefig(file, format="svg", metadata=nothing, transparent=True)
    text = file.getvalue()
    text = _fit_to_share_a_page(text[text.index("<svg") :].replace(INK, "currentColor"))
    opened = text.index(">") + 1
    return (text[:opened] + _INK_STYLE + text[opened:]).encode()


def _fit_to_share_a_page(text: str) -> str:
    """The drawing with titles, with no rule for what is outside it, and with ids of its own."""
    own = f"f{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    root = ElementTree.fromstring(text)
    root.remove(root[0])  # the style of everything, of which this alone is not the default:
    root.set("stroke-linejoin", "round")
    for element in list(root.iter()):
        if element.tag == f"{{{_SVG}}}g":  # nothing refers to groups
            _, *titles = element.attrib.pop("id", "").split(_TITLE)
            if titles:
                _add_titles(element, titles)
        for name, value in element.items():
            if name == "id":
                element.set(name, own + value)
            elif name == f"{{{_XLINK}}}href" and value.startswith("#"):
                element.set(name, f"#{own}{value[1:]}")
            elif "url(#" in value:
                element.set(name, value.replace("url(#", f"url(#{own}"))
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _add_titles(group: ElementTree.Element, titles: Sequence[str]) -> None:
    """A title for each mark of the group; none where it is not known which mark is which."""
    marks = list(group.iter(f"{{{_SVG}}}use")) or list(group.iter(f"{{{_SVG}}}path"))
    if len(titles) == 1:
        marks = [group]
    if len(titles) == len(marks):
        for mark, title in zip(marks, titles, strict=True):
            element = ElementTree.Element(f"{{{_SVG}}}title")
            element.text = title
            mark.insert(0, element)


def annotated(
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
            color="white" if dark else "black" if known else INK,
        )  # fmt: skip


def room(names: Sequence[str]) -> float:
    """Inches that tick labels take beside a heat map."""
    return 0.4 + 0.075 * max(map(width, names), default=0)


def logarithmic(axes: Axes) -> None:
    """A logarithmic x-axis; matplotlib labels one in mathematical markup, which is not drawn."""
    from matplotlib.ticker import NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(of_thousands)
    axes.xaxis.set_minor_formatter(NullFormatter())


def of_thousands(value: float, _: float | None = None) -> str:
    """A label such as ``300``, ``10k`` or ``2.5M``."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{sign}"
    return f"{value:g}"


def axis_label(metric: str, unit: str, direction: str) -> str:
    """What an axis says of a metric."""
    side = {"higher": ", higher is better", "lower": ", lower is better"}
    return f"{short(metric)} ({short(unit)}{side.get(direction, '')})"


def label_points(
    axes: Axes, points: Mapping[str, tuple[float, float]], step: float, bold: Sequence[str] = ()
) -> None:
    """The name of each point beside the axes, joined to it by a line; no name covers another.

    Args:
        axes: whose limits are final.
        points: by name.
        step: from one name to the next, as a share of the axes' height.
        bold: names that stand out.
    """
    order = sorted(points, key=lambda name: (points[name][1], -points[name][0]))
    low, high = axes.get_ylim()
    heights = [(points[name][1] - low) / (high - low) for name in order]
    for name, place in zip(order, apart(heights, step), strict=True):
        axes.annotate(
            short(name, 26), points[name], (1.05, place), textcoords="axes fraction", va="center",
            fontsize=8, fontweight="bold" if name in bold else "normal", annotation_clip=False,
            arrowprops={
                "arrowstyle": "-", "color": NEUTRAL, "lw": 0.6, "shrinkA": 1, "shrinkB": 4,
                "relpos": (0, 0.5),
            },
        )  # fmt: skip


def apart(places: Sequence[float], step: float) -> NDArray[np.float64]:
    """Rising places in [0, 1], moved as little as lets each be a `step` above the one before.

    Least squares; where there is no room for that, the first is at 0.
    """
    from scipy.optimize import isotonic_regression

    steps = step * np.arange(len(places))
    moved = isotonic_regression(np.asarray(places) - steps).x
    return np.asarray(steps + np.clip(moved, 0, max(0.0, 1 - steps[-1])), dtype=np.float64)


def role_legend(canvas: Canvas, roles: Sequence[str], *, mean: bool) -> None:
    """A legend of the roles among `roles`, and of the mark of a mean if there is one, above."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], marker=MARKERS[role], color=COLOURS[role], ls="", label=role)
        for role in COLOURS
        if role in roles
    ]
    if mean:
        handles.append(Line2D([], [], marker="|", color=INK, ls="", ms=11, mew=1.6, label="mean"))
    canvas.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)
