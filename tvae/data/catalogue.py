"""The data sets by name."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

from tvae.data.affnist_sets import AFFNIST, AFFNIST_SMALL
from tvae.data.full import FASHION_MNIST, MNIST
from tvae.data.records import Dataset
from tvae.data.small import FASHION_MNIST_SMALL, MNIST_SMALL
from tvae.data.source import MissingData, Source
from tvae.registry import BrokenPlugin, DuplicateName, unknown_name

GROUP = "tvae.datasets"
"""Entry-point group of packages that bring data sets: name -> an instance of `Source`."""

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


def names() -> list[str]:
    """The known data sets: ours, then those of other packages."""
    return [*OURS, *sorted(point.name for point in entry_points(group=GROUP))]


def source(name: str) -> Source:
    """The source of the data set `name`.

    Raises:
        UnknownName: there is none of that name.
        DuplicateName: two packages claim it.
        BrokenPlugin: the package that claims it cannot be imported, or brings something else.
    """
    points = list(entry_points(group=GROUP, name=name))
    if len(points) + (name in OURS) > 1:
        origins = ["tvae.data"] * (name in OURS) + [point.value for point in points]
        raise DuplicateName(f"two claim the data set {name!r}: {' and '.join(origins)}; rename one")
    if name in OURS:
        return OURS[name]
    if not points:
        raise unknown_name("data set", name, names())
    try:
        found = points[0].load()
    except Exception as error:
        message = f"the data set {name!r} ({points[0].value}) cannot be imported"
        raise BrokenPlugin(message) from error
    if not isinstance(found, Source):
        raise BrokenPlugin(
            f"the data set {name!r} ({points[0].value}) must be an instance of tvae.data.Source"
        )
    return found


def load(
    name: str, root: str | Path | None = None, download: bool = False, **options: int
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


def available(name: str, root: str | Path | None = None, **options: int) -> dict[str, str]:
    """Check, before any computing, that a data set is there and intact, by hashing its files.

    Returns:
        What was read -> its SHA-256.

    Raises:
        ValueError: as `load`.
    """
    chosen, folder = _checked(name, root, options)
    return chosen.verify(folder, **options)


def fetch(name: str, root: str | Path | None = None, **options: int) -> Path:
    """Download or generate a data set into the cache, unless it is there; where it is.

    Raises:
        ValueError: as `load`, or the data could not be had, with the reason.
    """
    chosen, folder = _checked(name, root, options)
    return chosen.fetch(folder, **options)


def _checked(
    name: str, root: str | Path | None, options: dict[str, int]
) -> tuple[Source, Path | None]:
    chosen = source(name)
    for option in options:
        if option not in chosen.options:
            raise ValueError(
                f"the data set {name!r} has no option {option!r}; "
                f"it takes {', '.join(sorted(chosen.options)) or 'none'}"
            )
    if root is None:
        return chosen, None
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise ValueError(f"data.root={root} is no folder; pass one that holds the data")
    return chosen, folder
