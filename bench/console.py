"""Where people read what a command says."""

from __future__ import annotations

from rich.console import Console


def console(*, stderr: bool = False) -> Console:
    """Standard output, or standard error, for text as it is.

    Nothing in it is markup or coloured for its looks, and no line is broken: what is printed may
    hold names that people gave, and be read by a program.
    """
    return Console(stderr=stderr, highlight=False, markup=False, soft_wrap=True)
