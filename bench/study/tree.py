"""Configurations as plain data: trees of mappings, merged, flattened, and read by dotted paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvae.registry import unknown_name

Tree = dict[str, Any]

FAMILY = "family"
SECTION = "model"
"""What names a plugin, too, but shares its options with all arms, each of which takes its own."""


def plugin(reference: Any) -> Any:
    """A plugin reference as a mapping: ``NAME`` -> ``{"name": "NAME"}``."""
    return {"name": reference} if isinstance(reference, str) else reference


def merge(base: Mapping[str, Any], changes: Mapping[str, Any], within: str = "") -> Tree:
    """`base` with `changes`, key by key; a plugin of another name brings its own options only.

    A plugin stands under ``family`` or is an option of a ``model``: a mapping with a ``name``, or
    the name alone over or under a mapping. Neither operand is changed.

    Args:
        base: what is changed.
        changes: what changes it.
        within: the key that both are the values of.
    """
    out = dict(base)
    for key, value in changes.items():
        old = out.get(key)
        if (within == SECTION or key == FAMILY) and _named(old, value):
            old, value = plugin(old), plugin(value)
            same = "name" not in value or value["name"] == old.get("name")
            out[key] = {**old, **value} if same else value
        elif isinstance(old, Mapping) and isinstance(value, Mapping):
            out[key] = merge(old, value, key)
        else:
            out[key] = value
    return out


def _named(old: Any, new: Any) -> bool:
    """Whether both can be a plugin's, and what they say makes them one's."""
    both = isinstance(old, Mapping | str) and isinstance(new, Mapping | str)
    if not both or (isinstance(old, str) and isinstance(new, str)):
        return False
    sides = [old, new] if isinstance(new, Mapping) else [old]
    return any(isinstance(plugin(side).get("name"), str) for side in sides)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Tree:
    """Dotted path -> value, of everything that is no mapping."""
    out: Tree = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            out |= flatten(value, f"{prefix}{key}.")
        else:
            out[f"{prefix}{key}"] = value
    return out


def nest(path: str, value: Any) -> Tree:
    """The tree with nothing but `value` at a dotted path."""
    *parents, last = path.split(".")
    tree: Tree = {last: value}
    for part in reversed(parents):
        tree = {part: tree}
    return tree


def at(tree: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path.

    Raises:
        KeyError: there is none.
    """
    value: Any = tree
    for part in path.split("."):
        value = value[part]
    return value


def put(tree: Mapping[str, Any], path: str, value: Any) -> Tree:
    """`tree` with `value` at a dotted path, whatever was there."""
    key, _, rest = path.partition(".")
    if not rest:
        return {**tree, key: value}
    inner = tree.get(key)
    return {**tree, key: put(inner if isinstance(inner, Mapping) else {}, rest, value)}


def delete(tree: Tree, path: str) -> None:
    """Remove the entry at a dotted path from `tree` itself.

    Raises:
        ValueError: there is none.
    """
    *parents, last = path.split(".")
    inner: Any = tree
    for part in parents:
        inner = inner.get(part) if isinstance(inner, dict) else None
    if not isinstance(inner, dict):
        raise ValueError("there is no such key to delete")
    if last not in inner:
        raise unknown_name("key", last, inner)
    del inner[last]
