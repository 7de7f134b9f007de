"""The manifest of a study: what was declared, what became of each trial, and where it ran.

The typed dicts are what ``manifest.json`` holds; `load` checks a file against them and against
itself. Values in them may come from anybody: they are data.
"""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Literal, NotRequired

from typing_extensions import TypedDict  # pydantic reads the standard library's from 3.12 on

Role = Literal["arm", "baseline", "reference"]
Status = Literal["done", "pruned", "diverged", "failed", "interrupted"]


class ContrastEntry(TypedDict):
    """treatment - control on a metric, equivalent within +-equivalence (units of the metric)."""

    treatment: str
    control: str
    metric: str
    equivalence: float


class ArmEntry(TypedDict):
    """One arm or baseline of a study.

    `differs` maps each dotted configuration path on which the arms are not all alike, such as
    ``model.coherence.name``, to this arm's value. `published` is the label of the paper's model
    that this arm repeats (see `reports.statistics.published`), empty or absent where there is none.
    `levels` maps every factor of a crossed study to this arm's level, and is empty or absent for an
    arm outside the crossing. `train`, the label of the training data, and `latent_dim` are those of
    the shared configuration where absent. `claims` names the laws that the arm's form claims to
    hold. `weights` are those of its divergences in the loss, in force in the confirmation runs:
    what each is there for, such as ``coherence`` -> weight. `config` is all that the arm is set to,
    every default spelled out, under ``data``, ``model``, ``family`` and ``trainer``; the shared
    configuration where absent.
    """

    role: Role
    summary: str
    differs: dict[str, object]
    parameters: NotRequired[int]
    published: NotRequired[str]
    levels: NotRequired[dict[str, str]]
    train: NotRequired[str]
    latent_dim: NotRequired[int]
    claims: NotRequired[list[str]]
    weights: NotRequired[dict[str, float]]
    config: NotRequired[dict[str, object]]


class PartEntry(TypedDict):
    """A plugin that arms are made of.

    `role` is what it is there for, such as ``latent transform``; `summary` its equation or what it
    does in a line, in its author's words; `origin` where it comes from: a module of this project, a
    package, a file.
    """

    role: str
    name: str
    summary: str
    origin: str
    arms: list[str]  # that have it


class CandidateEntry(TypedDict):
    """Settings that were tried for one arm, and what became of them."""

    number: int  # in order of proposal; 0 is the arm's defaults
    values: dict[str, float | int | str | bool | None]  # dotted configuration path -> value tried
    objective: float | None  # mean of the tuning metric over the tuning seeds; None unless all done
    status: Status
    reason: str  # empty when done


class TuningEntry(TypedDict):
    """How arms were tuned on validation data, each with the same budget, before confirmation."""

    metric: str
    direction: Literal["higher", "lower"]
    sampler: str
    pruner: str
    trials: int  # candidates per arm
    seeds: list[int]  # every candidate at each of them; none is a confirmation seed
    generation: int  # candidates of an arm that are proposed together
    candidates: dict[str, list[CandidateEntry]]  # arm -> in order
    chosen: dict[str, int | None]  # arm -> its winner; None: none finished, defaults confirmed
    notes: list[str]


class LooksEntry(TypedDict):
    """The looks of a study that ends at the first of them that decides."""

    planned: list[int]  # numbers of seeds, ascending
    reached: int  # how many were passed; 0: rows are what there is before the first
    level: float  # of all together; the study's own is that of each
    decided: bool  # whether the last that was passed decided


