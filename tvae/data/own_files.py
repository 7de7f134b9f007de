"""Images of one's own as they lie on disk: what there is, and then, one by one, their pixels.

Nothing in a file is executed: arrays with Python objects are refused, and only decoders of plain
image formats are let near an image.

Legend: `N` images of a part, `C` channels, `H`, `W` height and width.
"""

from __future__ import annotations

import gzip
import os
import re
import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tvae.data.idx import official_name
from tvae.data.records import SPLITS
from tvae.data.source import CorruptData, MissingData
from tvae.shapes import ImageShape

if TYPE_CHECKING:
    from PIL import Image

ENDINGS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Of images; none of their decoders runs anything."""

LITTER = ("Thumbs.db", "desktop.ini", "__MACOSX")
"""What systems leave in folders, besides names that begin with a dot."""

FOLDERS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation",
           "test": "test"}  # fmt: skip
"""Folder -> split, where somebody has split the images already."""

LARGEST_LABEL = 9_999
CHUNK = 2**23
"""Bytes of an array that are in memory at a time."""

WANTED = (
    "a folder with a folder of images for each class, a folder of IDX files, a .npz with images "
    "and labels, or a NAME.npy of images beside NAME_labels.npy"
)

BROKEN = (
    OSError, ValueError, EOFError, KeyError, RuntimeError, NotImplementedError, SyntaxError,
    zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip
"""What reading a damaged array raises."""


class Part(ABC):
    """Images in an order, with their classes.

    Attributes:
        labels: N classes, int64.
    """

    labels: NDArray[np.int64]

    @property
    @abstractmethod
    def first(self) -> ImageShape:
        """The shape of the first image, as it lies there."""

    @abstractmethod
    def name(self, index: int) -> str:
        """What names an image in the choice of splits: it does not move with the folder."""

    @abstractmethod
    def where(self, index: int) -> str:
        """What to call an image in messages."""

    @abstractmethod
    def read(self, indices: NDArray[np.int64]) -> Iterator[Image.Image]:
        """The images at `indices`, which ascend, in PIL's mode L or RGB.

        Raises:
            CorruptData: one cannot be read, or is of a kind that would lose something.
        """


@dataclass(frozen=True)
class Found:
    """What lies at a path.

    Attributes:
        parts: under ``all`` where the images are still to be split; else under the names of splits,
            ``train`` and ``test`` at least.
        files: name -> path of every file whose bytes count, in order.
    """

    parts: Mapping[str, Part]
    files: Mapping[str, Path]


def find(path: Path) -> Found:
    """Look at what lies at `path`; no pixel is read.

    Raises:
        MissingData: nothing lies there.
        CorruptData: it is nothing that is understood, or labels are wrong.
    """
    if not path.exists():
        raise MissingData(f"{path} does not exist; there should be {WANTED}")
    if path.suffix in (".npz", ".npy"):
        if not path.is_file():
            raise CorruptData(f"{path} is a folder, where a file is expected from its name")
        found = _npz(path) if path.suffix == ".npz" else _npy(path)
    elif not path.is_dir():
        raise CorruptData(f"{path} is a file, where a folder is expected; there should be {WANTED}")
    else:
        found = _idx(path) or _folders(path)
    for split, part in found.parts.items():
        if not len(part.labels):
            raise CorruptData(f"{path} has no images{'' if split == 'all' else f' in {split}'}")
        if split != "all" and split != "train":
            continue
        classes = np.unique(part.labels)
        if len(classes) < 2:
            raise CorruptData(
                f"{path} has only one class, {classes[0]}; there must be two or more to tell apart"
            )
    return found


# --- folders of images --------------------------------------------------------------------------


class Files(Part):
    """Image files.

    Args:
        folder: that they are in.
        names: of the files, relative to it.
        labels: of the files.
    """

    def __init__(self, folder: Path, names: list[str], labels: list[int]) -> None:
        self.folder, self.names = folder, names
        self.labels = np.array(labels, np.int64)

    @cached_property
    def first(self) -> ImageShape:
        """The shape of the first image, as it lies there."""
        image = opened(self.folder / self.names[0])
        return ImageShape(len(image.getbands()), image.height, image.width)

    def name(self, index: int) -> str:
        """What names an image in the choice of splits."""
        return self.names[index]

    def where(self, index: int) -> str:
        """What to call an image in messages."""
        return str(self.folder / self.names[index])

    def read(self, indices: NDArray[np.int64]) -> Iterator[Image.Image]:
        """The images at `indices`, which ascend; see `Part`."""
        for index in indices:
            yield opened(self.folder / self.names[index])


def opened(path: Path) -> Image.Image:
    """The image in a file, in PIL's mode L or RGB, turned as its camera says.

    Raises:
        CorruptData: it cannot be read, or has an alpha channel, a palette, more than 8 bits, other
            colours than RGB, or more than one picture.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=FORMATS) as image:
            lost = _lost(image)
            if not lost:
                image.load()
                upright = ImageOps.exif_transpose(image)
    except Exception as error:  # decoders fail in as many ways as there are damaged files
        raise CorruptData(
            f"{path} cannot be read as an image ({error}); replace it or take it out"
        ) from error
    if lost:
        raise CorruptData(f"{path} {lost}")
    return upright.convert("L") if upright.mode == "1" else upright


