"""Data sets too large for memory: written chunk by chunk, read as mapped files.

A stored set is a folder: ``dataset.json`` (name, digest, and the SHA-256 of every file) and
``SPLIT/ARRAY.npy``. It appears under its name only when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from filelock import FileLock
from numpy.lib import format as npy
from numpy.typing import NDArray

from tvae.data.records import SPLITS, Dataset, Split
from tvae.data.source import CorruptData

MANIFEST = "dataset.json"


@dataclass(frozen=True)
class _Manifest:
    name: str
    digest: str
    files: dict[str, str]


class _Appended:
    """An ``.npy`` file that grows by chunks; memory holds one chunk.

    A mapped array would do for the result but not for memory: its written pages count as ours.
    """

    def __init__(self, path: Path, like: NDArray[np.generic]) -> None:
        self.like, self.count = like, 0
        path.parent.mkdir(exist_ok=True)
        self.file = path.open("wb")
        self._header()

    def __enter__(self) -> _Appended:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.file.seek(0)
        self._header()
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()

    def _header(self) -> None:
        # numpy leaves room for the first axis to grow, so the final header has the same length.
        npy.write_array_header_1_0(
            self.file,
            {
                "descr": npy.dtype_to_descr(self.like.dtype),
                "fortran_order": False,
                "shape": (self.count, *self.like.shape[1:]),
            },
        )

    def append(self, chunk: NDArray[np.generic]) -> None:
        self.file.write(np.ascontiguousarray(chunk, self.like.dtype).data)
        self.count += len(chunk)


def write(folder: Path, name: str, digest: str, splits: Mapping[str, Iterable[Split]]) -> None:
    """Write a data set whose splits come in chunks.

    Args:
        folder: where it is to stand. Whoever else writes the same set there meanwhile is equally
            right: the first one's stays.
        name: the data set's name.
        digest: the data set's digest.
        splits: the chunks of each split.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as temporary:
        new = Path(temporary) / "new"
        new.mkdir()
        for split, chunks in splits.items():
            _write_split(new / split, chunks)
        files = {str(path.relative_to(new)): _hash(path) for path in sorted(new.glob("*/*.npy"))}
        manifest = {"name": name, "digest": digest, "files": files}
        (new / MANIFEST).write_text(json.dumps(manifest, indent=1))
        try:
            new.rename(folder)
        except OSError:
            if not (folder / MANIFEST).is_file():
                raise


def make(
    folder: Path, name: str, digest: str, splits: Callable[[], Mapping[str, Iterable[Split]]]
) -> Path:
    """Write a data set unless it stands there; of several processes that ask, one writes.

    Args:
        folder: where it is to stand.
        name: the data set's name.
        digest: the data set's digest.
        splits: makes the chunks of each split; called if they are needed.

    Returns:
        `folder`.
    """
    if not exists(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        # of the trials that start together one makes it, which takes minutes, and the others wait
        with FileLock(folder.parent / f".{folder.name}.lock"):
            if not exists(folder):
                write(folder, name, digest, splits())
    return folder


def mended(made: Callable[[], Path]) -> Path:
    """The folder that `made` gives; made once more if it is damaged."""
    folder = made()
    try:
        verify(folder)
    except CorruptData:
        shutil.rmtree(folder)
        return made()
    return folder


def _write_split(folder: Path, chunks: Iterable[Split]) -> None:
    files: dict[str, _Appended] = {}
    with ExitStack() as stack:
        for chunk in chunks:
            for name, array in chunk.arrays():
                if name not in files:
                    file = _Appended(folder / f"{name}.npy", array)
                    files[name] = stack.enter_context(file)
                files[name].append(array)


def exists(folder: Path) -> bool:
    """Whether a whole data set stands in `folder`."""
    return (folder / MANIFEST).is_file()


def read(folder: Path) -> Dataset:
    """The data set in `folder`, its arrays mapped from the files.

    Raises:
        CorruptData: a file is missing or not of its size. (`verify` reads every byte.)
    """
    manifest = _manifest(folder)
    train, validation, test = (
        Split.of(
            {
                Path(file).name.removesuffix(".npy"): _map(folder / file)
                for file in manifest.files
                if Path(file).parent.name == split
            }
        )
        for split in SPLITS
    )
    return Dataset(manifest.name, train, validation, test, manifest.digest)


def verify(folder: Path) -> dict[str, str]:
    """File -> SHA-256, after reading every file of the data set in `folder`.

    Raises:
        CorruptData: a file is missing or has another digest than when it was written.
    """
    found = {}
    for file, expected in _manifest(folder).files.items():
        path = folder / file
        found[str(path)] = _hash(path) if path.is_file() else "no such file"
        if found[str(path)] != expected:
            raise CorruptData(
                f"{path} has changed: expected SHA-256 {expected}, found {found[str(path)]}; "
                f"delete {folder} and it will be made again"
            )
    return found


def _manifest(folder: Path) -> _Manifest:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
        return _Manifest(manifest["name"], manifest["digest"], dict(manifest["files"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptData(_damaged(path, error)) from error


def _map(path: Path) -> NDArray[np.generic]:
    try:
        array: NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise CorruptData(_damaged(path, error)) from error
    return array


def _damaged(path: Path, error: Exception) -> str:
    return (
        f"{path} is damaged and cannot be read ({error}); "
        "delete the data set's folder and it will be made again"
    )


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
