"""The truth on disk: names given by people are harmless, and half a file is no file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.store import Result, Store, TrialFolder, slug


@given(st.text())
@example("..")
@example("../../etc/passwd")
@example("/etc/passwd")
@example("a\0b")
@example("con\n")
@example("")
@example("x" * 300)
@example("Ünïcode 中文")
def test_any_name_is_one_harmless_folder(name):
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,69}", slug(name))
    assert Store(Path("runs"), name).path.parent == Path("runs")


@given(st.text(max_size=20), st.text(max_size=20))
@example("a b", "a-b")
@example("a/b", "a\\b")
@example("é", "e")
@example("-a", "a")
def test_two_names_are_two_folders(a, b):
    assert (slug(a) == slug(b)) == (a == b)


@given(st.from_regex(r"[a-z0-9_]{1,40}", fullmatch=True))
def test_a_plain_name_is_its_own_folder(name):
    assert slug(name) == name


@pytest.fixture
def folder(tmp_path) -> TrialFolder:
    return TrialFolder(tmp_path)


RESULT = Result(
    "done",
    evaluation="0a1b",
    measurements=[
        {"name": "nll", "value": None, "unit": "nats", "direction": "lower", "source": "likelihood"}
    ],
    facts={"seconds": 1.5, "steps": 8},
)


def test_a_result_comes_back(folder):
    folder.write_result(RESULT)
    assert folder.result() == RESULT


def test_what_was_noted_on_the_way_is_in_the_result(folder):
    """Whoever noted it, and however often the trial was started since."""
    folder.note("a checkpoint was corrupt")
    TrialFolder(folder.path).note("é")
    folder.write_result(RESULT)
    assert folder.result() == replace(RESULT, notes=["a checkpoint was corrupt", "é"])
    (folder.path / "notes.json").write_text("[")
    assert folder.notes() == []


def test_a_recipe_comes_back_or_is_none(folder):
    recipe = {"arm": "vae", "stage": "tune", "training": {"seed": 3}, "evaluation": {"a": [1]}}
    assert folder.recipe() is None
    folder.write_recipe(recipe)
    assert folder.recipe() == recipe
    for damaged in ("", "[]", "{}", json.dumps({**recipe, "stage": "other"})):
        (folder.path / "trial.json").write_text(damaged)
        assert folder.recipe() is None, damaged


HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_running_while_a_process_holds_its_lock(folder):
    """And no longer: the lock of a killed process is nobody's."""
    assert not folder.running
    command = [sys.executable, "-c", HOLD, str(folder.path / ".lock")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    assert folder.running
    process.kill()
    process.communicate()
    assert not folder.running


def test_a_result_that_is_not_intact_is_none(folder):
    assert folder.result() is None
    folder.write_result(RESULT)
    path = folder.path / "result.json"
    content = path.read_bytes()
    for damaged in (
        content[:-5],
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'"done"',
        b"{}",
        b'{"status": "odd"}',
        b'{"status": "done", "facts": {"seconds": "1"}}',
        b'{"status": "done", "measurements": [{"name": "nll"}]}',
    ):
        path.write_bytes(damaged)
        assert folder.result() is None, damaged


def test_the_curve_up_to_a_step_without_its_torn_end(folder):
    """A driver may be killed in the middle of a line."""
    records = [{"step": step, "loss": 1 / step} for step in (2, 4, 6)]
    assert folder.records() == []
    folder.write_records(records)
    assert folder.records() == records
    assert folder.records(up_to=4) == records[:2]
    with folder.curve.open("a") as file:
        file.write('{"step": 8, "lo')
    assert folder.records() == records
    for line in ("3", "{}", '{"step": "8"}', '{"step": null}'):
        folder.write_records(records)
        with folder.curve.open("a") as file:
            file.write(f"{line}\n")
        assert folder.records() == records, line
    folder.write_records(records[:1])
    assert folder.records() == records[:1]


def test_writing_leaves_nothing_beside_the_file(tmp_path):
    store = Store(tmp_path / "runs", "a study")
    store.write("study.yaml", "name: é\n")
    assert (store.path / "study.yaml").read_text(encoding="utf-8") == "name: é\n"
    assert [path.name for path in store.path.iterdir()] == ["study.yaml"]
    assert store.trial("0a1b").path == store.path / "trials" / "0a1b"


def test_what_trained_a_trial_is_kept_in_order_and_begun_anew(folder):
    assert folder.machines() == []
    folder.write_recipe({"arm": "a", "stage": "confirm", "training": {}, "evaluation": {}})
    for machine in ("A", "B", "A"):
        folder.trained_on(machine, anew=False)
    assert folder.machines() == ["A", "B"]
    folder.trained_on("C", anew=True)
    assert folder.machines() == ["C"]


@pytest.mark.parametrize("content", ["", "[1]", '{"A": 1}', '["A"', "\xff", "[" * 100])
def test_what_does_not_say_whole_what_trained_it_says_nothing(folder, content):
    (folder.path / "trial.json").write_text(content)
    assert folder.machines() == []


def test_a_result_from_before_machines_were_told_is_still_one(folder):
    folder.write_result(RESULT)
    path = folder.path / "result.json"
    content = json.loads(path.read_text())
    del content["machines"], content["metric_seconds"]
    path.write_text(json.dumps(content))
    assert folder.result() == RESULT
