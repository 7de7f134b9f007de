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


@dataclass(frozen=True)
class Factor:
    """The default times a number in [low, high], searched on a logarithmic scale.

    For options whose default another plugin or the study decides, such as a weight.
    """

    low: float
    high: float


Space = dict[str, Float | Int | Choice | Factor]
"""Option of a constructor -> where to search it."""
