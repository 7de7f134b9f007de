"""Damaged checkpoints: noticed by their digest, the one before used, the fact recorded.

The folder of a trial is data. Whoever can write there can waste time, but cannot run code and
cannot change a number unnoticed.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import signal
from pathlib import Path

import pytest
from harness import bench, installed, stop, write
from real import left

from bench.status import main as status

ARGUMENTS = (
    "study=tiny.yaml",
    "workers=1",
    "trainer.checkpoint_every=2",
    "tracking.enabled=false",
)


class Trap:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory):
    """The study, undisturbed, and what it leaves."""
    folder = tmp_path_factory.mktemp("whole")
    write(folder)
    assert bench(folder, *ARGUMENTS).status == 0
    return folder, left(folder / "runs" / "tiny")


@pytest.fixture
def whole(finished_once):
    """What the study leaves undisturbed."""
    return finished_once[1]


@pytest.fixture
def finished_here(tmp_path, finished_once):
    """The finished study's trials, in this test's folder; returns the folders of trials."""
    shutil.copytree(finished_once[0], tmp_path, dirs_exist_ok=True)
    return sorted((tmp_path / "runs" / "tiny" / "trials").iterdir())


@pytest.fixture(scope="module")
def killed_once(tmp_path_factory):
    """A study whose driver was killed when its second trial had two checkpoints."""
    folder = tmp_path_factory.mktemp("killed")
    stop(folder, signal.SIGKILL, *ARGUMENTS[2:])
    return folder


@pytest.fixture
def killed(tmp_path, killed_once):
    """The same in this test's folder: its newest checkpoint and the one before."""
    shutil.copytree(killed_once, tmp_path, dirs_exist_ok=True)
    there = tmp_path.glob("runs/tiny/trials/*/step-*.safetensors")
    newest, older = sorted(there, reverse=True)
    assert newest.parent == older.parent
    return newest, older


def damage(path: Path, how: str, mark: Path) -> None:
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "bit-flipped":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        trap = pickle.dumps(Trap(mark))
        path.unlink()
        # with the digest that its name promises
        name = f"{path.name.rpartition('-')[0]}-{hashlib.sha256(trap).hexdigest()}.safetensors"
        path.with_name(name).write_bytes(trap)


@pytest.mark.parametrize("how", ["truncated", "bit-flipped", "empty", "a pickle"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    tmp_path, killed, whole, how, capsys, monkeypatch
):
    newest, older = killed
    damage(newest, how, tmp_path / "mark")
    again = bench(tmp_path, *ARGUMENTS)
    assert again.status == 0, again.out + again.err
    assert not (tmp_path / "mark").exists(), "the pickle was executed"
    assert left(again.store) == whole
    result = json.loads((newest.parent / "result.json").read_text())
    (note,) = result["notes"]
    assert newest.name.rpartition("-")[0] in note
    assert note.endswith(f"continued from step {int(older.name.split('-')[1])}")
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    with installed():
        assert status(list(ARGUMENTS)) == 0
    assert note in capsys.readouterr().out


def test_with_no_checkpoint_left_a_trial_starts_again(tmp_path, killed, whole):
    for path in killed:
        damage(path, "truncated", tmp_path)
    again = bench(tmp_path, *ARGUMENTS)
    assert again.status == 0
    assert left(again.store) == whole
    notes = json.loads((killed[0].parent / "result.json").read_text())["notes"]
    assert [note.rpartition(";")[2] for note in notes] == [" continued from step 0"] * 2


@pytest.mark.parametrize("how", ["bit-flipped", "a pickle", "gone"])
def test_damaged_weights_are_not_measured(tmp_path, whole, finished_here, how):
    """A new metric measures stored weights again; those that are not what was written are not."""
    folders = finished_here
    path = folders[0] / "weights.safetensors"
    if how == "gone":
        path.unlink()
    elif how == "a pickle":
        path.write_bytes(pickle.dumps(Trap(tmp_path / "mark")))
    else:
        damage(path, how, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in (f / "weights.safetensors" for f in folders[1:])}
    again = bench(tmp_path, *ARGUMENTS, "metrics.likelihood.k=3")
    assert again.status == 0
    assert not (tmp_path / "mark").exists()
    weights = {name: sha for name, sha in left(again.store).files.items() if "weights" in name}
    assert weights == {n: sha for n, sha in whole.files.items() if "weights" in n}
    assert {p: p.stat().st_mtime_ns for p in before} == before, "the others were not trained again"
    (note,) = json.loads((folders[0] / "result.json").read_text())["notes"]
    assert note.endswith("were not those that were written; trained again")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b'{"status": "done"}',
        b'{"status": "perfect", "measurements": []}',
        b'{"status": "done", "measurements": [{"name": "nll"}]}',
        b'{"status": "done", "measurements": "many"}',
        pickle.dumps({"status": "done"}),
    ],
)
def test_a_result_that_is_none_is_made_again(tmp_path, whole, finished_here, content):
    (finished_here[0] / "result.json").write_bytes(content)
    again = bench(tmp_path, *ARGUMENTS)
    assert again.status == 0
    assert "1 to run" in again.out
    assert left(again.store) == whole
