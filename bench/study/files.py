"""Study files and the command line as plain data: found, read, not yet checked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bench.study.schema import REPOSITORY, ConfigError, Problem, Tree, merge
from tvae.registry import unknown_name


def studies_folders() -> list[Path]:
    """Where study files are looked for: ``studies/`` here, in the repository, in the package."""
    folders = [
        Path("studies"),
        REPOSITORY / "studies",
        Path(__file__).resolve().parents[1] / "studies",
    ]
    return [folder for folder in folders if folder.is_dir()]


def study_names() -> list[str]:
    """The studies that can be named, sorted."""
    found = {path.stem for folder in studies_folders() for path in folder.glob("*.yaml")}
    return sorted(found - {"baselines"})


def budget_names() -> list[str]:
    """The budgets that can be named, sorted."""
    return sorted({p.stem for folder in studies_folders() for p in folder.glob("budgets/*.yaml")})


def read_yaml(path: Path) -> Tree:
    """The mapping in a YAML file.

    Raises:
        ConfigError: it cannot be read, is no YAML, or no mapping.
    """
    try:
        content = _plain(OmegaConf.load(path))
    except UNREADABLE as error:
        raise ConfigError([Problem(str(path), f"cannot be read: {_reason(error)}")]) from error
    if not isinstance(content, dict):
        raise ConfigError([Problem(str(path), "must be a mapping of names to values")])
    return content


def _plain(config: Any) -> Any:
    """Interpolations resolved; only what JSON has: a key is text, no dates, no bytes."""
    return json.loads(json.dumps(OmegaConf.to_container(config, resolve=True)))


UNREADABLE = (
    OSError,
    ValueError,  # not UTF-8; a number or a date that YAML's grammar lets through
    TypeError,  # what JSON does not have
    RecursionError,
    yaml.YAMLError,
    OmegaConfBaseException,
)
"""What reading text as YAML may raise."""


def _reason(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"{error.problem} (line {mark.line + 1}, column {mark.column + 1})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())


def find(relative: str) -> Path | None:
    """The first file of that path below a studies folder."""
    for folder in studies_folders():
        for path in sorted(folder.rglob("*.yaml")):
            if path.relative_to(folder).as_posix() == relative:
                return path
    return None


def read_study(name: str) -> Tree:
    """The study file of a name or path, with what it extends merged below it.

    A path in ``extends`` starts from the folder of the file that says it.

    Raises:
        ConfigError: no such study; a file that cannot be read; a circle of ``extends``.
    """
    tree: Tree = {}
    seen: list[Path] = []
    while name:
        if name.endswith((".yaml", ".yml")):
            path = seen[-1].parent / name if seen else Path(name)
        else:
            found = None if name == "baselines" else find(f"{name}.yaml")
            if found is None:
                message = str(unknown_name("study", name, study_names()))
                raise ConfigError([Problem("extends" if seen else "study", message)])
            path = found
        if path in seen:
            circle = " -> ".join(map(str, [*seen, path]))
            raise ConfigError([Problem("extends", f"runs in a circle: {circle}")])
        seen.append(path)
        below = read_yaml(path)
        parent = below.pop("extends", "")
        if not isinstance(parent, str):
            raise ConfigError([Problem("extends", "must be the name or path of a study")])
        tree = merge(below, tree)
        tree.setdefault("name", path.stem)
        name = parent
    return tree


def parse_overrides(arguments: Iterable[str], problems: list[Problem]) -> tuple[Tree, list[str]]:
    """(tree, deletions) of ``key.sub=value`` arguments, in the grammar of Hydra's overrides.

    Values are YAML (lists, quotes, null); ``+key=`` and ``++key=`` mean ``key=``; ``~key`` deletes.

    Args:
        arguments: of the command line.
        problems: is added what is neither of them.
    """
    tree: Tree = {}
    deletions = []
    for argument in arguments:
        if re.fullmatch(r"~[^=\s]+", argument):
            deletions.append(argument[1:])
            continue
        key, equals, text = argument.partition("=")
        key = re.sub(r"^\+\+?", "", key)
        parts = key.split(".")
        if not equals or not all(parts):
            problems.append(Problem(argument, "is not of the form key=value"))
            continue
        try:
            value = _plain(OmegaConf.from_dotlist([f"value={text}"]))["value"]
        except UNREADABLE as error:
            problems.append(Problem(key, f"cannot read the value {text!r}: {_reason(error)}"))
            continue
        for part in reversed(parts):
            value = {part: value}
        tree = merge(tree, value)
    return tree, deletions


def delete(tree: Tree, path: str, problems: list[Problem]) -> None:
    """Remove the entry at a dotted path; that there is none is added to `problems`."""
    *parents, last = path.split(".")
    inner: Any = tree
    for part in parents:
        inner = inner.get(part) if isinstance(inner, dict) else None
    if not isinstance(inner, dict):
        problems.append(Problem(f"~{path}", "there is no such key to delete"))
    elif last not in inner:
        problems.append(Problem(f"~{path}", str(unknown_name("key", last, inner))))
    else:
        del inner[last]
