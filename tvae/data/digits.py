"""scikit-learn's digits: 1,797 handwritten digits of 8 x 8 pixels, which come with the library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tvae.data.records import Dataset, Split
from tvae.data.small import choose
from tvae.data.source import CorruptData, Option, Source
from tvae.shapes import ImageShape

DIGEST = "fdcc16b9550158379907e26743a1cf2520aedf37e32ed3be2e09d18bc9f0107f"
"""Of the content."""


@dataclass(frozen=True)
class Digits(Source):
    """The optical digits of the UCI repository, in grey values of 0 ... 255 instead of 0 ... 16.

    Nobody has split them here: 36 images of each class test, 18 validate, chosen by hashes.
    """

    name: str = "digits"
    summary: str = "scikit-learn's handwritten digits, 8 x 8"
    sizes = (1_257, 180, 360)
    shape = ImageShape(1, 8, 8)

    def locate(self, root: Path | None) -> Path:
        """The library's folder; `root` does not matter."""
        import sklearn.datasets

        return Path(sklearn.datasets.__file__).parent / "data" / "digits.csv.gz"

    def verify(self, root: Path | None, **options: Option) -> dict[str, str]:
        """The digest of the content, after reading it."""
        return {self.name: self.load(root).digest}

    def content(self, root: Path | None, **options: Option) -> str:
        """It is known."""
        return DIGEST

    def load(self, root: Path | None, **options: Option) -> Dataset:
        """The 1,257 / 180 / 360 images; ``source`` numbers them as the library does."""
        from sklearn.datasets import load_digits

        images, labels = (load_digits()[what] for what in ("images", "target"))
        whole = Split(
            np.rint(images * (255 / 16)).astype(np.uint8),
            labels.astype(np.int64),
            source=np.arange(len(labels)),
        )
        test = choose(whole, self.sizes[2], f"{self.name}/test")
        rest = _without(whole, test)
        validation = choose(rest, self.sizes[1], f"{self.name}/validation")
        found = Dataset.of(self.name, _without(rest, validation), validation, test)
        if found.digest != DIGEST:
            raise CorruptData(
                f"{self.locate(root)} is not what scikit-learn ships: expected content of SHA-256 "
                f"{DIGEST}, found {found.digest}: reinstall scikit-learn"
            )
        return found


def _without(split: Split, taken: Split) -> Split:
    assert split.source is not None
    assert taken.source is not None
    left = ~np.isin(split.source, taken.source)
    return Split.of({name: array[left] for name, array in split.arrays()})


DIGITS = Digits()
