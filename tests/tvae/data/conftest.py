"""A small stand-in for the official MNIST files: real digits, 60 to train on and 10 to test on."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from idx_files import idx_bytes

from tvae.data import full, idx
from tvae.data.small import MNIST_SMALL


@pytest.fixture
def official(monkeypatch, tmp_path) -> dict[str, bytes]:
    """File -> content of the stand-in; the constants of the code are set to describe it."""
    digits = MNIST_SMALL.load(None)
    files = {}
    for part, split, n in (("train", digits.train, 60), ("t10k", digits.test, 10)):
        files[f"{part}-images-idx3-ubyte"] = idx_bytes(split.images[:n])
        files[f"{part}-labels-idx1-ubyte"] = idx_bytes(split.labels[:n].astype(np.uint8))
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setitem(idx.DIGESTS, "mnist", digests)
    monkeypatch.setattr(full, "TRAIN", 50)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return files
