"""Search spaces as plain data: what a plugin declares and only the tuner interprets.

A range that nothing could search is refused where it is declared, so that a plugin with one is
broken when it is imported, not when a study comes to tune it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite


def _check_range(low: float, high: float, *, positive: bool) -> None:
    if not (isfinite(low) and isfinite(high) and low < high):
        raise ValueError(f"a search needs low < high, both finite, got {low} and {high}")
    if positive and low <= 0:
        raise ValueError(f"a logarithmic search needs low > 0, got {low}")


def _check_default(low: float, high: float, default: float) -> None:
    if not low <= default <= high:
        raise ValueError(f"the default {default} must lie in [{low}, {high}], where it is searched")


@dataclass(frozen=True)
class Float:
    """A real number in [low, high]; `log`: searched on a logarithmic scale.

    Raises:
        ValueError: an empty or infinite range, one from 0 or below with `log`, or a default
            outside it.
    """

    low: float
    high: float
    default: float
    log: bool = False

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, positive=self.log)
        _check_default(self.low, self.high, self.default)


@dataclass(frozen=True)
class Int:
    """A whole number in [low, high].

    Raises:
        ValueError: an empty range, or a default outside it.
        TypeError: an end that is no whole number.
    """

    low: int
    high: int
    default: int

    def __post_init__(self) -> None:
        if not all(type(end) is int for end in (self.low, self.high, self.default)):
            raise TypeError(f"must be whole numbers, got {self.low}, {self.high}, {self.default}")
        _check_range(self.low, self.high, positive=False)
        _check_default(self.low, self.high, self.default)


@dataclass(frozen=True)
class Choice:
    """One of `options`, each None, a truth value, a number or a text.

    Raises:
        ValueError: no options, one twice, one of another type, or a default that is none of them.
    """

    options: tuple[object, ...]
    default: object

    def __post_init__(self) -> None:
        plain = (type(None), bool, int, float, str)
        if not self.options or not all(isinstance(option, plain) for option in self.options):
            raise ValueError(f"options must be texts, numbers, true, false or null: {self.options}")
        if len({repr(option) for option in self.options}) < len(self.options):
            raise ValueError(f"an option comes twice: {self.options}")
        if self.default not in self.options:
            raise ValueError(f"the default {self.default!r} is none of the options {self.options}")


@dataclass(frozen=True)
class Factor:
    """The default times a number in [low, high], searched on a logarithmic scale.

    For options whose default another plugin or the study decides, such as a weight.

    Raises:
        ValueError: an empty or infinite range, one from 0 or below, or one without 1, the default.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, positive=True)
        _check_default(self.low, self.high, 1.0)


Space = dict[str, Float | Int | Choice | Factor]
"""Option of a constructor -> where to search it."""
