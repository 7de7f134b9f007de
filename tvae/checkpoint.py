"""What is written to disk, and read back as data: never a pickle, never half a file.

Tensors are safetensors, everything else is JSON.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from tvae.faultpoints import reach
from tvae.files import expanded, write_atomically
from tvae.models.base import Model, build
from tvae.shapes import GREY_28, ImageShape

WEIGHTS, CONFIG = "weights.safetensors", "model.json"


class CorruptCheckpoint(ValueError):
    """A checkpoint that is not what was written; the message says how it was noticed."""


def save_state(folder: Path, step: int, tensors: Mapping[str, Tensor], meta: object) -> Path:
    """Write a training state as ``step-STEP-SHA256.safetensors`` and drop all but the last two.

    The digest in the name is of the whole file, so that one rename publishes both.

    Args:
        folder: exists.
        step: the optimiser steps done.
        tensors: name -> tensor.
        meta: plain data for JSON.
    """
    content = safetensors.torch.save(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        metadata={"meta": json.dumps(meta)},
    )
    path = folder / f"step-{step:09d}-{hashlib.sha256(content).hexdigest()}.safetensors"
    write_atomically(path, content)
    for old in sorted(folder.glob("step-*.safetensors"))[:-2]:
        old.unlink()
    reach("step/dropped")
    return path


def read_state(path: Path) -> tuple[dict[str, Tensor], Any]:
    """(tensors, meta) of one file written by `save_state`.

    Raises:
        CorruptCheckpoint: its bytes are not those that were written.
    """
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != path.stem.rpartition("-")[2]:
        raise CorruptCheckpoint(f"{path} does not have the digest in its name")
    try:
        tensors = safetensors.torch.load(content)
        (size,) = struct.unpack("<Q", content[:8])
        meta = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["meta"])
    except (SafetensorError, struct.error, KeyError, ValueError) as error:
        raise CorruptCheckpoint(f"{path} is no training state: {error}") from error
    return tensors, meta


def latest_state(folder: Path) -> tuple[tuple[dict[str, Tensor], Any] | None, dict[Path, str]]:
    """The newest intact state in `folder`, or None, and the corrupt files that are newer, with why.

    They ought to go: to `save_state` they would seem to be the newest two.
    """
    corrupt: dict[Path, str] = {}
    for path in sorted(folder.glob("step-*.safetensors"), reverse=True):
        try:
            return read_state(path), corrupt
        except CorruptCheckpoint as error:
            corrupt[path] = str(error)
    return None, corrupt


def save_model(folder: Path, model: Model, config: Mapping[str, Any]) -> str:
    """Write a model for `load`: its configuration (as for `build`), its shape and its weights.

    Returns:
        SHA-256 of the file of weights, for `intact`.
    """
    about = {"shape": list(model.shape), "model": dict(config)}
    write_atomically(folder / CONFIG, json.dumps(about, indent=1).encode())
    state = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    content = safetensors.torch.save(state)
    write_atomically(folder / WEIGHTS, content)
    return hashlib.sha256(content).hexdigest()


def intact(folder: Path, digest: str) -> bool:
    """Whether the weights in `folder` are there and those of which `save_model` gave `digest`."""
    path = folder / WEIGHTS
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def load(folder: str | Path, device: str | torch.device = "cpu") -> Model:
    """A trained model back from its folder, in evaluation mode.

    ::

        model = tvae.load("runs/additive_vs_matrix/trials/0a1b2c")
        z = model.embed(images)  # N x 28 x 28 (or N x C x H x W) -> N x D

    Args:
        folder: holds ``model.json`` and ``weights.safetensors``.
        device: where the model should be.

    Raises:
        ValueError: the folder holds no trained model, or one of other shapes than it says.
    """
    folder = expanded(folder)
    if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
        raise ValueError(
            f"{folder} holds no trained model: {CONFIG} and {WEIGHTS} are what a finished trial "
            "leaves in runs/STUDY/trials/KEY"
        )
    try:
        about = json.loads((folder / CONFIG).read_text())
        # before there were other shapes, the file held the configuration alone
        config, shape = (about["model"], about["shape"]) if "shape" in about else (about, GREY_28)
        model = build(config, shape=ImageShape(*map(int, shape)))
        model.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder} holds no intact model: {error}") from error
    return model.to(device).eval()
