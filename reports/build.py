"""Builds a study's page: ``python -m reports.build study=NAME [runs=DIR]``.

Reads ``rows.parquet``, ``manifest.json``, and what the trials left, and writes ``report.html`` into
the same folder: one file that needs no other and no network. The same folder gives the same bytes.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from reports import rows as schema
from reports.rows import Manifest, Study, latent_size, setting, trained_on

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup

    from reports.statistics import Answer

REPORT = "report.html"

Value = TypeVar("Value")


def build(folder: Path) -> Path:
    """Write the report of the study in `folder` and return its path.

    Raises:
        ValueError: the study's rows or manifest are missing or malformed, or disagree.
    """
    rows, manifest = schema.load(folder), schema.load_manifest(folder)
    strangers = sorted(set(rows.arm) - set(manifest["study"]["arms"]))
    if strangers:
        raise ValueError(f"{folder}: rows of arms that the study lacks: {', '.join(strangers)}")
    path = folder / REPORT
    _replace(path, render(folder, manifest, rows).encode())
    return path


def render(folder: Path, manifest: Manifest, rows: pd.DataFrame) -> str:
    """The page of a study as text.

    Args:
        folder: where the trials' curves and pictures lie.
        manifest: the study's manifest.
        rows: its measurements.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from reports import factorial, figures, published, statistics, tables

    study = manifest["study"]
    answer = statistics.answer(study, rows)
    curves, unread_curves = figures.load_curves(folder, manifest)
    seed, galleries, unread_pictures = figures.galleries(folder, manifest)
    everything = (answer.primary, *answer.secondary)
    crossing, tuned = factorial.analyse(study, rows), study.get("tuning")
    beside = published.beside(study, rows)
    environment = Environment(
        loader=PackageLoader("reports", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment.get_template("template.html.j2").render(
        study=study,
        answer=answer,
        facts=facts(manifest),
        limits=limits(manifest, answer),
        pairs=figures.primary_pairs(answer.primary, rows),
        values=figures.primary_values(study, rows),
        primary=tables.contrasts([answer.primary], adjusted=False),
        secondary=tables.contrasts(answer.secondary, adjusted=True),
        notes=tables.notes(everything),
        forest=figures.forest(everything),
        crossing=crossing,
        main_effects=tables.effects(crossing.main if crossing else ()),
        interactions=tables.effects(crossing.interactions if crossing else ()),
        effect_notes=tables.effect_notes(crossing.effects if crossing else ()),
        cell_means=figures.cell_means(crossing) if crossing else (),
        tuned=tuned,
        tuning=tables.tuning(study, tuned) if tuned else None,
        candidates=tables.candidates(study, tuned) if tuned else (),
        many=len(study["arms"]) > tables.MANY_ARMS,
        metrics=tables.metrics(study, rows, details=False),
        details=tables.metrics(study, rows, details=True),
        published=tables.beside_published(beside),
        published_differences=published.differences(study),
        curves=figures.training_curves(study, curves),
        seed=seed,
        galleries=galleries,
        arms=tables.arms(study, manifest),
        fingerprints=tables.fingerprints(rows),
        config=tables.settings(study["config"]),
        failures=tables.failures(manifest),
        unread=unread_curves + unread_pictures,
        environment=tables.settings(manifest["environment"]),
    )


def facts(manifest: Manifest) -> list[tuple[str, str]]:
    """What the answer rests on: budget, data, seeds, and trials done, as label and text."""
    from reports import tables

    study, config = manifest["study"], manifest["study"]["config"]
    found = [("budget", f"{study['budget']}: {study['budget_summary']}")]
    data = dict(schema.flat(setting(config, "data")))
    data |= {"train": trains} if (trains := _distinct(study, trained_on)) else {}
    if data:
        found.append(("data", ", ".join(f"{path} {_words(data[path])}" for path in data)))
    sizes = _distinct(study, latent_size)
    if sizes:
        found.append(("latent size", _words(sizes)))
    found.append(("seeds", f"{len(study['seeds'])} ({', '.join(map(str, study['seeds']))})"))
    ends = [trial["status"] for trial in manifest["trials"] if trial["stage"] == "confirm"]
    done, others = tables.outcomes(ends)
    found.append(("trials", f"{done} of {len(ends)} done" + (f" ({others})" if others else "")))
    if "tuning" in study:
        tuning = study["tuning"]
        each = f"{tuning['trials']} candidates per arm × {len(tuning['seeds'])} seeds"
        found.append(("tuning", f"{each}, {tuning['sampler']}"))
    return found


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
    trains = " and ".join(_distinct(study, trained_on, (treatment, control)))
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
    found += [f"{note[0].upper()}{note[1:]}." for note in primary.notes]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status: 0, or 2 for bad input, said on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m reports.build", description="Build the report of a study again."
    )
    parser.add_argument(
        "settings", nargs="*", metavar="key=value", help="study=NAME (or its folder), runs=DIR"
    )
    parser.add_argument("--list", action="store_true", help="list the studies under runs")
    given = parser.parse_args(arguments)
    try:
        chosen = _settings(given.settings)
        if given.list:
            print("\n".join(schema.studies(chosen["runs"])) or f"no study in {chosen['runs']!r}")
            return 0
        if not chosen["study"]:
            raise ValueError("which study? Say study=NAME; --list shows those there are")
        print(build(schema.find(chosen["study"], chosen["runs"])))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _settings(given: Sequence[str]) -> dict[str, str]:
    found = {"study": "", "runs": "runs"}
    for item in given:
        key, equals, value = item.partition("=")
        if not equals or key not in found:
            raise ValueError(f"cannot read {item!r}; known are study=NAME and runs=DIR")
        found[key] = value
    return found


def _distinct(
    study: Study, of: Callable[[Study, str], Value | None], arms: Sequence[str] | None = None
) -> list[Value]:
    """What there is of the arms (by default all), each once."""
    values = [of(study, arm) for arm in (study["arms"] if arms is None else arms)]
    return [value for value in dict.fromkeys(values) if value is not None]


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _breakable(text: str) -> Markup:
    """The text, escaped, with leave to break its line after a slash, an underscore or a dot."""
    from markupsafe import Markup, escape

    return Markup(re.sub("([/_.])", r"\1<wbr>", str(escape(text))))


def _replace(path: Path, content: bytes) -> None:
    """Write `content` so that a reader sees the old file or the new one, whole."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
