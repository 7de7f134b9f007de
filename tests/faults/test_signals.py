"""SIGINT and SIGTERM: a checkpoint, no orphan, a prompt end, and the rows of an undisturbed run.

A terminal's Ctrl-C, a scheduler's end of time and a shutdown all come as one of these two.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import alive, bench, until, write
from real import environment, left

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")

LONG = (
    "study=tiny.yaml",
    "workers=2",
    "seeds=1",
    "trainer.steps=120",
    "trainer.checkpoint_every=0",
    "tracking.enabled=false",
)
"""Two trials of seconds each, at once, which by themselves leave no checkpoint."""


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench.run", *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What the long study leaves when nobody disturbs it."""
    folder = tmp_path_factory.mktemp("whole")
    write(folder, family="rotation")
    done = bench(folder, *LONG)
    assert done.status == 0, done.err
    return left(folder / "runs" / "tiny")


@linux
def test_a_signal_leaves_checkpoints_that_the_same_command_continues_from(tmp_path, whole):
    """SIGTERM, as a scheduler sends it; SIGINT is tried where the driver's own tests are."""
    write(tmp_path, family="rotation")
    trials = tmp_path / "runs" / "tiny" / "trials"
    driver = start(tmp_path, *LONG)
    try:
        until(
            lambda: sum(p.stat().st_size > 0 for p in trials.glob("*/curve.jsonl")) == 2,
            120,
            "two trials to train",
        )
        sent = time.monotonic()
        driver.send_signal(signal.SIGTERM)
        out, err = driver.communicate(timeout=30)
        assert time.monotonic() - sent < 10
    finally:
        if driver.poll() is None:
            os.killpg(driver.pid, signal.SIGKILL)
    assert driver.returncode == 128 + signal.SIGTERM, out + err
    assert err == ""
    assert "2 trials to go: the same command continues" in out
    assert alive(driver.pid) == []
    steps = [int(path.name.split("-")[1]) for path in trials.glob("*/step-*.safetensors")]
    assert len(steps) == 2
    assert all(0 < step < 120 for step in steps)

    again = bench(tmp_path, *LONG)
    assert again.status == 0, again.err
    assert left(tmp_path / "runs" / "tiny") == whole


@linux
def test_a_second_signal_ends_at_once(tmp_path):
    """The worker of this study does not listen: the first signal would have to wait for it."""
    write(tmp_path)
    (tmp_path / "gate").touch()
    arguments = ("study=tiny.yaml", "workers=1", "arms=[additive,vae]", "tracking.enabled=false")
    driver = start(tmp_path, *arguments)
    try:
        until((tmp_path / "waiting").exists, 120, "a worker that waits")
        driver.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert driver.poll() is None, "the worker did not have to be waited for"
        sent = time.monotonic()
        driver.send_signal(signal.SIGTERM)
        assert driver.wait(timeout=10) == 128 + signal.SIGTERM
        assert time.monotonic() - sent < 2
        until(lambda: not alive(driver.pid), 5, "the workers' end")
    finally:
        if driver.poll() is None:
            os.killpg(driver.pid, signal.SIGKILL)


@linux
def test_a_tracking_server_that_never_answers_delays_no_end(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        write(tmp_path, family="rotation")
        port = silent.getsockname()[1]
        driver = start(
            tmp_path, *LONG[:-1], "trainer.steps=100000", f"tracking.uri=http://127.0.0.1:{port}"
        )
        try:
            silent.settimeout(120)
            connection, _ = silent.accept()
            driver.send_signal(signal.SIGTERM)
            sent = time.monotonic()
            out, err = driver.communicate(timeout=30)
            connection.close()
            assert time.monotonic() - sent < 10
            assert driver.returncode == 128 + signal.SIGTERM, out + err
            until(lambda: not alive(driver.pid), 5, "the workers' end")
        finally:
            if driver.poll() is None:
                os.killpg(driver.pid, signal.SIGKILL)
