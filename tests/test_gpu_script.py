"""The script for a machine with a GPU: what it says where there is none, and its table."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "gpu.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("gpu_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_does_nothing(tmp_path):
    out = tmp_path / "out"
    ran = subprocess.run([sys.executable, SCRIPT, "run", out], capture_output=True, text=True)
    assert ran.returncode == 2
    assert "sees no GPU" in ran.stderr
    assert not out.exists()


def test_every_part_is_in_the_table(script):
    results = {
        "facts": {"device": "a card", "torch": "2.13"},
        "steps": {"matrix, batch 32": {"ms": 4.0, "least": 3.5, "most": 5.0}},
        "graphs": {"matrix, batch 32": {"not capturable": "it reads a number"}},
        "trials": {"2 at a time": {"trials an hour": 1234.5, "failed": []}},
        "tests": {"failed": ["status 1"]},
    }
    text = script.table(results)
    for words in (
        "device: a card",
        "| matrix, batch 32 | 4.000 ms (3.500 to 5.000) |",
        "not capturable: it reads a number",
        "trials an hour: 1,23",
        "status 1",
    ):
        assert words in text
    assert script._failed(results)
    del results["tests"]
    assert not script._failed(results)


def test_a_command_that_takes_too_long_ends_with_all_that_it_started(script):
    status, said = script._within(
        [sys.executable, "-c", "import time; print('begins', flush=True); time.sleep(60)"], None, 3
    )
    assert "took longer than 3 s" in status
    assert "begins" in said
