"""The looks of a study, replayed: what each said, and whether the study goes on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.study.setup import Study

if TYPE_CHECKING:
    from bench.plan.progress import Ending
    from reports.manifest import ContrastEntry
    from reports.statistics.records import Verdict

DECIDED = ("better", "worse", "equivalent")
"""The words at which a study ends before its last look."""


@dataclass(frozen=True)
class Looks:
    """How far the looks of a study are; a study without any ends with its last seed, undecided.

    Attributes:
        planned: numbers of seeds.
        passed: the verdict at each look of which every trial has ended, up to the one that decides.
    """

    planned: tuple[int, ...]
    passed: tuple[Verdict, ...]

    @property
    def decided(self) -> bool:
        """Whether the last look that was passed decides."""
        return bool(self.passed) and self.passed[-1] in DECIDED

    @property
    def open(self) -> int | None:
        """The seeds of the look that is waited for; None: there is none, the study is over."""
        over = self.decided or len(self.passed) == len(self.planned)
        return None if over else self.planned[len(self.passed)]

    @property
    def counted(self) -> int | None:
        """How many seeds count: those of the looks passed, or of the first; None: all of them."""
        return self.planned[max(len(self.passed), 1) - 1] if self.planned else None

    @property
    def standing(self) -> str:
        """Which look is open, in words; empty: none is."""
        return f"{self.name(len(self.passed) + 1)} is open" if self.open else ""

    @property
    def said(self) -> list[str]:
        """What each look that was passed said, a line each."""
        return [f"{self.name(k)}: {word}" for k, word in enumerate(self.passed, 1)]

    def name(self, number: int) -> str:
        """A look in words; `number` counts from 1."""
        return f"look {number} of {len(self.planned)} ({self.planned[number - 1]} seeds)"


def level_of(study: Study) -> float:
    """The level of each interval: the study's, or where it has looks, that of every single one."""
    if not study.looks:
        return study.level
    from reports.statistics.looks import per_look

    return per_look(study.looks, study.level)


def ask(study: Study, endings: Iterable[Ending], seeds: Sequence[int]) -> Verdict:
    """What the primary contrast says at a look.

    Args:
        study: resolved.
        endings: of its trials.
        seeds: of the look.
    """
    from bench.plan.rows import frame, rows
    from reports.statistics.pairs import pair
    from reports.statistics.verdicts import word

    primary = study.primary
    sides = (primary.treatment, primary.control)
    asked = [e for e in endings if e.trial.arm in sides and e.trial.seed in seeds]
    contrast: ContrastEntry = {**primary.model_dump()}  # type: ignore[typeddict-item]
    return word(pair(frame(rows(study.name, asked)), contrast, seeds), level_of(study))
