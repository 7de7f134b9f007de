"""Plugins by name: found, not listed.

A plugin is a class in one file. The file ``additive.py`` in a kind's folder is the plugin
``additive``; the class in it that derives from the kind's abstract class is what ``get`` returns.
Packages outside this repository add theirs through the entry-point group of the same name as the
folder (``tvae.latent_transforms``). Nothing is imported before it is asked for, so names are known
at once and a broken plugin disables only itself.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")

Reference = str | Mapping[str, Any]
"""A plugin in a configuration: its name, or ``{"name": ..., option: value, ...}``."""


class UnknownName(ValueError):
    """A name that nothing is known by; the message lists the known names and a near match."""


class BrokenPlugin(ValueError):
    """A plugin that cannot be imported; the cause is chained, and other plugins are unaffected."""


class DuplicateName(ValueError):
    """Two plugins of one kind under one name; the message names both origins."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> UnknownName:
    """The error for an unknown `name` of a `what`, with the nearest known name if one is near."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return UnknownName(f"unknown {what} {name!r}{hint} (known: {', '.join(known) or 'nothing'})")


def split(kind: str, reference: Reference) -> tuple[str, dict[str, Any]]:
    """(name, options) of a `reference` to a `kind`.

    Raises:
        ValueError: a mapping without a name.
    """
    if isinstance(reference, str):
        return reference, {}
    options = dict(reference)
    if "name" not in options:
        raise ValueError(f"the {kind} has no name, only {', '.join(options) or 'an empty mapping'}")
    return options.pop("name"), options


@dataclass(frozen=True)
class Origin:
    """Where a plugin of some name comes from: a module of ours or somebody's entry point."""

    module: str
    entry_point: EntryPoint | None = None

    def __str__(self) -> str:
        if self.entry_point is None:
            return self.module
        package = self.entry_point.dist.name if self.entry_point.dist else "an unnamed package"
        return f"{self.entry_point.value} ({package})"


class Registry(Generic[T]):
    """The plugins of one kind.

    Args:
        kind: what one is called in messages, such as ``"latent transform"``.
        package: the folder that is scanned, such as ``"tvae.latent_transforms"``, and the
            entry-point group. Its module ``base`` holds the abstract class named `base`.
        base: the name of that abstract class.
    """

    def __init__(self, kind: str, package: str, base: str) -> None:
        self.kind, self.package, self.base = kind, package, base

    @cached_property
    def origins(self) -> dict[str, Origin]:
        """Name -> origin, without importing any plugin.

        Raises:
            DuplicateName: two plugins claim one name.
        """
        spec = importlib.util.find_spec(self.package)
        assert spec is not None
        found = {
            module.name: Origin(f"{self.package}.{module.name}")
            for module in pkgutil.iter_modules(spec.submodule_search_locations)
            if module.name not in {"base", "compose"} and not module.name.startswith("_")
        }
        for point in entry_points(group=self.package):
            origin = Origin(point.module, point)
            if point.name in found:
                raise DuplicateName(
                    f"two plugins claim the {self.kind} {point.name!r}: "
                    f"{found[point.name]} and {origin}; rename one"
                )
            found[point.name] = origin
        return dict(sorted(found.items()))

    def names(self) -> list[str]:
        """The known names, sorted."""
        return list(self.origins)

    def get(self, name: str) -> type[T]:
        """The class of that name.

        Raises:
            UnknownName: no such plugin.
            BrokenPlugin: its module cannot be imported or holds no class of this kind.
        """
        if name not in self.origins:
            raise unknown_name(self.kind, name, self.origins)
        origin = self.origins[name]
        base = getattr(importlib.import_module(f"{self.package}.base"), self.base)
        try:
            if origin.entry_point is not None:
                found = [origin.entry_point.load()]
            else:
                module = importlib.import_module(origin.module)
                found = [
                    member
                    for member in vars(module).values()
                    if inspect.isclass(member)
                    and issubclass(member, base)
                    and member.__module__ == module.__name__
                ]
        except Exception as error:
            raise BrokenPlugin(f"the {self.kind} {name!r} ({origin}) cannot be imported") from error
        if len(found) != 1 or not (inspect.isclass(found[0]) and issubclass(found[0], base)):
            raise BrokenPlugin(
                f"the {self.kind} {name!r} ({origin}) must be one class derived from {self.base}"
            )
        return cast("type[T]", found[0])

    def make(self, name: str, *args: Any, **options: Any) -> T:
        """An instance: ``get(name)(*args, **options)``.

        Raises:
            ValueError: an option that the plugin does not have, one that it needs and that is not
                given, or a value it refuses.
        """
        plugin = self.get(name)
        signature = inspect.signature(plugin)
        # a class without a constructor of its own may inherit one that takes anything
        allowed = [
            parameter.name
            for parameter in signature.parameters.values()
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ][len(args) :]
        for option in options:
            if option not in allowed:
                raise unknown_name(f"option of the {self.kind} {name!r}", option, allowed)
        try:
            signature.bind(*args, **options)
        except TypeError as error:
            raise ValueError(f"the {self.kind} {name!r} is {error}") from error
        return plugin(*args, **options)

    def build(self, reference: Reference, *args: Any) -> T:
        """An instance from configuration: a name, or a mapping of ``name`` and options.

        Raises:
            ValueError: as `make`, or a mapping without a name.
        """
        name, options = split(self.kind, reference)
        return self.make(name, *args, **options)

    def summary(self, name: str) -> str:
        """The first line of the plugin's docstring."""
        return (inspect.getdoc(self.get(name)) or "").partition("\n")[0]


latent_transforms: Registry[Any] = Registry(
    "latent transform", "tvae.latent_transforms", "LatentTransform"
)
divergences: Registry[Any] = Registry("divergence", "tvae.divergences", "Divergence")
families: Registry[Any] = Registry("transformation family", "tvae.families", "TransformationFamily")
models: Registry[Any] = Registry("model", "tvae.models", "Model")
metrics: Registry[Any] = Registry("metric", "tvae.evaluation", "Metric")
