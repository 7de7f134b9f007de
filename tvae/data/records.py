"""What every data source hands over: three splits of images with labels, and a digest.

Legend: `N` images of a split, `C` channels, `H`, `W` height and width.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tvae.shapes import ImageShape

SPLITS = ("train", "validation", "test")


def shape_of(images: NDArray[np.uint8]) -> ImageShape:
    """Of N H W (grey) or N C H W."""
    return ImageShape(*(images.shape[1:] if images.ndim == 4 else (1, *images.shape[1:])))


@dataclass(frozen=True)
class Split:
    """Images with their labels.

    Attributes:
        images: grey N H W or N C H W, uint8; may be mapped from a file.
        labels: N classes, int64.
        parameters: name -> N numbers: the transformation that made each image, where known.
        source: N indices, int64: the place of each image (of AffNIST: of the original that it is a
            variant of) in its official file. Equal numbers mean the same original.

    Raises:
        ValueError: a shape or a type is not as stated above.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    parameters: dict[str, NDArray[np.generic]] | None = None
    source: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.images.ndim not in (3, 4) or self.images.dtype != np.uint8:
            raise ValueError(
                "images must be N H W (grey) or N C H W of uint8, "
                f"not {self.images.shape} of {self.images.dtype}"
            )
        if self.labels.ndim != 1 or self.labels.dtype.kind not in "iu":
            mend = "; of one-hot labels take argmax(1)" if self.labels.ndim == 2 else ""
            raise ValueError(
                "labels must be N whole numbers, one class per image, "
                f"not {self.labels.shape} of {self.labels.dtype}{mend}"
            )
        if len(self.labels) and self.labels.min() < 0:
            raise ValueError(f"labels must be 0 or more, got {self.labels.min()}")
        for name, array in self.arrays():
            if len(array) != len(self.images):
                raise ValueError(
                    f"{name} has {len(array)} entries for {len(self.images)} images; "
                    "it needs one per image"
                )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> ImageShape:
        """That of each image."""
        return shape_of(self.images)

    def arrays(self) -> Iterator[tuple[str, NDArray[np.generic]]]:
        """Every array of the split by name; a parameter's name is ``parameters.NAME``."""
        yield "images", self.images
        yield "labels", self.labels
        if self.source is not None:
            yield "source", self.source
        for name, values in sorted((self.parameters or {}).items()):
            yield f"parameters.{name}", values

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Split:
        """The split whose `arrays` these are."""
        prefix = "parameters."
        parameters = {
            name.removeprefix(prefix): values
            for name, values in arrays.items()
            if name.startswith(prefix)
        }
        return cls(
            arrays["images"],  # type: ignore[arg-type]  # the types are checked on creation
            arrays["labels"],  # type: ignore[arg-type]
            parameters or None,
            arrays.get("source"),  # type: ignore[arg-type]
        )


@dataclass(frozen=True)
class Dataset:
    """A data set: its three splits and the digest that names its content.

    Attributes:
        name: the name it was asked for.
        train: what models learn from.
        validation: what tuning and early decisions see.
        test: for confirmation only.
        digest: SHA-256, hexadecimal. Two data sets of one digest have the same content.

    Raises:
        ValueError: the splits have images of different shapes.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    digest: str

    def __post_init__(self) -> None:
        shapes = {split.shape for split in (self.train, self.validation, self.test)}
        if len(shapes) > 1:
            raise ValueError(f"{self.name} has images of {' and of '.join(map(str, shapes))}")

    @property
    def shape(self) -> ImageShape:
        """That of each image."""
        return self.train.shape

    @classmethod
    def of(cls, name: str, train: Split, validation: Split, test: Split) -> Dataset:
        """A data set with the digest of its content."""
        splits = {"train": train, "validation": validation, "test": test}
        return cls(name, train, validation, test, content_digest(splits))


def content_digest(splits: Mapping[str, Split]) -> str:
    """SHA-256 over name, type, shape and little-endian bytes of every array of every split."""
    digest = hashlib.sha256()
    for split, content in splits.items():
        for name, array in content.arrays():
            array = np.ascontiguousarray(array)
            if sys.byteorder == "big":
                array = array.astype(array.dtype.newbyteorder("<"))
            digest.update(f"{split}.{name} {array.dtype.name} {array.shape}\n".encode())
            digest.update(array.data)
    return digest.hexdigest()
