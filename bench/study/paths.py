"""Data sets that a study names by where they lie: from then on they have a name.

A path stands where it is typed and nowhere else. Names of metrics, keys of trials and reports have
the name that this gives it, so that a folder may be moved, and nothing has to escape a slash.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from bench.study.problems import Problem
from bench.study.tree import Tree
from tvae.files import expanded


def with_names(tree: Tree, problems: list[Problem]) -> Tree:
    """`tree` with a name in the place of every path of a data set, and ``data.paths`` to find it.

    Args:
        tree: a whole configuration, of which no type has been checked.
        problems: is added a path that gives a name that is taken.
    """
    if not isinstance(tree.get("data"), Mapping):
        return tree
    given = tree["data"].get("paths", {})
    if not isinstance(given, Mapping) or not all(isinstance(p, str) for p in given.values()):
        return tree  # which is said where types are checked
    paths = dict(given)

    def renamed(section: Any, where: str) -> Any:
        if not isinstance(section, Mapping):
            return section
        out = dict(section)
        if isinstance(out.get("train"), str):
            out["train"] = _name(out["train"], f"{where}.train", paths, problems)
        if isinstance(out.get("transfer"), list):
            out["transfer"] = [
                _name(name, f"{where}.transfer.{i}", paths, problems)
                if isinstance(name, str)
                else name
                for i, name in enumerate(out["transfer"])
            ]
        return out

    tree = {**tree, "data": renamed(tree["data"], "data")}
    for role, arms in ((role, tree.get(role)) for role in ("arms", "baselines")):
        if isinstance(arms, Mapping):
            tree[role] = {
                name: {**arm, "data": renamed(arm["data"], f"{role}.{name}.data")}
                if isinstance(arm, Mapping) and "data" in arm
                else arm
                for name, arm in arms.items()
            }
    if paths:
        tree["data"]["paths"] = paths
    return tree


def _name(given: str, where: str, paths: dict[str, Any], problems: list[Problem]) -> str:
    """What a data set is called; of a path, the name that it gives is added to `paths`."""
    from tvae import data
    from tvae.data.catalogue import original
    from tvae.data.own import is_path, label_of

    inner = original(given)
    if inner is not None:
        return f"transformed({_name(inner, where, paths, problems)})"
    if not is_path(given):
        return given
    try:
        name = label_of(given)
        other = "a data set" if name in data.names() else paths.get(name)
        taken = name in data.names() or (other and _whole(str(other)) != _whole(given))
    except ValueError:
        return given  # which is said where names are checked
    if taken:
        message = (
            f"{given} would be called {name}, as {other} is; give it another name: "
            f"data.paths.NAME={given}, and NAME here"
        )
        problems.append(Problem(where, message))
    else:
        paths.setdefault(name, given)
    return name


def _whole(path: str) -> str:
    return os.path.realpath(expanded(path))


def wrong_names(paths: Mapping[str, str]) -> Iterator[Problem]:
    """Names of ``data.paths`` that are no names, or a data set's."""
    from tvae import data
    from tvae.data.own import safe

    for name in paths:
        if name in data.names():
            yield Problem(f"data.paths.{name}", "is the name of a data set; choose another")
        elif safe(name) != name:
            message = f"must be letters, digits, _ and -, such as {safe(name) or 'photos'}"
            yield Problem(f"data.paths.{name}", message)
