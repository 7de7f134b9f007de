"""What a data set's source can be asked: where it is, whether it is intact, and to load it."""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from tvae.data.records import Dataset


class MissingData(ValueError):
    """Data that are nowhere; the message lists every place searched and how to get them."""


class CorruptData(ValueError):
    """Data that are not what they should be; the message names file, expectation and finding."""


class Source(ABC):
    """Where one data set comes from.

    Packages outside this repository add theirs through the entry-point group ``tvae.datasets``:
    the point's name is the data set's, its value an instance of this class.

    Attributes:
        summary: one line for people.
        sizes: number of images in train, validation and test.
        pixels: height and width of an image.
        options: what `load`, `verify` and `fetch` take beside `root`.
    """

    summary: str
    sizes: tuple[int, int, int]
    pixels: int
    options: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def locate(self, root: Path | None) -> Path:
        """Where the data are, or would be made from; a look at names only.

        Raises:
            MissingData: they are nowhere.
        """

    @abstractmethod
    def verify(self, root: Path | None, **options: int) -> dict[str, str]:
        """Read and hash everything: what was checked -> its SHA-256.

        Raises:
            MissingData: the data are nowhere.
            CorruptData: they are not what they should be.
        """

    @abstractmethod
    def load(self, root: Path | None, **options: int) -> Dataset:
        """The data set, verified.

        Raises:
            MissingData: the data are nowhere.
            CorruptData: they are not what they should be.
        """

    def fetch(self, root: Path | None, **options: int) -> Path:
        """See to it that the cache holds the data, or a source that needs none; where they are.

        Raises:
            ValueError: the data could not be had, with the reason.
        """
        return self.locate(root)


def cache_folder() -> Path:
    """Where fetched and generated data are kept: ``tvae-bench`` in the user's cache folder.

    A user without a home, as containers have, gets one in the folder for temporary files; what is
    found in it is checked by digest like everything else.
    """
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(base).expanduser() / "tvae-bench"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"tvae-bench-{os.getuid()}"