def _lost(image: Image.Image) -> str:
    """What an image has that eight bits of grey or of red, green and blue would lose."""
    if getattr(image, "n_frames", 1) > 1:
        return "holds more than one picture; save each in a file of its own"
    if image.mode in ("LA", "RGBA", "PA", "La", "RGBa") or "transparency" in image.info:
        return "has an alpha channel; put it on a background and save it without"
    if image.mode == "P":
        return "has a palette; save it as grey or RGB"
    if image.mode[:1] in ("I", "F") or _deep(image):
        return "has more than 8 bits per channel; scale it to 0 ... 255 and save it with 8"
    if image.mode not in ("1", "L", "RGB"):
        return f"has the colours {image.mode}; save it as grey or RGB"
    return ""


def _deep(image: Image.Image) -> bool:
    """Whether a file has 16 bits where PIL would quietly read 8."""
    arguments = [tile[3] for tile in getattr(image, "tile", ())]
    tuples = [given if isinstance(given, tuple) else (given,) for given in arguments]
    if image.format == "PPM":
        return any(isinstance(n, int) and n > 255 for given in tuples for n in given)
    return any(";16" in str(given[0]) for given in tuples if given)


def _folders(folder: Path) -> Found:
    inside = _inside(folder)
    stray = [entry.name for entry in inside if entry.is_file() and _is_image(entry.name)]
    classes = [entry.name for entry in inside if entry.is_dir()]
    if stray or not classes:
        have = f"{stray[0]} lies in no class's folder" if stray else "it has no folders"
        raise CorruptData(f"{folder}: {have}; there should be {WANTED}")
    if "train" in classes and {*classes} <= {*FOLDERS}:
        return _split_folders(folder, classes)
    part = _part(folder, classes)
    return Found({"all": part}, {name: folder / name for name in part.names})


def _split_folders(folder: Path, names: list[str]) -> Found:
    """Images that lie in ``train``, ``test`` and perhaps ``validation``."""
    inside = {
        name: [entry.name for entry in _inside(folder / name) if entry.is_dir()] for name in names
    }
    for name, classes in inside.items():
        if classes != inside["train"]:
            odd = ", ".join(sorted({*classes} ^ {*inside["train"]}))
            raise CorruptData(f"{folder / name} has other classes than {folder / 'train'}: {odd}")
    parts: dict[str, Files] = {}
    for name in names:
        if FOLDERS[name] in parts:
            raise CorruptData(f"{folder} has two folders for {FOLDERS[name]}; keep one")
        parts[FOLDERS[name]] = _part(folder / name, inside[name])
    if "test" not in parts:
        raise CorruptData(
            f"{folder} has a folder train but none of the name test; add it, or "
            f"pass {folder / 'train'} and it will be split"
        )
    return Found(
        parts,
        {f"{split}/{n}": part.folder / n for split, part in parts.items() for n in part.names},
    )