class StudyEntry(TypedDict):
    """The resolved study, as far as a report needs it."""

    name: str
    question: str
    budget: str
    budget_warning: str  # empty where there is nothing to warn of
    level: float  # significance level, such as 0.05; where there are looks, of each single one
    arms: dict[str, ArmEntry]
    primary: ContrastEntry
    secondary: list[ContrastEntry]  # the declared family, on which Holm's adjustment works
    seeds: list[int]  # of confirmation; where there are looks, of those reached
    config: dict[str, object]  # the whole resolved configuration, for the appendix
    choices: list[str]  # what the paper leaves open and we chose, as it is set here
    command: str  # what repeats this run
    parts: NotRequired[list[PartEntry]]
    images: NotRequired[dict[str, dict[str, int]]]  # data set -> split -> how many
    factors: NotRequired[dict[str, list[str]]]  # of a crossing: levels, the first the reference
    tuning: NotRequired[TuningEntry]
    looks: NotRequired[LooksEntry]


class TrialEntry(TypedDict):
    """One trial: an arm at a seed."""

    trial: str
    arm: str
    role: Role
    seed: int
    stage: Literal["confirm", "tune"]
    status: Status
    reason: str  # empty when done
    notes: NotRequired[list[str]]  # what happened on the way, such as a process that was killed
    warnings: NotRequired[dict[str, str]]  # metric -> why its value must not be taken at its word
    steps: int
    machines: NotRequired[list[str]]  # what trained it, in order; empty without training
    metric_seconds: NotRequired[dict[str, float]]  # metric -> CPU seconds that measuring took
    curve: str | None  # path of curve.jsonl relative to the study's folder
    pictures: str | None  # path of pictures.npz likewise
    clusters: NotRequired[str | None]  # path of clusters.npz likewise


class Manifest(TypedDict):
    """What ``manifest.json`` holds."""

    study: StudyEntry
    trials: list[TrialEntry]
    environment: dict[str, object]


def studies(runs: str | Path = "runs") -> list[str]:
    """Names of the studies under `runs`: its folders that hold a manifest, sorted."""
    return sorted(path.parent.name for path in expanded(runs).glob("*/manifest.json"))


