"""AffNIST as data sets: the large one kept in the cache, the small one made at load."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from tvae.data import affnist_files, stored
from tvae.data.full import MNIST
from tvae.data.records import SPLITS, Dataset, Split
from tvae.data.small import MNIST_SMALL
from tvae.data.source import (
    CorruptData,
    MissingData,
    Option,
    Source,
    cache_folder,
    variants_of,
)


@dataclass(frozen=True)
class AffNIST(Source):
    """AffNIST from all of MNIST: the official files where `root` has them, otherwise generated.

    Either way it is made once and kept in the cache as mapped files, so that it needs little
    memory and processes share it. The option `variants` says how many images each original gets,
    where wanted apart for fit and test images (see `variants_of`): 1 (default) to the 32 of the
    official files, any number when generated. ``{train: 32, test: 1}``, 1.6 million images to fit
    on and 10,000 to test on, takes 2.7 GB on disk.
    """

    name: str = "affnist"
    summary: str = "MNIST under random affine transformations"
    sizes = (50_000, 10_000, 10_000)
    pixels = 40
    options = frozenset({"variants"})

    def locate(self, root: Path | None) -> Path:
        """The official files, or else the MNIST to generate from, or what the cache holds."""
        if files := _official(root):
            return files["test"][0].parent
        try:
            return MNIST.locate(root)
        except MissingData as error:
            kept = _folder(_digest(None))
            if stored.exists(kept):
                return kept
            raise MissingData(f"affnist is generated from mnist, and {error}") from error

    def verify(self, root: Path | None, **options: Option) -> dict[str, str]:
        """The digest of the content, after reading what the cache holds, or what it is made from.

        One and the same before it is made and after: keys of trials hold it.
        """
        files = _official(root, **options)
        digest = _digest(files, **options)
        if stored.exists(_folder(digest)):
            stored.verify(_folder(digest))
        elif files is None:
            self.locate(root)
            MNIST.verify(root)
        else:
            for chunks in affnist_files.read_splits(files).values():
                for _ in chunks:  # reading is the check
                    pass
        return {self.name: digest}

    def load(self, root: Path | None, **options: Option) -> Dataset:
        """The images, mapped from the cache; made first if it does not hold them."""
        return stored.read(self._make(root, **options))

    def fetch(self, root: Path | None, **options: Option) -> Path:
        """Make the set in the cache, unless it is there and intact; download MNIST if need be."""
        files = _official(root, **options)
        folder = _folder(_digest(files, **options))
        if stored.exists(folder):
            try:
                stored.verify(folder)
            except CorruptData:
                shutil.rmtree(folder)
        if files is None and not stored.exists(folder):
            try:
                MNIST.locate(root)
            except MissingData:
                MNIST.fetch(root)
        return self._make(root, **options)

    def choices(self, root: Path | None, **options: Option) -> tuple[str, ...]:
        """Whose images they are, and how many of each original."""
        official = _official(root, **options) is not None
        return (_told("official" if official else "generated", "MNIST", **options),)

    def _make(self, root: Path | None, variants: Option = 1) -> Path:
        files = _official(root, variants)
        digest = _digest(files, variants)
        folder = _folder(digest)
        if stored.exists(folder):
            return folder
        if files is None:
            self.locate(root)
        folder.parent.mkdir(parents=True, exist_ok=True)
        # of the trials that start together one makes it, which takes minutes, and the others wait
        with FileLock(folder.parent / f".{folder.name}.lock"):
            if not stored.exists(folder):
                official = files and affnist_files.read_splits(files)
                splits = official or _generate(MNIST.load(root), variants)
                stored.write(folder, self.name, digest, splits)
        return folder


@dataclass(frozen=True)
class AffNISTSmall(Source):
    """AffNIST from the embedded MNIST subset, generated in memory at every load."""

    name: str = "affnist_small"
    summary: str = "mnist_small under random affine transformations"
    sizes = MNIST_SMALL.sizes
    pixels = 40

    def locate(self, root: Path | None) -> Path:
        """The embedded originals."""
        return MNIST_SMALL.locate(root)

    def verify(self, root: Path | None, **options: Option) -> dict[str, str]:
        """The digest of the embedded originals."""
        return MNIST_SMALL.verify(root)

    def load(self, root: Path | None, **options: Option) -> Dataset:
        """One variant of each original."""
        from tvae.data import affnist

        chunks = _generate(MNIST_SMALL.load(root), 1)
        train, validation, test = (_join(list(chunks[split])) for split in SPLITS)
        digest = affnist.digest(MNIST_SMALL.identity, variants_of(1))
        return Dataset(self.name, train, validation, test, digest)

    def choices(self, root: Path | None, **options: Option) -> tuple[str, ...]:
        """Whose images they are, and how many of each original."""
        return (_told("generated", "12,000 of MNIST's digits"),)


def _official(root: Path | None, variants: Option = 1) -> dict[str, list[Path]] | None:
    files = affnist_files.find(root) if root is not None else None
    return None if files is None else affnist_files.take(files, variants_of(variants))


def _told(how: str, originals: str, variants: Option = 1) -> str:
    each = variants_of(variants)
    if how == "official":
        made = "AffNIST is read from its official files"
    else:
        made = f"AffNIST is generated from {originals} by its published ranges, whose order is ours"
    return f"{made}; images of every digit: {each['train']} to fit on, {each['test']} to test on."


def _digest(files: dict[str, list[Path]] | None, variants: Option = 1) -> str:
    from tvae.data import affnist

    if files is not None:
        return affnist_files.digest(files)
    return affnist.digest(MNIST.identity, variants_of(variants))


def _folder(digest: str) -> Path:
    return cache_folder() / f"affnist-{digest[:16]}"


def _generate(originals: Dataset, variants: Option) -> dict[str, Iterator[Split]]:
    from tvae.data import affnist

    return {
        split: affnist.generate(getattr(originals, split), split, each)
        for split, each in variants_of(variants).items()
    }


def _join(chunks: list[Split]) -> Split:
    parts = [dict(chunk.arrays()) for chunk in chunks]
    return Split.of({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


AFFNIST = AffNIST()
AFFNIST_SMALL = AffNISTSmall()
