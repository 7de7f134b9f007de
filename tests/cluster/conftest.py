"""A cluster of three nodes on this machine."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parent.parent / "bench"
sys.path[:0] = [str(BENCH), str(BENCH / "execute")]

from harness import PLUGIN, REPOSITORY  # noqa: E402


@contextlib.contextmanager
def a_cluster(nodes: int = 2, **head: Any) -> Iterator[Any]:
    """Within: a cluster of a head without CPUs and so many nodes of one CPU each."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - its name; tests wait for it
    os.environ["PYTHONPATH"] = f"{PLUGIN}{os.pathsep}{REPOSITORY}"
    ray.shutdown()
    head = {"num_cpus": 0, "include_dashboard": False, **head}
    made = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(nodes):
            made.add_node(num_cpus=1)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


@pytest.fixture(scope="module")
def cluster():
    """`a_cluster` that the tests of a file share."""
    with a_cluster() as made:
        yield made
