"""Where a setup is tuned: what its parts declare, without what the study sets itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bench.study.setup import Setup, parts
from tvae import registry
from tvae.space import Choice, Factor, Float, Int, Space


def search_space(setup: Setup, fixed: Iterable[str] = ()) -> dict[str, Float | Int | Choice]:
    """Dotted path of the configuration -> where to search, in a fixed order.

    What the trainer declares, the weights of the model's objective and what the plugins of the
    model declare. A factor has become the range around the default that it multiplies.

    Args:
        setup: of an arm or baseline.
        fixed: dotted paths to leave alone besides those that the study's file sets itself.
    """
    from tvae.trainer import Training

    model = setup.config["model"]
    declared: dict[str, tuple[Space, Mapping[str, Any]]] = {
        "trainer": (Training.space, setup.config["trainer"]),
        "model": (registry.models.get(model["name"]).space, model),
    }
    for option, plugins, reference in parts(model):
        declared[f"model.{option}"] = plugins.get(reference["name"]).space, reference
    alone = {*setup.fixed, *fixed}
    return {
        path: _around(where, values[name])
        for prefix, (space, values) in declared.items()
        for name, where in space.items()
        if values[name] is not None and (path := f"{prefix}.{name}") not in alone
    }


def _around(where: Float | Int | Choice | Factor, default: Any) -> Float | Int | Choice:
    if not isinstance(where, Factor):
        return where
    return Float(where.low * default, where.high * default, default, log=True)
