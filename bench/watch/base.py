"""What looks on at an execution of a study: is told of everything and decides nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from bench.study.uris import masked

if TYPE_CHECKING:
    from bench.execute.base import Event
    from bench.plan.progress import Ending, Progress
    from bench.plan.trials import Trial
    from bench.plan.tuning import Search

TOLD = ("done", "diverged", "failed")
"""Statuses of trials that are told as ended."""
PAUSE = 300.0
"""Seconds for which who failed is left alone: to find out that a server is away takes some, too."""


@dataclass(frozen=True)
class End:
    """How an execution ended.

    Attributes:
        status: ``FINISHED``, ``FAILED`` (a trial did) or ``KILLED`` (it was interrupted).
        documents: files that say what came out, figures among them.
        headline: the primary contrast as numbers.
        searches: the tuning of every arm, and figures of it.
    """

    status: Literal["FINISHED", "FAILED", "KILLED"]
    documents: Sequence[Path] = ()
    headline: Mapping[str, float] = field(default_factory=dict)
    searches: Sequence[tuple[Search, Sequence[Path]]] = ()


class Watcher:
    """Is told of one execution; what does not concern it, it leaves out.

    Attributes:
        name: for people.
        remedy: what makes good for all that it was not told; empty: nothing has to.
        note: what a person has to know to see what it shows; empty: nothing.
    """

    name: str = ""
    remedy: str = ""
    note: str = ""

    def batch(self, trials: Sequence[Trial], metric: str) -> None:
        """These trials run next; `metric` is what they are about."""

    def happens(self, event: Event) -> None:
        """An executor said something."""

    def rest(self) -> None:
        """The batch is over, or was broken off."""

    def begins(self) -> None:
        """From now on it is told what has ended, before this execution and in it.

        After the first event, when the workers are busy; or before `ends`. Told once more after a
        failure, before everything else is.
        """

    def tuned(self, search: Search) -> None:
        """An arm's tuning is as far as `search` is."""

    def ended(self, ending: Ending) -> None:
        """A trial has ended with a status of `TOLD`; may be told again by a later execution."""

    def ends(self, end: End) -> None:
        """The execution ends; it may not have begun."""


def sqlite(path: Path) -> str:
    """The address of a database file for SQLAlchemy, which takes a ? or a % for its own."""
    return f"sqlite:///{quote(str(path.resolve()))}"


class Guarded:
    """Watchers whose failure costs a study nothing but what they show.

    Whoever fails is told nothing more, until `again` tells it all that it missed.

    Args:
        watchers: in the order in which they are told.

    Attributes:
        problems: watcher -> what went wrong, in a line.
    """

    def __init__(self, *watchers: Watcher) -> None:
        self.watchers = watchers
        self.problems: dict[Watcher, str] = {}
        self.failed = 0.0

    def tell(self, what: Callable[[Watcher], None]) -> None:
        """Tell every watcher that has not failed."""
        for watcher in self.watchers:
            if watcher in self.problems:
                continue
            try:
                what(watcher)
            except Exception as error:  # a server, a disk, a terminal: each fails in its own words
                why = f"{type(error).__name__}: {error}".splitlines()[0]
                self.problems[watcher], self.failed = masked(why), time.monotonic()

    def catch_up(self, progress: Progress) -> None:
        """Let them begin, with what has ended: an earlier driver may have been killed over it."""
        self.tell(lambda watcher: watcher.begins())
        self.tuned(progress)
        for ending in progress.endings():
            self.ended(ending)

    def again(self, progress: Progress, pause: float = PAUSE) -> None:
        """Let those that failed begin anew, if the last failure was `pause` seconds ago."""
        if not self.missed or time.monotonic() - self.failed < pause:
            return
        late = Guarded(*(watcher for watcher, _ in self.missed))
        late.catch_up(progress)
        for watcher in late.watchers:
            del self.problems[watcher]
        self.problems |= late.problems
        self.failed = late.failed

    def tuned(self, progress: Progress) -> None:
        """Tell how far the tuning of every arm is."""
        for search in progress.searches:
            self.tell(partial(_tuned, search=search))

    def ended(self, ending: Ending) -> None:
        """Tell that a trial has ended, if it has."""
        if ending.result.status in TOLD:
            self.tell(lambda watcher: watcher.ended(ending))

    @property
    def missed(self) -> list[tuple[Watcher, str]]:
        """(watcher, what went wrong) of those that have to be told later."""
        return [(watcher, why) for watcher, why in self.problems.items() if watcher.remedy]


def _tuned(watcher: Watcher, search: Search) -> None:
    watcher.tuned(search)