def _part(folder: Path, classes: list[str]) -> Files:
    """The images of each class, in the order of torchvision's ImageFolder."""
    names, labels = [], []
    for label, name in enumerate(classes):
        of_class = _images(folder, folder / name)
        if not of_class:
            raise CorruptData(f"{folder / name} has no images; fill it or remove it")
        names += of_class
        labels += [label] * len(of_class)
    return Files(folder, names, labels)


def _images(root: Path, folder: Path) -> list[str]:
    """Every image below `folder`, relative to `root`, in the order of a sorted `os.walk`."""
    found = []
    for path, folders, files in sorted(os.walk(folder, onerror=_raise)):
        if any(_is_litter(part) for part in Path(path).relative_to(folder).parts):
            continue
        within = Path(path).relative_to(root).as_posix()
        for name in folders:
            if (Path(path) / name).is_symlink():
                raise CorruptData(
                    f"{Path(path) / name} is a link to a folder; only class folders may be links"
                )
        for name in sorted(file for file in files if not _is_litter(file)):
            if not _is_image(name):
                raise CorruptData(
                    f"{Path(path) / name} is no image of a known kind ({' '.join(ENDINGS)}); "
                    "convert it or take it out"
                )
            found.append(f"{within}/{name}")
    return found


def _raise(error: OSError) -> None:
    raise CorruptData(f"{error.filename} cannot be read ({error.strerror})") from error


