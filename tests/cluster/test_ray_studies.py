"""A study on a cluster is the study on this machine, whatever becomes of the nodes."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path

import pytest
from conftest import a_cluster
from harness import TINY, bench, start, until, with_database, write
from harness import fresh as fresh

from bench.store import Store, TrialFolder

ray = pytest.importorskip("ray")

NUMBERS = ("arm", "seed", "metric", "value")


@pytest.fixture(scope="module")
def here(tmp_path_factory, fresh):
    """The tiny study by processes of this machine."""
    folder = with_database(fresh, tmp_path_factory.mktemp("here"))
    write(folder)
    ran = bench(folder, "study=tiny.yaml", "workers=2")
    assert ran.status == 0
    return ran


def waiting(folder: Path) -> Path:
    """The tiny study, two trials of which wait in their sixth step while there is a file; that."""
    # another option is another key, and the same numbers
    write(folder, family={**TINY["family"], "folder": str(folder)})
    (folder / "gate").touch()
    return folder / "gate"


def checkpoints(folder: Path) -> int:
    """Trials of which a checkpoint has come home."""
    return len({path.parent for path in folder.glob("runs/tiny/trials/*/step-*.safetensors")})


def both_wait(folder: Path) -> bool:
    """Whether the other two trials have ended, and the two have sent home a checkpoint."""
    return checkpoints(folder) == 2 and len([*folder.glob("runs/tiny/trials/*/result.json")]) == 2


def beside(act) -> threading.Thread:
    """`act` while a study runs."""
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_rows_are_those_of_one_machine(here, cluster, tmp_path, fresh):
    """Bit for bit, also where data are read on the node instead of shipped there."""
    for data in ("ship", "there"):
        folder = with_database(fresh, _made(tmp_path / data))
        write(folder)
        ran = bench(
            folder, "study=tiny.yaml", "executor=ray", f"ray.address={cluster.address}",
            f"ray.data={data}",
        )  # fmt: skip
        assert ran.status == 0, ran.err
        assert ran.rows(*NUMBERS) == here.rows(*NUMBERS)


def test_a_node_that_is_lost_costs_no_number(here, cluster, tmp_path, fresh):
    """Its trial goes on elsewhere from the checkpoint that had come home, and says so."""
    folder = with_database(fresh, tmp_path)
    gate = waiting(folder)

    def lose() -> None:
        until(lambda: both_wait(folder), 300, "a checkpoint of each node")
        *_, node = cluster.worker_nodes
        cluster.remove_node(node, allow_graceful=False)
        gate.unlink()

    thread = beside(lose)
    ran = bench(folder, "study=tiny.yaml", "executor=ray", f"ray.address={cluster.address}")
    thread.join()
    cluster.add_node(num_cpus=1)
    assert ran.status == 0, ran.err
    assert ran.rows(*NUMBERS) == here.rows(*NUMBERS)
    store = Store(folder / "runs", "tiny")
    notes = [note for key in list(store.keys()) for note in store.trial(key).notes()]
    assert notes == ["its node was lost; continued"]


def test_a_head_that_is_lost_ends_the_run_and_nothing_else(here, tmp_path, fresh, monkeypatch):
    """The driver lives, says so, and goes on with the next cluster from what had come home."""
    from bench.execute import ray as executor

    monkeypatch.setattr(executor, "AWAY", 3.0)
    monkeypatch.setattr(executor, "LOOK", 1.0)
    folder = with_database(fresh, tmp_path)
    gate = waiting(folder)
    with a_cluster(2) as first:

        def lose() -> None:
            until(lambda: both_wait(folder), 300, "a checkpoint of each node")
            first.head_node.kill_gcs_server()

        thread = beside(lose)
        ran = bench(folder, "study=tiny.yaml", "executor=ray", f"ray.address={first.address}")
        thread.join()
    assert ran.status == 1
    assert "is away" in ran.err
    assert "the same command continues" in ran.err
    assert checkpoints(folder) == 2
    gate.unlink()
    with a_cluster(2) as second:
        ran = bench(folder, "study=tiny.yaml", "executor=ray", f"ray.address={second.address}")
    assert ran.status == 0, ran.err
    assert ran.rows(*NUMBERS) == here.rows(*NUMBERS)


def test_an_interrupt_brings_the_checkpoints_home(here, cluster, tmp_path, fresh):
    """SIGINT ends the driver with its status, and processes of this machine can go on."""
    folder = with_database(fresh, tmp_path)
    gate = waiting(folder)
    driver = start(folder, "study=tiny.yaml", "executor=ray", f"ray.address={cluster.address}")
    try:
        until(lambda: both_wait(folder), 300, "two checkpoints")
        driver.send_signal(signal.SIGINT)
        threading.Timer(1.0, gate.unlink).start()
        out, err = driver.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)
        gate.unlink(missing_ok=True)
    assert driver.returncode == 130, err
    assert "the same command continues" in out
    interrupted = [
        TrialFolder(path.parent).result() for path in folder.glob("runs/tiny/trials/*/step-*")
    ]
    assert {result.status for result in interrupted} == {"interrupted"}
    ran = bench(folder, "study=tiny.yaml", "workers=2")
    assert ran.status == 0
    assert ran.rows(*NUMBERS) == here.rows(*NUMBERS)


def test_an_object_store_that_is_full_is_said_before_anything_runs(cluster, tmp_path, monkeypatch):
    """With what did not fit, and what to do; Ray falls back on the disk before it comes to that."""
    write(tmp_path)

    def full(_: object) -> None:
        raise ray.exceptions.ObjectStoreFullError("full")

    monkeypatch.setattr(ray, "put", full)
    ran = bench(tmp_path, "study=tiny.yaml", "executor=ray", f"ray.address={cluster.address}")
    assert ran.status == 2
    assert "cannot hold mnist" in ran.err
    assert "--object-store-memory" in ran.err
    assert not list(tmp_path.glob("runs/tiny/trials/*/curve.jsonl"))


def test_a_node_of_another_version_is_refused(cluster, tmp_path, monkeypatch):
    """Both are named, whether it was there from the start or joined later."""
    from bench.execute import ray as executor

    ours = executor.versions()
    monkeypatch.setattr(executor, "versions", lambda: {**ours, "torch": "1.13.0"})
    write(tmp_path)
    command = ("study=tiny.yaml", "executor=ray", f"ray.address={cluster.address}")
    ran = bench(tmp_path, *command)
    assert ran.status == 2
    assert f"torch {ours['torch']} there, 1.13.0 here" in ran.err
    monkeypatch.setattr(executor, "_alike", lambda nodes: None)
    ran = bench(tmp_path, *command)
    assert ran.status == 2
    assert f"torch {ours['torch']} there, 1.13.0 here" in ran.err


def test_pruning_and_a_time_that_is_up_work_as_on_one_machine(cluster, tmp_path, fresh):
    """max_hours starts nothing that would end too late; the same command continues."""
    folder = with_database(fresh, tmp_path)
    write(folder)
    command = ("study=tiny.yaml", "executor=ray", f"ray.address={cluster.address}")
    ran = bench(folder, *command, "max_hours=0.000001")
    assert ran.status == 4
    assert "the same command continues" in ran.out
    dry = bench(folder, *command, "dry_run=true")
    assert dry.status == 0
    assert "with 2 workers" in dry.out


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
