"""What a data set's source can be asked: where it is, whether it is intact, and to load it."""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tvae.data.records import SPLITS, Dataset
from tvae.registry import unknown_name
from tvae.shapes import ImageShape

Option = int | str | Mapping[str, Any] | None
"""The value of a data set's option, such as numbers by name, which ``variants`` may have."""


class MissingData(ValueError):
    """Data that are nowhere; the message lists every place searched and how to get them."""


class CorruptData(ValueError):
    """Data that are not what they should be; the message names file, expectation and finding."""


def variants_of(given: Option) -> dict[str, int]:
    """Split -> images of each original: as many everywhere, or by ``train`` and ``test``.

    Validation images stand for test images while tuning, so they get as many variants; what a
    mapping does not name gets 1.

    Raises:
        ValueError: no whole number of at least 1, or a key that is neither of the two.
    """
    numbers = given if isinstance(given, Mapping) else dict.fromkeys(("train", "test"), given)
    for name, number in numbers.items():
        if name not in ("train", "test"):
            raise unknown_name("key of variants", name, ("train", "test"))
        what = f"variants.{name}={number}" if isinstance(given, Mapping) else f"variants={number}"
        if not isinstance(number, int) or isinstance(number, bool):
            raise ValueError(f"{what} must be a whole number, or {{train: N, test: M}} of such")
        if number < 1:
            raise ValueError(f"{what} must be at least 1 image per original")
    train, test = (int(numbers.get(name, 1)) for name in ("train", "test"))  # type: ignore[arg-type]
    return dict(zip(SPLITS, (train, test, test), strict=True))


class Source(ABC):
    """Where one data set comes from.

    Packages outside this repository add theirs through the entry-point group ``tvae.datasets``:
    the point's name is the data set's, its value an instance of this class.

    Attributes:
        summary: one line for people.
        sizes: number of images in train, validation and test; of a set that is made, originals.
        shape: of an image.
        options: what `load`, `verify` and `fetch` take beside `root`, such as ``variants``: how
            many images are made of each original, see `variants_of`.
    """

    summary: str
    sizes: tuple[int, int, int]
    shape: ImageShape
    options: ClassVar[frozenset[str]] = frozenset()

    def images(self, **options: Option) -> dict[str, int]:
        """Split -> its number of images.

        Raises:
            ValueError: see `variants_of`.
        """
        each = variants_of(options.get("variants", 1))
        return {split: each[split] * n for split, n in zip(SPLITS, self.sizes, strict=True)}

    def image_shape(self, **options: Option) -> ImageShape:
        """The shape of an image, where options decide it."""
        return self.shape

    def check(self, **options: Option) -> None:
        """Refuse options of wrong values, without a look at any file.

        Raises:
            ValueError: see `variants_of`.
        """
        variants_of(options.get("variants", 1))

    @abstractmethod
    def locate(self, root: Path | None) -> Path:
        """Where the data are, or would be made from; a look at names only.

        Raises:
            MissingData: they are nowhere.
        """

    @abstractmethod
    def verify(self, root: Path | None, **options: Option) -> dict[str, str]:
        """Read and hash everything: what was checked -> its SHA-256.

        Raises:
            MissingData: the data are nowhere.
            CorruptData: they are not what they should be.
        """

    @abstractmethod
    def load(self, root: Path | None, **options: Option) -> Dataset:
        """The data set, verified.

        Raises:
            MissingData: the data are nowhere.
            CorruptData: they are not what they should be.
        """

    def content(self, root: Path | None, **options: Option) -> str:
        """What names the content, for what is made from it; without decoding where that is known.

        Raises:
            MissingData: the data are nowhere.
            CorruptData: they are not what they should be.
        """
        return self.load(root, **options).digest

    def choices(self, root: Path | None, **options: Option) -> tuple[str, ...]:
        """What is decided in making these data where the paper is silent, a sentence each."""
        return ()

    def fetch(self, root: Path | None, **options: Option) -> Path:
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
