"""Figures that only some studies have: there where their rows or arrays are, and else nothing.

What a figure shows is read off its alternative text, which is what a screen reader says, and off
the panels it is made of. It knows nothing of a form but what the rows and the manifest say.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from fabricated import enrich, page_of, tuning_of
from scipy import stats

from reports import figures, rows

SOME = ("Accuracy by number", "against cost", "Residuals of laws", "two dimensions", "by candidate",
        "rank correlation", "Interpolations by", "Path of T by", "x, x_1 and x_2")  # fmt: skip


def alts_of(folder):
    return [image["alt"] for image in page_of(folder).all("img")]


def loaded(folder):
    return rows.load_manifest(folder)["study"], rows.load(folder)


def test_all_are_there_where_there_is_something_to_show(study):
    alts = " | ".join(alts_of(enrich(study())))
    for part in SOME:
        assert part in alts


def test_none_is_there_where_there_is_not(study):
    folder = study()
    alts = " | ".join(alts_of(folder))
    for part in SOME:
        assert part not in alts
    assert "transformations" not in {attrs.get("id") for _, attrs in page_of(folder).elements}


def test_label_efficiency_has_every_arm_at_every_number_of_samples(study, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "_efficiency_panel", lambda axes, study, own: drawn.append(own))
    folder = enrich(study())
    figure = figures.label_efficiency(*loaded(folder))
    assert len(drawn) == 1  # one data set
    assert sorted(drawn[0].n.unique()) == [10, 100, 1000]
    assert set(drawn[0].arm) == {"new", "old", "plain", "pixels"}
    assert "affnist, 10 samples: new 0.1" in figure.alt
    assert "affnist, 1000 samples: new 0.3" in figure.alt


def test_bands_of_label_efficiency_are_t_intervals(study):
    from matplotlib.figure import Figure

    found, frame = loaded(enrich(study()))
    own = frame[(frame.metric == "label_efficiency/affnist/10") & (frame.arm == "new")]
    axes = Figure().subplots()
    figures._efficiency_panel(axes, found, own.assign(n=10))
    low, high = (axes.collections[0].get_paths()[0].vertices[:, 1] for _ in range(2))
    interval = stats.ttest_1samp(own.value, 0).confidence_interval(0.95)
    assert (low.min(), high.max()) == pytest.approx(tuple(interval))
    assert axes.get_xscale() == "log"


def test_values_measured_otherwise_are_left_out_of_a_figure(study):
    folder = enrich(study())
    found, frame = loaded(folder)
    frame.loc[(frame.metric == "equivariance") & (frame.arm == "old"), "fingerprint"] = "few"
    frame = frame[~((frame.arm == "old") & (frame.seed == 1) & (frame.metric == "equivariance"))]
    assert "old: algebra/inverse" in (alt := figures.algebra(found, frame).alt)
    assert "equivariance" in alt.split("old:")[0]
    assert "equivariance" not in alt.split("old:")[1]


def test_the_algebra_marks_what_is_claimed_and_leaves_out_arms_without(study):
    alt = figures.algebra(*loaded(enrich(study()))).alt
    assert "new: algebra/inverse 2.09e-07 (claimed)" in alt
    assert alt.count("(claimed)") == 2  # of two claims only one is measured
    assert "algebra/identity 0.2" in alt
    assert "plain" not in alt


def test_importance_is_the_rank_correlation_over_finished_candidates(study):
    found, _ = loaded(enrich(study()))
    figure = figures.tuning_importance(found, found["tuning"])
    tried = [one for one in found["tuning"]["candidates"]["new"] if one["objective"] is not None]
    assert len(tried) == 6
    rank = stats.spearmanr(
        [one["values"]["model.rate"] for one in tried], [one["objective"] for one in tried]
    ).statistic
    assert f"new: model.rate {abs(rank):.2f};" in figure.alt
    assert "model.kind" not in figure.alt  # no number


def test_few_candidates_have_a_history_and_no_importance(study):
    found = rows.load_manifest(study())["study"]
    tuned = tuning_of(["new"])
    assert figures.tuning_importance(found, tuned) is None
    assert "new: first 0.500, best 0.625 of 2" in figures.tuning_history(found, tuned).alt
    for candidate in tuned["candidates"]["new"]:
        candidate["objective"] = None
    assert figures.tuning_history(found, tuned) is None


def test_the_best_so_far_follows_the_direction(study):
    found = rows.load_manifest(study())["study"]
    assert "best 0.500" in figures.tuning_history(found, tuning_of(["new"], direction="lower")).alt


def test_interpolations_have_the_papers_layout(study):
    folder = enrich(study())
    manifest = rows.load_manifest(folder)
    _, pictures, _ = figures.load_one_seed(folder, manifest)
    galleries = {one.title: one for one in figures.galleries(manifest["study"], pictures)}
    gallery = galleries["Interpolation"]
    assert gallery.shared.label == "x, x_1, x_2"
    assert [strip.label for strip in gallery.strips] == ["new", "old", "plain"]
    assert gallery.strips[2].figure is None
    assert gallery.strips[2].note == "no pictures"
    path = galleries["Along T"].strips[0]
    assert path.note.startswith("a = 0, ")
    assert path.note.endswith(", 1")  # of twelve steps ten are shown, the last among them
    assert path.note.count(",") == 9


def test_places_are_spread_out_with_both_ends():
    assert figures._spread_out(4, 10) == [0, 1, 2, 3]
    assert figures._spread_out(12, 4) == [0, 4, 7, 11]
    assert figures._spread_out(1, 4) == [0]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"T_map": np.zeros((3, 2)), "T_map_target": np.zeros(4)}, "for each of T_map_target's"),
        ({"T_map": np.full((3, 2), np.nan)}, "T_map is float64 .* must be finite numbers of 2 dim"),
        ({"T_map": np.zeros((3, 3))}, "must hold two numbers"),
        ({"path_steps": np.zeros((2, 2))}, "must be finite numbers of 1 dimension"),
        ({"path_output": np.zeros((2, 4, 4), np.uint8)}, "must be uint8, K N H W"),
        ({"interpolation_input": np.zeros((2, 1, 4, 4), np.uint8)}, "must hold 3 pictures"),
    ],
)
def test_arrays_of_impossible_shape_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        figures.load_pictures(tmp_path / "p.npz")


def test_many_arms_are_drawn_in_part_and_the_page_says_so(crossed):
    factors = {"shape": [f"s{i}" for i in range(6)], "size": [f"b{i}" for i in range(5)]}
    folder = crossed(factors=factors, tuning=tuning_of([f"s{i}-b0" for i in range(6)]))
    found = rows.load_manifest(folder)["study"]
    names, note = figures._few(found, found["arms"])
    assert len(names) == figures.MOST_ARMS
    assert {found["primary"]["treatment"], found["primary"]["control"]} <= set(names)
    assert note == "Of 31 arms 24: the primary contrast's and the first others."
    assert figures._few(found, ["s1-b1", "s0-b0"]) == (["s0-b0", "s1-b1"], "")
    assert "At most 24 arms are shown" not in page_of(folder).text  # there are no pictures


def test_claims_of_a_manifest_are_read_and_shown(study):
    folder = enrich(study())
    assert rows.load_manifest(folder)["study"]["arms"]["new"]["claims"] == ["inverse", "abelian"]
    assert "inverse, abelian" in page_of(folder).text
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["study"]["arms"]["new"]["claims"] = "inverse"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="claims"):
        rows.load_manifest(folder)
