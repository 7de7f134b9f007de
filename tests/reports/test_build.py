"""The page itself: whole, safe, the same every time, and honest when things are missing.

A report is opened by people who did not run the study and is rebuilt from folders that may hold
anything, so the tests parse the HTML that a browser would parse and break the folder in many ways.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import reports
from reports import build, rows
from reports.build import main
from reports.page.page import REPORT
from reports.sections import SECTIONS
from tests.reports.fabricated import ATTACK, charts, contrast, enrich, kept_of, page_of

SOME = ("Accuracy on affnist by number", "against cost", "Residuals of laws", "two dimensions",
        "by candidate", "rank correlation", "Interpolations by", "Path of T by",
        "x, x_1 and x_2")  # fmt: skip


def test_the_page_is_whole_and_needs_nothing_else(study):
    folder = study(secondary=[contrast("new", "plain", "T/r2")])
    page = page_of(folder)
    for part in (
        "Is the new form better?",
        "Undertrained: decides nothing",
        "new is better than old on knn/affnist: the mean difference over 3 paired seeds is +0.",
        "What this does not show",
        "new has 1,000 parameters and old 1,500",
        "cannot go below 0.25",
        "T/r2 does not apply to plain",
        "Every trial ended as planned",
        "Data: small data sets here",
        "python -m bench.run study=study",
        "torch.version",
    ):
        assert part in page.text
    assert page.all("h1")
    assert all(page.alts)
    assert all(image["src"].startswith("data:image/png;") for image in page.all("img"))
    assert not [tag for tag, _ in page.elements if tag in ("link", "iframe", "object")]
    assert page.all("script") == [{}]  # its own, inline
    inside = [link["href"] for link in page.all("a") if link["href"].startswith("#")]
    targets = {attrs.get("id") for _, attrs in page.elements}
    assert {address[1:] for address in inside} <= targets
    others = {link["href"] for link in page.all("a")} - set(inside)
    assert all((folder / address).is_file() for address in others)
    assert (kept_of(folder, "new", 1) / "curve.jsonl").relative_to(folder).as_posix() in others
    html = (folder / "report.html").read_text()
    assert {one[0] for one in re.findall(r"url\((.*?)\)", html)} == {"#"}


def test_every_kind_of_figure_is_there(study):
    page = page_of(study())
    alts = " | ".join(page.alts)
    for part in (
        "new − old, knn/affnist, per seed: +0.", "Dots per seed of knn/affnist",
        "Differences with intervals", "validation/elbo by step", "train/loss by step",
        "The images to reconstruct", "Reconstructions by new", "Samples of plain",
        "the true f(x')", "Transfer of a transformation by plain",
    ):  # fmt: skip
        assert part in alts
    assert "Transfer of a transformation by pixels" not in alts


@pytest.mark.parametrize("kind", ["study", "crossed"])
def test_what_was_built_comes_back_with_the_figures_of_the_page(request, kind):
    """Few arms have their values among the contrasts, many among the metrics."""
    folder = request.getfixturevalue(kind)()
    built = build.build(folder)
    assert built.path == folder / "report.html"
    assert built.manifest["study"]["name"] == "study"
    assert built.rows.equals(rows.load(folder))
    assert built.answer.sentence in page_of(folder).text
    assert built.figures.keys() == {"primary", "arms", "contrasts"}
    html = built.path.read_text()
    for drawn in built.figures.values():
        assert drawn.startswith(b"<svg")
        assert html.count(drawn[drawn.index(b"</style>") + 8 :].decode()) == 1


def test_the_same_folder_gives_the_same_bytes(study):
    folder = study()
    first = build.build(folder).path.read_bytes()
    assert build.build(folder).path.read_bytes() == first
    assert len(first) < 5_000_000
    assert {path.name for path in folder.iterdir()} == {
        "rows.parquet", "manifest.json", "trials", "report.html",
    }  # fmt: skip


def test_names_are_text_wherever_they_stand(study):
    folder = study(
        names={"new": ATTACK, "plain": ATTACK + "2"},
        fail=[("plain", 2)],
        question=ATTACK,
        budget_warning=ATTACK,
        choices=[ATTACK],
        command=ATTACK,
        config={ATTACK: {ATTACK: ATTACK}},
    )
    page = page_of(folder)
    assert page.text.count("<script>alert(1)</script>") > 10
    assert "{{ 7 * 7 }}" in page.text
    assert page.all("script") == [{}]
    assert not [attrs for _, attrs in page.elements if any(name[:2] == "on" for name in attrs)]


def test_a_failed_trial_is_in_the_ledger_and_its_pair_is_named(study):
    page = page_of(study(fail=[("old", 2)]))
    assert "loss is nan" in page.text
    assert "missing pairs: seed 2: no value of old" in page.text.replace("Missing", "missing")
    assert "11 of 12 done" in page.text


def test_all_failed(study):
    page = page_of(study(fail="all", pictured=False))
    for part in (
        "No answer: no seed has a value of knn/affnist for both new and old",
        "No confirmation trial was measured", "No pictures were kept", "No curves were kept",
        "0 of 12 done",
    ):  # fmt: skip
        assert part in page.text


def test_one_seed_has_no_interval_and_says_so(study):
    page = page_of(study(seeds=(1,)))
    assert "No verdict: one paired seed" in page.text
    assert "no interval and no test" in page.text


def test_damaged_files_of_trials_are_named_and_the_rest_is_shown(study):
    folder = study()
    (kept_of(folder, "new", 1) / "pictures.npz").write_bytes(b"PK\x03\x04 torn")
    np.savez(kept_of(folder, "old", 1) / "pictures.npz", samples=np.zeros((2, 3)))
    with (kept_of(folder, "plain", 3) / "curve.jsonl").open("a") as file:
        file.write('\n{"step": 6, "trai')
    (kept_of(folder, "new", 2) / "curve.jsonl").unlink()
    page = page_of(folder)
    assert "pictures of new, seed 1: cannot be read" in page.text
    assert "pictures of old, seed 1: samples is float64 (2, 3); must be uint8, N H W" in page.text
    assert "curve of plain, seed 3: line 6 is not a JSON object" in page.text
    assert "curve of new, seed 2: cannot be read" in page.text
    assert "Samples of plain" in page.alts


def test_charts_take_the_readers_text_colour(study):
    built = build.build(study())
    drawn = charts(built.path.read_text())
    assert len(drawn) == 5
    for chart in drawn:
        assert "currentColor" in chart
        assert "<style" not in chart, "a rule would hold for all of the page"
        assert "<dc:date>" not in chart
    for alone in built.figures.values():
        assert b"prefers-color-scheme:dark" in alone


def test_the_command_line_builds_lists_and_refuses(study, capsys):
    folder = study()
    runs = f"runs={folder.parent}"
    assert main(["study=study", runs]) == 0
    assert Path(capsys.readouterr().out.strip()) == folder / "report.html"
    assert main(["--list", runs]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["study", "budget", "done", "date", "question"]
    assert re.fullmatch(
        r"study +quick +12/12 +\d{4}-\d\d-\d\d \d\d:\d\d +Is the new.*better\?", line
    )
    for bad, message in (
        (["study=stduy", runs], "did you mean 'study'"),
        (["stduy"], "cannot read 'stduy'"),
        ([runs], "Say study=NAME"),
    ):
        assert main(bad) == 2
        assert message in capsys.readouterr().err


def test_a_study_that_is_neither_crossed_nor_tuned_says_nothing_of_either(study):
    page = page_of(study())
    targets = {attrs.get("id") for _, attrs in page.elements}
    assert not {"factors", "tuning"} & targets
    assert not {"#factors", "#tuning"} & {link["href"] for link in page.all("a")}


def test_rows_of_an_unknown_arm_are_refused(study):
    folder = study()
    frame = pd.read_parquet(folder / "rows.parquet")
    frame.replace({"arm": {"old": "stranger"}}).to_parquet(folder / "rows.parquet")
    with pytest.raises(ValueError, match="rows of arms that the study lacks: stranger"):
        build.build(folder)


def test_no_plugin_is_named_in_this_room():
    """A report that knows a form by name can favour it."""
    known = {
        "additive", "matrix", "matrix_z", "matrix_free", "mmd", "mmd_joint", "kl",
        "rotation", "crop", "rotation_crop", "affine", "superpixel",
        "tvae", "vae", "vae_plus", "mmd_vae_plus", "ae_plus",
    }  # fmt: skip
    here = Path(reports.__file__).parent
    for kind in ("latent_transforms", "divergences", "families", "models"):
        known |= {path.stem for path in (here.parent / "tvae" / kind).glob("*.py")}
    known -= {"__init__", "base", "identity", "compose", "none"}  # "none" is matplotlib's, too
    for path in here.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in known, f"{path.name}:{node.lineno}"
    for path in here.rglob("*.j2"):
        words = re.findall(r'"([^"]*)"', path.read_text(encoding="utf-8"))
        assert not known & set(words), path.name


def test_all_are_there_where_there_is_something_to_show(study):
    alts = " | ".join(page_of(enrich(study())).alts)
    for part in SOME:
        assert part in alts


def test_none_is_there_where_there_is_not(study):
    folder = study()
    alts = " | ".join(page_of(folder).alts)
    for part in SOME:
        assert part not in alts
    assert "transformations" not in {attrs.get("id") for _, attrs in page_of(folder).elements}


def test_the_same_folder_gives_the_same_bytes_in_another_process(study):
    folder, pages = enrich(study()), []
    for seed in ("0", "1"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "TZ": "UTC" if seed == "0" else "EST5"}
        command = [sys.executable, "-m", "reports.build", f"study={folder}"]
        subprocess.run(command, check=True, env=environment, cwd=Path(reports.__file__).parents[1])
        pages.append((folder / REPORT).read_bytes())
    assert pages[0] == pages[1]


def test_the_templates_and_their_company_are_part_of_the_package():
    here = Path(reports.__file__).parent
    kinds = (".j2", ".css", ".js")
    shipped = {
        path.relative_to(here).as_posix() for path in here.rglob("*") if path.suffix in kinds
    }
    own = {f"sections/{path.stem}.html.j2" for path in (here / "sections").glob("[a-z]*.py")}
    assert len(own) == len(SECTIONS)
    assert shipped == own | {
        "build.html.j2", "compare.html.j2", "triples.html.j2", "page/base.html.j2",
        "page/macros.html.j2", "page/style.css", "page/script.js",
    }  # fmt: skip
