"""Ours beside the published numbers, and what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reports.cells import Cell, Table, interval_cell, measure, raw
from reports.manifest import StudyEntry
from reports.report import Report, Section
from reports.statistics.intervals import natural
from reports.statistics.published import STEPS, Beside, beside, fit_images
from reports.statistics.records import ends
from reports.study import by_value, flat, resolved, setting
from reports.words import interval_text, plain


def section(report: Report) -> Section:
    """The paper's numbers that an arm repeats, with ours."""
    found = beside(report.study, report.rows)
    return Section(
        "published",
        "Published",
        {
            "published": beside_published(found),
            "published_differences": differences(report.study, found),
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
        "differs",
        "within",
        "place",
    )
    words = {True: "yes", False: "no", None: "not asked"}
    lines = tuple(
        (
            Cell(line.arm),
            Cell(line.published.train, f"latent size {line.latent_dim}"),
            Cell(line.published.metric, line.published.unit),
            measure(line.mean, line.prediction.half if line.prediction else None, f"n = {line.n}"),
            _prediction(line),
            measure(line.published.value, note=line.published.model),
            Cell("; ".join(line.apart) or "—", kind="words"),
            Cell(words[line.within]),
            Cell(line.published.place),
        )
        for line in found
    )  # fmt: skip
    return Table(tuple(Cell(text) for text in header), lines)


def differences(study: StudyEntry, found: Sequence[Beside]) -> tuple[str, ...]:
    """What sets this study apart from the paper's experiment, one sentence each, as it is set.

    Args:
        study: the study's declaration.
        found: ours beside the paper's; of its arms and metrics the sentences are.
    """
    arms = list(dict.fromkeys(line.arm for line in found))
    fitted = {line.published.metric: line.published.fit for line in found if line.published.fit}

    def of(path: str) -> str:
        said = by_value(study, lambda study, arm: _said(resolved(study, arm, path)), arms)
        return "; ".join(said)

    said = [
        f"Training: {of('trainer.steps')} steps here; {STEPS:,} there (200 epochs of 60,000 images "
        "in batches of 100).",
    ]
    if fitted:
        sizes = (
            f"{metric} on {_said(fit_images(study, metric))} images here, {there:,} there"
            for metric, there in fitted.items()
        )
        said.append(
            f"Fit set of the neighbours: {'; '.join(sizes)}. Fewer images give the same embedding "
            "a lower accuracy: of AffNIST, 50,000 in place of 1,600,000 take 12 to 16 points."
        )
    said += [
        f"Data: {of('data.size')} data sets here, with their own validation images; the paper does "
        "not say what it held out.",
        f"Views: {of('family')} here; the paper rotates and crops, and says neither how far nor "
        "with what it trained on Fashion-MNIST.",
        f"Input: images of 40 pixels enter a model of 28 by data.protocol = {of('data.protocol')}; "
        "the paper does not say how.",
        f"Seeds: {len(study['seeds'])} here; the paper does not say how many.",
    ]
    metrics = flat(setting(study["config"], "metrics"))
    ours = [f"{path} = {_said(value)}" for path, value in metrics if value != {}]
    if ours:
        said.append(
            "Evaluation: the paper gives neither the number and distance of its neighbours nor the "
            f"estimator of its nats. Ours: {', '.join(ours)}."
        )
    return tuple(said)


def _prediction(line: Beside) -> Cell:
    """The prediction interval, as far as such values can be."""
    if line.prediction is None:
        return interval_cell(None)
    shown = natural(line.prediction, line.published.unit)
    text = interval_text(shown, line.prediction.half, signed=False)
    return Cell(text, raw=raw(*ends(shown)))


def _said(value: object) -> str:
    """A setting in words; a plugin by its name, with its options."""
    if isinstance(value, Mapping):
        options = [f"{k} = {plain(v)}" for k, v in value.items() if k != "name"]
        name = str(value.get("name", ""))
        return f"{name} ({', '.join(options)})" if options else name
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "unknown" if value is None else plain(value)
