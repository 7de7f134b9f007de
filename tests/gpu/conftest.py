"""Tests that want a GPU, and are skipped where there is none.

``TVAE_TEST_DEVICE=cpu`` runs them on the CPU against itself: a rehearsal of the tests, not a test.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

DEVICE = torch.device(os.environ.get("TVAE_TEST_DEVICE", "cuda"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if DEVICE.type == "cuda" and not torch.cuda.is_available():
        for item in items:
            if item.path.is_relative_to(Path(__file__).parent):
                item.add_marker(pytest.mark.skip(reason="there is no GPU"))


@pytest.fixture
def device() -> Iterator[torch.device]:
    """The GPU, set up as for a trial."""
    from bench.execute.trial import repeatable

    repeatable()
    yield DEVICE
    torch.use_deterministic_algorithms(False)
