"""What travels between a driver and a node; and a study with both on one machine."""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from harness import PLUGIN, REPOSITORY, bench, with_database, write

from bench.execute import node
from bench.execute.base import Job
from bench.execute.local import LocalExecutor
from bench.execute.node import Cargo, Files, Parcel, Unfit, accept
from bench.execute.worker import Ended, verdict
from bench.plan import machine
from bench.store import TrialFolder
from tvae import data
from tvae.files import write_atomically


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name[0] != "."}


@pytest.mark.parametrize("seed", range(5))
def test_a_folder_at_home_follows_the_one_on_the_node(tmp_path, seed):
    """Whatever is replaced, grows, shrinks or goes there, and whenever somebody looks."""
    there, here = tmp_path / "there", tmp_path / "here"
    here.mkdir()
    files = Files(there)
    first = {"curve.jsonl": b"one\n", "facts.json": b"{}"}
    files.lay(first)
    for name, content in first.items():
        (here / name).write_bytes(content)
    chance = random.Random(seed)
    sent = 0
    for turn in range(60):
        for _ in range(chance.randrange(4)):
            name = chance.choice(("curve.jsonl", "step-1", "step-2", "facts.json"))
            act, content = chance.random(), chance.randbytes(chance.randrange(1, 50))
            if act < 0.3:
                write_atomically(there / name, content)
            elif act < 0.8 or not (there / name).exists():
                with (there / name).open("ab") as file:
                    file.write(content)
            else:
                (there / name).unlink()
        (there / ".lock").write_text(str(turn))  # is nobody's but the node's
        changed, gone = files.changes()
        sent += sum(len(content) for _, _, content in changed)
        accept(here, Parcel(None, changed, gone))
        assert contents(here) == contents(there)
    (there / "curve.jsonl").write_bytes(b"x" * 10_000)
    accept(here, Parcel(None, *files.changes()))
    with (there / "curve.jsonl").open("ab") as file:
        file.write(b"yy")
    ((name, offset, content),), _ = files.changes()
    assert (name, offset, content) == ("curve.jsonl", 10_000, b"yy"), "only what is new travels"
    assert sent


@pytest.mark.parametrize("name", ["../study.yaml", "/etc/x", ".lock", "a/b"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="a node sent a file called"):
        accept(tmp_path, Parcel(None, ((name, 0, b""),), ()))
    with pytest.raises(ValueError, match="a node sent a file called"):
        accept(tmp_path, Parcel(None, (), (name,)))


def test_data_arrive_as_they_were_sent_or_not_at_all(tmp_path, monkeypatch):
    """And are fetched once; what was damaged on the way or on the disk is not used."""
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    sent, fetched = node.shipped({"name": "mnist_small"}), []

    def get(ref):
        fetched.append(ref)
        return ref

    monkeypatch.setattr(ray, "get", get)
    monkeypatch.setattr(node, "_checked", set())
    folder = node._found(Cargo(sent.content, (sent,)))
    from bench.execute.trial import dataset

    found, true = dataset(folder), data.load("mnist_small")
    assert (found.name, found.digest) == (true.name, true.digest)
    np.testing.assert_array_equal(found.train.images, true.train.images)
    np.testing.assert_array_equal(found.test.labels, true.test.labels)
    assert node._found(Cargo(sent.content, (sent,))) == folder
    assert len(fetched) == 1
    # the disk of a node turns a bit: what stands there is made anew
    monkeypatch.setattr(node, "_checked", set())
    file = folder / "train" / "images.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\xff")
    node._found(Cargo(sent.content, (sent,)))
    np.testing.assert_array_equal(dataset(folder).train.images, true.train.images)
    shutil.rmtree(folder)
    monkeypatch.setattr(node, "_checked", set())
    train = {**sent.splits["train"], "labels": sent.splits["train"]["labels"][::-1]}
    damaged = replace(sent, splits={**sent.splits, "train": train})
    with pytest.raises(Unfit, match="got something else"):
        node._found(Cargo(sent.content, (damaged,)))


def test_other_data_on_a_node_are_refused(monkeypatch):
    monkeypatch.setattr(node, "_checked", set())
    here = node.cargo({"name": "mnist_small"})
    assert node._found(here) == {"name": "mnist_small"}
    monkeypatch.setattr(node, "_checked", set())
    with pytest.raises(Unfit, match=f"{here.content} there, {'0' * 64} here"):
        node._found(replace(here, content="0" * 64))


def test_versions_are_compared_by_name():
    ours = node.versions()
    assert node.unlike(ours, dict(ours)) == ""
    theirs = {**ours, "torch": "1.0"}
    del theirs["numpy"]
    said = node.unlike(ours, theirs)
    assert f"torch 1.0 there, {ours['torch']} here" in said
    assert f"numpy is not installed there, {ours['numpy']} here" in said


def test_a_lost_node_costs_a_trial_only_where_it_gets_no_further(tmp_path):
    """Three times in a row; from a checkpoint on it counts anew."""
    job = Job(SimpleNamespace(evaluation_key="k"), tmp_path, {}, "last")
    lost = "its node was lost"
    assert verdict(job, Ended(0, 3, further=True, lost=lost)) is None
    assert verdict(job, Ended(0, 2, further=False, lost=lost)) is None
    result = verdict(job, Ended(0, 3, further=False, lost=lost))
    assert (result.status, result.reason) == ("failed", "its node was lost, 3 times")
    assert result.notes == ["its node was lost; continued"] * 2
    assert TrialFolder(tmp_path).result() == result


