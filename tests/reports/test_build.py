"""The page itself: whole, safe, the same every time, and honest when things are missing.

A report is opened by people who did not run the study and is rebuilt from folders that may hold
anything, so the tests parse the HTML that a browser would parse and break the folder in many ways.
"""

from __future__ import annotations

import ast
import base64
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fabricated import ARMS, ATTACK, Page, page_of, tuning_of

import reports
from reports import build, figures, rows, tables
from reports.build import main


def test_the_page_is_whole_and_needs_nothing_else(study):
    folder = study()
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
        "Data: the small subset here",
        "python -m bench.run study=study",
        "torch.version",
    ):
        assert part in page.text
    assert page.all("h1")
    assert all(image["alt"] for image in page.all("img"))
    assert all(image["src"].startswith("data:image/") for image in page.all("img"))
    assert not [tag for tag, _ in page.elements if tag in ("link", "iframe", "object")]
    assert page.all("script") == [{}]  # its own, inline
    inside = [link["href"] for link in page.all("a") if link["href"].startswith("#")]
    targets = {attrs.get("id") for _, attrs in page.elements}
    assert {address[1:] for address in inside} <= targets
    others = {link["href"] for link in page.all("a")} - set(inside)
    assert all((folder / address).is_file() for address in others)
    assert "trials/new-1/curve.jsonl" in others
    assert "url(" not in (folder / "report.html").read_text()


def test_every_kind_of_figure_is_there(study):
    page = page_of(study())
    alts = " | ".join(image["alt"] for image in page.all("img"))
    for part in (
        "new − old, knn/affnist, per seed: +0.", "Dots per seed of knn/affnist",
        "Differences with intervals", "validation/elbo by step", "train/loss by step",
        "The images to reconstruct", "Reconstructions by new", "Samples of plain",
        "the true f(x')", "Transfer of a transformation by plain",
    ):  # fmt: skip
        assert part in alts
    assert "Transfer of a transformation by pixels" not in alts


def test_the_same_folder_gives_the_same_bytes(study):
    folder = study()
    first = build.build(folder).read_bytes()
    assert build.build(folder).read_bytes() == first
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
    for image in page.all("img"):
        if "svg" in image["src"][:20]:
            drawn = Page(base64.b64decode(image["src"].split(",")[1]).decode())
            assert not drawn.all("script")


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
    (folder / "trials/new-1/pictures.npz").write_bytes(b"PK\x03\x04 torn")
    np.savez(folder / "trials/old-1/pictures.npz", samples=np.zeros((2, 3)))
    with (folder / "trials/plain-3/curve.jsonl").open("a") as file:
        file.write('\n{"step": 6, "trai')
    (folder / "trials/new-2/curve.jsonl").unlink()
    page = page_of(folder)
    assert "pictures of new, seed 1: cannot be read" in page.text
    assert "pictures of old, seed 1: samples is float64 (2, 3); must be uint8, N H W" in page.text
    assert "curve of plain, seed 3: line 6 is not a JSON object" in page.text
    assert "curve of new, seed 2: cannot be read" in page.text
    assert "Samples of plain" in {image["alt"] for image in page.all("img")}


def test_pickled_pictures_are_never_read(study, tmp_path):
    path = tmp_path / "evil.npz"
    np.savez(path, samples=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="pickle"):
        figures.load_pictures(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"samples": np.zeros((0, 4, 4), np.uint8)}, "must be uint8, N H W"),
        (
            {"samples": np.zeros((1, 4, 4), np.uint8), "transfer_input": np.ones((1, 5, 5), "u1")},
            "not all of one size",
        ),
        ({"transfer_source": np.zeros((2, 4, 4), np.uint8)}, "must hold 3 pictures"),
    ],
)
def test_pictures_of_impossible_shape_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        figures.load_pictures(tmp_path / "p.npz")


def test_the_transfer_panel_holds_the_triplet_and_the_guide(study):
    folder = study()
    manifest = rows.load_manifest(folder)
    _, pictures, problems = figures.load_one_seed(folder, manifest)
    assert not problems
    transfer = figures.galleries(manifest["study"], pictures)[-1]
    assert [strip.label for strip in transfer.strips] == ["new", "old", "plain"]
    assert [strip.note for strip in transfer.strips] == ["by T", "by T", "by difference"]
    from io import BytesIO

    from matplotlib.image import imread

    png = base64.b64decode(transfer.strips[0].figure.uri.split(",")[1])
    panel = np.round(imread(BytesIO(png))[..., :3] * 255).astype(int)
    with np.load(folder / "trials/new-1/pictures.npz") as kept:
        source, forward = kept["transfer_source"], kept["transfer_forward"]
    # pictures are enlarged threefold within a border of 2 pixels, so 12 pixels take 40
    assert panel[2 : 2 + 36 : 3, 2 : 2 + 36 : 3, 0][:, :6].tolist() == source[0][:, :6].tolist()
    assert (panel[2 : 2 + 36, 2 + 18] == figures.GUIDE).all()
    second = 2 + 36 + 12 + 2
    middle = panel[40 + 2 : 40 + 38 : 3, second : second + 18 : 3, 0]
    assert middle.tolist() == forward[0][:, :6].tolist()


