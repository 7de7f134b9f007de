"""A study that takes seconds, and ways to run it: in this process, or as a user would."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.plan.trials import Trial, World, plan
from bench.run import main
from bench.study.resolve import resolve
from bench.study.setup import Study
from reports import rows as schema
from tvae import registry

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
PLUGIN = HERE / "plugin"

TINY: dict[str, Any] = {
    "question": "Does a shift need fewer nats than no T at all?",
    "budget": "smoke",
    "data": {"train": "mnist"},
    "family": {"name": "faulty", "fault": "wait"},
    "model": {"latent_dim": 4},
    "arms": {
        "vae": {"summary": "no T", "model": {"name": "autoencoder", "prior": "kl"}},
        "additive": {
            "summary": "a shift",
            "model": {
                "name": "tvae",
                "latent_transform": "additive",
                "coherence": "kl",
                "prior": "mmd",
                "hidden": 16,
            },
        },
    },
    "trainer": {"steps": 8, "batch_size": 20, "record_every": 2, "checkpoint_every": 4},
    "metrics": {"coherence": {"images": 20}, "likelihood": {"k": 2, "images": 4}, "cost": {}},
    "seeds": 2,
    "primary": {"treatment": "additive", "control": "vae", "metric": "nll", "equivalence": 1.0},
}


def write(folder: Path, **changes: Any) -> Path:
    """``tiny.yaml`` in a folder, with changes; a section is replaced as a whole."""
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({**copy.deepcopy(TINY), **changes}, sort_keys=False))
    return path


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Within: the plugin of the tests is found, as if pip had installed it."""
    sys.path.insert(0, str(PLUGIN))
    registry.families.refresh()
    try:
        yield
    finally:
        sys.path.remove(str(PLUGIN))
        registry.families.refresh()


@dataclass(frozen=True)
class Ran:
    """What a command left."""

    folder: Path
    status: int
    out: str
    err: str
    seconds: float = 0.0

    @property
    def store(self) -> Path:
        """The study's folder."""
        return self.folder / "runs" / "tiny"

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        """Sorted rows, without what the clock and the host decide."""
        frame = schema.load(self.store)
        frame = frame[~frame.metric.str.startswith("cost/")]
        chosen = list(columns) or list(frame.columns)
        return sorted(tuple(map(str, row)) for row in frame[chosen].itertuples(index=False))


