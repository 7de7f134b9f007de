"""Questions asked of a manifest's study: what an arm was trained on, which arms have room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from reports.manifest import StudyEntry, TrialEntry

Value = TypeVar("Value")

MANY_ARMS = 12
"""More arms than this are no columns to read, and no figure for the head of a page."""
MOST_ARMS = 24  # that have a line, a panel or pictures of their own


def many(study: StudyEntry) -> bool:
    """Whether the study has more arms than `MANY_ARMS`."""
    return len(study["arms"]) > MANY_ARMS


def setting(config: Mapping[str, object], path: str) -> object | None:
    """The value at a dotted `path` such as ``model.latent_dim``; None where there is none."""
    value: object = config
    for key in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def trained_on(study: StudyEntry, arm: str) -> str | None:
    """The label of an arm's training data: its own, or that of the shared configuration."""
    train = study["arms"][arm].get("train", setting(study["config"], "data.train"))
    return train if isinstance(train, str) else None


def machines(trial: TrialEntry) -> str:
    """What trained a trial, those that it was continued on included; empty: nobody knows."""
    return ", then ".join(trial.get("machines", []))


def all_machines(trials: Iterable[TrialEntry]) -> Counter[str]:
    """What trained how many of the confirmation trials, of those of which it is known."""
    found = (machines(trial) for trial in trials if trial["stage"] == "confirm")
    return Counter(filter(None, found))


def latent_size(study: StudyEntry, arm: str) -> int | None:
    """An arm's latent size: its own, or that of the shared configuration."""
    size = study["arms"][arm].get("latent_dim", setting(study["config"], "model.latent_dim"))
    return size if isinstance(size, int) else None


def training(study: StudyEntry) -> str:
    """How long arms are trained, such as "2,000 to 6,000 steps of 32 images"; empty: none is."""
    arms = [name for name, entry in study["arms"].items() if entry["role"] != "reference"]

    def told(path: str) -> str:
        found = distinct(study, lambda study, arm: resolved(study, arm, path), arms)
        counts = sorted(value for value in found if isinstance(value, int))
        return " to ".join(f"{count:,}" for count in dict.fromkeys([*counts[:1], *counts[-1:]]))

    steps, images = told("trainer.steps"), told("trainer.batch_size")
    return f"{steps} steps of {images} images" if steps and images else ""


def resolved(study: StudyEntry, arm: str, path: str) -> object | None:
    """The value at a dotted `path` of an arm's own configuration, or of the shared one."""
    own = setting(study["arms"][arm].get("config", {}), path)
    return setting(study["config"], path) if own is None else own


def by_value(
    study: StudyEntry, of: Callable[[StudyEntry, str], str], arms: Sequence[str]
) -> list[str]:
    """What is said of each arm, each once: where arms differ, with the arms it is said of."""
    said: dict[str, list[str]] = {}
    for arm in arms:
        said.setdefault(of(study, arm), []).append(arm)
    if len(said) < 2:
        return list(said)
    return [f"{text} ({', '.join(who)})" for text, who in said.items()]


def flat(value: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """The leaves of nested mappings with their dotted paths, in order."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from flat(inner, f"{prefix}.{key}" if prefix else str(key))
    elif prefix:
        yield prefix, value


def warnings(trials: Iterable[TrialEntry], metric: str) -> list[tuple[str, dict[str, int]]]:
    """What confirmed values of a metric carry as a warning: its words, arm -> how many of them."""
    found: dict[str, dict[str, int]] = {}
    for trial in trials:
        words = trial.get("warnings", {}).get(metric)
        if words and (trial["stage"], trial["status"]) == ("confirm", "done"):
            arms = found.setdefault(words, {})
            arms[trial["arm"]] = arms.get(trial["arm"], 0) + 1
    return list(found.items())


def declared(study: StudyEntry) -> set[str]:
    """The metrics of the primary and the secondary contrasts."""
    return {contrast["metric"] for contrast in (study["primary"], *study["secondary"])}


def distinct(
    study: StudyEntry,
    of: Callable[[StudyEntry, str], Value | None],
    arms: Sequence[str] | None = None,
) -> list[Value]:
    """What there is of the arms (by default all), each once."""
    values = [of(study, arm) for arm in (study["arms"] if arms is None else arms)]
    return [value for value in dict.fromkeys(values) if value is not None]


def few(study: StudyEntry, having: Iterable[str]) -> tuple[list[str], str]:
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