def test_charts_take_the_readers_text_colour(study):
    page = page_of(study())
    charts = [
        base64.b64decode(image["src"].split(",")[1]).decode()
        for image in page.all("img")
        if "svg" in image["src"][:20]
    ]
    assert len(charts) == 5
    for chart in charts:
        assert "currentColor" in chart
        assert "prefers-color-scheme:dark" in chart
        assert "<dc:date>" not in chart


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


def test_a_crossed_study_has_its_factors_on_the_page(crossed):
    page = page_of(crossed())
    for part in (
        "shape (s0, s1, s2); size (b0, b1, b2); hue (h0, h1, h2)",
        "How to read it: a main effect is",
        "one declared family of 18",
        "Main effects", "s1 − s0", "Two-way interactions", "s2 − s0, at b1 − at b0", "shape × size",
        "takes 10 seeds: the verdict rests on the t distribution alone: shape",
    ):  # fmt: skip
        assert part in page.text
    maps = [i["alt"] for i in page.all("img") if i["alt"].startswith("Marginal means")]
    assert len(maps) == 3
    assert maps[0].startswith("Marginal means of knn/mnist by shape and size: s0 with b0 0.")
    assert "#factors" in {link["href"] for link in page.all("a")}
    assert "77.0" not in page.text  # what tuning measured


def test_heat_maps_are_the_same_every_time_and_take_the_readers_colour(crossed):
    folder = crossed()
    first = build.build(folder).read_bytes()
    assert build.build(folder).read_bytes() == first
    for image in Page(first.decode()).all("img"):
        if image["alt"].startswith("Marginal means"):
            drawn = base64.b64decode(image["src"].split(",")[1]).decode()
            assert "currentColor" in drawn
            assert figures._INK not in drawn


def test_an_incomplete_crossing_is_said_and_the_rest_is_shown(crossed):
    page = page_of(crossed(lacks=["s1-b1-h1"]))
    assert "No effects: no seed has a value of knn/mnist in every cell" in page.text
    assert "seed 2: no value of s1-b1-h1" in page.text
    assert "Main effects" not in page.text
    assert "81 of 84 done (3 failed)" in page.text


def test_factors_and_levels_are_text(crossed):
    factors = {ATTACK: ["a", ATTACK], "size": [ATTACK + "1", "b"]}
    arm = f"a-{ATTACK}1"
    tuned = tuning_of([arm], sampler=ATTACK, pruner=ATTACK, notes=[ATTACK])
    tuned["candidates"][arm][0] |= {"values": {ATTACK: ATTACK}, "reason": ATTACK}
    page = page_of(crossed(factors=factors, tuning=tuned))
    assert page.text.count("<script>alert(1)</script>") > 20
    assert page.all("script") == [{}]
    assert not [attrs for _, attrs in page.elements if any(name[:2] == "on" for name in attrs)]


def test_a_study_that_is_neither_crossed_nor_tuned_says_nothing_of_either(study):
    page = page_of(study())
    targets = {attrs.get("id") for _, attrs in page.elements}
    assert not {"factors", "tuning"} & targets
    assert not {"#factors", "#tuning"} & {link["href"] for link in page.all("a")}


def test_tuning_is_on_the_page_and_folded(study):
    tuned = tuning_of(["new", "plain"], chosen={"new": 1, "plain": None})
    page = page_of(study(tuning=tuned))
    for part in (
        "Every arm and baseline got the same: 3 candidates, the first of them its defaults",
        "2 tuning seeds (1000, 1001)",
        "the mean of knn/mnist over these seeds on validation data (higher is better)",
        "Sampler: random, in generations of 2; pruner: median.",
        "None of these numbers enters a comparison",
        "one candidate was proposed twice", "All candidates of new", "loss became nan",
        "3 candidates per arm × 2 seeds, random",
    ):  # fmt: skip
        assert part in page.text
    assert "All candidates of old" not in page.text


