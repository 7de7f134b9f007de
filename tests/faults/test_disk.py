"""A disk that is full, a file that may not grow, a folder that may not be written.

What has ended is kept, the message says what to mend, and the same command goes on. A folder that
cannot be written is refused before anything is computed.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from harness import bench, write
from real import command, environment, left, prepare

QUIET = ("study=tiny.yaml", "workers=1", "seeds=1", "tracking.enabled=false")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    write(folder, family="rotation")
    assert bench(folder, *QUIET).status == 0
    return left(folder / "runs" / "tiny")


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own, and a way to change its size."""
    folder = tmp_path / "runs"
    folder.mkdir()

    def mount(options: str) -> bool:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    if not mount("size=1500k"):
        pytest.skip("may not mount a disk here")
    yield lambda size: mount(f"remount,size={size}")
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_stops_the_study_and_the_same_command_goes_on(tmp_path, small_disk, whole):
    write(tmp_path, family="rotation")
    full = command(tmp_path, *QUIET)
    assert full.returncode == 1, full.stdout
    first, second = full.stderr.splitlines()
    assert first.startswith("error: cannot write: [Errno 28] No space left on device")
    assert second == "what has ended is kept; mend the disk, and the same command continues"
    assert small_disk("200m")
    again = bench(tmp_path, *QUIET)
    assert again.status == 0, again.out + again.err
    assert left(tmp_path / "runs" / "tiny") == whole


def test_a_file_that_may_not_grow(tmp_path):
    """A quota or ``ulimit -f``: the error of the worker, not a failed trial."""
    write(tmp_path, family="rotation")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    limited = subprocess.run(
        [sys.executable, "-m", "bench.run", *QUIET],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        preexec_fn=limit,
        check=False,
    )
    assert limited.returncode == 1
    assert "error: cannot write: [Errno 27] File too large" in limited.stderr
    assert "Traceback" not in limited.stderr
    assert not list((tmp_path / "runs").rglob("result.json")), "no trial failed"


def without_powers(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as somebody whom permissions bind, which root is not."""
    program = [sys.executable, "-m", "bench.run", *arguments]
    if os.geteuid() == 0:
        program = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *program]
    return subprocess.run(
        program, cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("what", ["runs", "study"])
def test_a_read_only_folder_is_refused_before_any_computing(tmp_path, what):
    write(tmp_path, family="rotation")
    folder = tmp_path / "runs" / ("tiny" if what == "study" else "")
    folder.mkdir(parents=True)
    folder.chmod(0o555)
    done = without_powers(tmp_path, *QUIET)
    folder.chmod(0o755)
    assert done.returncode == 2
    assert done.stderr.startswith("error: runs: ")
    assert "cannot be written: Permission denied" in done.stderr
    assert list(folder.rglob("*")) == []


@pytest.mark.soak
def test_a_full_disk_under_mlflow_and_optuna_costs_no_result(tmp_path, fresh, undisturbed):
    """Both are projections: what they cannot hold is told, and nothing else is lost."""
    prepare(tmp_path, fresh)
    for name in ("mlflow.db", "optuna.db"):
        path = tmp_path / name if name == "mlflow.db" else tmp_path / "runs" / "tiny" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no database at all, " * 400)
    done = command(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "MLflow was not told of this run: " in done.stdout
    assert "Optuna was not told of this run: " in done.stdout
    found = left(tmp_path / "runs" / "tiny")
    assert (found.rows, found.tuning) == (undisturbed.left.rows, undisturbed.left.tuning)
