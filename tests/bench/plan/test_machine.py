"""What a study meets: data and machine, looked at before anything is computed."""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from harness import study

from bench.plan import machine
from bench.study.problems import ConfigError
from tvae import data
from tvae.data import full, idx

FULL = {"train": "mnist", "size": "full"}


@pytest.fixture
def root(monkeypatch, tmp_path):
    """A folder with a stand-in for MNIST that the code takes for the official one."""
    digits = data.load("mnist_small")
    folder = tmp_path / "root"
    folder.mkdir()
    digests = {}
    for part, split, n in (("train", digits.train, 12), ("t10k", digits.test, 5)):
        for kind, array in (("images-idx3", split.images[:n]), ("labels-idx1", split.labels[:n])):
            array = array.astype(np.uint8)
            header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            content = header + array.tobytes()
            digests[f"{part}-{kind}-ubyte"] = hashlib.sha256(content).hexdigest()
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(content))
    monkeypatch.setitem(idx.DIGESTS, "mnist", digests)
    monkeypatch.setattr(full, "TRAIN", 10)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def test_digests_tell_contents_not_places(root, tmp_path):
    given = study(folder=tmp_path, data={**FULL, "root": str(root)})
    here = machine.look(given).data["mnist"]

    moved = tmp_path / "moved" / "mnist"
    moved.mkdir(parents=True)
    for path in root.iterdir():
        (moved / path.name.removesuffix(".gz")).write_bytes(gzip.decompress(path.read_bytes()))
    there = study(folder=tmp_path, data={**FULL, "root": str(moved.parent)})
    assert machine.look(there).data["mnist"] == here

    assert machine.look(study(folder=tmp_path)).data["mnist"] != here, "the small subset is another"


def test_options_of_a_data_set_are_part_of_it(root, tmp_path):
    both = {**FULL, "transfer": ["affnist"], "root": str(root)}
    one = study(folder=tmp_path, data=both)
    two = study("data.variants=2", folder=tmp_path, data=both)
    first, second = machine.look(one).data, machine.look(two).data
    assert first["mnist"] == second["mnist"]
    assert first["affnist"] != second["affnist"]
    apart = study("data.variants={train: 2, test: 1}", folder=tmp_path, data=both)
    third = machine.look(apart).data
    assert third["mnist"] == first["mnist"]
    assert third["affnist"] not in (first["affnist"], second["affnist"])


def test_missing_data_are_fetched_on_request_only(root, tmp_path, monkeypatch):
    fetched = []

    def fetch(name, root=None, **options):
        fetched.append(name)
        shutil.copytree(hidden, tmp_path / "cache" / "tvae-bench" / "mnist")

    hidden = root.rename(tmp_path / "hidden")
    monkeypatch.setattr(data, "fetch", fetch)
    with pytest.raises(ConfigError, match="mnist was not found"):
        machine.look(study(folder=tmp_path, data=FULL))
    assert fetched == []
    assert machine.look(study("data.download=true", folder=tmp_path, data=FULL)).data["mnist"]
    assert fetched == ["mnist"]


def test_everything_that_is_not_there_at_once(root, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (root / "t10k-labels-idx1-ubyte.gz").unlink()
    given = study("device=cuda", folder=tmp_path, data={**FULL, "root": str(root)})
    with pytest.raises(ConfigError) as caught:
        machine.look(given)
    assert [problem.path for problem in caught.value.problems] == ["data (mnist)", "device"]


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert machine.choose_device("auto") == "cpu", "exactness is promised on the CPU"
    assert machine.choose_device("mps") == "mps"
    with pytest.raises(ValueError, match=r"cuda is not available here \(there is cpu, mps\)"):
        machine.choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert machine.choose_device("auto") == "cuda"
    assert machine.choose_device("cpu") == "cpu"


def test_workers_times_threads_are_the_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 8)
    seen = machine.World({}, "2.0", "cpu")
    for threads, workers in ((1, 8), (2, 4), (3, 2), (16, 1)):
        given = study(f"threads={threads}", folder=tmp_path)
        assert machine.count_workers(given, seen) == workers
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    gpus = machine.World({}, "2.0", "cuda")
    assert machine.count_workers(study(folder=tmp_path), gpus) == 3


def test_what_a_reader_needs_to_repeat_the_run(tmp_path):
    given = study("threads=2", folder=tmp_path)
    told = machine.describe(given, machine.look(given))
    assert told["torch"] == importlib.metadata.version("torch")
    assert told["threads"] == 2
    assert told["tree"] in ("modified", "clean", "unknown")
    assert told["data digest of mnist"] == machine.look(given).data["mnist"]
    for key in ("python", "system", "processor", "cores", "commit", "mlflow", "optuna"):
        assert told[key]


@pytest.fixture
def repository(monkeypatch, tmp_path):
    """A repository of one commit, which the code takes for this project's."""
    folder = tmp_path / "clone"
    folder.mkdir()
    (folder / "file").write_text("as committed")
    person = ["-c", "user.name=A", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], [*person, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", str(folder), *command], check=True)
    monkeypatch.setattr(machine, "REPOSITORY", folder)
    return folder


def told_of(given):
    told = machine.describe(given, machine.look(given))
    return told["tree"], told["commit"] != "unknown"


def test_a_tree_is_called_clean_only_where_git_says_so(repository, monkeypatch, tmp_path):
    given = study(folder=tmp_path)
    assert told_of(given) == ("clean", True)
    (repository / "file").write_text("changed")
    assert told_of(given) == ("modified", True)
    # git's own switch for its tests: the repository is another user's ("dubious ownership")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert told_of(given) == ("unknown", False)
    monkeypatch.delenv("GIT_TEST_ASSUME_DIFFERENT_OWNER")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert told_of(given) == ("unknown", False), "there is no git"


def test_the_tree_of_a_wheel_is_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "REPOSITORY", tmp_path)
    assert told_of(study(folder=tmp_path)) == ("unknown", False)


def test_a_file_by_kaggles_name_is_the_same_data(root, tmp_path):
    given = study(folder=tmp_path, data={**FULL, "root": str(root)})
    official = machine.look(given).data["mnist"]
    for path in list(root.iterdir()):
        content, name = gzip.decompress(path.read_bytes()), path.name.removesuffix(".gz")
        path.unlink()
        if "train" in name:
            (root / name.replace("-idx", ".idx")).write_bytes(content)
        else:  # the archive has each file a second time, in a folder of its name
            folder = root / name
            folder.mkdir()
            (folder / name).write_bytes(content)
    assert machine.look(given).data["mnist"] == official


def test_the_machine_is_told_by_what_torch_uses_of_it():
    """As a process finds it that may use fewer instructions."""
    told = []
    for capability in ("default", "avx2"):
        code = "from bench.plan.machine import hardware; print(hardware('cpu'))"
        told.append(
            subprocess.run(
                [sys.executable, "-c", code],
                env={**os.environ, "ATEN_CPU_CAPABILITY": capability},
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
        )
    assert told[0].endswith("(DEFAULT)")
    assert told[0].partition(" (")[0]
    if "avx2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("has no AVX2")
    assert told[1] == told[0].replace("(DEFAULT)", "(AVX2)")
