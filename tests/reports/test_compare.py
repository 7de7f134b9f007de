"""Studies side by side: each with its own answer, values only where they were measured alike."""

from __future__ import annotations

import json
import shutil

import pytest

from reports import build, rows
from reports.build import main
from reports.compare import compare
from tests.reports.fabricated import ATTACK, Page, headings


@pytest.fixture
def two(study, tmp_path):
    """Two studies; `change` edits the second's manifest, `remeasure` its rows."""

    def make(change=lambda manifest: None, remeasure=lambda frame: frame, **changes):
        first = study(**changes)
        second = tmp_path / "other"
        shutil.copytree(first, second)
        manifest = json.loads((second / "manifest.json").read_text())
        manifest["study"] |= {"name": "other", "budget": "standard"}
        change(manifest)
        (second / "manifest.json").write_text(json.dumps(manifest))
        remeasure(rows.load(second)).to_parquet(second / "rows.parquet")
        return first, second

    return make


def page_of(path):
    return Page(path.read_text(encoding="utf-8"))


def test_both_answers_and_their_values_stand_side_by_side(two):
    folders = two(
        change=lambda manifest: manifest["study"].update(question="Is it so elsewhere?"),
        remeasure=lambda frame: frame.assign(value=frame.value * 0 + 0.125),
    )
    build.build(folders[0])
    path = compare(folders)
    assert path == folders[0].parent / "compare-study-other.html"
    page = page_of(path)
    for part in ("study and other", "Is the new form better?", "Is it so elsewhere?", "0.125",
                 "study, accuracy", "other, accuracy", "No test is made across"):  # fmt: skip
        assert part in page.text
    assert page.text.count("on knn/affnist") >= 2
    assert [link["href"] for link in page.all("a")] == ["study/report.html"]  # other has none yet
    assert headings(page)[:2] == [1, 2]
    assert "Measured otherwise" not in page.text


def fingerprint(folder, metric):
    frame = rows.load(folder)
    return frame[frame.metric == metric].fingerprint.iloc[0]


def test_values_measured_otherwise_stand_apart(two):
    folders = two(
        remeasure=lambda frame: frame[frame.metric != "T/r2"].assign(
            fingerprint=frame.fingerprint.where(frame.metric != "nll", "elsewhere")
        )
    )
    text = page_of(compare(folders)).text
    assert "Measured otherwise" in text
    table = text.split("Measured otherwise")[1].split("What differs")[0]
    assert f"{fingerprint(folders[0], 'nll')} (nats)elsewhere (nats)" in table
    assert f"{fingerprint(folders[0], 'T/r2')} (R^2)not measured" in table
    assert "knn/affnist" not in table
    above = text.split("Arms by metrics and studies")[1].split("Measured otherwise")[0]
    assert "nll" not in above


def test_nothing_in_common_is_said(two):
    folders = two(remeasure=lambda frame: frame.assign(fingerprint="elsewhere"))
    assert "No metric was measured in the same way in two" in page_of(compare(folders)).text


def test_what_differs_is_listed_and_what_does_not_is_not(two):
    def change(manifest):
        manifest["study"]["config"]["trainer"]["steps"] = 3000
        manifest["study"]["arms"]["new"]["latent_dim"] = 100
        manifest["environment"]["commit"] = "abc"

    text = page_of(compare(two(change=change))).text.split("What differs between the studies")[1]
    for part in ("budgetquickstandard", "config.trainer.steps2003000",
                 "arms.new.latent_dim10100", "environment.commit—abc"):  # fmt: skip
        assert part in text.replace("\n", "")
    assert "config.data.train" not in text


def test_an_arm_of_one_study_only_has_a_row(two):
    def change(manifest):
        manifest["study"]["arms"]["third"] = {"role": "baseline", "summary": "", "differs": {}}

    assert "third" in page_of(compare(two(change=change))).text


def test_names_are_text(two):
    folders = two(names={"new": ATTACK}, question=ATTACK)
    odd = folders[1].rename(folders[1].parent / "<script>'\"")
    page = page_of(compare([folders[0], odd]))
    assert page.text.count("<script>alert(1)</script>") >= 3
    assert page.all("script") == [{}]


def test_a_study_is_not_compared_with_itself(two, capsys):
    first, _ = two()
    assert main([f"study={first}", f"study={first}"]) == 2
    assert "cannot be compared with itself" in capsys.readouterr().err


def test_the_command_line_compares_and_lists(two, capsys):
    folders = two()
    runs = f"runs={folders[0].parent}"
    assert main(["study=study", "study=other", runs]) == 0
    assert capsys.readouterr().out.strip().endswith("compare-study-other.html")
    assert main(["study=study", "study=othr", runs]) == 2
    assert "did you mean 'other'" in capsys.readouterr().err
    (folders[1] / "manifest.json").write_text("{")
    assert main(["--list", runs]) == 0
    _, other, study = capsys.readouterr().out.splitlines()
    assert other.startswith("other")
    assert "cannot be read" in other
    assert study.split()[:3] == ["study", "quick", "12/12"]


def test_a_list_does_not_obey_what_is_in_a_question(study, capsys):
    folder = study(question="red \x1b[31m\nnext line")
    assert main(["--list", f"runs={folder.parent}"]) == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("red \ufffd[31m\ufffdnext line")
    assert main(["--list", f"runs={folder / 'none'}"]) == 0
    assert "no study in" in capsys.readouterr().out


def test_long_names_make_a_file_name_all_the_same(two):
    folders = two()
    long = folders[1].rename(folders[1].parent / ("x" * 200))
    path = compare([folders[0], long])
    assert len(path.name) < 160
    assert path.is_file()