def expanded(path: str | Path) -> Path:
    """A path as a person types it: ``~`` is the home, which a shell leaves in ``runs=~/x``."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # there is no such home
        return Path(path)


def find(study: str | Path, runs: str | Path = "runs") -> Path:
    """The folder of a study, given its name under `runs` or the folder itself.

    Raises:
        ValueError: there is no such study; the message lists those there are and a near match.
    """
    for folder in (expanded(runs) / study, expanded(study)):
        if (folder / "manifest.json").is_file():
            return folder
    known = studies(runs)
    near = difflib.get_close_matches(str(study), known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    there = ", ".join(known) or "no study at all"
    raise ValueError(f"no study {str(study)!r} in {str(runs)!r}{hint} (there: {there})")


def load(study: str | Path, runs: str | Path = "runs") -> Manifest:
    """Read and check the manifest of a study.

    Raises:
        ValueError: no such study, or anything wrong in the file: all of it, with the path of each.
    """
    from pydantic import TypeAdapter, ValidationError

    path = find(study, runs) / "manifest.json"
    try:
        manifest = TypeAdapter(Manifest).validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error}") from error
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, item['loc'])) or 'the file'}: {item['msg']}"
            for item in error.errors()
        ]
        raise ValueError(listed(path, problems)) from error
    problems = list(_manifest_problems(manifest))
    if problems:
        raise ValueError(listed(path, problems))
    return manifest


def listed(path: Path, problems: list[str]) -> str:
    """What is wrong in a file, a line each."""
    return "\n".join([f"{path}:", *(f"  - {problem}" for problem in problems)])


def _manifest_problems(manifest: Manifest) -> Iterator[str]:
    study = manifest["study"]
    if not 0 < study["level"] < 1:
        yield f"study.level: {study['level']}; must lie between 0 and 1"
    named = {"study.primary": study["primary"]}
    named |= {f"study.secondary.{i}": contrast for i, contrast in enumerate(study["secondary"])}
    for path, contrast in named.items():
        for side in (contrast["treatment"], contrast["control"]):
            if side not in study["arms"]:
                near = difflib.get_close_matches(side, study["arms"], n=1)
                yield f"{path}: no arm {side!r}" + (f"; did you mean {near[0]!r}?" if near else "")
        if contrast["treatment"] == contrast["control"]:
            yield f"{path}: compares {contrast['treatment']!r} with itself"
        if not (math.isfinite(contrast["equivalence"]) and contrast["equivalence"] >= 0):
            yield f"{path}.equivalence: {contrast['equivalence']}; must be 0 or a positive number"
    yield from _crossing_problems(study)
    yield from _tuning_problems(study)
    yield from _looks_problems(study)
    for i, trial in enumerate(manifest["trials"]):
        if trial["arm"] not in study["arms"]:
            yield f"trials.{i}: no arm {trial['arm']!r}"
        for file in (trial["curve"], trial["pictures"], trial.get("clusters")):
            if file is not None and not _inside(file):
                yield f"trials.{i}: the path {file!r} leaves the study's folder"


def _crossing_problems(study: StudyEntry) -> Iterator[str]:
    factors, cells = study.get("factors", {}), dict[tuple[str, ...], str]()
    for factor, levels in factors.items():
        if not levels or len(set(levels)) < len(levels):
            yield f"study.factors.{factor}: {levels}; must be one level or more, all different"
    for name, arm in study["arms"].items():
        path, levels_of = f"study.arms.{name}.levels", arm.get("levels", {})
        unknown = [factor for factor in levels_of if factor not in factors]
        lacking = [factor for factor in factors if factor not in levels_of]
        for factor in unknown:
            near = difflib.get_close_matches(factor, factors, n=1)
            yield f"{path}: no factor {factor!r}" + (f"; did you mean {near[0]!r}?" if near else "")
        if levels_of and lacking:
            yield f"{path}: no level of {', '.join(map(repr, lacking))}"
        for factor, level in levels_of.items():
            if factor in factors and level not in factors[factor]:
                near = difflib.get_close_matches(level, factors[factor], n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                yield f"{path}.{factor}: no level {level!r}{hint}"
        if levels_of and not unknown and not lacking:
            cell = tuple(levels_of[factor] for factor in factors)
            if cell in cells:
                yield f"{path}: are those of {cells[cell]!r} too"
            cells[cell] = name


def _tuning_problems(study: StudyEntry) -> Iterator[str]:
    tuning = study.get("tuning")
    if tuning is None:
        return
    for arm, candidates in tuning["candidates"].items():
        if arm not in study["arms"]:
            yield f"study.tuning.candidates: no arm {arm!r}"
        numbers = [candidate["number"] for candidate in candidates]
        if len(set(numbers)) < len(numbers):
            yield f"study.tuning.candidates.{arm}: a number stands there twice"
    for arm, number in tuning["chosen"].items():
        if arm not in tuning["candidates"]:
            yield f"study.tuning.chosen: no candidates of {arm!r}"
        elif number is not None and all(
            candidate["number"] != number for candidate in tuning["candidates"][arm]
        ):
            yield f"study.tuning.chosen.{arm}: no candidate {number}"


def _looks_problems(study: StudyEntry) -> Iterator[str]:
    looks = study.get("looks")
    if looks is None:
        return
    planned, reached = looks["planned"], looks["reached"]
    if not planned or planned[0] < 2 or any(a >= b for a, b in itertools.pairwise(planned)):
        yield f"study.looks.planned: {planned}; must ascend from 2 or more"
        return
    if not 0 <= reached <= len(planned):
        yield f"study.looks.reached: {reached}; must be one of the {len(planned)} looks, or 0"
        return
    if looks["decided"] and not reached:
        yield "study.looks.decided: no look was reached"
    seeds = planned[max(reached, 1) - 1]
    if len(study["seeds"]) != seeds:
        yield f"study.seeds: {len(study['seeds'])}; look {max(reached, 1)} has {seeds}"
    if not study["level"] <= looks["level"] < 1:
        yield f"study.looks.level: {looks['level']}; must be below 1 and {study['level']} or more"


def _inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return not pure.is_absolute() and ".." not in pure.parts and "\0" not in path
