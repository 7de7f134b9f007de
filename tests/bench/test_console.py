"""What commands say arrives whatever the stream can carry.

A cluster's log is often ASCII; a study must not fail there for a ± in its answer.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SAID = "equivalent within ±0.01; the arm 行列 [not markup] :bug: and a half pair \\udc80"


@pytest.mark.parametrize(
    ("encoding", "arrives"),
    [
        ("ascii", r"within \xb10.01; the arm \u884c\u5217 [not markup] :bug:"),
        ("latin-1", r"within ±0.01; the arm \u884c\u5217 [not markup] :bug:"),
        ("utf-8", "within ±0.01; the arm 行列 [not markup] :bug:"),
        ("ascii:strict", r"within \xb10.01; the arm \u884c\u5217 [not markup] :bug:"),
    ],
)
@pytest.mark.parametrize("stderr", [False, True])
def test_every_character_arrives_somehow(encoding, arrives, stderr):
    script = f"from bench.console import console; console(stderr={stderr}).print('{SAID}')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = done.stderr if stderr else done.stdout
    assert arrives in said.decode(encoding.partition(":")[0])
