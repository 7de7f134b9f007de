"""``key=value`` on a command line: one grammar for every command, that of Hydra's overrides."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from bench.study.problems import Problem
from bench.study.text import reason, unreadable, value
from bench.study.tree import Tree, flatten, merge, nest


def parse(arguments: Iterable[str], problems: list[Problem]) -> tuple[Tree, list[str]]:
    """(tree, deletions) of ``key.sub=value`` arguments.

    Values are words, numbers, true, false, null, or YAML's lists, mappings and quotes (see
    `bench.study.text.value`); ``+key=`` and ``++key=`` mean ``key=``; ``~key`` deletes.

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
        if not equals or not all(key.split(".")):
            problems.append(Problem(argument, "is not of the form key=value"))
            continue
        try:
            tree = merge(tree, nest(key, value(text)))
        except unreadable() as error:
            problems.append(Problem(key, f"cannot read the value {text!r}: {reason(error)}"))
    return tree, deletions


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


def understood(arguments: Iterable[str]) -> list[str]:
    """What was understood of the pairs of a command line, a line each, values as JSON."""
    tree, deletions = parse(arguments, [])
    lines = [f"{path} = {json.dumps(v, ensure_ascii=False)}" for path, v in flatten(tree).items()]
    return [*lines, *(f"{path} is left out" for path in deletions)]
