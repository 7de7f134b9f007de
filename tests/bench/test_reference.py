"""The reference studies: what is kept of a study, and the pages that quote it."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import shutil
from types import ModuleType

import pytest
from harness import REPOSITORY, bench, write

from reports import rows
from reports.statistics.answers import answer

KEPT = sorted((REPOSITORY / "reports" / "reference").glob("*/manifest.json"))
EFFECT = re.compile(r"[+-][\d.,]+ \[[+-][\d.,]+, [+-][\d.,]+\]")
"""A difference with its interval."""

TITLE = re.compile("<title>(.*?)</title>", re.DOTALL)
"""What a mark of a figure says to who points at it."""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """``scripts/make_reference.py``."""
    path = REPOSITORY / "scripts" / "make_reference.py"
    spec = importlib.util.spec_from_file_location("make_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def quoted(text: str) -> set[str]:
    """Differences with intervals that a text gives."""
    return set(EFFECT.findall(" ".join(text.replace("−", "-").split())))


def means(text: str) -> set[str]:
    """Means of arms that a text gives: three digits, and no plus as differences have."""
    return set(re.findall(r"(?<![+\d.])-?\b0\.\d{3}\b", text.replace("−", "-")))


def test_the_page_says_what_the_rows_say(script, capsys):
    assert script.main(["--check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("path", ["README.md", "docs/findings.md"])
def test_what_documents_tell_of_the_studies_stands_on_the_page(path):
    page = (REPOSITORY / "reports" / "reference" / "README.md").read_text()
    told = (REPOSITORY / path).read_text().partition("## Run it")[0]
    assert means(told)
    for numbers in (quoted, means):
        missing = numbers(told) - numbers(page)
        assert not missing, f"not in reports/reference/README.md: {missing}"


def test_figures_that_documents_show_have_the_values_of_the_rows(script):
    for name, draw in script.FIGURES.items():
        manifest, frame = script.load(script.REFERENCE / name)
        fresh = draw(manifest["study"], frame).drawn.decode()
        shown = (REPOSITORY / "docs" / f"{name}.svg").read_text()
        assert TITLE.findall(shown) == TITLE.findall(fresh) != [], "run scripts/make_reference.py"


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.parent.name)
def test_kept_rows_are_the_kept_results(path):
    folder = path.parent
    assert sum(file.stat().st_size for file in folder.rglob("*")) < 12_000_000
    assert not list(folder.rglob("*.safetensors"))
    frame = rows.load(folder)
    for trial, found in frame[frame.stage == "confirm"].groupby("trial"):
        result = json.loads((folder / "trials" / str(trial) / "result.json").read_text())
        there = {m["name"]: m["value"] for m in result["measurements"]}
        for name, value in zip(found.metric, found.value, strict=True):
            assert (there[name] is None and math.isnan(value)) or there[name] == value


def test_a_study_goes_on_from_what_is_kept(finished, script, tmp_path):
    kept = tmp_path / "kept"
    script.keep(finished.store, kept)
    assert not list(kept.rglob("*.safetensors"))
    of = {path.parent: json.loads((path.parent / "trial.json").read_text())["training"]["seed"]
          for path in finished.store.glob("trials/*/pictures.npz")}  # fmt: skip
    assert set(of.values()) == {0, 1}
    left = {finished.store / path.parent.relative_to(kept) for path in kept.rglob("pictures.npz")}
    assert left == {folder for folder, seed in of.items() if seed == 0}, "those the report shows"
    shutil.copytree(kept, tmp_path / "runs" / "tiny")
    again = bench(tmp_path, f"study={write(tmp_path)}", "tracking.enabled=false", "seeds=3")
    assert again.status == 0, again.out + again.err
    assert "tiny: 6 trials (2 arms, 0 baselines, 3 seeds), 2 to run" in again.out
    old = set(finished.rows("trial", "metric", "value"))
    assert old < set(again.rows("trial", "metric", "value"))


def test_a_change_of_the_rows_makes_the_page_stale(finished, script, tmp_path):
    script.keep(finished.store, tmp_path / "tiny")
    before = script.text(tmp_path, REPOSITORY / "studies")
    manifest, frame = script.load(tmp_path / "tiny")
    said = answer(manifest["study"], frame, manifest["trials"], tmp_path / "tiny").sentence
    assert said in before
    chosen = (frame.arm == "additive") & (frame.metric == "nll")
    frame.loc[chosen, "value"] += 5.0
    frame.to_parquet(tmp_path / "tiny" / "rows.parquet")
    assert script.text(tmp_path, REPOSITORY / "studies") != before


def test_what_is_no_study_is_not_kept(script, tmp_path, capsys):
    assert script.main([str(tmp_path)]) == 2
    assert "no study" in capsys.readouterr().err
