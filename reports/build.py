"""Builds a study's page: ``python -m reports.build study=NAME [runs=DIR]``.

Several ``study=`` make a page that compares them (`reports.compare`); ``--list`` says which there
are. Reads ``rows.parquet``, ``manifest.json``, and what the trials left, and writes ``report.html``
into the same folder: one file that needs no other and no network. The same folder gives the same
bytes.
"""

from __future__ import annotations

import argparse
import base64
import datetime
import hashlib
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
    from jinja2 import Environment
    from markupsafe import Markup

    from reports.statistics import Answer, Comparison

REPORT = "report.html"

Value = TypeVar("Value")


def build(folder: Path) -> Path:
    """Write the report of the study in `folder` and return its path.

    Raises:
        ValueError: the study's rows or manifest are missing or malformed, or disagree.
    """
    manifest, rows = load(folder)
    path = folder / REPORT
    replace(path, render(folder, manifest, rows).encode())
    return path


def load(folder: Path) -> tuple[Manifest, pd.DataFrame]:
    """Manifest and rows of the study in `folder`, which must agree.

    Raises:
        ValueError: either is missing or malformed, or they disagree.
    """
    rows, manifest = schema.load(folder), schema.load_manifest(folder)
    strangers = sorted(set(rows.arm) - set(manifest["study"]["arms"]))
    if strangers:
        raise ValueError(f"{folder}: rows of arms that the study lacks: {', '.join(strangers)}")
    return manifest, rows


def render(folder: Path, manifest: Manifest, rows: pd.DataFrame) -> str:
    """The page of a study as text.

    Args:
        folder: where the trials' curves and pictures lie.
        manifest: the study's manifest.
        rows: its measurements.
    """
    from reports import factorial, figures, published, statistics, tables

    study = manifest["study"]
    answer = statistics.answer(study, rows, manifest["trials"], folder)
    curves, unread_curves = figures.load_curves(folder, manifest)
    seed, pictures, unread_pictures = figures.load_one_seed(folder, manifest)
    everything = (answer.primary, *answer.secondary)
    crossing, tuned = factorial.analyse(study, rows), study.get("tuning")
    algebra, t_maps = figures.algebra(study, rows), figures.t_maps(study, pictures)
    return page(
        "template.html.j2",
        contents=contents(
            factors=crossing is not None,
            transformations=bool(algebra or t_maps),
            tuning=tuned is not None,
        ),
        study=study,
        answer=answer,
        tests=tests(answer.primary),
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
        tuning_history=figures.tuning_history(study, tuned) if tuned else None,
        tuning_importance=figures.tuning_importance(study, tuned) if tuned else None,
        fewest_candidates=figures.FEWEST_CANDIDATES,
        candidates=tables.candidates(study, tuned) if tuned else (),
        many=len(study["arms"]) > tables.MANY_ARMS,
        metrics=tables.metrics(study, rows, details=False),
        details=tables.metrics(study, rows, details=True),
        efficiency=figures.label_efficiency(study, rows),
        cost=figures.cost_against_quality(study, rows),
        algebra=algebra,
        t_maps=t_maps,
        published=tables.beside_published(published.beside(study, rows)),
        published_differences=published.differences(study),
        curves=figures.training_curves(study, curves),
        seed=seed,
        most_arms=figures.MOST_ARMS,
        galleries=figures.galleries(study, pictures),
        arms=tables.arms(study, manifest),
        parts=tables.parts(study),
        fingerprints=tables.fingerprints(rows),
        config=tables.settings(study["config"]),
        outcomes=tables.outcome_counts(manifest),
        failures=tables.failures(manifest),
        unread=unread_curves + unread_pictures,
        trials=tables.trials(folder, manifest, rows),
        time=training_time(rows),
        environment=tables.settings(manifest["environment"]),
    )


