"""Data sets as their authors publish them, of which torchvision knows the files and their digests.

Read once into mapped files of the cache. Nothing in a file is executed: CIFAR-10's are pickles, of
which the bytes are taken apart here, and nothing is ever unpickled.

Legend: `N` images.
"""

from __future__ import annotations

import gzip
import hashlib
import pickletools
import tarfile
import tempfile
import zipfile
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tvae.data import stored
from tvae.data.idx import parse, read_bytes
from tvae.data.records import Dataset, Split
from tvae.data.source import CorruptData, MissingData, Option, Source, cache_folder
from tvae.shapes import GREY_28, ImageShape

VERSION = 1
"""To be raised with every change that changes an image or a split."""


@dataclass(frozen=True)
class Official(Source):
    """A data set of which torchvision knows the files.

    They are searched in `root` and its usual subfolders, torchvision's among them, and must have
    torchvision's MD5. The last `held` of the official training images validate.

    Attributes:
        name: of the data set, and of the folder where its files are looked for.
        torchvision: the name of torchvision's class.
        folders: where else below a root they may lie.
        layouts: names of the files, in each form in which they may lie; the first is downloaded.
        held: images taken from the official training images.
    """

    name: ClassVar[str]
    torchvision: ClassVar[str]
    folders: ClassVar[tuple[str, ...]] = ()
    layouts: ClassVar[tuple[tuple[str, ...], ...]]
    held: ClassVar[int]

    def known(self, official: Any) -> dict[str, tuple[str, list[str]]]:
        """File -> its MD5 and where it is published, from torchvision's class: most list splits."""
        return {file: (md5, [url]) for url, file, md5 in official.split_list.values()}

    @abstractmethod
    def read(self, files: Mapping[str, Path]) -> tuple[Split, Split]:
        """The official training and test images in verified files."""

    @property
    def identity(self) -> str:
        """What names the content, without reading it: the digests of the published files."""
        known = self._known()
        files = [f"{file} {known[file][0]}" for file in self.layouts[0]]
        words = " ".join([self.name, str(VERSION), str(self.held), *files])
        return hashlib.sha256(words.encode()).hexdigest()

    def locate(self, root: Path | None) -> Path:
        """What the cache holds, or else the first folder with all files."""
        return self._kept() or self._files(root)[0]

    def verify(self, root: Path | None, **options: Option) -> dict[str, str]:
        """The digest of the content, after reading what the cache holds, or else the files."""
        kept = self._kept()
        if kept is None:
            self._verified(*self._files(root))
        else:
            stored.verify(kept)
        return {self.name: self.identity}

    def content(self, root: Path | None, **options: Option) -> str:
        """`identity`: it is known."""
        return self.identity

    def load(self, root: Path | None, **options: Option) -> Dataset:
        """The images, mapped from the cache; read into it first if it does not hold them."""
        return stored.read(self._kept() or self._make(*self._files(root)))

    def fetch(self, root: Path | None, **options: Option) -> Path:
        """Read into the cache what lies somewhere, or what is downloaded, unless it is there."""

        def made() -> Path:
            kept = self._kept()
            if kept is not None:
                return kept
            try:
                where = self._files(root)
            except MissingData:
                return self._downloaded()
            return self._make(*where)

        return stored.mended(made)

    def _known(self) -> dict[str, tuple[str, list[str]]]:
        import torchvision

        return self.known(getattr(torchvision.datasets, self.torchvision))

    @property
    def _folder(self) -> Path:
        return cache_folder() / f"{self.name}-{self.identity[:16]}"

    def _kept(self) -> Path | None:
        return self._folder if stored.exists(self._folder) else None

    def _files(self, root: Path | None) -> tuple[Path, tuple[str, ...]]:
        """The first folder with all files of a layout, and which.

        Raises:
            MissingData: there is none.
        """
        below = (self.name, *self.folders, ".")
        searched = [root / folder for folder in below] if root is not None else []
        for folder in searched:
            for layout in self.layouts:
                if all((folder / file).is_file() for file in layout):
                    return folder, layout
        places = ", ".join(map(str, [*searched, self._folder]))
        raise MissingData(
            f"{self.name} was not found; looked in {places}. Pass data.root=FOLDER, a folder with "
            f"{', '.join(self.layouts[0])}, or run `python -m bench.data fetch {self.name}`"
        )

    def _verified(self, folder: Path, layout: tuple[str, ...]) -> dict[str, Path]:
        """File -> path, of files of torchvision's MD5."""
        known, found = self._known(), {file: folder / file for file in layout}
        for file, path in found.items():
            with path.open("rb") as opened:
                digest = hashlib.file_digest(opened, "md5").hexdigest()
            if digest != known[file][0]:
                raise CorruptData(
                    f"{path} is not {self.name}'s {file}: expected MD5 {known[file][0]}, "
                    f"found {digest}; delete it and get it again"
                )
        return found

    def _make(self, folder: Path, layout: tuple[str, ...]) -> Path:
        files = self._verified(folder, layout)

        def splits() -> dict[str, Iterator[Split]]:
            train, test = self.read(files)
            first = len(train) - self.held
            parts = {
                "train": _part(train, 0, first),
                "validation": _part(train, first, None),
                "test": test,
            }
            for (split, part), size in zip(parts.items(), self.sizes, strict=True):
                if len(part) != size:
                    raise CorruptData(
                        f"{self.name} has {len(part):,} images in {split}, not {size:,}"
                    )
            return {split: iter([part]) for split, part in parts.items()}

        return stored.make(self._folder, self.name, self.identity, splits)

    def _downloaded(self) -> Path:
        """The set in the cache, from files that are gone when it is there."""
        from torchvision.datasets.utils import download_url

        parent = cache_folder()
        parent.mkdir(parents=True, exist_ok=True)
        known, layout = self._known(), self.layouts[0]
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=parent) as temporary:
            for file in layout:
                md5, urls = known[file]
                failures = []
                for url in urls:
                    try:
                        download_url(url, temporary, file, md5)
                        break
                    except (RuntimeError, OSError, HTTPException) as error:
                        failures.append(f"{url}: {error}")
                else:
                    raise MissingData(
                        f"{self.name} could not be downloaded ({'; '.join(failures)}). Get "
                        f"{', '.join(layout)} another way and pass data.root=FOLDER"
                    )
            return self._make(Path(temporary), layout)


