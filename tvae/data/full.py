"""The full MNIST and Fashion-MNIST, from IDX files wherever they are, verified by digest."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import numpy as np

from tvae.data.idx import DIGESTS, read_bytes, read_verified
from tvae.data.records import Dataset, Split
from tvae.data.source import CorruptData, MissingData, Option, Source, cache_folder
from tvae.shapes import GREY_28

TRAIN = 50_000
"""The split: the official train file's first 50,000 images train, its last 10,000 validate."""


@dataclass(frozen=True)
class Full(Source):
    """A data set of four official IDX files, plain or in gzip.

    They are searched in `root` and its usual subfolders (torchvision's among them), in the folder
    of Debian's package, and in the cache that `fetch` fills; the first folder with all four wins.

    Attributes:
        name: the key in `DIGESTS`.
        folder: the usual name of a folder with its files.
        torchvision: the name of torchvision's class, which is also that of its folder.
        summary: one line for people.
    """

    name: str
    folder: str
    torchvision: str
    summary: str
    sizes = (50_000, 10_000, 10_000)
    shape = GREY_28

    @property
    def identity(self) -> str:
        """SHA-256 over the digests of the official files: names the content without reading it."""
        return hashlib.sha256("".join(DIGESTS[self.name].values()).encode()).hexdigest()

    def folders(self, root: Path | None) -> Iterator[Path]:
        """Every place to look in, best first."""
        if root is not None:
            # The subfolders come first: they say whose the files are.
            yield from (root / self.folder, root / self.torchvision / "raw", root)
        yield Path("/usr/share/datasets") / self.folder  # Debian's package dataset-fashion-mnist
        yield cache_folder() / self.folder

    def locate(self, root: Path | None) -> Path:
        """The first folder with all four files, if they are not known as another data set's."""
        searched = []
        for folder in self.folders(root):
            missing = [file for file in DIGESTS[self.name] if _path(folder, file) is None]
            other = None if missing else _owner(folder, self.name)
            if not missing and other is None:
                return folder
            partly = f" (without {', '.join(missing)})" if 0 < len(missing) < 4 else ""
            searched.append(f"{folder}{partly}" if other is None else f"{folder} (is {other}'s)")
        raise MissingData(
            f"{self.name} was not found; looked in {', '.join(searched)}. "
            "Pass data.root=FOLDER, a folder with "
            f"{', '.join(f'{file}.gz' for file in DIGESTS[self.name])} (.gz or not), "
            f"or run `python -m bench.data fetch {self.name}`"
        )

    def verify(self, root: Path | None, **options: Option) -> dict[str, str]:
        """The digests of the four files, after reading them whole."""
        folder = self.locate(root)
        _read(self.name, folder)
        return {str(_path(folder, file)): digest for file, digest in DIGESTS[self.name].items()}

    def content(self, root: Path | None, **options: Option) -> str:
        """`identity`: it is known."""
        return self.identity

    def load(self, root: Path | None, **options: Option) -> Dataset:
        """The 50,000 / 10,000 / 10,000 images."""
        train, test = _read(self.name, self.locate(root))
        return Dataset.of(self.name, _part(train, 0, TRAIN), _part(train, TRAIN), _part(test, 0))

    def fetch(self, root: Path | None, **options: Option) -> Path:
        """Download into the cache by way of torchvision, unless it is there and intact.

        Everything is downloaded and verified in a folder that no load looks at, and moved file by
        file, so a broken download leaves nothing behind.
        """
        target = cache_folder() / self.folder
        try:
            _read(self.name, target)
        except (MissingData, CorruptData):
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as temporary:
                new = Path(temporary)
                for file in DIGESTS[self.name]:
                    self._download(file, new)
                    read_verified(self.name, file, new / f"{file}.gz")
                target.mkdir(exist_ok=True)
                for file in DIGESTS[self.name]:
                    os.replace(new / f"{file}.gz", target / f"{file}.gz")
                    (target / file).unlink(missing_ok=True)
        return target

    def _download(self, file: str, folder: Path) -> None:
        """Get one file from the first of torchvision's mirrors that has it."""
        from torchvision import datasets
        from torchvision.datasets.utils import download_url

        official = getattr(datasets, self.torchvision)
        md5 = dict(official.resources)[f"{file}.gz"]
        failures = []
        for mirror in official.mirrors:
            try:
                download_url(f"{mirror}{file}.gz", folder, md5=md5)
                return
            except (RuntimeError, OSError, HTTPException) as error:
                failures.append(f"{mirror}{file}.gz: {error}")
        raise MissingData(
            f"{self.name} could not be downloaded ({'; '.join(failures)}). "
            "Get the four IDX files another way and pass data.root=FOLDER"
        )


def _path(folder: Path, file: str) -> Path | None:
    """The official `file` in a folder, by its own name or Kaggle's (`official_name`)."""
    names = (file, file.replace("-idx", ".idx"))
    paths = [folder / f"{name}{end}" for name in names for end in ("", ".gz")]
    # what Kaggle's archive unpacks to: each file once more, in a folder of its own name
    paths += [folder / name / name for name in names]
    return next((path for path in paths if path.is_file()), None)


def _owner(folder: Path, name: str) -> str | None:
    """The data set other than `name` that these files belong to: all sets share file names."""
    file = "t10k-labels-idx1-ubyte"  # small, so that looking costs nothing
    path = _path(folder, file)
    assert path is not None
    try:
        found = hashlib.sha256(read_bytes(path)).hexdigest()
    except CorruptData:
        return None  # for the reader to report
    others = (other for other in DIGESTS if other != name and DIGESTS[other][file] == found)
    return next(others, None)


def _read(name: str, folder: Path) -> tuple[Split, Split]:
    """The official train and test files in `folder`, verified."""
    arrays = {}
    for file in DIGESTS[name]:
        path = _path(folder, file)
        if path is None:
            raise MissingData(f"{folder} has no {file}, nor {file}.gz")
        arrays[file] = read_verified(name, file, path)
    splits = []
    for part in ("train", "t10k"):
        labels = arrays[f"{part}-labels-idx1-ubyte"].astype(np.int64)
        images = arrays[f"{part}-images-idx3-ubyte"]
        splits.append(Split(images, labels, source=np.arange(len(labels))))
    return splits[0], splits[1]


def _part(whole: Split, start: int, stop: int | None = None) -> Split:
    return Split.of({name: array[start:stop] for name, array in whole.arrays()})


MNIST = Full("mnist", "mnist", "MNIST", "handwritten digits")
FASHION_MNIST = Full("fashion_mnist", "fashion-mnist", "FashionMNIST", "pictures of clothes")
