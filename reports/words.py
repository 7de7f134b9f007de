"""Numbers and sentences: how a value, a name and a comparison are written."""

from __future__ import annotations

import io
import math
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import get_args

from reports.manifest import LooksEntry, Status
from reports.statistics.power import MOST_SEEDS, POWER
from reports.statistics.records import Comparison, Interval, Verdict

ARROWS = {"higher": "↑", "lower": "↓"}
NOTHING = "n/a"


def number(value: float, resolution: float | None = None, *, signed: bool = False) -> str:
    """A number to read: to two digits of `resolution` where given, else to three of its own."""
    if not math.isfinite(value):
        return "n/a"
    if value == 0 and not resolution:
        return "0"
    scale = abs(resolution) if resolution else abs(value)
    if scale == 0 or not math.isfinite(scale):
        scale = abs(value) or 1.0
    wanted = 1 if resolution else 2
    digits = wanted - math.floor(math.log10(scale))
    if digits > 7:
        return f"{value:{'+' if signed else ''}.{1 if resolution else 2}e}"
    return f"{value:{'+' if signed else ''},.{max(digits, 0)}f}"


def interval_text(
    interval: Interval | None, resolution: float | None = None, *, signed: bool = True
) -> str:
    """``[low, high]`` to two digits of `resolution`, by default its half-width; or ``n/a``."""
    if interval is None:
        return "n/a"
    digits = resolution or interval.half
    low, high = (number(end, digits, signed=signed) for end in (interval.low, interval.high))
    return f"[{low}, {high}]"


def p_text(value: float | None) -> str:
    """A p-value to read."""
    if value is None:
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def plain(value: object) -> str:
    """A setting's value to read."""
    if isinstance(value, float):
        return f"{value:g}"
    return "—" if value is None else str(value)


def sentence(found: Comparison) -> str:
    """A comparison in one or two sentences of plain English."""
    contrast, pairs = found.contrast, found.pairs
    who = f"{contrast['treatment']} and {contrast['control']}"
    if pairs.not_applicable:
        return f"No answer: {who} cannot be compared, since {pairs.not_applicable}."
    if pairs.refusal:
        return f"No answer: comparing {who} was refused, since {pairs.refusal}."
    if found.mean is None:
        return f"No answer: no seed has a value of {contrast['metric']} for both {who}."
    if found.interval is None or found.adjusted is None:
        return (
            f"No verdict: one paired seed gives a difference of {number(found.mean, signed=True)} "
            f"{pairs.unit} in {contrast['metric']} between {who}, and no interval."
        )
    shown = found.interval
    middle = (
        f"the mean difference over {found.n} paired seeds is "
        f"{number(found.mean, shown.half, signed=True)} {pairs.unit} "
        f"({shown.coverage} interval {interval_text(shown)}; {pairs.direction} is better; "
        f"practically equivalent within ±{contrast['equivalence']:g})."
    )
    if found.verdict == "inconclusive":
        opening = f"Inconclusive: whether {contrast['treatment']} is better than "
        opening += f"{contrast['control']} on {contrast['metric']} is open"
        return f"{opening}; {middle} {needed_text(found)}"
    word = {
        "better": "better than",
        "worse": "worse than",
        "equivalent": "practically equivalent to",
    }[found.verdict]
    return (
        f"{contrast['treatment']} is {word} {contrast['control']} on {contrast['metric']}: {middle}"
    )


def effect_text(found: Comparison) -> str:
    """The mean difference with the interval that decides; empty where there is no difference."""
    if found.mean is None:
        return ""
    if found.interval is None or found.adjusted is None:
        return number(found.mean, signed=True)
    # digits of the narrower one: beside a wide adjusted interval a mean would be rounded away
    mean = number(found.mean, found.interval.half, signed=True)
    return f"{mean} {interval_text(found.adjusted)}"


def secondary_text(comparisons: Sequence[Comparison]) -> list[str]:
    """Secondary contrasts in few lines: each that is better or worse, then how many are not."""
    lines = [
        f"{found.contrast['treatment']} is {found.verdict} than {found.contrast['control']} on "
        f"{found.contrast['metric']}: {effect_text(found)}"
        for found in comparisons
        if found.verdict in ("better", "worse")
    ]
    counts = Counter(found.verdict for found in comparisons)
    rest = [f"{counts[word]} {word}" for word in get_args(Verdict)[2:] if counts[word]]
    return [f"secondary: {line}" for line in [*lines, *([", ".join(rest)] if rest else [])]]


