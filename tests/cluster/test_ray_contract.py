"""Ray's tasks keep what every executor promises."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from bench.execute.contract import ExecutorContract

SCENE = Path(__file__).parent.parent / "bench" / "execute" / "conftest.py"
spec = importlib.util.spec_from_file_location("scene_of_executors", SCENE)
module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
scene = module.scene


@pytest.fixture(autouse=True)
def joined(cluster):
    from bench.execute.ray import connect

    connect(cluster.address, 1)


class TestRayExecutor(ExecutorContract):
    """The contract of executors."""

    def executor(self, workers=1, seconds=None):
        from bench.execute.ray import RayExecutor

        return RayExecutor(workers=workers, seconds=seconds)
