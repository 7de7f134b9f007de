"""Whoever looks on may fail, and costs a study nothing but what it would have shown."""

from __future__ import annotations

import pytest
from harness import study, trials

from bench.execute.base import Started
from bench.plan.progress import Ending
from bench.store import Result
from bench.watch.base import End, Guarded, Watcher
from bench.watch.display import Display
from bench.watch.mlflow_runs import MLflowRuns


class Noting(Watcher):
    """Notes what it is told."""

    def __init__(self, *, remedy: str = "", falls_at: int = 10**9) -> None:
        self.remedy, self.falls_at = remedy, falls_at
        self.calls: list[str] = []

    def _note(self, what: str) -> None:
        self.calls.append(what)
        if len(self.calls) == self.falls_at:
            raise ConnectionError("gone\nfor good")

    def begins(self):
        self._note("begins")

    def tuned(self, search):
        self._note("tuned")

    def ended(self, ending):
        self._note(f"{ending.trial.name} {ending.result.status}")

    def ends(self, end):
        self._note(f"ends {end.status}")


@pytest.fixture
def planned(tmp_path):
    return trials(study(folder=tmp_path))


def tell(watched: Guarded, planned) -> None:
    watched.tell(lambda watcher: watcher.begins())
    for status in ("done", "failed", "interrupted"):
        watched.ended(Ending(planned[0], Result(status)))
    watched.tell(lambda watcher: watcher.ends(End("FINISHED")))


def test_who_falls_is_left_alone_and_nobody_else_is(planned):
    falling, other = Noting(remedy="ask again", falls_at=2), Noting(remedy="ask again")
    watched = Guarded(falling, other)
    tell(watched, planned)
    assert falling.calls == ["begins", "vae seed 0 done"]
    assert other.calls == ["begins", "vae seed 0 done", "vae seed 0 failed", "ends FINISHED"]
    assert watched.problems == {falling: "ConnectionError: gone"}
    assert watched.missed == [(falling, "ConnectionError: gone")]


def test_what_needs_no_remedy_was_not_missed(planned):
    """A display that fails takes no word from a study that is told for good."""
    watched = Guarded(Noting(falls_at=1))
    tell(watched, planned)
    assert watched.problems
    assert watched.missed == []


def test_a_display_that_fails_ends_no_study(planned):
    class Closed:
        is_terminal = True

        def __getattr__(self, name):
            raise OSError("the terminal went away")

    watched = Guarded(Display(Closed()))
    watched.tell(lambda watcher: watcher.batch(planned, "nll"))
    watched.tell(lambda watcher: watcher.happens(Started(planned[0])))
    watched.tell(lambda watcher: watcher.rest())
    (problem,) = watched.problems.values()
    assert problem == "OSError: the terminal went away"


def test_an_interrupt_is_nobodys_failure():
    def interrupted(watcher):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Guarded(Noting()).tell(interrupted)


def test_an_interrupted_study_waits_for_no_database_that_it_never_wrote_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from bench.store import Store

    given = study(folder=tmp_path)
    watched = Guarded(MLflowRuns(given, Store(tmp_path, "tiny"), "python -m bench.run"))
    watched.tell(lambda watcher: watcher.ends(End("KILLED")))
    assert watched.problems == {}
    assert not (tmp_path / "mlflow.db").exists()
