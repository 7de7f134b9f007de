"""The one way in which a trial's ``.npz`` is read: no objects, and damage is always a `ValueError`.

The file may have been cut short, hit by a flipped bit, or made by somebody who wishes us ill.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 2**30
"""Of all arrays of a file together; what trials leave takes a few megabytes."""


def load(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of the file by name.

    Raises:
        ValueError: it is missing, no archive of arrays, damaged, or too large to be one of ours.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            _admit(path, file.zip.infolist())
            arrays = {name: file[name] for name in file.files}
    # Not a list of what NumPy, zipfile and zlib raise over damage: it is long, says nothing, and
    # whatever one of them raises, it is this file that cannot be read.
    except Exception as error:
        raise ValueError(f"cannot be read: {str(error) or type(error).__name__}") from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # what a member without an array's head comes as
            raise ValueError(f"cannot be read: {name} is no array")
    return arrays


def _admit(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse an archive that is not all there, or would take more memory than should be spent.

    A flipped bit in the directory can hide members, and nobody complains: but the last 22 bytes of
    a file without a comment, such as NumPy writes, say how many there are. And no member unpacks to
    more than the directory says. An array's head may claim more: memory asked for is then refused,
    or never touched, since the bytes end before.
    """
    told = int.from_bytes(_tail(path)[10:12], "little")
    if told != len(members):
        raise ValueError(f"it says that it holds {told} arrays, and {len(members)} are found")
    if (size := sum(member.file_size for member in members)) > MOST_BYTES:
        raise ValueError(f"it would take {size:,} bytes of memory; at most {MOST_BYTES:,} are read")


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-22, os.SEEK_END)
        return file.read()
