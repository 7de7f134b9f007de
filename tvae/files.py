"""Files that are whole or absent, and paths as people type them."""

from __future__ import annotations

import os
from pathlib import Path

from tvae.faultpoints import reach


def expanded(path: str | Path) -> Path:
    """A path as a person types it, with ``~`` as the home: a shell leaves it in ``key=~/x``.

    Raises:
        ValueError: there is no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(
            f"{path}: there is no home here that ~ could mean; write it out"
        ) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content`: a kill at any moment leaves the old file or the new one.

    Raises:
        OSError: the file cannot be written; nothing is left behind.
    """
    kind = path.name.partition("-")[0]  # of a checkpoint the name tells step and digest, too
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    reach(f"{kind}/begin")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        reach(f"{kind}/written")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    reach(f"{kind}/end")