def test_the_tuning_table_has_defaults_winner_and_what_was_chosen(study):
    tuned = tuning_of(["new", "old", "plain"], chosen={"new": 1, "plain": None})
    table = tables.tuning(rows.load_manifest(study(tuning=tuned))["study"], tuned)
    lines = {line[0].text: [cell.text for cell in line[1:]] for line in table.rows}
    assert lines == {
        "new": ["2 / 3", "0.500", "0.625", "1", "model.rate=0.25"],
        "old": ["2 / 3", "0.500", "n/a", "not chosen", "model.rate=1"],
        "plain": ["2 / 3", "0.500", "n/a", "no winner", "model.rate=1"],
    }
    assert table.rows[0][1].note == "1 diverged"
    assert "the defaults were confirmed" in table.rows[2][4].note
    assert table.rows[2][0].kind == "baseline"


def test_objectives_show_the_digits_that_tell_candidates_apart(study):
    tuned = tuning_of(["new"])
    for candidate, objective in zip(tuned["candidates"]["new"], (250.31, 249.87), strict=False):
        candidate["objective"] = objective
    table = tables.tuning({"arms": {"new": {"role": "arm"}}}, tuned)
    assert [cell.text for cell in table.rows[0][2:4]] == ["250.310", "249.870"]


def test_outcomes_of_trials_are_counted(study):
    assert ("trials", "10 of 12 done (2 diverged)") in build.facts(
        rows.load_manifest(study(fail=[("old", 1), ("old", 2)]))
    )
    assert tables.outcomes(["failed", "done", "pruned", "failed"]) == (1, "1 pruned, 2 failed")


def test_data_and_sizes_of_arms_are_among_the_facts_and_limits(study):
    folder = study()
    manifest = rows.load_manifest(folder)
    manifest["study"]["arms"]["new"] |= {"train": "mnist", "latent_dim": 100}
    facts = dict(build.facts(manifest))
    assert facts["data"].startswith("train mnist, fashion_mnist, ")
    assert facts["latent size"] == "100, 10"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "Nothing beyond mnist and fashion_mnist, this budget" in page_of(folder).text


def test_many_arms_go_down_the_page(crossed):
    folder = crossed()
    manifest, frame = rows.load_manifest(folder), rows.load(folder)
    found = manifest["study"]
    metrics = tables.metrics(found, frame, details=False)
    for table in (metrics, tables.arms(found, manifest)):
        assert table.header[0].text == "arm"
        assert [line[0].text for line in table.rows] == list(found["arms"])
        assert table.rows[-1][0].kind == "baseline"
        assert {len(line) for line in table.rows} == {len(table.header)}
    assert [cell.text for cell in table.header[1:3]] == ["summary", "model.form"]
    assert metrics.rows[0][1].text.startswith("0.")


def test_few_arms_stay_across(study):
    few = rows.load_manifest(study())
    assert [cell.text for cell in tables.arms(few["study"], few).header[1:]] == list(ARMS)


def test_more_rows_than_arms_stay_rows():
    cells = tuple(tables.Cell(str(i)) for i in range(21))
    wide, tall = tables.Table(cells, (cells,) * 3), tables.Table(cells, (cells,) * 30)
    assert len(wide.long("arm").header) == 4
    assert tall.long("arm") is tall
    assert tables.Table(cells, ()).long("arm").rows == ()


def test_rows_of_an_unknown_arm_are_refused(study):
    folder = study()
    frame = pd.read_parquet(folder / "rows.parquet")
    frame.replace({"arm": {"old": "stranger"}}).to_parquet(folder / "rows.parquet")
    with pytest.raises(ValueError, match="rows of arms that the study lacks: stranger"):
        build.build(folder)


def test_a_failed_write_leaves_the_old_report(study, monkeypatch):
    folder = study()
    old = build.build(folder).read_bytes()

    def full(_):
        raise OSError("disk full")

    monkeypatch.setattr(build.os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        build.replace(folder / "report.html", b"half")
    assert (folder / "report.html").read_bytes() == old
    assert not list(folder.glob(".report*"))


def test_no_plugin_is_named_in_this_room():
    """A report that knows a form by name can favour it."""
    known = {
        "additive", "matrix", "matrix_z", "matrix_free", "mmd", "mmd_joint", "kl", "none",
        "rotation", "crop", "rotation_crop", "affine", "superpixel",
        "tvae", "vae", "vae_plus", "mmd_vae_plus", "ae_plus",
    }  # fmt: skip
    here = Path(reports.__file__).parent
    for kind in ("latent_transforms", "divergences", "families", "models"):
        known |= {path.stem for path in (here.parent / "tvae" / kind).glob("*.py")}
    known -= {"__init__", "base", "identity", "compose"}
    for path in here.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in known, f"{path.name}:{node.lineno}"
    for path in here.glob("*.j2"):
        words = re.findall(r'"([^"]*)"', path.read_text(encoding="utf-8"))
        assert not known & set(words), path.name
