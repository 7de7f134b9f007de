"""Study files as plain data: found, read, not yet checked."""

from __future__ import annotations

from pathlib import Path

from bench.study.looks import over
from bench.study.problems import ConfigError, Problem
from bench.study.schema import REPOSITORY
from bench.study.text import read, reason, unreadable
from bench.study.tree import Tree
from tvae.files import expanded
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
        content = read(path.read_text(encoding="utf-8"))
    except unreadable() as error:
        raise ConfigError([Problem(str(path), f"cannot be read: {reason(error)}")]) from error
    if content is None:  # an empty file
        return {}
    if not isinstance(content, dict):
        raise ConfigError([Problem(str(path), "must be a mapping of names to values")])
    return content


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
            typed = expanded(name)
            path = seen[-1].parent / typed if seen else typed
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
        if type(parent) is int:  # a study may be called 2024
            parent = str(parent)
        if not isinstance(parent, str):
            raise ConfigError([Problem("extends", "must be the name or path of a study")])
        tree = over(below, tree)
        tree.setdefault("name", path.stem)
        name = parent
    return tree
