"""Where a setup is tuned: what its parts declare, without what the study sets itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bench.study.setup import Setup, idle_weights, parts
from tvae import registry
from tvae.space import Choice, Factor, Float, Int, Space


def declared(setup: Setup) -> dict[str, tuple[Float | Int | Choice | Factor, Any]]:
    """Dotted path of the configuration -> (where it can be searched, its value), in a fixed order.

    What the trainer declares, the weights of the model's objective and what the plugins of the
    model declare, but for what the study's file sets itself and the weights of parts that an arm
    does not have.
    """
    from tvae.trainer import Training

    model = setup.config["model"]
    owner = registry.models.get(model["name"])
    spaces: dict[str, tuple[Space, Mapping[str, Any]]] = {
        "trainer": (Training.space, setup.config["trainer"]),
        "model": (owner.space, model),
    }
    for option, plugins, reference in parts(model):
        plugin = plugins.get(reference["name"])
        spaces[f"model.{option}"] = owner.part_space(option, plugin), reference
    idle = {f"model.{weight}" for weight in idle_weights(model)}
    return {
        path: (where, values[name])
        for prefix, (space, values) in spaces.items()
        for name, where in space.items()
        if values[name] is not None and (path := f"{prefix}.{name}") not in setup.fixed | idle
    }


def search_space(setup: Setup, fixed: Iterable[str] = ()) -> dict[str, Float | Int | Choice]:
    """Dotted path of the configuration -> where to search, in a fixed order.

    A factor has become the range around the default that it multiplies.

    Args:
        setup: of an arm or baseline.
        fixed: dotted paths to leave alone besides those that the study's file sets itself.

    Raises:
        ValueError: a default that cannot be multiplied; the message begins with its path.
    """
    alone = {*fixed}
    found = declared(setup).items()
    return {path: _around(path, *entry) for path, entry in found if path not in alone}


def _around(path: str, where: Float | Int | Choice | Factor, default: Any) -> Float | Int | Choice:
    if not isinstance(where, Factor):
        return where
    try:
        return Float(where.low * default, where.high * default, default, log=True)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} cannot be tuned around {default!r}: {error}") from error
