"""Looks: numbers of seeds at which a study may end, as a file and the command line say them.

``seeds: {looks: [4, 8, 12]}`` is ``seeds: 12`` with ``looks: [4, 8, 12]``. ``seeds: until_decided``
with ``max_seeds: 12`` is the same with the looks of `reports.statistics.looks.schedule`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bench.study.problems import Problem
from bench.study.schema import MOST_SEEDS
from bench.study.tree import Tree, merge
from bench.study.wording import shown

UNTIL_DECIDED = "until_decided"
MAX_SEEDS = 16
"""Of a study that goes on until it is decided and does not say how far."""


def over(below: Mapping[str, Any], above: Mapping[str, Any]) -> Tree:
    """`merge`, where ``seeds`` of the upper layer leave nothing of the lower one's looks."""
    if "seeds" in above:
        below = {key: value for key, value in below.items() if key not in ("looks", "max_seeds")}
    return merge(below, above)


def spelled_out(tree: Tree, problems: list[Problem]) -> Tree:
    """`tree` with ``seeds`` as a number or a list, and ``looks`` beside it.

    Args:
        tree: of a study; what says nothing of looks is left for the schema to refuse.
        problems: is added what contradicts itself.
    """
    seeds, most = tree.get("seeds"), tree.get("max_seeds", MAX_SEEDS)
    rest = {key: value for key, value in tree.items() if key != "max_seeds"}
    if seeds != UNTIL_DECIDED:
        if "max_seeds" in tree:
            message = f"goes with seeds={UNTIL_DECIDED}, and seeds is {shown(seeds)}"
            problems.append(Problem("max_seeds", message))
        if not (isinstance(seeds, Mapping) and {*seeds} == {"looks"}):
            return rest
        looks = seeds["looks"]
        if not isinstance(looks, list) or not looks or not all(map(counted, looks)):
            message = f"must be a list of numbers of seeds, such as [4, 8, 12], got {shown(looks)}"
            problems.append(Problem("seeds.looks", message))
            return {**rest, "seeds": 1}
    elif not counted(most) or most < 2:
        message = f"must be a whole number from 2 to {MOST_SEEDS}, got {shown(most)}"
        problems.append(Problem("max_seeds", message))
        return {**rest, "seeds": 1}
    else:
        from reports.statistics.looks import schedule

        looks = list(schedule(most))
    if "looks" in tree:
        message = f"is said twice: in seeds, and as {shown(tree['looks'])}"
        problems.append(Problem("looks", message))
    return {**rest, "looks": looks, "seeds": looks[-1]}


def counted(seeds: Any) -> bool:
    """Whether this is a number of seeds that a study may have."""
    return isinstance(seeds, int) and not isinstance(seeds, bool) and 1 <= seeds <= MOST_SEEDS


def listed(numbers: Iterable[int]) -> str:
    """Looks or seeds in words: ``4, 8, 12``."""
    return ", ".join(map(str, numbers))


def check_looks(looks: Sequence[int], seeds: Sequence[int]) -> Iterator[Problem]:
    """What is wrong with looks, none of which is no looks at all.

    Args:
        looks: numbers of seeds.
        seeds: of the study.
    """
    if looks and (looks[0] < 2 or any(a >= b for a, b in itertools.pairwise(looks))):
        message = "must be numbers of seeds, each above the one before, the first at least 2, got "
        yield Problem("looks", f"{message}{shown(list(looks))}")
    elif looks and looks[-1] != len(seeds):
        message = f"the last, {looks[-1]}, must be the number of seeds, which is {len(seeds)}"
        yield Problem("looks", message)
