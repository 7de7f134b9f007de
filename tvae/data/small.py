"""The embedded subsets: real images shipped in the package, so that everything works offline.

Per set 8,000 train images from the official train file's first 50,000, 2,000 validation images
from its last 10,000 and 2,000 test images from the official test file, each with the same number
of every class. `choose` is the choice, ``scripts/make_embedded.py`` writes the files.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tvae.data.records import SPLITS, Dataset, Split, content_digest
from tvae.data.source import CorruptData, MissingData, Option, Source
from tvae.shapes import GREY_28

FOLDER = Path(__file__).parent / "embedded"
SIZES = {"train": 8_000, "validation": 2_000, "test": 2_000}
DIGESTS = {
    "fashion_mnist_small": "847bb56cc4d47ce5b0c44b7308a88c205b97ddea3d6abc65660e5abc31edd5e4",
    "mnist_small": "2c937dfb4ae133ba4ce81413cdb0b10d3dfbad6e5bab4729a3536898a996a22c",
}
"""Data set -> digest of its content."""


@dataclass(frozen=True)
class Small(Source):
    """An embedded subset.

    Attributes:
        name: the key in `DIGESTS`.
        summary: one line for people.
    """

    name: str
    summary: str
    sizes = (8_000, 2_000, 2_000)
    shape = GREY_28

    @property
    def identity(self) -> str:
        """The digest of the content."""
        return DIGESTS[self.name]

    def locate(self, root: Path | None) -> Path:
        """The file in the package; `root` does not matter."""
        path = FOLDER / f"{self.name}.npz"
        if not path.is_file():
            raise MissingData(
                f"{self.name} was not found; looked in {path}, where this package ships it: "
                "reinstall tvae-bench"
            )
        return path

    def verify(self, root: Path | None, **options: Option) -> dict[str, str]:
        """The digest of the content, after reading it."""
        return {str(self.locate(root)): self.load(root).digest}

    def content(self, root: Path | None, **options: Option) -> str:
        """`identity`: it is known."""
        return self.identity

    def load(self, root: Path | None, **options: Option) -> Dataset:
        """The 8,000 / 2,000 / 2,000 images."""
        path = self.locate(root)
        try:
            train, validation, test = _read(path)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise CorruptData(
                f"{path} is damaged and cannot be read ({error}): reinstall tvae-bench"
            ) from error
        data = Dataset.of(self.name, train, validation, test)
        if data.digest != self.identity:
            raise CorruptData(
                f"{path} is not what this version ships: expected content of SHA-256 "
                f"{self.identity}, found {data.digest}: reinstall tvae-bench"
            )
        return data


def _read(path: Path) -> list[Split]:
    with np.load(path, allow_pickle=False) as arrays:
        return [
            Split(
                arrays[f"{split}_images"],
                arrays[f"{split}_labels"].astype(np.int64),
                source=arrays[f"{split}_source"].astype(np.int64),
            )
            for split in SPLITS
        ]


def write(path: Path, splits: dict[str, Split]) -> str:
    """Write the file of a subset, the same bytes for the same splits; the content's digest."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, split in splits.items():
        assert split.source is not None
        arrays[f"{name}_images"] = split.images
        arrays[f"{name}_labels"] = split.labels.astype(np.uint8)
        arrays[f"{name}_source"] = split.source.astype(np.uint16)
    np.savez_compressed(path, allow_pickle=False, **arrays)
    return content_digest(splits)


def choose(split: Split, size: int, stream: str) -> Split:
    """`size` images of `split`, equally many of each class, in the split's order.

    Of each class those whose index has the smallest hash are taken: a fixed random choice that no
    version of a random generator can change.

    Raises:
        ValueError: `size` cannot be shared equally by the classes.
    """
    from tvae.streams import derive_seed

    assert split.source is not None
    classes = np.unique(split.labels)
    if size % len(classes):
        raise ValueError(f"{size} images cannot be shared equally by {len(classes)} classes")
    order = np.argsort([derive_seed(0, f"{stream}/{index}") for index in split.source])
    kept = [order[split.labels[order] == label][: size // len(classes)] for label in classes]
    chosen = np.sort(np.concatenate(kept))
    return Split.of({name: array[chosen] for name, array in split.arrays()})


MNIST_SMALL = Small("mnist_small", "12,000 of MNIST's images, in the package")
FASHION_MNIST_SMALL = Small("fashion_mnist_small", "12,000 of Fashion-MNIST's, in the package")
