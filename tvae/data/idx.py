"""IDX files, the format of MNIST and its kin: read strictly and by digest.

An IDX file is big-endian: two zero bytes, a type (8 = unsigned byte), the number of dimensions d,
d sizes of four bytes, then the values (http://yann.lecun.com/exdb/mnist/).
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tvae.data.source import CorruptData

DIGESTS = {
    "mnist": {
        "train-images-idx3-ubyte": (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
        ),
        "train-labels-idx1-ubyte": (
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
        ),
        "t10k-images-idx3-ubyte": (
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
        ),
        "t10k-labels-idx1-ubyte": (
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
        ),
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte": (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
        ),
        "train-labels-idx1-ubyte": (
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
        ),
        "t10k-images-idx3-ubyte": (
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
        ),
        "t10k-labels-idx1-ubyte": (
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
        ),
    },
}
"""Data set -> official file -> SHA-256 of its decompressed bytes."""


def official_name(path: Path) -> str:
    """The official name of the file at `path`: without ``.gz``, and with Kaggle's ``.`` mended.

    Kaggle's ``train-images.idx3-ubyte`` is the official ``train-images-idx3-ubyte``.
    """
    return path.name.removesuffix(".gz").replace(".idx", "-idx")


def read_bytes(path: Path) -> bytes:
    """The decompressed bytes of `path`; a name in ``.gz`` means gzip.

    Raises:
        CorruptData: the file cannot be decompressed.
    """
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as file:
            return file.read()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CorruptData(
            f"{path} is damaged: it does not decompress ({error}); delete it and get it again"
        ) from error


def parse(content: bytes, dimensions: int, where: str) -> NDArray[np.uint8]:
    """The array in the bytes of an IDX file of unsigned bytes.

    Args:
        content: the whole file, decompressed.
        dimensions: how many the array must have.
        where: what to call the file in messages.

    Raises:
        CorruptData: the type or the number of dimensions is another, or the length is not what
            the header says.
    """
    magic = bytes([0, 0, 8, dimensions])
    if content[:4] != magic:
        raise CorruptData(
            f"{where} begins with the bytes {content[:4].hex()}; an IDX file of unsigned bytes "
            f"with {dimensions} dimensions begins with {magic.hex()}"
        )
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise CorruptData(f"{where} ends in its header: {len(content)} of {header} bytes")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if len(content) != header + math.prod(shape):
        raise CorruptData(
            f"{where} has {len(content)} bytes; its header says {shape}, "
            f"which makes {header + math.prod(shape)}"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def read_verified(dataset: str, file: str, path: Path) -> NDArray[np.uint8]:
    """The array in `path`, which must be the official `file` of `dataset` to the byte.

    Raises:
        CorruptData: it is not; the message has the expected and the found digest.
    """
    content = read_bytes(path)
    expected, found = DIGESTS[dataset][file], hashlib.sha256(content).hexdigest()
    if found != expected:
        known = [
            f"; these are the bytes of {other}'s {name}"
            for other, files in DIGESTS.items()
            for name, digest in files.items()
            if digest == found
        ]
        raise CorruptData(
            f"{path} is not {dataset}'s {file}: expected SHA-256 {expected}, "
            f"found {found} in {len(content)} bytes{''.join(known)}"
        )
    return parse(content, 3 if "images" in file else 1, str(path))
