"""``key=value`` on a command line: one grammar for every command, that of Hydra's overrides."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from bench.study.problems import Problem
from bench.study.tree import Tree, merge, nest


def parse(arguments: Iterable[str], problems: list[Problem]) -> tuple[Tree, list[str]]:
    """(tree, deletions) of ``key.sub=value`` arguments.

    Values are YAML (lists, quotes, null); ``+key=`` and ``++key=`` mean ``key=``; ``~key`` deletes.

    Args:
        arguments: of the command line.
        problems: is added what is neither of them.
    """
    from omegaconf import OmegaConf  # slow to import, and --help needs none of it

    tree: Tree = {}
    deletions = []
    for argument in arguments:
        if re.fullmatch(r"~[^=\s]+", argument):
            deletions.append(argument[1:])
            continue
        key, equals, text = argument.partition("=")
        key = re.sub(r"^\+\+?", "", key)
        if not equals or not all(key.split(".")):
            problems.append(Problem(argument, "is not of the form key=value"))
            continue
        try:
            value = plain(OmegaConf.from_dotlist([f"value={text}"]))["value"]
        except unreadable() as error:
            problems.append(Problem(key, f"cannot read the value {text!r}: {reason(error)}"))
            continue
        tree = merge(tree, nest(key, value))
    return tree, deletions


def unreadable() -> tuple[type[Exception], ...]:
    """What reading text as YAML may raise."""
    import yaml
    from omegaconf.errors import OmegaConfBaseException

    return (
        OSError,
        ValueError,  # not UTF-8; a number or a date that YAML's grammar lets through
        TypeError,  # what JSON does not have
        RecursionError,
        yaml.YAMLError,
        OmegaConfBaseException,
    )


def plain(config: Any) -> Any:
    """Interpolations resolved; only what JSON has: a key is text, no dates, no bytes."""
    from omegaconf import OmegaConf

    return json.loads(json.dumps(OmegaConf.to_container(config, resolve=True)))


def reason(error: Exception) -> str:
    """Why text could not be read, in one line."""
    import yaml

    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"{error.problem} (line {mark.line + 1}, column {mark.column + 1})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())


def split(arguments: Iterable[str]) -> tuple[list[str], list[str]]:
    """(words, ``key=value`` pairs and deletions) of a command line, each in its order."""
    arguments = list(arguments)
    pairs = [argument for argument in arguments if "=" in argument or argument.startswith("~")]
    return [argument for argument in arguments if argument not in pairs], pairs


def texts(pairs: Iterable[str], names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """(key -> value, the other pairs), the values of `names` as the text that was typed.

    A trial's key such as 12e3 is no number, and a folder called 7 neither.
    """
    names, found, rest = set(names), {}, []
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if equals and (key := re.sub(r"^\+\+?", "", key)) in names:
            found[key] = text
        else:
            rest.append(pair)
    return found, rest
