"""``study=smoke`` killed 20 times at random moments ends with the rows of one that was not.

It takes minutes, so it is no part of the tests: ``tox -e soak``. Half of the kills are of the
driver, a quarter of a worker (or of the fork server), a quarter of everything at once, as when a
machine goes down. The seed of the moments is printed; ``TVAE_SOAK_SEED`` repeats them, as far as
moments can be repeated.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import alive
from real import environment, left

KILLS = 20
STUDY = ("study=smoke", "tune.trials=2", "tune.generation=1", "tune.steps=10")
LONGEST = 25.0  # seconds until a kill: what a whole study takes, divided by not too many


def command(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench.run", *STUDY],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def members(group: int) -> list[int]:
    """The processes of a group besides its leader."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        if int(rest.split()[2]) == group and int(stat.parent.name) != group:
            found.append(int(stat.parent.name))
    return found


def kill(driver: subprocess.Popen[str], whom: str, draw: random.Random) -> bool:
    """SIGKILL; returns whether the driver goes on."""
    if whom == "all":
        os.killpg(driver.pid, signal.SIGKILL)
    elif whom == "driver" or not members(driver.pid):
        driver.kill()
    else:
        try:
            os.kill(draw.choice(members(driver.pid)), signal.SIGKILL)
        except ProcessLookupError:
            return True
        return True
    driver.wait()
    return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
@pytest.mark.soak
def test_killed_twenty_times(tmp_path):
    seed = int(os.environ.get("TVAE_SOAK_SEED", time.time_ns() % 10**6))
    print(f"TVAE_SOAK_SEED={seed}")
    draw = random.Random(seed)
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    assert command(undisturbed).wait() == 0

    folder = tmp_path / "killed"
    folder.mkdir()
    kills, finished = 0, 0
    while kills < KILLS:
        driver = command(folder)
        going = True
        while going and kills < KILLS:
            time.sleep(draw.uniform(1.0, LONGEST))
            if driver.poll() is not None:
                # a finished study is disturbed, too: reading and answering are killed then
                assert driver.returncode == 0, driver.communicate()[1]
                finished += 1
                going = False
                continue
            whom = draw.choice(["driver", "driver", "worker", "all"])
            going = kill(driver, whom, draw)
            kills += 1
            print(f"kill {kills}: {whom}")
        if driver.poll() is None:
            driver.wait()
        deadline = time.monotonic() + 10
        while alive(driver.pid) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert alive(driver.pid) == []
    last = command(folder)
    _, errors = last.communicate()
    assert last.returncode == 0, errors
    print(f"{kills} kills, finished {finished} times on the way")
    assert left(folder / "runs" / "smoke") == left(undisturbed / "runs" / "smoke")
