"""What is on disk is whole or noticed, and is read as data.

A killed process, a full disk or a flipped bit must cost a few steps and never give other numbers; a
file from somebody else must never run code.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

import tvae
from tvae import checkpoint
from tvae.checkpoint import CorruptCheckpoint
from tvae.files import write_atomically

CONFIG = {
    "name": "tvae",
    "latent_dim": 4,
    "latent_transform": {"name": "matrix_z", "sides": "both"},
    "coherence": {"name": "kl", "learn_scale": True},
    "prior": "mmd",
    "hidden": 8,
}
TENSORS = {
    "a/b": torch.arange(6.0).reshape(2, 3).T,  # not contiguous
    "bytes": torch.arange(5, dtype=torch.uint8),
    "scalar": torch.tensor(1 / 3, dtype=torch.float64),
}
META = {"step": 7, "names": ["é"]}


def equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_round_trip(tmp_path):
    path = checkpoint.save_state(tmp_path, 7, TENSORS, META)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.name == f"step-000000007-{digest}.safetensors"
    tensors, meta = checkpoint.read_state(path)
    assert equal(tensors, TENSORS)
    assert meta == META
    assert {name: value.dtype for name, value in tensors.items()} == {
        name: value.dtype for name, value in TENSORS.items()
    }
    assert equal(safetensors.torch.load_file(path), TENSORS), "as others read the format"


def save_steps(folder: Path, *steps: int) -> list[Path]:
    return [checkpoint.save_state(folder, s, {"x": torch.tensor(s)}, {"step": s}) for s in steps]


def test_only_the_last_two_are_kept(tmp_path):
    save_steps(tmp_path, 500, 1000, 99_999, 100_000)
    kept = sorted(int(path.name[5:14]) for path in tmp_path.iterdir())
    assert kept == [99_999, 100_000]
    (_, meta), corrupt = checkpoint.latest_state(tmp_path)
    assert meta == {"step": 100_000}
    assert corrupt == {}


def test_nothing_there(tmp_path):
    assert checkpoint.latest_state(tmp_path) == (None, {})


def flip(content: bytes, where: int) -> bytes:
    return content[:where] + bytes([content[where] ^ 1]) + content[where + 1 :]


DAMAGE = {
    "bit in the header": lambda content: flip(content, 12),
    "bit in the data": lambda content: flip(content, len(content) - 1),
    "truncated": lambda content: content[:-1],
    "half": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "longer": lambda content: content + b"\0",
    "zeros": lambda content: bytes(len(content)),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_noticed_and_the_previous_checkpoint_used(damage, tmp_path):
    _, last = save_steps(tmp_path, 3, 6)
    last.write_bytes(damage(last.read_bytes()))
    with pytest.raises(CorruptCheckpoint, match="does not have the digest in its name"):
        checkpoint.read_state(last)
    (tensors, meta), corrupt = checkpoint.latest_state(tmp_path)
    assert meta == {"step": 3}
    assert tensors["x"] == 3
    assert list(corrupt) == [last]
    assert str(last) in corrupt[last]


def test_a_corrupt_file_older_than_the_newest_intact_one_is_left_out(tmp_path):
    """It is not newer than what is continued from, so it may go the way of all old ones."""
    first, _ = save_steps(tmp_path, 3, 6)
    first.write_bytes(b"x")
    (_, meta), corrupt = checkpoint.latest_state(tmp_path)
    assert (meta, corrupt) == ({"step": 6}, {})


def test_where_all_are_damaged_the_run_starts_anew(tmp_path):
    paths = save_steps(tmp_path, 3, 6)
    for path in paths:
        path.write_bytes(b"x")
    found, corrupt = checkpoint.latest_state(tmp_path)
    assert found is None
    assert set(corrupt) == {*paths}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no tensors",
        safetensors.torch.save({"x": torch.zeros(1)}),
        safetensors.torch.save({"x": torch.zeros(1)}, {"other": "1"}),
        safetensors.torch.save({"x": torch.zeros(1)}, {"meta": "{"}),
    ],
)
def test_a_right_digest_of_the_wrong_thing(content, tmp_path):
    digest = hashlib.sha256(content).hexdigest()
    path = tmp_path / f"step-000000001-{digest}.safetensors"
    path.write_bytes(content)
    with pytest.raises(CorruptCheckpoint, match="is no training state"):
        checkpoint.read_state(path)


# --- code in files ------------------------------------------------------------------------------


class Bomb:
    """Makes a file when unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def torch_file(marker: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save({"x": Bomb(marker)}, buffer)
    return buffer.getvalue()


BOMBS = {"pickle": lambda marker: pickle.dumps(Bomb(marker)), "torch.save": torch_file}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_no_pickle_is_ever_executed(bomb, tmp_path):
    marker, folder = tmp_path / "executed", tmp_path / "trial"
    folder.mkdir()
    content = bomb(marker)
    checkpoint.save_model(folder, tvae.build(CONFIG), CONFIG)
    for name in (checkpoint.WEIGHTS, checkpoint.CONFIG):
        intact = (folder / name).read_bytes()
        (folder / name).write_bytes(content)
        with pytest.raises(ValueError, match="holds no intact model"):
            tvae.load(folder)
        (folder / name).write_bytes(intact)
    path = folder / f"step-000000009-{hashlib.sha256(content).hexdigest()}.safetensors"
    path.write_bytes(content)
    with pytest.raises(CorruptCheckpoint, match="is no training state"):
        checkpoint.read_state(path)
    found, corrupt = checkpoint.latest_state(folder)
    assert found is None
    assert list(corrupt) == [path]
    assert not marker.exists()

    torch.load(io.BytesIO(torch_file(marker)), weights_only=False)
    assert marker.exists(), "the bomb is real"


# --- whole or absent ----------------------------------------------------------------------------


@pytest.mark.parametrize("error", [OSError("disk is full"), KeyboardInterrupt()])
@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_an_interrupted_write_leaves_the_old_file(error, call, monkeypatch, tmp_path):
    path = tmp_path / "weights"
    write_atomically(path, b"old")

    def fail(*_):
        raise error

    monkeypatch.setattr(*((Path, call) if call == "replace" else (os, call)), fail)
    with pytest.raises(type(error)):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["weights"], "nothing is left behind"


def test_a_process_that_dies_before_the_rename_leaves_the_old_checkpoint(tmp_path):
    """No handler runs here: what is left in the folder must not be taken for a checkpoint."""
    (old,) = save_steps(tmp_path, 3)
    script = """
        import os, sys
        from pathlib import Path
        from tvae.files import write_atomically

        Path.replace = lambda *_: os._exit(9)
        write_atomically(Path(sys.argv[1]) / "step-000000006-0.safetensors", b"new")
        """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == 9
    assert len(list(tmp_path.iterdir())) == 2
    (_, meta), corrupt = checkpoint.latest_state(tmp_path)
    assert (meta, corrupt) == ({"step": 3}, {})
    save_steps(tmp_path, 4)
    assert old.exists(), "the wreck counts for none of the two that are kept"


def test_writing_replaces(tmp_path):
    for content in (b"long content", b"short"):
        write_atomically(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content


# --- load ---------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    model = tvae.build(CONFIG, seed=3)
    with torch.no_grad():
        model.coherence.log_scale.fill_(-2.5)
    checkpoint.save_model(tmp_path, model, CONFIG)
    return tmp_path, model


def test_a_loaded_model_is_the_saved_one(saved):
    folder, model = saved
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    for where in (folder, str(folder)):
        loaded = tvae.load(where)
        assert torch.equal(loaded.embed(images), model.embed(images))
        assert equal(loaded.state_dict(), model.state_dict())
        assert not loaded.training
    z_1, z_2 = model.embed(images), model.embed(images[::-1].copy())
    moved = [m.r(z_1, m.infer_T(z_1, z_2)) for m in (loaded, model)]
    assert torch.equal(*moved)


def test_another_memory_layout_is_saved_as_usual(saved):
    """The trainer lays weights out for speed; that is nobody else's business."""
    folder, model = saved
    checkpoint.save_model(folder, model.to(memory_format=torch.channels_last), CONFIG)
    assert equal(tvae.load(folder).state_dict(), model.state_dict())


def test_weights_are_known_again_by_their_digest(tmp_path):
    """A trial trains again unless its weights are the very bytes that were written."""
    digest = checkpoint.save_model(tmp_path, tvae.build(CONFIG, seed=3), CONFIG)
    path = tmp_path / checkpoint.WEIGHTS
    content = path.read_bytes()
    assert digest == hashlib.sha256(content).hexdigest()
    assert checkpoint.intact(tmp_path, digest)
    other = checkpoint.save_model(tmp_path, tvae.build(CONFIG, seed=4), CONFIG)
    assert not checkpoint.intact(tmp_path, digest), "another model's"
    assert checkpoint.intact(tmp_path, other)
    for damage in DAMAGE.values():
        path.write_bytes(damage(content))
        assert not checkpoint.intact(tmp_path, digest)
    path.unlink()
    assert not checkpoint.intact(tmp_path, digest)


def test_a_folder_without_a_model_says_what_is_missing(tmp_path):
    with pytest.raises(ValueError, match=r"model.json and weights.safetensors"):
        tvae.load(tmp_path)
    with pytest.raises(ValueError, match="holds no trained model"):
        tvae.load(tmp_path / "absent")


@pytest.mark.parametrize(
    "config",
    [
        "",
        "{",
        "[]",
        "3",
        "null",
        "{}",
        '"tvae"',
        "\udcff",
        json.dumps({**CONFIG, "name": "tvea"}),
        json.dumps({**CONFIG, "latent_dim": 5}),
        json.dumps({**CONFIG, "latent_dim": "4"}),
        json.dumps({**CONFIG, "latent_dim": -1}),
        json.dumps({**CONFIG, "latent_transform": 3}),
        json.dumps({**CONFIG, "latent_transform": {"sides": "left"}}),
        json.dumps({**CONFIG, "latent_transform": "additive"}),
        json.dumps({**CONFIG, "extra": 1}),
        json.dumps({"name": "autoencoder", "latent_dim": 4}),
    ],
)
def test_a_configuration_that_does_not_fit_is_a_value_error(config, saved):
    folder, _ = saved
    (folder / checkpoint.CONFIG).write_bytes(config.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=f"{folder} holds no intact model"):
        tvae.load(folder)


@pytest.mark.parametrize("damage", ["truncated", "half", "empty", "bit in the header"])
def test_weights_that_are_damaged_are_a_value_error(damage, saved):
    folder, _ = saved
    path = folder / checkpoint.WEIGHTS
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(ValueError, match="holds no intact model"):
        tvae.load(folder)
