"""How a study stands, in words: what has ended, what is under way, what is out of date and why.

Whoever changed an option and sees old trials ignored, or a number measured again, is told the
reason here. Asked in this process, of copies of studies that were really run.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness import installed, study, trials, write

from bench import status
from bench.plan import machine
from reports import manifest as manifests


@pytest.fixture
def ask(capsys):
    """A function that asks after the tiny study of a folder: (exit status, lines, error lines)."""

    def ask(folder: Path, *arguments: str) -> tuple[int, list[str], list[str]]:
        with installed(), contextlib.chdir(folder):
            code = status.main(["study=tiny.yaml", *arguments])
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    return ask


def copied(ran, folder: Path) -> Path:
    ignore = shutil.ignore_patterns("mlflow*", "mlruns")
    return shutil.copytree(ran.folder, folder / "copy", ignore=ignore)


@pytest.fixture
def folder(finished, tmp_path) -> Path:
    """A copy of the finished study."""
    return copied(finished, tmp_path)


@pytest.fixture
def keys(finished) -> dict[tuple[str, int], str]:
    """(arm, seed) -> folder of the trial."""
    manifest = manifests.load(finished.store)
    return {(t["arm"], t["seed"]): t["trial"] for t in manifest["trials"]}


def table(lines: list[str]) -> dict[tuple[str, str], dict[str, int]]:
    """(arm, stage) -> column -> count, without what is 0."""
    cells = [[c.strip() for c in line.strip("│┃ ").replace("┃", "│").split("│")] for line in lines
             if "│" in line or "┃" in line]  # fmt: skip
    head, *body = cells
    assert head[:2] == ["arm", "stage"]
    return {
        (arm, stage): {c: int(n) for c, n in zip(head[2:], counts, strict=True) if n != "-"}
        for arm, stage, *counts in body
    }


BOTH = (("vae", "confirm"), ("additive", "confirm"))


def test_a_finished_study(ask, folder):
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    code, lines, err = ask(folder)
    assert (code, err) == (0, [])
    assert lines[0] == "tiny in runs/tiny"
    assert table(lines) == {key: {"done": 2} for key in BOTH}
    assert lines[-1] == "finished"
    assert not [line for line in lines if "stale" in line or "note" in line]
    after = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    assert after == before, "asking changes nothing"


def test_a_study_that_has_not_begun(ask, tmp_path):
    write(tmp_path)
    code, lines, _ = ask(tmp_path)
    assert code == 0
    assert table(lines) == {key: {"waiting": 2} for key in BOTH}
    assert lines[-1] == "4 trials to go"
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.yaml"]


def test_failures_with_their_reasons_and_notes(ask, faults, tmp_path):
    manifest = manifests.load(faults.store)
    code, lines, _ = ask(copied(faults, tmp_path))
    assert code == 0
    found = {arm: counts for (arm, _), counts in table(lines).items()}
    bad = {key: {"failed": 1} for key in ("raises", "killed", "memory")}
    good = {key: {"done": 1} for key in ("restarted", "vae")}
    assert found == {**bad, **good, "diverges": {"diverged": 1}}
    for t in manifest["trials"]:
        name = f"{t['arm']} seed 0"
        if t["status"] != "done":
            assert f"{t['status']}: {name}: {t['reason']} ({t['trial']})" in lines
        for note in t["notes"]:
            assert f"note: {name}: {note} ({t['trial']})" in lines
    assert "note: restarted seed 0: its process was killed by signal 9 (SIGKILL); continued" in (
        "\n".join(lines)
    )
    assert lines[-1] == "finished"


HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_running_and_interrupted(ask, folder, keys):
    """Whichever process holds the trial's lock; without one it was interrupted."""
    trial = folder / "runs" / "tiny" / "trials" / keys["additive", 1]
    (trial / "result.json").unlink()
    command = [sys.executable, "-c", HOLD, str(trial / ".lock")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        _, lines, _ = ask(folder)
        assert table(lines)["additive", "confirm"] == {"done": 1, "running": 1}
    finally:
        process.communicate("")
    _, lines, _ = ask(folder)
    assert table(lines)["additive", "confirm"] == {"done": 1, "interrupted": 1}
    assert lines[-1] == "1 trials to go"


def test_tuning_has_lines_of_its_own(ask, tuned, tmp_path):
    _, lines, _ = ask(copied(tuned, tmp_path))
    assert table(lines) == {
        **{key: {"done": 1} for key in BOTH},
        ("vae", "tune"): {"done": 6},
        ("additive", "tune"): {"done": 6},
    }
    assert lines[-1] == "finished"


def test_another_option_makes_other_trials(ask, folder, keys):
    code, lines, _ = ask(folder, "trainer.learning_rate=0.01")
    assert code == 0
    assert table(lines) == {key: {"waiting": 2} for key in BOTH}
    assert sorted(line for line in lines if line.startswith("stale")) == sorted(
        f"stale: {key} ({arm} seed {seed}) is not of this plan; explain={key} says why"
        for (arm, seed), key in keys.items()
    )
    assert lines[-1] == "4 trials to go"


def test_another_setting_of_a_metric_is_measured_again(ask, folder, keys):
    _, lines, _ = ask(folder, "metrics.likelihood.k=3")
    assert sorted(line for line in lines if line.startswith("stale")) == sorted(
        f"stale: {key} ({arm} seed {seed}) will be measured again, not trained; "
        f"explain={key} says why"
        for (arm, seed), key in keys.items()
    )
    assert lines[-1] == "4 trials to go"


def test_many_stale_trials_are_counted_not_listed(ask, folder):
    for i in range(30):
        (folder / "runs" / "tiny" / "trials" / f"{i:016x}").mkdir()
    _, lines, _ = ask(folder)
    assert sum("(unreadable) is not of this plan" in line for line in lines) == 10
    assert "stale: 20 more" in lines


# --- why ----------------------------------------------------------------------------------------


def test_up_to_date(ask, folder, keys):
    key = keys["vae", 0]
    for digits in (key, key[:8]):
        assert ask(folder, f"explain={digits}") == (0, [f"{key} (vae seed 0) is up to date"], [])


def test_what_was_trained_otherwise(ask, folder, keys):
    key = keys["additive", 1]
    changes = ("trainer.learning_rate=0.01", "arms.additive.model.hidden=17")
    code, lines, _ = ask(folder, f"explain={key}", *changes)
    assert code == 0
    assert lines == [
        f"{key} (additive seed 1), then -> now:",
        "  training: config.model.hidden: 16 -> 17",
        "  training: config.trainer.learning_rate: 0.001 -> 0.01",
    ]


def planned(folder: Path, *arguments: str) -> dict:
    """(arm, seed) -> trial, of the tiny study with changes, on this machine."""
    given = study(*arguments, folder=folder)
    return {(t.arm, t.seed): t for t in trials(given, machine.look(given))}


def test_what_is_measured_otherwise(ask, folder, keys):
    key = keys["vae", 0]
    recipe = json.loads((folder / "runs/tiny/trials" / key / "trial.json").read_text())
    old = recipe["evaluation"]["fingerprints"]["likelihood"]
    new = planned(folder, "metrics.likelihood.k=3")["vae", 0].fingerprints["likelihood"]
    _, lines, _ = ask(folder, f"explain={key}", "metrics.likelihood.k=3")
    assert lines == [
        f"{key} (vae seed 0), then -> now:",
        f"  evaluation: fingerprints.likelihood: {old!r} -> {new!r}",
    ]


def test_a_trial_to_come_is_held_against_the_nearest(ask, folder, keys):
    change = "trainer.batch_size=25"
    key = planned(folder, change)["vae", 1].training_key
    _, lines, _ = ask(folder, f"explain={key}", change)
    assert lines == [
        f"{key} (vae seed 1) has not run; nearest is {keys['vae', 1]}:",
        "  training: config.trainer.batch_size: 20 -> 25",
    ]


def test_a_trial_to_come_that_is_like_none(ask, folder):
    key = planned(folder, "seeds=[7]")["vae", 7].training_key
    _, lines, _ = ask(folder, f"explain={key}", "seeds=[7]")
    assert lines == [f"{key} (vae seed 7) has not run, and nothing like it has"]


def test_a_trial_that_the_study_has_no_more(ask, folder, keys):
    _, lines, _ = ask(folder, f"explain={keys['vae', 1]}", "seeds=1")
    assert lines == ["the study has no vae seed 1 in stage confirm"]


def test_a_folder_that_does_not_say(ask, folder):
    (folder / "runs" / "tiny" / "trials" / "zz01").mkdir()
    assert ask(folder, "explain=zz")[1] == ["zz01 does not say what it was made from"]


def test_unknown_and_ambiguous_keys(ask, folder):
    for name in ("zz01", "zz02"):
        (folder / "runs" / "tiny" / "trials" / name).mkdir()
    for key, message in {
        "zy": "no trials begin with 'zy'",
        "": "no trials begin with ''",
        "zz": "2 trials begin with 'zz': zz01, zz02",
    }.items():
        assert ask(folder, f"explain={key}") == (2, [], [f"error: explain: {message}"])


# --- the command line ---------------------------------------------------------------------------


def test_mistakes(ask, tmp_path):
    write(tmp_path)
    assert ask(tmp_path, "sync=maybe") == (
        2,
        [],
        ["error: sync: must be true or false, got 'maybe'"],
    )
    code, _, err = ask(tmp_path, "seedz=1", "trainer.steps=0")
    assert code == 2
    assert sorted(line.split(": ")[1] for line in err) == ["seedz", "trainer.steps"]


def test_the_help(capsys):
    assert status.main([]) == 2
    assert status.main(["--help"]) == 0
    assert "explain=KEY" in capsys.readouterr().out
