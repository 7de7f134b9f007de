"""The jobs that executors are tried on."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import TINY, installed, study, trials, until

from bench.execute.base import Job
from bench.execute.contract import Scene
from bench.plan import machine

FAMILIES = {
    "clean": {"name": "faulty", "fault": "none"},
    "another": {"name": "rotation"},
    "waits": {"name": "faulty", "fault": "wait"},
    "raises": {"name": "faulty", "fault": "raise"},
    "killed": {"name": "faulty", "fault": "kill", "at": 1},
    "restarted": {"name": "faulty", "fault": "kill"},
    "diverges": {"name": "rotation"},
}


@dataclass(frozen=True)
class Folder(Scene):
    """Jobs in a folder in which a file ``gate`` makes one of them wait."""

    folder: Path

    def reach(self) -> None:
        """See `Scene`."""
        until((self.folder / "waiting").exists, 60, "the sixth step")

    def release(self, seconds: float = 0.0) -> None:
        """See `Scene`."""
        threading.Timer(seconds, (self.folder / "gate").unlink).start()


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # has views, and no metric that transforms images again while it is measured
    model = {"name": "autoencoder", "prior": "kl", "views": True}
    arms = {name: {"model": model, "family": dict(family)} for name, family in FAMILIES.items()}
    arms["waits"]["family"] |= {"folder": str(tmp_path)}
    arms["diverges"] = {**arms["diverges"], "trainer": {"learning_rate": 1e30}}
    primary = {**TINY["primary"], "treatment": "clean", "control": "another"}
    given = study(folder=tmp_path, arms=arms, primary=primary, seeds=1)
    jobs = {}
    for trial in trials(given, machine.look(given)):
        folder = tmp_path / "trials" / trial.training_key
        folder.mkdir(parents=True)
        jobs[trial.arm] = Job(trial, folder, {"mnist": given.data.source("mnist")}, "last")
    (tmp_path / "gate").touch()
    with installed():
        yield Folder(jobs, tmp_path)