def _part(whole: Split, start: int, stop: int | None) -> Split:
    return Split.of({name: array[start:stop] for name, array in whole.arrays()})


def _split(images: NDArray[np.uint8], labels: NDArray[Any]) -> Split:
    return Split(images, np.asarray(labels).astype(np.int64), source=np.arange(len(labels)))


class KMNIST(Official):
    """Kuzushiji-MNIST: ten cursive Japanese characters (Clanuwat et al. 2018)."""

    name = "kmnist"
    summary = "cursive Japanese characters"
    sizes = (50_000, 10_000, 10_000)
    shape = GREY_28
    torchvision = "KMNIST"
    folders = ("KMNIST/raw",)
    layouts = (
        (
            "train-images-idx3-ubyte.gz",
            "train-labels-idx1-ubyte.gz",
            "t10k-images-idx3-ubyte.gz",
            "t10k-labels-idx1-ubyte.gz",
        ),
    )
    held = 10_000

    def known(self, official: Any) -> dict[str, tuple[str, list[str]]]:
        """File -> its MD5 and where it is published."""
        return {
            file: (md5, [f"{mirror}{file}" for mirror in official.mirrors])
            for file, md5 in official.resources
        }

    def read(self, files: Mapping[str, Path]) -> tuple[Split, Split]:
        """The official images."""
        arrays = [
            parse(read_bytes(path), 3 if "images" in file else 1, str(path))
            for file, path in files.items()
        ]
        return _split(arrays[0], arrays[1]), _split(arrays[2], arrays[3])


class EMNIST(Official):
    """EMNIST, the balanced split: 47 classes of digits and letters (Cohen et al. 2017).

    The files have them lying on their side; here they stand.
    """

    name = "emnist"
    summary = "handwritten digits and letters, 47 balanced classes"
    sizes = (94_000, 18_800, 18_800)
    shape = GREY_28
    torchvision = "EMNIST"
    folders = ("EMNIST/raw",)
    layouts = (("gzip.zip",),)
    held = 18_800

    def known(self, official: Any) -> dict[str, tuple[str, list[str]]]:
        """File -> its MD5 and where it is published."""
        return {"gzip.zip": (official.md5, [official.url])}

    def read(self, files: Mapping[str, Path]) -> tuple[Split, Split]:
        """The official images, upright."""
        (path,) = files.values()
        found = []
        with zipfile.ZipFile(path) as archive:
            for part in ("train", "test"):
                arrays = []
                for what, sides in (("images-idx3", 3), ("labels-idx1", 1)):
                    member = f"gzip/emnist-balanced-{part}-{what}-ubyte.gz"
                    content = gzip.decompress(archive.read(member))
                    arrays.append(parse(content, sides, f"{path}: {member}"))
                found.append(_split(arrays[0].transpose(0, 2, 1), arrays[1]))
        return found[0], found[1]


