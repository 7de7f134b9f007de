"""The kinds of plugins, and what all commands about them share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tvae import registry
from tvae.data import catalogue
from tvae.files import expanded
from tvae.registry import BrokenPlugin, Names, Origin, Registry, unknown_name

KINDS: Mapping[str, Names] = MappingProxyType(
    {
        "latent_transform": registry.latent_transforms,
        "divergence": registry.divergences,
        "family": registry.families,
        "network": registry.networks,
        "likelihood": registry.likelihoods,
        "model": registry.models,
        "metric": registry.metrics,
        "dataset": catalogue.datasets,
    }
)
"""Kinds that can be plugged in, by the word for one."""

OURS = "tvae-bench"
"""Origin of plugins that are part of this project."""

DIMS = (10, 100)
"""Latent sizes at which costs are told."""


@dataclass(frozen=True)
class Request:
    """What a person typed.

    Attributes:
        words: those without ``=``.
        kind: of ``kind=``, or None.
        folder: of ``folder=``.
        options: of the plugin, plain data.
    """

    words: list[str]
    kind: str | None = None
    folder: Path = Path()
    options: dict[str, Any] = field(default_factory=dict)


def add(file: str) -> None:
    """Make the plugins in one Python file known, see `tvae.registry.add_file`.

    Raises:
        BrokenPlugin: it cannot be read or imported, or holds no plugin.
        DuplicateName: another file of that name has been added.
    """
    registry.add_file(file)
    path = expanded(file).resolve()
    if not any(path == o.file for kind in KINDS.values() for os in kind.found.values() for o in os):
        bases = ", ".join(k.base for k in KINDS.values() if isinstance(k, Registry))
        raise BrokenPlugin(
            f"{file} holds no plugin: no public class derived from {bases}, and no instance of "
            "tvae.data.Source"
        )


def known_kind(kind: str) -> Names:
    """The plugins of a kind.

    Raises:
        UnknownName: there is no such kind.
    """
    if kind not in KINDS:
        raise unknown_name("kind", kind, KINDS)
    return KINDS[kind]


def matches(request: Request) -> list[tuple[str, Names]]:
    """(kind, its plugins) of all that have the name asked for.

    Raises:
        UnknownName: no plugin, or no kind, is called so.
    """
    (name,) = request.words
    kinds = KINDS if request.kind is None else {request.kind: known_kind(request.kind)}
    found = [(kind, names) for kind, names in kinds.items() if name in names.names()]
    if not found:
        raise unknown_name(
            "plugin" if request.kind is None else request.kind,
            name,
            {known for names in kinds.values() for known in names.names()},
        )
    return found


def check_options(names: Names, name: str, options: Mapping[str, Any]) -> None:
    """Raise what is wrong with the options of one plugin, before it is made.

    Raises:
        ConfigError: an option that there is not, or a value of another type.
        ValueError: a value that the plugin refuses.
    """
    from bench.study.problems import ConfigError, Problem
    from bench.study.wording import options_schema, validate

    problems: list[Problem] = []
    if isinstance(names, Registry):
        owner: Any = names.get(name)
        schema, form = options_schema(owner), names is registry.latent_transforms
        given = {"latent_dim": DIMS[0], **options} if form else example(names, name, options)
        what = f"option of the {names.kind} {name!r}:"
        if validate(schema, given, problems, what) and not form:
            owner(**given)  # what a form refuses depends on D
    elif options:
        problems.append(Problem(next(iter(options)), f"the {names.kind} {name!r} takes none here"))
    if problems:
        raise ConfigError(problems)


def example(
    names: Registry[Any], name: str, options: Mapping[str, Any], latent_dim: int = DIMS[0]
) -> dict[str, Any]:
    """`options` with what a plugin needs besides, to try it out."""
    if names is not registry.models:
        return dict(options)
    from tvae.models.base import completed

    return completed(names.get(name), options, latent_dim)


def summary(names: Names, name: str) -> str:
    """One line about a plugin of any kind.

    Raises:
        ValueError: it cannot be imported, or two claim its name.
    """
    if isinstance(names, Registry):
        return names.summary(name)
    return catalogue.source(name).summary


def told(origin: Origin) -> str:
    """Where a plugin comes from, in words."""
    return f"{OURS} ({origin})" if origin.ours else str(origin)
