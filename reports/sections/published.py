"""Ours beside the published numbers, and what differs."""

from __future__ import annotations

from collections.abc import Sequence

from reports.cells import Cell, Table, measure, raw
from reports.manifest import StudyEntry
from reports.report import Report, Section
from reports.statistics.published import Beside, beside
from reports.statistics.records import ends
from reports.study import flat, setting
from reports.words import interval_text


def section(report: Report) -> Section:
    """The paper's numbers that an arm repeats, with ours."""
    return Section(
        "published",
        "Published",
        {
            "published": beside_published(beside(report.study, report.rows)),
            "published_differences": differences(report.study),
        },
    )


def beside_published(found: Sequence[Beside]) -> Table:
    """Ours beside the paper's; see `reports.statistics.published.Beside`."""
    header = (
        "arm",
        "training data",
        "metric",
        "ours",
        "prediction interval",
        "published",
        "within",
        "place",
    )
    words = {True: "yes", False: "no", None: "not compared"}
    lines = tuple(
        (
            Cell(line.arm),
            Cell(line.published.train, f"latent size {line.latent_dim}"),
            Cell(line.published.metric, line.published.unit),
            measure(line.mean, line.prediction.half if line.prediction else None, f"n = {line.n}"),
            Cell(interval_text(line.prediction, signed=False), raw=raw(*ends(line.prediction))),
            measure(line.published.value, note=line.published.model),
            Cell(words[line.within]),
            Cell(line.published.place),
        )
        for line in found
    )  # fmt: skip
    return Table(tuple(Cell(text) for text in header), lines)


def differences(study: StudyEntry) -> tuple[str, ...]:
    """What sets this study apart from the paper's experiment, one sentence each."""
    config = study["config"]
    found = []
    steps = setting(config, "trainer.steps")
    if steps is not None:
        shown = f"{steps:,}" if isinstance(steps, int) else str(steps)
        found.append(
            f"Training: {shown} steps here; 200 epochs of batches of 100 there (Appendix B: "
            "120,000 steps on 60,000 images)."
        )
    size = setting(config, "data.size")
    if size is not None and size != "full":
        found.append(f"Data: the {size} subset here, the full data sets there.")
    elif size == "full":
        found.append(
            "Data: 50,000 training images here, with 10,000 held out for validation; the paper "
            "does not say how it split them."
        )
    found.append(
        "Protocol: the paper gives neither the k and the distance of its nearest neighbours, nor "
        "how a 28-pixel model reads AffNIST's 40 pixels, nor the number of seeds, nor which "
        "transformations of Fashion-MNIST it trained on."
    )
    ours = [f"{path} = {value}" for path, value in flat(setting(config, "evaluation"))]
    if ours:
        found.append(f"Our evaluation: {', '.join(ours)}.")
    return tuple(found)
