"""Where people read what a command says."""

from __future__ import annotations

import io
import sys

from rich.console import Console


def console(*, stderr: bool = False) -> Console:
    """Standard output, or standard error, for text as it is.

    Nothing in it is markup or coloured for its looks, and no line is broken: what is printed may
    hold names that people gave, and be read by a program. Characters that the stream's encoding
    does not have are written as escapes: a finished study must not end in an error over a ±.
    """
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
        stream.reconfigure(errors="backslashreplace")
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)