def test_the_curve_comes_home_before_the_checkpoint_that_goes_on_from_it(tmp_path):
    """A driver that is killed between the two must not have the checkpoint alone."""
    files = Files(tmp_path / "there")
    files.lay({"curve.jsonl": b"one\n"})
    write_atomically(files.folder / "step-2.safetensors", b"two")
    with (files.folder / "curve.jsonl").open("ab") as file:
        file.write(b"later\n")
    changed, _ = files.changes()
    assert [name for name, _, _ in changed] == ["curve.jsonl", "step-2.safetensors"]


def test_a_node_clears_what_its_own_dead_left_and_nobody_elses(tmp_path, monkeypatch):
    """Nodes that share a home number their processes each for itself."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    dead = f"KEY-{2**22 + 1}"  # above what a process can have
    own = node._trials(node._home())
    (own / dead).mkdir(parents=True)
    (own / f"KEY-{os.getpid()}").mkdir()
    monkeypatch.setattr("platform.node", lambda: "another")
    others = node._trials(node._home())
    assert others != own
    (others / dead).mkdir(parents=True)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    node._home()
    assert [path.name for path in own.iterdir()] == [f"KEY-{os.getpid()}"]
    assert (others / dead).exists()


def test_what_cannot_be_laid_to_a_trial_costs_no_trial(tmp_path):
    """The node of the driver itself is away, or a node has not what its trial is made of."""
    ray = pytest.importorskip("ray")
    from bench.execute.base import ClusterLost
    from bench.execute.ray import RayExecutor, Task
    from bench.study.problems import ConfigError

    def sends(error):
        raise error
        yield

    def came(error):
        task = Task(SimpleNamespace(folder=tmp_path), sends(error), None, 1, frozenset())
        list(RayExecutor._came(SimpleNamespace(), task))

    with pytest.raises(ClusterLost, match="the node of this machine is away"):
        came(ray.exceptions.LocalRayletDiedError())
    missing = ray.exceptions.RaySystemError("System error: No module named 'bench'\nTraceback")
    with pytest.raises(ConfigError, match=r"cannot read its trial.*No module named 'bench'\)"):
        came(ray.exceptions.RayTaskError("work", "...", missing))


def test_a_trial_begins_without_what_an_earlier_one_left(tmp_path):
    pytest.importorskip("ray")
    from bench.execute.ray import RayExecutor

    for name in ("result.json", "traceback.txt", ".curve.jsonl.77", "step-2"):
        (tmp_path / name).write_text("")
    executor = SimpleNamespace(running=[], _sent=lambda job: None)
    RayExecutor._start(executor, Job(SimpleNamespace(), tmp_path, {}, "last"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "step-2"]
    executor.running[0].lock.release()


def test_who_stops_waits_for_no_trial_that_has_no_process(tmp_path, monkeypatch):
    """To ask for what it sent would wait until its node is declared dead."""
    ray = pytest.importorskip("ray")
    from bench.execute.ray import RayExecutor, Task

    cancelled = []
    monkeypatch.setattr(ray, "cancel", lambda stream, force=False: cancelled.append(force))
    monkeypatch.setattr(ray, "wait", lambda *_, **__: pytest.fail("it waits"))
    lock = SimpleNamespace(release=lambda: None)
    task = Task(SimpleNamespace(), iter(()), lock, 1, frozenset())
    executor = SimpleNamespace(running=[task], _ask=lambda task, why: None)
    RayExecutor._stop(executor)
    assert (executor.running, cancelled) == ([], [True])


def test_gpus_are_shared_evenly(monkeypatch):
    """Every job sees one, whichever has the fewest jobs; a CPU's job sees what there is."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-7")
    shares = machine.gpu_shares(0.5)
    assert sorted(shares) == ["3", "3", "GPU-7", "GPU-7"]
    assert len(machine.gpu_shares(0.1)) == 20
    assert machine.gpu_shares(0.6) == ["3", "GPU-7"]
    executor = LocalExecutor(4, gpus=shares)
    job = Job(SimpleNamespace(device="cuda"), Path(), {}, "last")
    seats = []
    for _ in range(4):
        seated = executor._seated(job)
        executor.running.append(SimpleNamespace(job=seated))
        seats.append(seated.gpu)
    assert sorted(seats[:2]) == ["3", "GPU-7"]
    assert sorted(seats) == sorted(shares)
    del executor.running[1]
    assert executor._seated(job).gpu == seats[1]
    assert executor._seated(replace(job, trial=SimpleNamespace(device="cpu"))).gpu == ""
    executor.running.clear()


@pytest.mark.parametrize(
    ("address", "said"),
    [("127.0.0.1:9", "nobody answers at 127.0.0.1:9"), ("here", "is no address"),
     ("a:b", "is no address")],
)  # fmt: skip
def test_an_address_where_nobody_is_is_told_at_once(tmp_path, address, said):
    pytest.importorskip("ray")
    write(tmp_path)
    ran = bench(tmp_path, "study=tiny.yaml", "executor=ray", f"ray.address={address}")
    assert ran.status == 2
    assert "ray.address" in ran.err
    assert said in ran.err
    assert not (tmp_path / "runs").exists()


def test_a_study_on_a_cluster_of_one_machine_has_the_rows_of_processes(
    tmp_path, fresh, finished, monkeypatch
):
    """Bit for bit."""
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", f"{PLUGIN}{os.pathsep}{REPOSITORY}")
    monkeypatch.setenv("RAY_worker_niceness", "0")
    folder = with_database(fresh, tmp_path)
    write(folder)
    ran = bench(folder, "study=tiny.yaml", "executor=ray", "ray.address=local", "workers=2")
    assert ran.status == 0, ran.out + ran.err
    assert ran.rows("arm", "seed", "metric", "value") == finished.rows(
        "arm", "seed", "metric", "value"
    )
