"""The head of the page: the question, the answer, and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from reports.cells import row_id
from reports.manifest import Manifest
from reports.pen import COLOURS, INK, NEUTRAL, Figure, axis_label, chart, svg, titled
from reports.report import Report, Section
from reports.rows import confirmed
from reports.statistics.records import Answer, Comparison, Verdict
from reports.study import (
    all_machines,
    distinct,
    flat,
    latent_size,
    machines,
    setting,
    trained_on,
    training,
)
from reports.words import effect_text, interval_text, number, outcomes, p_text, two_lines, who

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


MOST_LINES = 12  # of secondary contrasts; the others are folded


@dataclass(frozen=True)
class Line:
    """A secondary contrast in few words; `row` is the id of its row among the contrasts."""

    metric: str
    row: str
    who: str
    verdict: Verdict
    effect: str


def section(report: Report) -> Section:
    """The question, the answer in a sentence, what it rests on and what it does not show."""
    primary = report.answer.primary
    pairs = primary_pairs(primary, report.rows)
    lines = secondary_lines(report.answer)
    return Section(
        "head",
        "",
        {
            "answer": report.answer,
            "tests": tests(primary),
            "facts": facts(report.manifest),
            "limits": limits(report.manifest, report.answer),
            "pairs": pairs,
            "secondary": by_metric(lines[:MOST_LINES]),
            "folded": by_metric(lines[MOST_LINES:]),
        },
        {"primary": pairs} if pairs else {},
    )


def secondary_lines(answer: Answer) -> list[Line]:
    """A line for each secondary contrast, those on the primary metric first, then by metric."""
    metrics = dict.fromkeys(
        [answer.primary.contrast["metric"], *(one.contrast["metric"] for one in answer.secondary)]
    )
    order = list(metrics)
    lines = [
        Line(one.contrast["metric"], row_id(i), who(one), one.verdict, effect_text(one))
        for i, one in enumerate(answer.secondary)
    ]
    return sorted(lines, key=lambda line: order.index(line.metric))


def by_metric(lines: Sequence[Line]) -> list[tuple[str, list[Line]]]:
    """The lines of each metric, which stand together."""
    return [(metric, list(own)) for metric, own in groupby(lines, lambda line: line.metric)]


def tests(found: Comparison) -> str:
    """The p-values of the primary contrast in a line, empty where there are none."""
    if found.p_t is None or found.p_flip is None:
        return ""
    how = "exact" if found.p_flip_exact else "sampled"
    return (
        f"n = {found.n} paired seeds. Against no difference at all: paired t test p = "
        f"{p_text(found.p_t)}, {how} sign-flip test p = {p_text(found.p_flip)}."
    ).replace("= <", "<")


def facts(manifest: Manifest) -> list[tuple[str, str]]:
    """What the answer rests on, as label and text: budget, data, seeds, trials done, ..."""
    study, config = manifest["study"], manifest["study"]["config"]
    found = [("budget", study["budget"])]
    if trained := training(study):
        found.append(("training", trained))
    data = dict(flat(setting(config, "data")))
    data |= {"train": trains} if (trains := distinct(study, trained_on)) else {}
    if data:
        found.append(
            ("data", ", ".join(f"{p} {_words(value)}" for p, value in data.items() if value != []))
        )
    sizes = distinct(study, latent_size)
    if sizes:
        found.append(("latent size", _words(sizes)))
    found.append(("seeds", f"{len(study['seeds'])} ({', '.join(map(str, study['seeds']))})"))
    ends = [trial["status"] for trial in manifest["trials"] if trial["stage"] == "confirm"]
    done, others = outcomes(ends)
    found.append(("trials", f"{done} of {len(ends)} done" + (f" ({others})" if others else "")))
    if "tuning" in study:
        tuning = study["tuning"]
        each = f"{tuning['trials']} candidates per arm × {len(tuning['seeds'])} seeds"
        found.append(("tuning", f"{each}, {tuning['sampler']}"))
    return found


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def limits(manifest: Manifest, answer: Answer) -> list[str]:
    """What the answer does not show, one sentence each."""
    study = manifest["study"]
    found = []
    primary, contrast = answer.primary, study["primary"]
    treatment, control = contrast["treatment"], contrast["control"]
    if answer.verdict == "inconclusive":
        found.append(
            f"Not that {treatment} and {control} are equal: an interval that decides nothing is no "
            "evidence of sameness."
        )
    trains = " and ".join(distinct(study, trained_on, (treatment, control)))
    found.append(
        f"Nothing beyond {trains or 'this data'}, this budget and these settings: the interval "
        "covers the spread between seeds, not between data sets, sizes or lengths of training."
    )
    if study["secondary"]:
        found.append(
            "Only the primary contrast was declared to decide; the secondary ones are adjusted as "
            "one family, and means side by side are no test at all."
        )
    sizes = [study["arms"][name].get("parameters") for name in (treatment, control)]
    if sizes[0] and sizes[1] and max(sizes[0], sizes[1]) > 1.05 * min(sizes[0], sizes[1]):
        found.append(
            f"Not what the form alone does: {treatment} has {sizes[0]:,} parameters and {control} "
            f"{sizes[1]:,}."
        )
    found += unlike_machines(manifest)
    found += [f"{note[0].upper()}{note[1:]}." for note in primary.notes]
    return found


def unlike_machines(manifest: Manifest) -> list[str]:
    """That trials were trained on unlike machines, in a sentence; none where they were not."""
    trials, contrast = manifest["trials"], manifest["study"]["primary"]
    known = all_machines(trials)
    if len(known) < 2:
        return []
    sides = [
        {t["seed"]: machines(t) for t in trials if t["arm"] == arm and t["stage"] == "confirm"}
        for arm in (contrast["treatment"], contrast["control"])
    ]
    pairs = [(sides[0][seed], sides[1][seed]) for seed in sides[0] if seed in sides[1]]
    pairs = [pair for pair in pairs if all(pair)]
    unlike = sum(one != other for one, other in pairs)
    told = ", ".join(f"{count} on {machine}" for machine, count in known.most_common())
    return [
        f"Not what the machine does: trials were trained on unlike ones ({told}), whose rounding "
        f"differs; in {unlike or 'none'} of {len(pairs)} pairs of the primary contrast the two "
        "sides were."
    ]


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
    with chart(4.6, 3.1) as canvas:
        values, differences = canvas.subplots(1, 2, width_ratios=(1.5, 1))
        for seed in found.pairs.seeds:
            pair = [measured[side, seed] for side in sides]
            (line,) = values.plot(
                (0, 1), pair, "o-", color=NEUTRAL, mfc=COLOURS["arm"], mec="white", mew=0.6, ms=7,
                lw=1.2,
            )  # fmt: skip
            each = (
                f"{side}, seed {seed}: {number(one)}" for side, one in zip(sides, pair, strict=True)
            )
            titled(line, *each)
        values.set_xticks((0, 1), [two_lines(side, 15) for side in sides])
        values.set_xlim(-0.35, 1.35)
        values.set_ylabel(axis_label(contrast["metric"], found.pairs.unit, found.pairs.direction))
        _difference_panel(differences, found)
        sns.despine(canvas)
        drawn = svg(canvas)
    said = f"{who(found)}, {contrast['metric']}, per seed: " + ", ".join(
        number(difference, signed=True) for difference in found.pairs.differences
    )
    return Figure(drawn, f"{said}. Interval {interval_text(found.adjusted)}.")


def _difference_panel(axes: Axes, found: Comparison) -> None:
    margin = found.contrast["equivalence"]
    if margin:
        axes.axhspan(-margin, margin, color=NEUTRAL, alpha=0.25, lw=0)
    axes.axhline(0, color=INK, lw=0.8)
    (dots,) = axes.plot(
        [0] * found.n, found.pairs.differences, "o", color=COLOURS["arm"], mec="white", mew=0.6,
        ms=6,
    )  # fmt: skip
    each = zip(found.pairs.seeds, found.pairs.differences, strict=True)
    titled(dots, *(f"{who(found)}, seed {seed}: {number(d, signed=True)}" for seed, d in each))
    if found.adjusted is not None and found.mean is not None:
        axes.plot((0.5, 0.5), (found.adjusted.low, found.adjusted.high), color=INK, lw=1.6)
        (mean,) = axes.plot(0.5, found.mean, "D", color=INK, ms=5)
        titled(mean, f"{who(found)}, mean: {effect_text(found)}")
    axes.set_xlim(-0.4, 0.9)
    ticks = ["per\nseed", found.adjusted.coverage if found.adjusted else ""]
    axes.set_xticks((0, 0.5), ticks)
    axes.set_ylabel("difference")
