"""The data sets by name."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

from tvae.data.affnist_sets import AFFNIST, AFFNIST_SMALL, AffNIST, AffNISTSmall, Transformed
from tvae.data.digits import DIGITS, Digits
from tvae.data.full import FASHION_MNIST, MNIST, Full
from tvae.data.official import OFFICIAL, Official
from tvae.data.own import Own, is_path, label_of
from tvae.data.records import Dataset
from tvae.data.small import FASHION_MNIST_SMALL, MNIST_SMALL, Small
from tvae.data.source import MissingData, Option, Source
from tvae.data.sprites import SPRITES, SPRITES_COLOUR, Sprites
from tvae.files import expanded
from tvae.registry import BrokenPlugin, Names, Origin

_OURS: tuple[Small | AffNISTSmall | Full | AffNIST | Sprites | Digits | Official, ...] = (
    FASHION_MNIST_SMALL,
    MNIST_SMALL,
    AFFNIST_SMALL,
    FASHION_MNIST,
    MNIST,
    AFFNIST,
    SPRITES,
    SPRITES_COLOUR,
    DIGITS,
    *OFFICIAL,
)
OURS: dict[str, Source] = {known.name: known for known in _OURS}


def _instances(module: ModuleType) -> list[Source]:
    """What a plugin file holds."""
    return [
        value
        for name, value in vars(module).items()
        if isinstance(value, Source) and not name.startswith("_")
    ]


datasets = Names(
    "data set",
    "tvae.datasets",
    lambda: {name: Origin(type(source).__module__) for name, source in OURS.items()},
    lambda module: bool(_instances(module)),
)
"""Where data sets come from: this package, the entry-point group (an instance of `Source`), or the
one instance of `Source` in a plugin file."""


def names() -> list[str]:
    """The known data sets: ours, then those of other packages and files."""
    return [*OURS, *(name for name in datasets.names() if name not in OURS)]


def original(name: str) -> str | None:
    """The X of ``transformed(X)``; None for another name."""
    found = re.fullmatch(r"transformed\((.*)\)", name.strip())
    return None if found is None else found[1].strip()


def named(name: str) -> str:
    """What to call a data set in results: its name; of a path, what its images are called.

    Raises:
        ValueError: a path that gives no name.
    """
    inner = original(name)
    if inner is not None:
        return f"transformed({named(inner)})"
    return label_of(name) if is_path(name) else name


def origin(name: str) -> Origin:
    """Where the data set `name` comes from; of images at a path and of variants: the originals.

    Raises:
        UnknownName: there is none of that name.
        DuplicateName: two packages claim it.
    """
    inner = original(name)
    if inner is not None:
        return origin(inner)
    return Origin(Own.__module__) if is_path(name) else datasets.origin(name)


def source(name: str) -> Source:
    """The source of the data set `name`, of the images at a path, or of variants of either.

    Args:
        name: one of `names`, a path (see `tvae.data.own.is_path`), or ``transformed(X)`` with X one
            of both.

    Raises:
        ValueError: a path that gives no name, or X is transformed already.
        UnknownName: there is none of that name.
        DuplicateName: two packages claim it.
        BrokenPlugin: the package that claims it cannot be imported, or brings something else.
    """
    inner = original(name)
    if inner is not None:
        of = source(inner)
        if "variants" in of.options or of is AFFNIST_SMALL:
            raise ValueError(f"{name}: {inner} is transformed already; take its originals")
        return Transformed(named(name), of)
    if is_path(name):
        return Own.at(name)
    where = datasets.origin(name)
    if where.ours:
        return OURS[name]
    found = datasets.load(where, name)
    sources = _instances(found) if isinstance(found, ModuleType) else [found]
    if len(sources) != 1 or not isinstance(sources[0], Source):
        raise BrokenPlugin(
            f"the data set {name!r} ({where}) must be an instance of tvae.data.Source"
        )
    return sources[0]


def load(
    name: str, root: str | Path | None = None, download: bool = False, **options: Option
) -> Dataset:
    """The data set `name`, verified.

    Args:
        name: one of `names`, or the path of images, see `tvae.data.own`.
        root: a folder to look in first.
        download: fetch data that are nowhere; without it nothing is ever downloaded.
        **options: what that data set takes, such as ``variants`` of ``affnist``.

    Raises:
        ValueError: an unknown name or option; data that are nowhere (every place searched is
            named) or not intact (with the expected and the found digest).
    """
    chosen, folder = _checked(name, root, options)
    try:
        return chosen.load(folder, **options)
    except MissingData:
        if not download:
            raise
    chosen.fetch(folder, **options)
    return chosen.load(folder, **options)


def available(name: str, root: str | Path | None = None, **options: Option) -> dict[str, str]:
    """Check, before any computing, that a data set is there and intact, by hashing its files.

    Returns:
        What was read -> its SHA-256.

    Raises:
        ValueError: as `load`.
    """
    chosen, folder = _checked(name, root, options)
    return chosen.verify(folder, **options)


def fetch(name: str, root: str | Path | None = None, **options: Option) -> Path:
    """Download or generate a data set into the cache, unless it is there; where it is.

    Raises:
        ValueError: as `load`, or the data could not be had, with the reason.
    """
    chosen, folder = _checked(name, root, options)
    return chosen.fetch(folder, **options)


def _checked(
    name: str, root: str | Path | None, options: dict[str, Option]
) -> tuple[Source, Path | None]:
    chosen = source(name)
    for option in options:
        if option not in chosen.options:
            raise ValueError(
                f"the data set {name!r} has no option {option!r}; "
                f"it takes {', '.join(sorted(chosen.options)) or 'none'}"
            )
    chosen.check(**options)
    if root is None:
        return chosen, None
    folder = expanded(root)
    if not folder.is_dir():
        raise ValueError(f"data.root={root} is no folder; pass one that holds the data")
    return chosen, folder
