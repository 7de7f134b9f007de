"""A crossing: ``factors`` of levels become an arm for every combination."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from math import prod
from typing import Any

from bench.study.problems import Problem
from bench.study.schema import Factors
from bench.study.tree import Tree, merge
from bench.study.wording import validate


def crossed(tree: Tree, most: Any, problems: list[Problem]) -> Tree:
    """`tree` with an arm for every combination of the levels of its ``factors``.

    A level is what an arm would say; levels of different factors are merged in their order. Arms
    that the study spells out are merged over the crossing's.

    Args:
        tree: of the study.
        most: arms; nothing above that is expanded.
        problems: is added what is wrong.
    """
    tree = dict(tree)
    factors = tree.pop("factors", {})
    found: list[Problem] = []
    levels = validate(Factors, {"factors": factors}, found)
    problems += found
    if levels is None or not levels.factors:
        return tree
    cells = prod(map(len, levels.factors.values()))
    if isinstance(most, int) and cells > most:
        problems.append(Problem("factors", too_many(cells, most)))
        return tree
    arms: Tree = {}
    for cell in product(*(factors[factor].items() for factor in levels.factors)):
        arm: Tree = {}
        for _, change in cell:
            arm = merge(arm, change)
        summaries = [change.get("summary", name) for name, change in cell]
        arm |= {
            "summary": "; ".join(map(str, summaries)),
            "levels": dict(zip(levels.factors, (name for name, _ in cell), strict=True)),
        }
        arms["-".join(name for name, _ in cell)] = arm
    if len(arms) < cells:
        problems.append(Problem("factors", "two combinations of levels make arms of one name"))
    spelled = tree.get("arms", {})
    return {**tree, "arms": merge(arms, spelled) if isinstance(spelled, Mapping) else spelled}


def too_many(count: int, most: int) -> str:
    """That a study is larger than it may be, and how it runs all the same."""
    return f"the matrix has {count:,} trials, more than {most:,}; max_trials={count} runs it"
