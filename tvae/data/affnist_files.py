"""The official AffNIST files (https://www.cs.toronto.edu/~tijmen/affNIST/), batch by batch.

A file holds one struct ``affNISTdata``, of which these fields are read:

- ``image``: 1600 x N, uint8, a 40 x 40 image per column;
- ``label_int``: N digits;
- ``human_readable_transform``: K x N numbers, kept as ``transform_1`` ... ``transform_K`` in the
  published order, or a struct of rows, kept by their names.

The published page does not say whether a column holds an image row by row or, as MATLAB would,
column by column. The reader sees for itself: a written 1 is higher than wide.

Legend: `N` images of a file.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvae.data.records import Split
from tvae.data.source import CorruptData, MissingData

SIZE = 40
SUBFOLDERS = (".", "affNIST", "affnist", "transformed", "affNIST/transformed")
SPLIT_FILES = {"train": "training", "validation": "validation", "test": "test"}
TOGETHER = "training_and_validation"


def find(root: Path) -> dict[str, list[Path]] | None:
    """The official files in `root` or its usual subfolders, split -> batches in order.

    Train and validation come as ``training_and_validation_batches`` (then both splits have the
    same files) or as ``training_batches`` and ``validation_batches``; test as ``test_batches``.
    Each is a folder of ``1.mat``, ``2.mat``, ... or, without ``_batches``, one ``.mat`` file.

    Returns:
        None if no folder has all three splits.
    """
    for folder in (root / name for name in SUBFOLDERS):
        files = {split: _batches(folder, name) for split, name in SPLIT_FILES.items()}
        if together := _batches(folder, TOGETHER):
            files |= {"train": together, "validation": together}
        if all(files.values()):
            return files
    return None


def _batches(folder: Path, name: str) -> list[Path]:
    numbered = [path for path in (folder / f"{name}_batches").glob("*.mat") if path.stem.isdigit()]
    if numbered:
        return sorted(numbered, key=lambda path: int(path.stem))
    single = folder / f"{name}.mat"
    return [single] if single.is_file() else []


def take(files: dict[str, list[Path]], variants: Mapping[str, int]) -> dict[str, list[Path]]:
    """The first `variants` batches of each split: a batch holds one variant of each original.

    Args:
        files: split -> batches.
        variants: split -> how many of them.

    Raises:
        MissingData: a split has fewer batches.
    """
    for split, paths in files.items():
        wanted = variants[split]
        if len(paths) < wanted:
            raise MissingData(
                f"variants={wanted} needs as many batches, but {split} has only {len(paths)}: "
                f"{', '.join(map(str, paths))}"
            )
    return {split: paths[: variants[split]] for split, paths in files.items()}


def hashes(files: dict[str, list[Path]]) -> dict[str, str]:
    """Each file -> SHA-256 of its bytes."""
    found = {}
    for path in sorted({path for paths in files.values() for path in paths}):
        with path.open("rb") as file:
            found[str(path)] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def digest(files: dict[str, list[Path]]) -> str:
    """The digest of the data set in `files`: of the bytes of each split's files, in order."""
    found = hashes(files)
    lines = [f"{split} {found[str(path)]}" for split, paths in files.items() for path in paths]
    return hashlib.sha256("\n".join(["affnist official", *lines]).encode()).hexdigest()


def read_splits(files: dict[str, list[Path]]) -> dict[str, Iterator[Split]]:
    """The batches of each split, one file in memory at a time.

    Raises:
        CorruptData: while iterating: see `read`, or the batches of a split differ in their labels,
            so that they cannot be variants of the same originals.
    """
    both = files["train"][:1] == files["validation"][:1]
    return {
        "train": _batch_splits(files["train"], 0, 5 if both else 6),
        "validation": _batch_splits(files["validation"], 5 if both else 0, 6),
        "test": _batch_splits(files["test"], 0, 6),
    }


