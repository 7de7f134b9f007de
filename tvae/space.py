"""Search spaces as plain data: what a plugin declares and only the tuner interprets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Float:
    """A real number in [low, high]; `log`: searched on a logarithmic scale."""

    low: float
    high: float
    default: float
    log: bool = False


@dataclass(frozen=True)
class Int:
    """A whole number in [low, high]."""

    low: int
    high: int
    default: int


@dataclass(frozen=True)
class Choice:
    """One of `options`."""

    options: tuple[object, ...]
    default: object


Space = dict[str, Float | Int | Choice]
"""Option of a constructor -> where to search it."""