def looks_text(looks: LooksEntry) -> str:
    """Where a study with looks stands, as a sentence."""
    planned, reached, count = looks["planned"], looks["reached"], len(looks["planned"])
    if not reached:
        return (
            f"Not looked at yet: look 1 of {count}, at {planned[0]} seeds, is open, and before it "
            "there is no verdict."
        )
    seeds = f"look {reached} of {count} ({planned[reached - 1]} seeds)"
    if looks["decided"]:
        return f"Decided at {seeds}."
    if reached == count:
        return f"Undecided after all {count} looks ({planned[-1]} seeds)."
    return f"Undecided at {seeds}; look {reached + 1}, at {planned[reached]} seeds, is open."


def needed_text(found: Comparison) -> str:
    """How many seeds would decide an inconclusive comparison, as a sentence or two."""
    needed = found.needed
    if needed is None:
        return ""
    if needed.fewest is None:
        return f"At this mean and spread even {MOST_SEEDS:,} seeds would not decide it."
    coverage = f"{100 * (1 - needed.level):.4g}%"
    return (
        f"To decide it with {POWER:.0%} power at this mean and spread takes "
        f"{_about(needed.pairs)} seeds ({_seeds(needed.fewest)} to {_seeds(needed.most)} over the "
        f"{coverage} interval of a spread known from {found.n}), in a study of its own: to add "
        "seeds to this one and test again is wrong more often than its level says."
    )


def _about(pairs: int | None) -> str:
    return f"about {pairs:,}" if pairs is not None else _seeds(None)


def _seeds(pairs: int | None) -> str:
    return f"more than {MOST_SEEDS:,}" if pairs is None else f"{pairs:,}"


def decides(found: Comparison) -> str:
    """How many seeds would decide an inconclusive comparison, in few words."""
    needed = found.needed
    if needed is None:
        return ""
    if needed.fewest is None:
        return "no number of seeds would do"
    return f"{_about(needed.pairs)} seeds ({_seeds(needed.fewest)} to {_seeds(needed.most)})"


def remarks(
    named: Iterable[tuple[str, Comparison]],
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Each note once, and the names of the comparisons that it is about."""
    said: dict[str, list[str]] = {}
    for who, found in named:
        for note in found.notes:
            said.setdefault(note, []).append(who)
    return tuple((note, tuple(who)) for note, who in said.items())


def outcomes(statuses: Sequence[str]) -> tuple[int, str]:
    """How many are done, and the others counted by outcome, such as ``2 diverged, 1 failed``."""
    others = [(statuses.count(status), status) for status in get_args(Status) if status != "done"]
    return statuses.count("done"), ", ".join(f"{n} {status}" for n, status in others if n)


def who(found: Comparison, most: int = 60) -> str:
    """The sides of a contrast."""
    contrast = found.contrast
    return f"{short(contrast['treatment'], most)} − {short(contrast['control'], most)}"


def short(name: str, most: int = 24) -> str:
    """A name without unprintable characters, cut where it is long."""
    plain = "".join(sign if sign.isprintable() else "\ufffd" for sign in name)
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def two_lines(name: str, most: int) -> str:
    """A name on one line, or on two of at most `most` signs, broken between words if it can be."""
    plain = short(name, 2 * most)
    if width(plain) <= most:
        return plain
    first = _fitting(plain, most)
    cut = max(first.rfind(sign, 1) for sign in "-_ /") + 1 or len(first)
    rest = plain[cut:]
    return f"{plain[:cut]}\n{rest if width(rest) <= most else _fitting(rest, most - 1) + '…'}"


def width(text: str) -> int:
    """Columns that a text takes: two for a sign of Chinese, Japanese or Korean."""
    return sum(1 + (unicodedata.east_asian_width(sign) in "WF") for sign in text)


def _fitting(text: str, most: int) -> str:
    """As much of the beginning of a text as fits into `most` columns."""
    while width(text) > most:
        text = text[:-1]
    return text


def stacked(path: str) -> str:
    """A dotted or slashed name, a part a line, so that columns stay narrow."""
    return "\n".join(short(part, 16) for part in re.split(r"(?<=[/.])", path) if part)


def writable() -> None:
    """Let standard output write what its encoding lacks as escapes: a report is no error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
