"""Results of trials -> what the report reads: rows and manifest."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.plan.looks import level_of
from bench.plan.progress import Ending, Progress
from bench.plan.rows import rows as rows_of
from bench.plan.trials import differing, tuning_metric
from bench.store import Store
from bench.study.schema import Data
from bench.study.setup import Setup, Study, parts
from reports import manifest as schema
from reports.rows import COLUMNS
from tvae import registry
from tvae.files import write_atomically


def rows(progress: Progress) -> list[dict[str, Any]]:
    """The rows of what counts, tuning first."""
    return rows_of(progress.study.name, progress.counted())


def manifest(progress: Progress, environment: Mapping[str, Any], command: str) -> schema.Manifest:
    """What the report reads besides the rows; a trial that has not ended is ``interrupted``.

    Args:
        progress: how far the study is.
        environment: where it ran.
        command: what a person typed.
    """
    study, endings, looks = progress.confirmed_study, progress.counted(), progress.looks
    primary: schema.ContrastEntry = {**study.primary.model_dump()}  # type: ignore[typeddict-item]
    secondary: list[schema.ContrastEntry] = [
        {
            "treatment": treatment,
            "control": control,
            "metric": study.primary.metric,
            "equivalence": study.primary.equivalence,
        }
        for treatment, control in study.secondary.contrasts
    ]
    secondary += [
        {**primary, "metric": metric, "equivalence": equivalence}
        for metric, equivalence in study.secondary.metrics.items()
        if metric != study.primary.metric  # which the command line may have made it
    ]
    described: schema.StudyEntry = {
        "name": study.name,
        "question": study.question,
        "budget": study.budget,
        "budget_warning": study.budget_warning,
        "level": level_of(study),
        "arms": _arms(study, endings),
        "primary": primary,
        "secondary": secondary,
        "seeds": study.seeds[: looks.counted],
        "config": _config(study),
        "choices": choices(study),
        "command": command,
    }
    described["parts"] = _parts(study)
    described["images"] = {label: study.data.images(label) for label in study.labels}
    if looks.planned:
        described["looks"] = {
            "planned": list(looks.planned),
            "reached": len(looks.passed),
            "level": study.level,
            "decided": looks.decided,
        }
    factors = _factors(study)
    if factors:
        described["factors"] = factors
    if progress.searches:
        described["tuning"] = _tuning(progress)
    return {
        "study": described,
        "trials": [_trial(ending, progress.store) for ending in endings],
        "environment": dict(environment),
    }


def choices(study: Study) -> list[str]:
    """What was decided where the paper is silent or otherwise, as it is set: a sentence each.

    Every plugin says its own (`tvae.registry.choices_of`). What only some arms have is followed by
    their names.
    """
    trained = [setup for setup in study.setups.values() if setup.role != "reference"]
    said: dict[str, dict[str, None]] = {}
    for setup in trained:
        for sentence in _choices_of(setup):
            said.setdefault(sentence, {})[setup.name] = None
    found = [
        sentence if len(arms) == len(trained) else f"{sentence[:-1]} ({', '.join(arms)})."
        for sentence, arms in said.items()
    ]
    for name, settings in _metrics(study).items():
        found += registry.choices_of(registry.metrics.get(name), settings)
    for label in study.labels:
        found += _choices_of_data(study.data, label)
    return list(dict.fromkeys(found))


def _choices_of(setup: Setup) -> Iterator[str]:
    model, family = setup.config["model"], setup.config["family"]
    yield from registry.choices_of(registry.models.get(model["name"]), model)
    for option, plugins, reference in parts(model):
        yield from registry.choices_of(plugins.get(reference["name"]), reference, option)
    yield from registry.choices_of(registry.families.get(family["name"]), family)
    yield from _choices_of_training(setup.config["trainer"])


PAPERS = {
    "learning_rate": 1e-4,
    "schedule": "halving",
    "halve_every": 50,
    "batch_size": 100,
    "warm_up": 0,
}
"""How the paper trained (Appendix B)."""


def _choices_of_training(trainer: Mapping[str, Any]) -> Iterator[str]:
    """Where training departs from Appendix B."""
    schedules = {
        "halving": f"halved every {trainer['halve_every']} epochs",
        "cosine": "with a cosine schedule",
        "constant": "all the time",
    }
    rate, wide, warm_up = (trainer[n] for n in ("learning_rate", "wide_rate", "warm_up"))
    risen = f", after {warm_up} steps of an even rise" if warm_up else ""
    if wide != 1 or any(trainer[name] != value for name, value in PAPERS.items()):
        yield (
            f"Adam at {rate:g}, {schedules[trainer['schedule']]}{risen}, on batches of "
            f"{trainer['batch_size']}, where the paper has 1e-4, halved every 50 epochs, and "
            "batches of 100."
        )
    if wide != 1:
        yield (
            f"The wide networks, q_psi and h_xi, learn at {rate * wide:g}: at 1e-3 h_xi dies and "
            "T is constant."
        )


def _choices_of_data(section: Data, label: str) -> Iterator[str]:
    """Of a data set: what it says itself, and how a model of other images reads it."""
    from tvae import data

    options = section.source(label)
    name, root = options.pop("name"), options.pop("root")
    yield from data.source(name).choices(None if root is None else Path(root), **options)
    own, shape = section.shape(section.train), section.shape(label)
    if shape != own:
        how = {"resize": "resized", "centre_crop": "cut to their middle", "native": "as they are"}
        yield (
            f"A model of {own} pixels sees the images of {label}, {shape}, {how[section.protocol]}."
        )


def _metrics(study: Study) -> dict[str, dict[str, Any]]:
    """Metric -> its settings with every default spelled out."""
    return {
        name: {**registry.defaults_of(registry.metrics.get(name)), **settings}
        for name, settings in study.metrics.items()
    }


TOLD_ELSEWHERE = {
    "name", "question", "budget", "budget_summary", "budget_warning", "arms", "baselines",
    "primary", "secondary", "level",
}  # fmt: skip
"""Keys of a study that stand in the manifest by themselves."""


def _config(study: Study) -> dict[str, Any]:
    """What all arms share: everything of the study that is not told elsewhere."""
    found = study.model_dump(exclude=TOLD_ELSEWHERE)
    return {**found, "data": _data(study.data), "metrics": _metrics(study)}


def _data(section: Data) -> dict[str, Any]:
    """What an arm is trained and tested on; where the files lay is no part of the question."""
    own = any(map(section.is_own, section.labels))
    return section.model_dump(exclude={"root", "download", "paths"} | (set() if own else {"own"}))


def _arms(study: Study, endings: Sequence[Ending]) -> dict[str, schema.ArmEntry]:
    differ = differing(study)
    arms: dict[str, schema.ArmEntry] = {}
    for name, setup in study.setups.items():
        model = setup.config["model"]
        arms[name] = {
            "role": setup.role,
            "summary": setup.summary,
            "published": setup.published,
            "differs": differ[name],
            "train": setup.data.train,
            "latent_dim": setup.latent_dim,
            "config": {"data": _data(setup.data), **setup.config},
        }
        if setup.levels:
            arms[name]["levels"] = dict(setup.levels)
        for part in parts(model):
            if part.plugins is registry.latent_transforms:
                made = registry.latent_transforms.build(part.reference, arms[name]["latent_dim"])
                arms[name]["claims"] = sorted(made.claims)
    for ending in endings:
        if ending.trial.stage == "confirm" and (weights := ending.result.weights):
            arms[ending.trial.arm]["weights"] = weights
        for measured in ending.result.measurements:
            if measured["name"] == "cost/parameters" and measured["value"] is not None:
                arms[ending.trial.arm]["parameters"] = int(measured["value"])
    return arms


def _parts(study: Study) -> list[schema.PartEntry]:
    """The plugins of all arms, each once, in the order of the arms."""
    found: dict[tuple[str, str], schema.PartEntry] = {}
    for setup in study.setups.values():
        for role, plugins, reference in [
            *parts(setup.config["model"]),
            ("family", registry.families, setup.config["family"]),
        ]:
            name = reference["name"]
            part = found.setdefault(
                (role, name),
                {
                    "role": role.replace("_", " "),
                    "name": name,
                    "summary": plugins.summary(name),
                    "origin": str(plugins.origin(name)),
                    "arms": [],
                },
            )
            part["arms"].append(setup.name)
    # in the order of the models with more parts first, then what only others have
    models = {setup.config["model"]["name"] for setup in study.setups.values()}
    declared = [list(registry.models.get(name).parts) for name in sorted(models)]
    options = [o for options in sorted(declared, key=len, reverse=True) for o in options]
    order = [*dict.fromkeys(options), "family"]
    return [found[key] for key in sorted(found, key=lambda key: order.index(key[0]))]


def _factors(study: Study) -> dict[str, list[str]]:
    """Factor -> its levels, in the order of the arms, so that the first is the reference."""
    found: dict[str, list[str]] = {}
    for name in study.arms:
        for factor, level in study.setups[name].levels.items():
            if level not in found.setdefault(factor, []):
                found[factor].append(level)
    return found


def _tuning(progress: Progress) -> schema.TuningEntry:
    tune, searches = progress.study.tune, progress.searches
    notes = [f"{s.name}: {note}" for s in searches for note in s.notes]
    return {
        "metric": tuning_metric(progress.study),
        "direction": "lower" if searches[0].lower else "higher",
        "sampler": tune.sampler,
        "pruner": tune.pruner,
        "trials": tune.trials,
        "seeds": list(tune.seeds),
        "generation": tune.generation,
        "candidates": {
            search.name: [
                {
                    "number": candidate.number,
                    "values": dict(candidate.values),
                    "objective": outcome.objective,
                    "status": outcome.status,
                    "reason": outcome.reason,
                }
                for candidate, outcome in zip(search.candidates, search.outcomes, strict=False)
            ]
            for search in searches
        },
        "chosen": {search.name: search.best for search in searches},
        "notes": notes,
    }


def _trial(ending: Ending, store: Store) -> schema.TrialEntry:
    trial, folder = ending.trial, store.trial(ending.trial.training_key)

    def relative(path: Path) -> str | None:
        return path.relative_to(store.path).as_posix() if path.exists() else None

    return {
        "trial": trial.training_key,
        "arm": trial.arm,
        "role": trial.role,
        "seed": trial.seed,
        "stage": trial.stage,
        "status": ending.result.status,
        "reason": ending.result.reason,
        "notes": [
            *ending.result.notes,
            *(
                f"{metric} measured nothing: {why}"
                for metric, why in ending.result.unmeasured.items()
            ),
        ],
        "warnings": {
            measured["name"]: measured["warning"]
            for measured in ending.result.measurements
            if measured.get("warning")
        },
        "steps": trial.steps,
        "machines": list(ending.result.machines),
        "metric_seconds": dict(ending.result.metric_seconds),
        "curve": relative(folder.curve),
        "pictures": relative(folder.pictures),
        "clusters": relative(folder.clusters),
    }


def write(store: Store, found: Sequence[Mapping[str, Any]], described: schema.Manifest) -> None:
    """Write rows and manifest into the study's folder."""
    import pandas as pd

    store.path.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(list(found), columns=list(COLUMNS)).astype(COLUMNS)
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    write_atomically(store.path / "rows.parquet", buffer.getvalue())
    content = json.dumps(described, indent=1, ensure_ascii=False)
    write_atomically(store.path / "manifest.json", content.encode())
