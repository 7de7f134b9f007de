"""The data sets by name."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from tvae.data.affnist_sets import AFFNIST, AFFNIST_SMALL
from tvae.data.full import FASHION_MNIST, MNIST
from tvae.data.records import Dataset
from tvae.data.small import FASHION_MNIST_SMALL, MNIST_SMALL
from tvae.data.source import MissingData, Option, Source
from tvae.files import expanded
from tvae.registry import BrokenPlugin, Names, Origin

OURS: dict[str, Source] = {
    source.name: source
    for source in (
        FASHION_MNIST_SMALL,
        MNIST_SMALL,
        AFFNIST_SMALL,
        FASHION_MNIST,
        MNIST,
        AFFNIST,
    )
}


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


def source(name: str) -> Source:
    """The source of the data set `name`.

    Raises:
        UnknownName: there is none of that name.
        DuplicateName: two packages claim it.
        BrokenPlugin: the package that claims it cannot be imported, or brings something else.
    """
    origin = datasets.origin(name)
    if origin.ours:
        return OURS[name]
    found = datasets.load(origin, name)
    sources = _instances(found) if isinstance(found, ModuleType) else [found]
    if len(sources) != 1 or not isinstance(sources[0], Source):
        raise BrokenPlugin(
            f"the data set {name!r} ({origin}) must be an instance of tvae.data.Source"
        )
    return sources[0]


def load(
    name: str, root: str | Path | None = None, download: bool = False, **options: Option
) -> Dataset:
    """The data set `name`, verified.

    Args:
        name: one of `names`.
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
    chosen.images(**options)  # refuses what is no number of variants
    if root is None:
        return chosen, None
    folder = expanded(root)
    if not folder.is_dir():
        raise ValueError(f"data.root={root} is no folder; pass one that holds the data")
    return chosen, folder