def _batch_splits(paths: list[Path], first: int, last: int) -> Iterator[Split]:
    """Of every file the images from `first` to `last` sixths: 5/6 of a joint batch is train."""
    labels = None
    for path in paths:
        batch = read(path)
        part = slice(len(batch) * first // 6, len(batch) * last // 6)
        split = Split.of({name: array[part] for name, array in batch.arrays()})
        if labels is not None and not np.array_equal(labels, split.labels):
            raise CorruptData(
                f"{path} has other labels than {paths[0]}; the batches of a split hold the same "
                "originals in the same order"
            )
        labels = split.labels
        yield split


def read(path: Path) -> Split:
    """One file; `source` numbers its columns.

    Raises:
        CorruptData: the file is not a MATLAB file of version 7 or older, or has not the published
            fields, types and shapes.
    """
    data = _struct(path)
    image = _field(path, data, "image")
    labels = np.atleast_1d(_field(path, data, "label_int"))
    if image.dtype != np.uint8 or image.shape[:1] != (SIZE * SIZE,) or image.ndim > 2:
        raise CorruptData(
            f"{path}: affNISTdata.image is {image.shape} of {image.dtype}; "
            f"it must be {SIZE * SIZE} x N of uint8"
        )
    columns = image.reshape(SIZE * SIZE, -1)
    n = columns.shape[1]
    if labels.shape != (n,) or not np.isin(labels, range(10)).all():
        raise CorruptData(
            f"{path}: affNISTdata.label_int must be {n} digits from 0 to 9, one per image; "
            f"it has the shape {labels.shape} and values {np.unique(labels)[:12]}"
        )
    images = np.ascontiguousarray(columns.T).reshape(n, SIZE, SIZE)
    if not _upright(images[labels == 1]):
        images = np.ascontiguousarray(images.transpose(0, 2, 1))
    return Split(
        images,
        labels.astype(np.int64),
        _transforms(path, data.get("human_readable_transform"), n),
        np.arange(n),
    )


def _upright(ones: NDArray[np.uint8]) -> bool:
    """Whether the ink of these ones spreads at least as far vertically as horizontally."""
    ink = ones.astype(np.float64)
    place = np.arange(SIZE)
    rows, columns = ink.sum(2), ink.sum(1)
    vertical, horizontal = (
        (side @ place**2) / side.sum(1) - ((side @ place) / side.sum(1)) ** 2
        for side in (rows[rows.any(1)], columns[rows.any(1)])
    )
    return bool(vertical.sum() >= horizontal.sum())


def _struct(path: Path) -> Mapping[str, Any]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path, variable_names=["affNISTdata"], simplify_cells=True)
    except NotImplementedError as error:
        raise CorruptData(
            f"{path} is a MATLAB 7.3 (HDF5) file; the published files are of version 7: "
            "save it again with `save -v7`"
        ) from error
    except (MatReadError, ValueError, TypeError, OSError, EOFError, zlib.error) as error:
        raise CorruptData(f"{path} cannot be read as a MATLAB file: {error}") from error
    data = content.get("affNISTdata")
    if not isinstance(data, dict):
        raise CorruptData(f"{path} has no struct affNISTdata; it is no AffNIST file")
    return data


def _field(path: Path, data: Mapping[str, Any], name: str) -> NDArray[Any]:
    value = data.get(name)
    if not isinstance(value, np.ndarray | np.generic | int):
        raise CorruptData(
            f"{path}: affNISTdata has no array {name!r} (its fields: {', '.join(sorted(data))})"
        )
    return np.asarray(value)


def _transforms(path: Path, value: Any, n: int) -> dict[str, NDArray[np.generic]] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        rows = np.asarray(value).reshape(-1, n) if np.size(value) % n == 0 else [np.asarray(value)]
        value = {f"transform_{i}": row for i, row in enumerate(rows, 1)}
    parameters = {name: np.atleast_1d(row) for name, row in value.items()}
    for name, row in parameters.items():
        if row.shape != (n,) or not np.issubdtype(row.dtype, np.number):
            raise CorruptData(
                f"{path}: affNISTdata.human_readable_transform must have {n} numbers in each row; "
                f"{name} has the shape {row.shape} of {row.dtype}"
            )
    return parameters