def bench(folder: Path, *arguments: str) -> Ran:
    """``python -m bench.run`` in `folder`, in this process: its libraries are loaded."""
    out, err, started = io.StringIO(), io.StringIO(), time.monotonic()
    with (
        installed(),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        status = main(list(arguments))
    seconds = time.monotonic() - started
    return Ran(folder, status, out.getvalue(), err.getvalue(), seconds)


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """``python -m bench.run`` in `folder` as a process, in a group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "bench.run", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{PLUGIN}{os.pathsep}{REPOSITORY}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for something.

    Raises:
        AssertionError: it does not come within `seconds`.
    """
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def study(*arguments: str, folder: Path, **changes: Any) -> Study:
    """The tiny study, resolved."""
    with installed():
        return resolve([f"study={write(folder, **changes)}", *arguments])[0]


def smoke(*arguments: str) -> Study:
    """The study that ships to see that everything runs, resolved."""
    return resolve(["study=smoke", *arguments])[0]


WORLD = World({"mnist": "0" * 16}, "2.0", "cpu")


def trials(given: Study, world: World = WORLD) -> list[Trial]:
    """The plan of a study that may use the plugin of the tests."""
    with installed():
        return plan(given, world)


def _open_tracker(folder: str, start: Any) -> None:
    from bench.watch.mlflow_runs import opened

    os.chdir(folder)
    start.wait()
    opened()


@dataclass(frozen=True)
class Fresh:
    """A folder where two processes opened MLflow's database at once, and how they ended."""

    folder: Path
    statuses: list[int]


@pytest.fixture(scope="session")
def fresh(tmp_path_factory) -> Fresh:
    folder = tmp_path_factory.mktemp("fresh")
    context = multiprocessing.get_context("spawn")
    both = context.Barrier(2)
    processes = [context.Process(target=_open_tracker, args=(str(folder), both)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return Fresh(folder, [process.exitcode for process in processes])


def with_database(fresh: Fresh, folder: Path) -> Path:
    """`folder` with an MLflow database in it, which takes seconds to make anew."""
    shutil.copy(fresh.folder / "mlflow.db", folder)
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory, fresh) -> Ran:
    """The tiny study, run to its end with everything that a run leaves."""
    folder = with_database(fresh, tmp_path_factory.mktemp("finished"))
    write(folder)
    return bench(folder, "study=tiny.yaml", "workers=1")


@pytest.fixture(scope="session")
def faults(tmp_path_factory) -> Ran:
    """A study of which four arms go wrong, each in its way, while nobody listens to MLflow.

    A fifth one's process is killed, too, but only once it has left a checkpoint.
    """
    folder = tmp_path_factory.mktemp("faults")
    vae = TINY["arms"]["vae"]
    bad = {"name": "autoencoder", "prior": "kl", "views": True}
    write(
        folder,
        seeds=1,
        arms={
            "raises": {"model": bad, "family": {"fault": "raise"}},
            "killed": {"model": bad, "family": {"fault": "kill", "at": 1}},
            "restarted": {"model": bad, "family": {"fault": "kill"}},
            "memory": {"model": bad, "family": {"fault": "memory"}},
            "diverges": {**vae, "trainer": {"learning_rate": 1e30}},
            "vae": vae,
        },
        primary={**TINY["primary"], "treatment": "raises"},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
        # port 9 is "discard": nothing listens there
        tracking = "tracking.uri=http://me:secret@127.0.0.1:9"
        return bench(folder, "study=tiny.yaml", "workers=2", tracking)


TUNED: dict[str, Any] = {
    "family": {"name": "faulty"},
    "trainer": {**TINY["trainer"], "steps": 4, "record_every": 1},
    "seeds": 1,
    "tune": {"trials": 3, "generation": 2, "seeds": 2, "steps": 4},
}
"""What the tiny study changes to be tuned before it is confirmed."""


@pytest.fixture(scope="session")
def tuned(tmp_path_factory, fresh) -> Ran:
    """The tiny study, tuned and run to its end with everything that a run leaves."""
    folder = with_database(fresh, tmp_path_factory.mktemp("tuned"))
    write(folder, **TUNED)
    return bench(folder, "study=tiny.yaml", "workers=1")


@dataclass(frozen=True)
class Stopped:
    """A driver that was stopped by a signal while its second trial waited in its sixth step."""

    folder: Path
    status: int
    out: str
    err: str
    seconds: float
    pid: int
    second: Ran
    left: list[str]

    @property
    def store(self) -> Path:
        """The study's folder."""
        return self.folder / "runs" / "tiny"


def alive(group: int) -> list[str]:
    """The processes of a group, zombies left out: nobody may be there to reap an orphan."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = stat.read_text().rpartition(")")
            state, _, its_group, *_ = rest.split()
            if int(its_group) == group and state != "Z":
                found.append(name)
    return found


def stop(folder: Path, number: int, *arguments: str) -> Stopped:
    """Start the tiny study, and a second time beside it, and send a signal to the driver.

    Unless that kills it, the worker that waits may go on soon after: to be heard, the wish to stop
    needs the end of a step.
    """
    write(folder)
    gate = folder / "gate"
    gate.touch()
    (folder / "waiting").unlink(missing_ok=True)
    driver = start(folder, "study=tiny.yaml", "workers=1", *arguments)
    try:
        until((folder / "waiting").exists, 120, "the second trial")
        second = bench(folder, "study=tiny.yaml", *arguments)
        sent = time.monotonic()
        driver.send_signal(number)
        if number != signal.SIGKILL:
            threading.Timer(0.5, gate.unlink).start()
        out, err = driver.communicate(timeout=30)
        seconds = time.monotonic() - sent
        with contextlib.suppress(AssertionError):
            until(lambda: not alive(driver.pid), 5, "the workers' end")
        left = alive(driver.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)
        gate.unlink(missing_ok=True)
    return Stopped(folder, driver.returncode, out, err, seconds, driver.pid, second, left)


@dataclass(frozen=True)
class Resumed:
    """A study whose driver was killed, as it was then, and after the same command again."""

    killed: Stopped
    results: dict[str, str]
    ran: Ran


@pytest.fixture(scope="session")
def resumed(tmp_path_factory, fresh) -> Resumed:
    folder = with_database(fresh, tmp_path_factory.mktemp("killed"))
    killed = stop(folder, signal.SIGKILL)
    results = {
        path.parent.name: json.loads(path.read_text())["status"]
        for path in killed.store.glob("trials/*/result.json")
    }
    return Resumed(killed, results, bench(folder, "study=tiny.yaml", "workers=1"))