def _inside(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(
            (entry for entry in entries if not _is_litter(entry.name)), key=lambda e: e.name
        )


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name in LITTER


def _is_image(name: str) -> bool:
    return name.lower().endswith(ENDINGS)


# --- arrays -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """An array in a file: its header is read at once, its content as it is needed.

    Attributes:
        path: of the file.
        member: of a ``.npz``, the array's name; empty otherwise.
    """

    path: Path
    member: str = ""

    @property
    def where(self) -> str:
        """What to call it in messages."""
        return f"{self.path}: {self.member}" if self.member else str(self.path)

    @cached_property
    def header(self) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
        """Shape, type, and whether the first axis varies fastest.

        Raises:
            CorruptData: it is damaged, or holds Python objects.
        """
        with self._open() as (_, shape, dtype, fortran):
            return shape, dtype, fortran

    def whole(self) -> NDArray[Any]:
        """All of it."""
        chunks = [chunk for _, chunk in self.chunks()]
        shape, dtype, _ = self.header
        return np.concatenate(chunks) if chunks else np.empty(shape, dtype)

    def chunks(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """(index of the first row, rows), until all has been read.

        Raises:
            CorruptData: it ends too early, or is damaged.
        """
        with self._open() as (file, shape, dtype, fortran):
            count, row = shape[0], int(np.prod(shape[1:], dtype=object)) * dtype.itemsize
            if fortran and len(shape) > 1:
                # its rows lie scattered over the file
                size = count * row
                order = np.frombuffer(self._bytes(file, size), dtype).reshape(shape[::-1])
                yield 0, order.T
                return
            step = max(1, CHUNK // max(1, row))
            for start in range(0, count, step):
                rows = min(step, count - start)
                content = self._bytes(file, rows * row)
                yield start, np.frombuffer(content, dtype).reshape(rows, *shape[1:])

    def _bytes(self, file: IO[bytes], size: int) -> bytes:
        content = file.read(size)
        if len(content) != size:
            raise EOFError("it ends before its last row")
        return content

    @contextmanager
    def _open(self) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype[Any], bool]]:
        try:
            if self.member:
                with (
                    zipfile.ZipFile(self.path) as archive,
                    archive.open(f"{self.member}.npy") as file,
                ):
                    yield (file, *_npy_header(file))
            else:
                packed = self.path.suffix == ".gz"
                with gzip.open(self.path) if packed else self.path.open("rb") as plain:
                    header = _npy_header if self.path.suffix == ".npy" else _idx_header
                    yield (plain, *header(plain))  # type: ignore[misc, arg-type]
        except CorruptData as error:
            raise CorruptData(f"{self.where} {error}") from None
        except BROKEN as error:
            raise CorruptData(f"{self.where} is damaged and cannot be read ({error})") from error


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise CorruptData(f"is of version {version} of numpy's format; only 1.0 and 2.0 are read")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise CorruptData(
            "holds Python objects, which only unpickling could read, and that could run anything; "
            "save an array of numbers"
        )
    if not shape:
        raise CorruptData("is a single number, where an array is expected")
    return shape, dtype, fortran


def _idx_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    magic = file.read(4)
    if magic[:3] != b"\0\0\x08" or len(magic) != 4 or magic[3] not in (1, 3, 4):
        raise CorruptData(
            f"begins with the bytes {magic.hex()}; an IDX file of unsigned bytes begins with "
            "00000803 (grey images), 00000804 (colour) or 00000801 (labels)"
        )
    sides = magic[3]
    return struct.unpack(f">{sides}I", file.read(4 * sides)), np.dtype(np.uint8), False


class Arrays(Part):
    """Images in an array, N H W, N H W C or N C H W, with their labels in another.

    Raises:
        CorruptData: one is of another shape or type than it must be, or labels are negative.
    """

    def __init__(self, images: Stored, labels: Stored) -> None:
        self.images = images
        shape, dtype, _ = images.header
        self.last = self._layout(shape)
        if dtype != np.uint8 and dtype.kind != "f":
            raise CorruptData(
                f"{images.where} is of {dtype}; images must be uint8, or floats in [0, 1]: if its "
                "values are 0 ... 255, save images.astype(np.uint8)"
            )
        self.labels = _labels(labels, shape[0], images)

    def _layout(self, shape: tuple[int, ...]) -> bool:
        """Whether colours are the last axis."""
        if len(shape) == 3:
            return False
        first, last = (len(shape) == 4 and shape[axis] in (1, 3) for axis in (1, -1))
        if first != last:
            return last
        where = self.images.where
        if first:
            raise CorruptData(f"{where} is {shape}, which can be N C H W as well as N H W C")
        alpha = " (an alpha channel has to go)" if 4 in shape[1:] and len(shape) == 4 else ""
        raise CorruptData(
            f"{where} is {shape}; images must be N H W, N H W C or N C H W with C = 1 or 3{alpha}"
        )

    @property
    def first(self) -> ImageShape:
        """The shape of the first image, as it lies there."""
        shape = self.images.header[0][1:]
        if len(shape) == 2:
            return ImageShape(1, *shape)
        return ImageShape(shape[-1], *shape[:-1]) if self.last else ImageShape(*shape)

    def name(self, index: int) -> str:
        """What names an image in the choice of splits."""
        return str(index)

    def where(self, index: int) -> str:
        """What to call an image in messages."""
        return f"{self.images.where}[{index}]"

    def read(self, indices: NDArray[np.int64]) -> Iterator[Image.Image]:
        """The images at `indices`, which ascend; see `Part`."""
        from PIL import Image

        for start, chunk in self.images.chunks():
            low, high = np.searchsorted(indices, (start, start + len(chunk)))
            for index in indices[low:high]:
                pixels = _bytes_of(chunk[index - start], self.where(index))
                if pixels.ndim == 3:
                    pixels = pixels if self.last else pixels.transpose(1, 2, 0)
                    pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
                yield Image.fromarray(np.ascontiguousarray(pixels))


def _bytes_of(image: NDArray[Any], where: str) -> NDArray[np.uint8]:
    if image.dtype == np.uint8:
        return image
    if not ((image >= 0) & (image <= 1)).all():  # NaN is neither
        wrong = image[~((image >= 0) & (image <= 1))][0]
        raise CorruptData(
            f"{where} has the value {wrong}; floats must be in [0, 1]: if they are 0 ... 255, "
            "divide by 255, and mend what is not a number"
        )
    return np.rint(image.astype(np.float64) * 255).astype(np.uint8)


def _labels(labels: Stored, n: int, images: Stored) -> NDArray[np.int64]:
    shape, dtype, _ = labels.header
    if len(shape) != 1 or dtype.kind not in "iu":
        mend = "; of one-hot labels save argmax(1)" if len(shape) == 2 else ""
        if dtype.kind in "SU":
            mend = "; of names save np.unique(names, return_inverse=True)[1]"
        raise CorruptData(
            f"{labels.where} is {shape} of {dtype}; labels must be N whole numbers, one class per "
            f"image{mend}"
        )
    if shape[0] != n:
        raise CorruptData(
            f"{labels.where} has {shape[0]:,} entries, and {images.where} {n:,} images; "
            "there must be one label per image"
        )
    found = labels.whole()
    if n and (found.min() < 0 or found.max() > LARGEST_LABEL):
        wrong = found.min() if found.min() < 0 else found.max()
        raise CorruptData(
            f"{labels.where} has the label {wrong}; labels must be classes from 0 to "
            f"{LARGEST_LABEL:,}: number them with np.unique(labels, return_inverse=True)[1]"
        )
    return found.astype(np.int64)


def _npz(path: Path) -> Found:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
    except BROKEN as error:
        raise CorruptData(f"{path} is damaged and cannot be read ({error})") from error
    if {"images", "labels"} <= names:
        found = {"all": ""}
    else:
        found = {
            split: f"{split}_" for split in SPLITS if {f"{split}_images", f"{split}_labels"} & names
        }
    wanted = [f"{prefix}{what}" for prefix in found.values() for what in ("images", "labels")]
    lacking = [name for name in wanted if name not in names]
    if lacking or ("all" not in found and not {"train", "test"} <= {*found}):
        raise CorruptData(
            f"{path} has the arrays {', '.join(sorted(names)) or 'none'}; it must have images and "
            "labels, or train_images, train_labels, test_images, test_labels and perhaps "
            "validation_images, validation_labels"
        )
    parts = {
        split: Arrays(Stored(path, f"{prefix}images"), Stored(path, f"{prefix}labels"))
        for split, prefix in found.items()
    }
    return Found(parts, {"arrays.npz": path})


def _npy(path: Path) -> Found:
    beside = path.with_name(f"{path.stem}_labels.npy")
    if not beside.is_file():
        raise MissingData(f"{beside} does not exist; the labels of {path.name} are expected there")
    part = Arrays(Stored(path), Stored(beside))
    return Found({"all": part}, {"images.npy": path, "labels.npy": beside})


def _idx(folder: Path) -> Found | None:
    """IDX files, of which one is of images and one of its labels, or such a pair for each split."""
    entries = [folder / entry.name for entry in _inside(folder) if entry.is_file()]
    named = {official_name(path): path for path in entries if "-idx" in official_name(path)}
    images = sorted(name for name in named if "-idx1" not in name)
    if not named:
        return None
    pairs = {}
    for name in images:
        split = _split_of(name)
        labels = re.sub("-idx[34]", "-idx1", name.replace("images", "labels"))
        if labels not in named or labels == name:
            raise CorruptData(f"{folder} has {named[name].name} without {labels}, plain or .gz")
        if split in pairs:
            raise CorruptData(f"{folder} has two files of images for {split}: {', '.join(images)}")
        pairs[split] = (named[name], named[labels])
    if len(pairs) == 1:
        pairs = {"all": next(iter(pairs.values()))}
    elif not {"train", "test"} <= {*pairs}:
        raise CorruptData(
            f"{folder} has IDX files of images for {', '.join(pairs) or 'nothing'}; there must be "
            "one file, or train-images-idx3-ubyte and t10k-images-idx3-ubyte, with their labels"
        )
    parts = {split: Arrays(*map(Stored, both)) for split, both in pairs.items()}
    files = {
        f"{split}-{what}": path
        for split, both in pairs.items()
        for what, path in zip(("images", "labels"), both, strict=True)
    }
    return Found(parts, files)


def _split_of(name: str) -> str:
    for beginning, split in (("train", "train"), ("t10k", "test"), ("test", "test"),
                             ("val", "validation")):  # fmt: skip
        if name.startswith(beginning):
            return split
    return "all"
