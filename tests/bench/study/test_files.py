"""Study files: found by name or path, merged over what they extend, or refused in one line."""

from __future__ import annotations

import os

import pytest
from harness import REPOSITORY, TINY, smoke, write
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.run import main
from bench.study.files import study_names
from bench.study.problems import ConfigError
from bench.study.resolve import resolve


def test_extends_takes_the_rest_from_another_study(tmp_path):
    """By name, or by a path that starts from the file that says it."""
    write(tmp_path, family="none")
    (tmp_path / "child.yaml").write_text("extends: tiny.yaml\ntrainer: {steps: 3}\n")
    child = resolve([f"study={tmp_path / 'child.yaml'}"])[0]
    assert (child.name, child.trainer.steps, child.trainer.batch_size) == ("child", 3, 20)
    assert smoke().arms == resolve(["study=additive_vs_matrix"])[0].arms
    assert smoke().name == "smoke"


def test_a_study_is_found_by_name_and_by_path(tmp_path, monkeypatch):
    by_name = smoke()
    assert by_name == resolve([f"study={REPOSITORY / 'studies/smoke.yaml'}"])[0]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    write(tmp_path / "studies", family="none")
    assert "tiny" in study_names()
    assert resolve(["study=tiny"])[0].question == TINY["question"]


def test_what_stands_beside_the_paper_s_model_has_its_criterion():
    """Another coherence, prior or form is another model, however well it does."""
    found = []
    for name in study_names():
        for setup in resolve([f"study={name}"])[0].setups.values():
            if setup.published == "T_VAE":
                model = setup.config["model"]
                parts = {part: model[part] for part in ("latent_transform", "coherence", "prior")}
                found.append(parts)
    mmd = {"name": "mmd", "kernel": "imq", "estimator": "wae"}
    paper = {"latent_transform": {"name": "additive"}, "coherence": mmd, "prior": mmd}
    assert found
    assert all(parts == paper for parts in found)


FILES = {
    "malformed.yaml": (
        b"a: [1,\nb: }",
        "malformed.yaml: cannot be read: expected the node content",
    ),
    "list.yaml": (b"- a\n- b\n", "list.yaml: must be a mapping of names to values"),
    "number.yaml": (b"5\n", "number.yaml: must be a mapping of names to values"),
    "garbage.yaml": (bytes(range(256)), "garbage.yaml: cannot be read: "),
    "nul.yaml": (b"question: a\0b\n", "nul.yaml: cannot be read: "),
    "twice.yaml": (b"question: a\nquestion: b\n", "twice.yaml: cannot be read: "),
    "empty.yaml": (b"", "question: is missing"),
    "date.yaml": (b"question: 2020-13-45\n", "arms: is missing"),
    "deep.yaml": (b"a: " + b"[" * 5000, "deep.yaml: cannot be read: "),
    "circle.yaml": (b"extends: circle.yaml\n", "extends: runs in a circle: "),
    "orphan.yaml": (b"extends: smok\n", "extends: unknown study 'smok'; did you mean 'smoke'?"),
    "odd.yaml": (b"extends: [smoke]\n", "extends: must be the name or path of a study"),
    "keys.yaml": (b"extends: smoke\n3: 4\n", "3: unknown key '3'"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_study_file_that_is_none(tmp_path, capsys, name):
    content, message = FILES[name]
    (tmp_path / name).write_bytes(content)
    assert main([f"study={tmp_path / name}"]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


def test_everything_missing_is_listed(tmp_path, capsys):
    (tmp_path / "empty.yaml").write_text("")
    assert main([f"study={tmp_path / 'empty.yaml'}"]) == 2
    missing = ["question", "data.train", "family", "arms", "primary"]
    assert capsys.readouterr().err.splitlines() == [f"error: {key}: is missing" for key in missing]


def test_a_path_that_cannot_be_read(tmp_path, capsys):
    folder = tmp_path / "folder.yaml"
    folder.mkdir()
    assert main([f"study={folder}"]) == 2
    assert f"{folder}: cannot be read: Is a directory" in capsys.readouterr().err
    assert main([f"study={tmp_path / 'nowhere.yaml'}"]) == 2
    assert "nowhere.yaml: cannot be read: No such file or directory" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path, capsys):
    path = write(tmp_path)
    path.chmod(0)
    assert main([f"study={path}"]) == 2
    assert "cannot be read: Permission denied" in capsys.readouterr().err


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
@example(b"a: !!python/object/apply:os.system [x]\n")
@example(b"\xff\xfe\x00")
def test_any_file_gives_a_study_or_says_what_is_wrong(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        resolve([f"study={path}"])
    assert caught.value.problems


@pytest.mark.parametrize("name", ["2024", "010", "1e3", "true", "null", "~", "0x1F", "1:30"])
def test_a_study_is_found_by_a_name_that_looks_like_a_number(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    write(tmp_path / "studies", family="none").rename(tmp_path / "studies" / f"{name}.yaml")
    assert resolve([f"study={name}"])[0].name == name
    assert resolve([f"study=studies/{name}.yaml"])[0].name == name


def test_a_study_extends_one_that_is_called_by_a_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    write(tmp_path / "studies", family="none").rename(tmp_path / "studies" / "2024.yaml")
    (tmp_path / "child.yaml").write_text("extends: 2024\nseeds: 3\n")
    assert resolve(["study=child.yaml"])[0].seeds == [0, 1, 2]


def test_time_is_no_number_of_hours(capsys):
    assert main(["study=smoke", "max_hours=1:30", "dry_run=true"]) == 2
    assert "max_hours: " in capsys.readouterr().err


@pytest.mark.parametrize("key", ["runs", "data.root", "plugins"])
def test_a_path_may_begin_with_the_home(tmp_path, monkeypatch, key):
    """A shell expands no ~ behind an equals sign."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x").mkdir()
    if key == "plugins":
        (tmp_path / "x" / "broken.py").write_text("1 +")
        with pytest.raises(ConfigError, match="SyntaxError"):
            resolve(["study=smoke", "plugins=~/x/broken.py"])
        return
    study, execution = resolve(["study=smoke", f"{key}=~/x"])
    found = execution.runs if key == "runs" else study.data.root
    assert found == str(tmp_path / "x")
    with pytest.raises(ConfigError, match="there is no home here that ~ could mean"):
        resolve(["study=smoke", f"{key}=~nobody-of-that-name/x"])
