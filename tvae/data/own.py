"""Images of one's own, by the path where they lie: no code, and no copy of theirs to keep.

They are decoded once, into mapped files in the cache, and named by the bytes of their files and by
what is done to them, so that a path, its being relative, or the time of day do not matter.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvae.data import stored
from tvae.data.fitting import Fit
from tvae.data.own_files import Found, Part, find
from tvae.data.records import SPLITS, Dataset, Split
from tvae.data.source import CorruptData, Option, Source, cache_folder
from tvae.files import expanded
from tvae.shapes import ImageShape

VERSION = 1
"""To be raised with every change that changes an image or a split."""

CHUNK = 2**23
"""Bytes of decoded images in memory at a time."""


def is_path(name: str) -> bool:
    """Whether a data set's name is a path: by its looks, whatever there is on the disk."""
    return (
        "/" in name or os.sep in name or name.startswith((".", "~"))
        or name.endswith((".npz", ".npy"))
    )  # fmt: skip


def label_of(path: str | Path) -> str:
    """What images at `path` are called: its last part, in letters, digits, ``_`` and ``-``.

    Raises:
        ValueError: nothing is left of it.
    """
    name = Path(os.path.abspath(expanded(path))).name
    label = safe(re.sub(r"\.np[yz]$", "", name))
    if not label:
        raise ValueError(f"{path} gives no name; give it one: data.paths.NAME={path}")
    return label


def safe(name: str) -> str:
    """`name` in letters, digits, ``_`` and ``-``, which every table and file system takes."""
    return re.sub(r"[^\w-]+", "_", name, flags=re.ASCII).strip("_")


@dataclass(frozen=True)
class Shares:
    """How images are split that nobody has split yet, class by class.

    Attributes:
        seed: of the choice; the images of a class are ordered by a hash of it and their names.
        validation: part of each class's images to tune on, above 0; at least one image.
        test: part of each class's images to test on, likewise.

    Raises:
        ValueError: nothing would be left to train on, or a share is not above 0.
    """

    seed: int = 0
    validation: float = 0.1
    test: float = 0.2

    def __post_init__(self) -> None:
        for name in ("validation", "test"):
            share = getattr(self, name)
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
                raise ValueError(f"{name}={share} must be a share, above 0 and below 1")
        if self.validation + self.test >= 1:
            raise ValueError(
                f"validation={self.validation} and test={self.test} leave nothing to train on: "
                "they must be less than 1 together"
            )
        if not isinstance(self.seed, int) or isinstance(self.seed, bool):
            raise ValueError(f"seed={self.seed} must be a whole number")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Shares:
        """From the options of that name among others.

        Raises:
            ValueError: as on creation.
        """
        return cls(**{name: given[name] for name in cls.__dataclass_fields__ if name in given})