def page(template: str, **values: object) -> str:
    """A page made from one of this package's templates, with its style and its one script."""
    from markupsafe import Markup

    here = Path(__file__).parent
    style = (here / "style.css").read_text(encoding="utf-8")
    script = (here / "script.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    return _environment().get_template(template).render(
        **values, style=Markup(style), script=Markup(script), policy=policy
    )  # fmt: skip


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("reports", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment


CONTENTS = {
    "contrasts": "Contrasts",
    "factors": "Factors",
    "metrics": "Metrics",
    "transformations": "Latent transformation",
    "published": "Published",
    "tuning": "Tuning",
    "curves": "Curves",
    "pictures": "Pictures",
    "arms": "Arms",
    "choices": "Choices",
    "protocol": "Protocol",
    "failures": "Failures",
    "trials": "Trials",
    "repeat": "Repeat",
}
"""The sections of a study's page, in order: their names in addresses and in the contents."""


def contents(**there: bool) -> list[tuple[str, str]]:
    """The sections that a page has; those that `there` does not name are always there."""
    return [(name, title) for name, title in CONTENTS.items() if there.get(name, True)]


def tests(found: Comparison) -> str:
    """The p-values of the primary contrast in a line, empty where there are none."""
    from reports.tables import p_text

    if found.p_t is None or found.p_flip is None:
        return ""
    how = "exact" if found.p_flip_exact else "sampled"
    return (
        f"n = {found.n} paired seeds. Against no difference at all: paired t test p = "
        f"{p_text(found.p_t)}, {how} sign-flip test p = {p_text(found.p_flip)}."
    ).replace("= <", "<")


def training_time(rows: pd.DataFrame) -> str:
    """How long the confirmation trials trained in all, as a sentence; empty where nobody knows."""
    known = schema.confirmed(rows)
    known = known[(known.metric == "cost/seconds") & known.value.notna()]
    if known.empty:
        return ""
    total = float(known.value.sum())
    return (
        f"Training the {len(known):,} finished confirmation trials took "
        f"{datetime.timedelta(seconds=round(total))} (h:mm:ss) of wall time in all, "
        f"{total / len(known):,.1f} s each on average; tuning and evaluation come on top."
    )


def facts(manifest: Manifest) -> list[tuple[str, str]]:
    """What the answer rests on: budget, data, seeds, and trials done, as label and text."""
    from reports import tables

    study, config = manifest["study"], manifest["study"]["config"]
    found = [("budget", f"{study['budget']}: {study['budget_summary']}")]
    data = dict(schema.flat(setting(config, "data")))
    data |= {"train": trains} if (trains := _distinct(study, trained_on)) else {}
    if data:
        found.append(
            ("data", ", ".join(f"{p} {_words(value)}" for p, value in data.items() if value != []))
        )
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
        prog="python -m reports.build",
        description="Build the report of a study again, or a page that compares studies.",
    )
    parser.add_argument(
        "settings",
        nargs="*",
        metavar="key=value",
        help="study=NAME (or its folder), several of them to compare; runs=DIR",
    )
    parser.add_argument("--list", action="store_true", help="list the studies under runs")
    given = parser.parse_args(arguments)
    try:
        names, runs = _settings(given.settings)
        if given.list:
            print("\n".join(listing(Path(runs))) or f"no study in {runs!r}")
            return 0
        if not names:
            raise ValueError("which study? Say study=NAME; --list shows those there are")
        folders = [schema.find(name, runs) for name in names]
        if len(folders) == 1:
            print(build(folders[0]))
        else:
            from reports.compare import compare

            print(compare(folders))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def listing(runs: Path) -> list[str]:
    """A line for each study under `runs`: name, budget, trials done, date, question."""
    lines: list[tuple[str, ...]] = []
    for name in schema.studies(runs):
        path = runs / name / "manifest.json"
        date = datetime.datetime.fromtimestamp(path.stat().st_mtime).strftime("%Y-%m-%d %H:%M")
        try:
            manifest = schema.load_manifest(runs / name)
        except ValueError:
            lines.append((name, "?", "?", date, "its manifest cannot be read: build it to see why"))
            continue
        study, trials = manifest["study"], manifest["trials"]
        done = sum(trial["status"] == "done" for trial in trials)
        lines.append((name, study["budget"], f"{done}/{len(trials)}", date, study["question"]))
    lines = [tuple(map(_printable, line)) for line in lines]
    heads = [("study", "budget", "done", "date", "question"), *lines] if lines else []
    widths = [max(map(len, column)) for column in zip(*heads, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in heads
    ]


def _settings(given: Sequence[str]) -> tuple[list[str], str]:
    """The studies and the folder of runs that the command line names."""
    names, runs = list[str](), "runs"
    for item in given:
        key, equals, value = item.partition("=")
        if not equals or key not in ("study", "runs") or not value:
            raise ValueError(f"cannot read {item!r}; known are study=NAME and runs=DIR")
        if key == "runs":
            runs = value
        else:
            names.append(value)
    return names, runs


def _printable(text: str) -> str:
    """The text without what a terminal would obey."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


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


def replace(path: Path, content: bytes) -> None:
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