class USPS(Official):
    """USPS: digits on envelopes, scanned by the United States Postal Service (Hull 1994)."""

    name = "usps"
    summary = "digits from envelopes, 16 x 16"
    sizes = (6_000, 1_291, 2_007)
    shape = ImageShape(1, 16, 16)
    torchvision = "USPS"
    folders = ("USPS",)
    layouts = (("usps.bz2", "usps.t.bz2"),)
    held = 1_291

    def read(self, files: Mapping[str, Path]) -> tuple[Split, Split]:
        """The official images, by torchvision's reader."""
        from torchvision import datasets

        folder = next(iter(files.values())).parent
        train, test = (datasets.USPS(folder, train=train) for train in (True, False))
        return _split(train.data, train.targets), _split(test.data, test.targets)


class CIFAR10(Official):
    """CIFAR-10: photographs of ten kinds of animals and vehicles (Krizhevsky 2009)."""

    name = "cifar10"
    summary = "photographs of animals and vehicles, in colour"
    sizes = (45_000, 5_000, 10_000)
    shape = ImageShape(3, 32, 32)
    torchvision = "CIFAR10"
    folders = ("cifar-10-batches-py", "CIFAR10")
    layouts = (
        ("cifar-10-python.tar.gz",),
        (*(f"cifar-10-batches-py/data_batch_{i}" for i in range(1, 6)),
         "cifar-10-batches-py/test_batch"),
        (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"),
    )  # fmt: skip
    held = 5_000

    def known(self, official: Any) -> dict[str, tuple[str, list[str]]]:
        """File -> its MD5 and where it is published."""
        inside: dict[str, tuple[str, list[str]]] = {
            file: (md5, []) for file, md5 in [*official.train_list, *official.test_list]
        }
        return {
            official.filename: (official.tgz_md5, [official.url]),
            **inside,
            **{f"{official.base_folder}/{file}": known for file, known in inside.items()},
        }

    def read(self, files: Mapping[str, Path]) -> tuple[Split, Split]:
        """The official images."""
        contents = self._contents(files)
        batches = [_batch(contents[Path(file).name], file) for file in self.layouts[1]]
        images, labels = (np.concatenate(parts) for parts in zip(*batches[:-1], strict=True))
        return _split(images, labels), _split(*batches[-1])

    def _contents(self, files: Mapping[str, Path]) -> dict[str, bytes]:
        """Name of a batch -> its bytes."""
        if len(files) > 1:
            return {path.name: path.read_bytes() for path in files.values()}
        (path,) = files.values()
        found = {}
        with tarfile.open(path) as archive:
            for file in self.layouts[1]:
                member = archive.extractfile(file)
                if member is None:
                    raise CorruptData(f"{path} has no file {file}")
                found[Path(file).name] = member.read()
        return found


def _batch(content: bytes, where: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images, N 3 32 32, and labels of one of CIFAR-10's pickles, which is not unpickled.

    Its instructions are looked at, not carried out: the numbers that follow the text ``labels`` are
    the labels, and the one long text is the pixels.

    Raises:
        CorruptData: it has no such content.
    """
    size, pixels, key = 3 * 32 * 32, b"", ""
    labels: list[int] = []
    try:
        for code, value, _ in pickletools.genops(content):
            if isinstance(value, str | bytes):
                text = value if isinstance(value, str) else value.decode("latin-1")
                if len(text) >= size:
                    pixels = text.encode("latin-1")
                key = text
            elif (
                key == "labels"
                and isinstance(value, int)
                and code.name in ("BININT", "BININT1", "BININT2")
            ):
                labels.append(value)
    except ValueError as error:
        raise CorruptData(f"{where} is damaged and cannot be read ({error})") from error
    if not labels or len(pixels) != size * len(labels) or not {*labels} <= {*range(10)}:
        raise CorruptData(
            f"{where} has {len(labels)} labels and {len(pixels)} bytes of images; there must be "
            f"{size} bytes for each label from 0 to 9"
        )
    images = np.frombuffer(pixels, np.uint8).reshape(-1, 3, 32, 32)
    return images, np.array(labels, np.int64)


class SVHN(Official):
    """SVHN: house numbers in street views, cut into digits (Netzer et al. 2011)."""

    name = "svhn"
    summary = "digits of house numbers, in colour"
    sizes = (66_000, 7_257, 26_032)
    shape = ImageShape(3, 32, 32)
    torchvision = "SVHN"
    folders = ("SVHN",)
    layouts = (("train_32x32.mat", "test_32x32.mat"),)
    held = 7_257

    def read(self, files: Mapping[str, Path]) -> tuple[Split, Split]:
        """The official images, by torchvision's reader."""
        from torchvision import datasets

        folder = next(iter(files.values())).parent
        train, test = (datasets.SVHN(folder, split=split) for split in ("train", "test"))
        return _split(train.data, train.labels), _split(test.data, test.labels)


OFFICIAL: tuple[Official, ...] = (KMNIST(), EMNIST(), USPS(), CIFAR10(), SVHN())
