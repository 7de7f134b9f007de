"""What every data set promises."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from tvae import data
from tvae.data import Source


class DatasetContract:
    """The promises of a data set; it is asked for no more than is on this machine.

    Attributes:
        plugin: the instance of `tvae.data.Source` under test, or its registered name.
        root: where its files are looked for first.
    """

    plugin: ClassVar[Source | str]
    root: ClassVar[Path | None] = None

    def source(self) -> Source:
        """The source under test."""
        return data.source(self.plugin) if isinstance(self.plugin, str) else self.plugin

    def test_it_says_what_it_is(self) -> None:
        """In a line."""
        assert self.source().summary

    def test_its_files_are_verified(self) -> None:
        """By digests, so that a study can name what it was trained on."""
        checked = self.source().verify(self.root)
        assert checked, "nothing was verified: return what was read -> its SHA-256"
        for what, digest in checked.items():
            assert len(digest) == 64, f"{what}: {digest!r} is no SHA-256"
            assert set(digest) <= set("0123456789abcdef"), f"{what}: {digest!r} is no SHA-256"

    def test_sizes_and_types_are_those_that_it_says(self) -> None:
        """Images of uint8 and of its shape, labels of int64, every split as large as announced."""
        source = self.source()
        found = source.load(self.root)
        splits = (found.train, found.validation, found.test)
        assert tuple(map(len, splits)) == source.sizes
        for split in splits:
            assert split.shape == source.shape
            assert split.labels.dtype == np.int64
            assert split.labels.ndim == 1, "labels are classes, one number per image"
            assert split.labels.min() >= 0
            assert split.images.max() > split.images.min(), "every pixel is the same"

    def test_loading_twice_gives_the_same(self) -> None:
        """Digest and content."""
        first, again = (self.source().load(self.root) for _ in range(2))
        assert first.digest == again.digest
        assert np.array_equal(first.train.images, again.train.images)

    def test_splits_share_no_image(self) -> None:
        """Or the test set would be known from training."""
        found = self.source().load(self.root)
        train = {image.tobytes() for image in found.train.images}
        for split in (found.validation, found.test):
            shared = sum(image.tobytes() in train for image in split.images)
            assert shared <= 0.01 * len(split), f"{shared} of {len(split)} are training images, too"
