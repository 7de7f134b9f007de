"""Capacity matching: arms of one size, so that a form is not better for having more parameters.

A form with a larger T needs a larger h_xi: at D = 100, exp(A) z has P = 10,000 numbers to infer and
z + T has 100. ``capacity: matched`` narrows the hidden layers of h_xi until every arm has the
parameters of the smallest; the form, the encoder and the decoder stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bench.study.problems import ConfigError, Problem
from bench.study.schema import StudyFile
from bench.study.setup import Setup, setups
from bench.study.space import search_space
from bench.study.tree import Tree, merge, put
from tvae.shapes import GREY_28, ImageShape
from tvae.space import Choice

TOLERANCE = 0.02
"""Largest relative difference from the smallest arm."""

WIDTH = "hidden_T"
"""The option of a model that says how wide h_xi's hidden layers are."""

FACTOR = "capacity"
"""The factor of a crossed study that asks for both settings."""


def parameters(model: Mapping[str, Any], shape: ImageShape = GREY_28) -> int:
    """Trainable numbers of the model of a configuration, counted without memory for them.

    Args:
        model: its name and options.
        shape: of the images.
    """
    import torch

    from tvae.models.base import build

    with torch.device("meta"):
        made = build(dict(model), 0, shape)
    return sum(p.numel() for p in made.parameters() if p.requires_grad)


def widths(study: StudyFile) -> dict[str, int]:
    """Arm -> width of h_xi's hidden layers, for each arm that has to be narrowed.

    Arms whose model infers no T are left as they are, and so are baselines: they are there for
    what they are.

    Raises:
        ConfigError: an arm is too large even with the narrowest h_xi.
    """
    models = {
        name: (setup.config["model"], setup.shape)
        for name, setup in setups(study).items()
        if setup.role == "arm" and WIDTH in setup.config["model"]
    }
    sizes = {name: parameters(*model) for name, model in models.items()}
    if not sizes:
        return {}
    smallest = min(sizes, key=sizes.__getitem__)
    target, found, problems = sizes[smallest], {}, []
    for name, (model, shape) in models.items():
        if sizes[name] <= target * (1 + TOLERANCE):
            continue
        width = _narrowed(model, shape, target)
        size = parameters({**model, WIDTH: width}, shape)
        if abs(size - target) > target * TOLERANCE:
            message = (
                f"{name} cannot be narrowed to the {target:,} parameters of {smallest} within "
                f"{TOLERANCE:.0%}: with {WIDTH}={width} it has {size:,}"
            )
            problems.append(Problem(f"arms.{name}", message))
        found[name] = width
    if problems:
        raise ConfigError(problems)
    return found


def _narrowed(model: Mapping[str, Any], shape: ImageShape, target: int) -> int:
    """The width at which the model's size is nearest to `target`; sizes grow with the width."""
    low, high = 1, int(model[WIDTH] or model["hidden"])
    while high - low > 1:
        middle = (low + high) // 2
        if parameters({**model, WIDTH: middle}, shape) <= target:
            low = middle
        else:
            high = middle
    return min((low, high), key=lambda w: abs(parameters({**model, WIDTH: w}, shape) - target))


def match(tree: Tree, study: StudyFile) -> Tree:
    """`tree`, the plain data of `study`, with its arms narrowed as its ``capacity`` says.

    With ``both``, an arm that is narrowed is there twice, the second as ``NAME-matched``, and the
    primary contrast and each secondary one between two arms are declared for the narrowed arms,
    too. In a crossed study ``capacity`` becomes a factor.

    Raises:
        ConfigError: an arm is too large, or a search would change its size.
    """
    if study.capacity == "own":
        return tree
    _check_search(study)
    narrow = widths(study)
    arms = tree["arms"]
    if study.capacity == "matched":
        return {**tree, "arms": {n: _narrow(a, narrow.get(n)) for n, a in arms.items()}}
    crossed = any(arm.levels for arm in study.arms.values())
    names = {name: f"{name}-matched" for name in (arms if crossed else narrow)}
    copies = {names[name]: _narrow(arms[name], narrow.get(name)) for name in names}
    if crossed:
        arms = {name: _level(arm, "own") for name, arm in arms.items()}
        copies = {name: _level(arm, "matched") for name, arm in copies.items()}
    secondary = dict(tree.get("secondary", {}))
    pairs = [list(pair) for pair in study.secondary.contrasts]
    declared = [[study.primary.treatment, study.primary.control], *pairs]
    again = [[names.get(name, name) for name in pair] for pair in declared]
    new = [pair for pair, old in zip(again, declared, strict=True) if pair != old]
    secondary["contrasts"] = [*pairs, *(pair for pair in new if pair not in pairs)]
    return {**tree, "arms": {**arms, **copies}, "secondary": secondary}


def _narrow(arm: Tree, width: int | None) -> Tree:
    """The arm with h_xi narrowed to `width`; what repeats the paper's model then does not."""
    if width is None:
        return arm
    summary = f"{arm.get('summary') or 'as the study says'}; h_xi {width} wide"
    return merge(arm, {"model": {WIDTH: width}, "summary": summary, "published": ""})


def _level(arm: Tree, level: str) -> Tree:
    return {**arm, "levels": {**arm.get("levels", {}), FACTOR: level}}


def _check_search(study: StudyFile) -> None:
    """Refuse to tune what changes the number of parameters that has just been matched."""
    if not study.tune.trials:
        return
    problems = []
    for name, setup in setups(study).items():
        if setup.role != "arm":
            continue
        for path, searched in search_space(setup, study.tune.fixed).items():
            ends = (
                searched.options if isinstance(searched, Choice) else (searched.low, searched.high)
            )
            if not path.startswith("model."):
                continue
            sizes = {_size(setup, path, end) for end in ends}
            if len(sizes - {math.nan}) > 1:
                message = f"capacity={study.capacity} needs {path} fixed, which changes the size of"
                problems.append(Problem("tune.fixed", f"{message} {name}"))
    if problems:
        raise ConfigError(problems)


def _size(setup: Setup, path: str, value: Any) -> float:
    try:
        return parameters(put(setup.config, path, value)["model"], setup.shape)
    except ValueError:  # a value that does not fit the others: not this one
        return math.nan
