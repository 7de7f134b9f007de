"""AffNIST's law over data sets: variants of any images, and of MNIST's the AffNIST of the paper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
from tvae.shapes import ImageShape


@dataclass(frozen=True)
class Transformed(Source):
    """The images of another data set under random affine transformations, `tvae.data.affnist`.

    They are made once and kept in the cache as mapped files, so that they need little memory and
    processes share them. The options are those of the originals; ``variants``, how many images each
    original gets, where wanted apart for fit and test images (see `variants_of`; 1 by default); and
    ``digest``, the content that must come out: with it the cache answers without a look at the
    originals.

    Attributes:
        name: of the set that is made.
        of: the originals.
    """

    name: str
    of: Source

    @property
    def summary(self) -> str:  # type: ignore[override]  # depends on the originals
        """One line for people."""
        return f"{self.of.summary}, under random affine transformations"

    @property
    def sizes(self) -> tuple[int, int, int]:  # type: ignore[override]
        """Of the originals."""
        return self.of.sizes

    @property
    def shape(self) -> ImageShape:  # type: ignore[override]
        """40/28 times as high and wide as the originals."""
        return self.image_shape()

    @property
    def options(self) -> frozenset[str]:  # type: ignore[override]
        """Those of the originals, and how many are made of each."""
        return self.of.options | {"variants", "digest"}

    def images(self, **options: Option) -> dict[str, int]:
        """Split -> its number of images."""
        each = variants_of(options.get("variants", 1))
        return {split: each[split] * n for split, n in self.of.images(**self._of(options)).items()}

    def image_shape(self, **options: Option) -> ImageShape:
        """40/28 times as high and wide as the originals."""
        from tvae.data import affnist

        return affnist.canvas_of(self.of.image_shape(**self._of(options)))

    def check(self, **options: Option) -> None:
        """Refuse options of wrong values, those of the originals included."""
        variants_of(options.get("variants", 1))
        self.of.check(**self._of(options))

    def locate(self, root: Path | None) -> Path:
        """The originals to make it from, or else what the cache holds."""
        try:
            return self.of.locate(root)
        except MissingData as error:
            kept = self._kept(root)
            if kept is not None:
                return kept
            original = self.name.removeprefix("transformed(").removesuffix(")")
            raise MissingData(f"{self.name} is made from {original}, and {error}") from error

    def verify(self, root: Path | None, **options: Option) -> dict[str, str]:
        """The digest of the content, after reading what the cache holds, or what it is made from.

        One and the same before it is made and after: keys of trials hold it.
        """
        digest = self._digest(root, options)
        if "digest" in self.of.options:
            # whose images nobody knows: what cannot be made of them is said now
            self.of.verify(root, **self._of(options))
            stored.verify(self._make(root, options))
        elif stored.exists(_folder(digest)):
            stored.verify(_folder(digest))
        else:
            self.of.verify(root, **self._of(options))
        return {self.name: digest}

    def content(self, root: Path | None, **options: Option) -> str:
        """The digest of the content, before it is made."""
        return self._digest(root, options)

    def load(self, root: Path | None, **options: Option) -> Dataset:
        """The images, mapped from the cache; made first if it does not hold them."""
        wanted = options.get("digest")
        if wanted and stored.exists(_folder(str(wanted))):
            return self._named(stored.read(_folder(str(wanted))))
        found = self._named(stored.read(self._make(root, options)))
        if wanted and found.digest != wanted:
            raise CorruptData(
                f"{self.name} has changed: its content was {wanted}, and is {found.digest}; "
                "run the study again"
            )
        return found

    def fetch(self, root: Path | None, **options: Option) -> Path:
        """Make the set in the cache, unless it is there and intact; fetch originals if need be."""
        try:
            return stored.mended(lambda: self._make(root, options))
        except MissingData:
            self.of.fetch(root, **self._of(options))
        return stored.mended(lambda: self._make(root, options))

    def choices(self, root: Path | None, **options: Option) -> tuple[str, ...]:
        """How many of each original, and what is done where the law does not say."""
        each = variants_of(options.get("variants", 1))
        return (
            *self.of.choices(root, **self._of(options)),
            f"{self.name} is made by AffNIST's published ranges, whose order is ours; images of "
            f"every original: {each['train']} to fit on, {each['test']} to test on; what would not "
            "fit on the canvas is drawn again.",
        )

    def _of(self, options: Mapping[str, Option]) -> dict[str, Option]:
        """What the originals take of the options."""
        return {
            name: value
            for name, value in options.items()
            if name in self.of.options and name not in ("variants", "digest")
        }

    def _digest(self, root: Path | None, options: Mapping[str, Option]) -> str:
        from tvae.data import affnist

        shape = self.image_shape(**options)
        return affnist.digest(
            self.of.content(root, **self._of(options)),
            variants_of(options.get("variants", 1)),
            (shape.height, shape.width),
        )

    def _kept(self, root: Path | None) -> Path | None:
        """The folder of the cache that holds one variant of each original, if one does."""
        try:
            kept = _folder(self._digest(root, {}))
        except (MissingData, CorruptData):
            return None
        return kept if stored.exists(kept) else None

    def _splits(
        self, root: Path | None, options: Mapping[str, Option]
    ) -> dict[str, Iterator[Split]]:
        originals = self.of.load(root, **self._of(options))
        return _generate(originals, options.get("variants", 1))

    def _make(self, root: Path | None, options: Mapping[str, Option]) -> Path:
        digest = self._digest(root, options)
        folder = _folder(digest)
        if not stored.exists(folder):
            self.locate(root)
        return stored.make(folder, self.name, digest, lambda: self._splits(root, options))

    def _named(self, found: Dataset) -> Dataset:
        """The same by this name: equal content is kept once, whoever made it first."""
        return Dataset(self.name, found.train, found.validation, found.test, found.digest)


@dataclass(frozen=True)
class AffNIST(Transformed):
    """AffNIST from all of MNIST: the official files where `root` has them, otherwise generated.

    Either way it is kept in the cache. The option `variants` may be 1 (default) to the 32 of the
    official files, any number when generated. ``{train: 32, test: 1}``, 1.6 million images to fit
    on and 10,000 to test on, takes 2.7 GB on disk.
    """

    name: str = "affnist"
    of: Source = MNIST
    summary = "MNIST under random affine transformations"
    options = frozenset({"variants"})

    def locate(self, root: Path | None) -> Path:
        """The official files, or else the MNIST to generate from, or what the cache holds."""
        if files := _official(root, {}):
            return files["test"][0].parent
        try:
            return MNIST.locate(root)
        except MissingData as error:
            kept = self._kept(None)
            if kept is not None:
                return kept
            raise MissingData(f"affnist is generated from mnist, and {error}") from error

    def verify(self, root: Path | None, **options: Option) -> dict[str, str]:
        """The digest of the content, after reading what the cache or else a file holds."""
        files = _official(root, options)
        if files is None or stored.exists(_folder(self._digest(root, options))):
            return super().verify(root, **options)
        for chunks in affnist_files.read_splits(files).values():
            for _ in chunks:  # reading is the check
                pass
        return {self.name: self._digest(root, options)}

    def fetch(self, root: Path | None, **options: Option) -> Path:
        """Make the set in the cache, unless it is there and intact; download MNIST if need be."""
        _official(root, options)  # too few batches are no reason to download anything
        return super().fetch(root, **options)

    def choices(self, root: Path | None, **options: Option) -> tuple[str, ...]:
        """Whose images they are, and how many of each original."""
        official = _official(root, options) is not None
        return (_told("official" if official else "generated", "MNIST", options),)

    def _digest(self, root: Path | None, options: Mapping[str, Option]) -> str:
        files = _official(root, options)
        return super()._digest(root, options) if files is None else affnist_files.digest(files)

    def _splits(
        self, root: Path | None, options: Mapping[str, Option]
    ) -> dict[str, Iterator[Split]]:
        files = _official(root, options)
        return super()._splits(root, options) if files is None else affnist_files.read_splits(files)


@dataclass(frozen=True)
class AffNISTSmall(Source):
    """AffNIST from the embedded MNIST subset, generated in memory at every load."""

    name: str = "affnist_small"
    summary: str = "mnist_small under random affine transformations"
    sizes = MNIST_SMALL.sizes
    shape = ImageShape(1, 40, 40)

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
        return (_told("generated", "12,000 of MNIST's digits", {}),)


def _official(root: Path | None, options: Mapping[str, Option]) -> dict[str, list[Path]] | None:
    files = affnist_files.find(root) if root is not None else None
    variants = variants_of(options.get("variants", 1))
    return None if files is None else affnist_files.take(files, variants)


def _told(how: str, originals: str, options: Mapping[str, Option]) -> str:
    each = variants_of(options.get("variants", 1))
    if how == "official":
        made = "AffNIST is read from its official files"
    else:
        made = f"AffNIST is generated from {originals} by its published ranges, whose order is ours"
    return f"{made}; images of every digit: {each['train']} to fit on, {each['test']} to test on."


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