@dataclass(frozen=True)
class Own(Source):
    """Images at a path; `tvae.data.own_files` says what may lie there.

    The options are those of `Fit` and of `Shares`, and ``digest``, the content that must come out:
    with it the cache answers without a look at the files.

    Attributes:
        path: absolute.
        name: what the images are called.
    """

    path: Path
    name: str
    options = frozenset({*Fit.__dataclass_fields__, *Shares.__dataclass_fields__, "digest"})

    @classmethod
    def at(cls, path: str | Path) -> Own:
        """Those at `path` as a person types it.

        Raises:
            ValueError: it gives no name.
        """
        return cls(Path(os.path.abspath(expanded(path))), label_of(path))

    @property
    def summary(self) -> str:  # type: ignore[override]  # depends on the path
        """One line for people."""
        return f"images from {self.path}"

    @property
    def sizes(self) -> tuple[int, int, int]:  # type: ignore[override]
        """As split by default."""
        train, validation, test = self.images().values()
        return train, validation, test

    @property
    def shape(self) -> ImageShape:  # type: ignore[override]
        """As it lies there."""
        return self.image_shape()

    def check(self, **options: Option) -> None:
        """Those of `Fit` and `Shares`."""
        _settings(options)

    def images(self, **options: Option) -> dict[str, int]:
        """Split -> its number of images, from names and labels alone."""
        _, shares = _settings(options)
        parts = _seen(self.path).parts
        if "all" in parts:
            counted = [_counts(parts["all"], label, shares) for label in _classes(parts["all"])]
            return {split: sum(of[split] for of in counted) for split in SPLITS}
        sizes = {split: len(part.labels) for split, part in parts.items()}
        if "validation" not in sizes:
            held = sum(
                _counts(parts["train"], label, shares, ("validation",))["validation"]
                for label in _classes(parts["train"])
            )
            sizes |= {"train": sizes["train"] - held, "validation": held}
        return {split: sizes[split] for split in SPLITS}

    def image_shape(self, **options: Option) -> ImageShape:
        """From what is said and from the first image's header."""
        fit, _ = _settings(options)
        if fit.size and fit.channels:
            return ImageShape(fit.channels, *fit.size)
        return fit.shape(_first(_seen(self.path)).first)

    def locate(self, root: Path | None) -> Path:
        """The path; `root` does not matter.

        Raises:
            MissingData: nothing lies there.
            CorruptData: nothing that is understood does.
        """
        find(self.path)
        return self.path

    def verify(self, root: Path | None, **options: Option) -> dict[str, str]:
        """The digest of the content, after reading and decoding everything."""
        digest, folder = self._make(options)
        stored.verify(folder)
        return {self.name: digest}

    def content(self, root: Path | None, **options: Option) -> str:
        """The digest of the files and of what is done to them; nothing is decoded."""
        return _digest(find(self.path), *_settings(options))

    def load(self, root: Path | None, **options: Option) -> Dataset:
        """The images, mapped from the cache; decoded first if it does not hold them."""
        wanted = options.get("digest")
        if wanted and stored.exists(_folder(str(wanted))):
            folder = _folder(str(wanted))
        else:
            digest, folder = self._make(options)
            if wanted and digest != wanted:
                raise CorruptData(
                    f"{self.path} has changed: its content was {wanted}, and is {digest}; "
                    "run the study again"
                )
        return replace(stored.read(folder), name=self.name)

    def fetch(self, root: Path | None, **options: Option) -> Path:
        """Decode into the cache, unless that is done and intact."""
        return stored.mended(lambda: self._make(options)[1])

    def choices(self, root: Path | None, **options: Option) -> tuple[str, ...]:
        """How images became one shape, and who split them."""
        fit, shares = _settings(options)
        how = {"refuse": "as they are", "resize": "resized", "crop": "cropped and resized"}
        shape = self.image_shape(**options)
        sentences = [f"The images of {self.name} are {shape} pixels, {how[fit.fit]}."]
        parts = _seen(self.path).parts
        if "all" in parts or "validation" not in parts:
            what = "validation and test images" if "all" in parts else "validation images"
            sentences.append(
                f"The {what} of {self.name} are chosen class by class with seed {shares.seed}."
            )
        return tuple(sentences)

    def _make(self, options: Mapping[str, Option]) -> tuple[str, Path]:
        fit, shares = _settings(options)
        found = find(self.path)
        digest = _digest(found, fit, shares)
        folder = _folder(digest)
        stored.make(folder, self.name, digest, lambda: _splits(found, fit, shares))
        return digest, folder


def _seen(path: Path) -> Found:
    """What lies at `path`; not looked for again while the folders are as they were.

    A study asks for sizes and shapes many times, and a look at 100,000 names takes a second. What
    is hashed and decoded is always looked for anew.
    """
    stamps: list[int] = []
    if path.is_dir():
        with os.scandir(path) as entries:
            stamps = [entry.stat().st_mtime_ns for entry in entries]
    if path.exists():
        stamps += [path.stat().st_mtime_ns, path.stat().st_size]
    return _looked(path, tuple(stamps))


@lru_cache(maxsize=8)
def _looked(path: Path, stamps: tuple[int, ...]) -> Found:
    return find(path)


def _settings(options: Mapping[str, Any]) -> tuple[Fit, Shares]:
    return Fit.of(options), Shares.of(options)


def _folder(digest: str) -> Path:
    return cache_folder() / f"own-{digest[:32]}"


