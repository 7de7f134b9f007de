"""What is wrong with a configuration: everything at once, each at its path."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.study.uris import masked


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a configuration, at a dotted path."""

    path: str
    message: str

    def __str__(self) -> str:
        return masked(f"{self.path}: {self.message}" if self.path else self.message)


class ConfigError(ValueError):
    """Everything that is wrong with a configuration, at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(dict.fromkeys(problems))
        super().__init__("\n".join(map(str, self.problems)))