def _digest(found: Found, fit: Fit, shares: Shares) -> str:
    """Of the bytes and names of all files, and of what is done to them."""
    digest = hashlib.sha256(
        json.dumps(
            {
                "version": VERSION,
                "size": fit.size,
                "channels": fit.channels,
                "fit": fit.fit,
                "seed": shares.seed,
                "validation": float(shares.validation),
                "test": float(shares.test),
            },
            sort_keys=True,
        ).encode()
    )
    for name, path in found.files.items():
        try:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise CorruptData(f"{path} cannot be read ({error.strerror})") from error
        digest.update(f"\n{json.dumps(name)} {content}".encode())
    return digest.hexdigest()


def _first(found: Found) -> Part:
    return found.parts["all"] if "all" in found.parts else found.parts["train"]


def _classes(part: Part) -> list[int]:
    return [int(label) for label in np.unique(part.labels)]


def _counts(
    part: Part, label: int, shares: Shares, held: tuple[str, ...] = ("validation", "test")
) -> dict[str, int]:
    """Split -> how many images of a class it gets; of those in `held` at least one.

    Raises:
        CorruptData: the class has too few.
    """
    mine = np.flatnonzero(part.labels == label)
    sizes = {split: max(1, math.floor(len(mine) * getattr(shares, split) + 0.5)) for split in held}
    rest = len(mine) - sum(sizes.values())
    if rest < 1:
        raise CorruptData(
            f"class {label} has only {len(mine)} image{'s' * (len(mine) > 1)} "
            f"({part.where(int(mine[0]))}): at least one is needed to train on beside "
            f"{' and '.join(f'{size} for {split}' for split, size in sizes.items())}; "
            "add images, or choose smaller shares, validation and test"
        )
    return {"train": rest, **sizes}


def _divided(
    part: Part, shares: Shares, held: tuple[str, ...] = ("validation", "test")
) -> dict[str, NDArray[np.int64]]:
    """Split -> the indices of its images, ascending; class by class, by the hashes of names."""
    from tvae.streams import derive_seed

    hashes = [derive_seed(shares.seed, f"own/{part.name(i)}") for i in range(len(part.labels))]
    order = np.argsort(np.array(hashes, np.int64), kind="stable")
    chosen: dict[str, list[NDArray[np.int64]]] = {split: [] for split in (*held, "train")}
    for label in _classes(part):
        mine = order[part.labels[order] == label]
        counts = _counts(part, label, shares, held)
        for split in (*held, "train"):
            chosen[split].append(mine[: counts[split]])
            mine = mine[counts[split] :]
    return {split: np.sort(np.concatenate(indices)) for split, indices in chosen.items()}


def _splits(found: Found, fit: Fit, shares: Shares) -> dict[str, Iterator[Split]]:
    """The images of each split, chunk by chunk."""
    parts = found.parts
    places: dict[str, tuple[Part, NDArray[np.int64]]]
    if "all" in parts:
        divided = _divided(parts["all"], shares)
        places = {split: (parts["all"], divided[split]) for split in SPLITS}
    else:
        places = {split: (part, np.arange(len(part.labels))) for split, part in parts.items()}
        if "validation" not in parts:
            held = _divided(parts["train"], shares, ("validation",))
            places |= {split: (parts["train"], indices) for split, indices in held.items()}
    first = _first(found)
    return {
        split: _decoded(part, indices, fit, first.first, first.where(0))
        for split, (part, indices) in ((split, places[split]) for split in SPLITS)
    }


def _decoded(
    part: Part, indices: NDArray[np.int64], fit: Fit, first: ImageShape, first_where: str
) -> Iterator[Split]:
    size = max(1, CHUNK // fit.shape(first).numbers)
    waiting: list[NDArray[np.uint8]] = []
    done = 0
    for image, index in zip(part.read(indices), indices, strict=True):
        waiting.append(fit(image, part.where(int(index)), first, first_where))
        if len(waiting) == size or done + len(waiting) == len(indices):
            mine = indices[done : done + len(waiting)]
            yield Split(np.stack(waiting), part.labels[mine], source=mine)
            done += len(waiting)
            waiting.clear()
