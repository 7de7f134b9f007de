"""The tables and figures of metrics: what is bold, what was published, what stands apart.

A table is what gets copied into a paper, so only what was measured alike
may stand side by side.
"""

from __future__ import annotations

import json
import re
from html import unescape

import numpy as np
import pytest
from scipy import stats

from reports import manifest as manifests
from reports import pen, rows
from reports.sections import metrics as all_metrics
from reports.statistics.answers import answer
from reports.words import number
from tests.reports.fabricated import enrich, page_of


def cells(table, column):
    at = [cell.text for cell in table.header].index(column)
    return {line[0].text: line[at] for line in table.rows}


def loaded(folder):
    return manifests.load(folder)["study"], rows.load(folder)


def test_bold_and_the_numbers_behind_a_cell(study):
    folder = study(seeds=range(8))
    found, frame = manifests.load(folder)["study"], rows.load(folder)
    table = all_metrics.metrics(found, frame, details=False)
    own = cells(table, "knn/affnist ↑")
    assert [name for name, cell in own.items() if cell.kind == "best"] == ["new"]
    values = frame[(frame.arm == "new") & (frame.metric == "knn/affnist")].value
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    half = np.median([cell.half for cell in own.values()])  # decides on the digits of a column
    assert own["new"].raw == pytest.approx((values.mean(),))
    assert own["new"].half == pytest.approx((interval.high - interval.low) / 2)
    assert own["new"].note == f"±{number(own['new'].half, half)}"
    # by construction nll is lower, and so better, the later an arm comes; the last is a reference
    assert cells(table, "nll ↓")["plain"].kind == "best"


def warn(folder, metric, words, of):
    """Let the confirmed values of a metric carry a warning; `of` are arms and seeds."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for trial in manifest["trials"]:
        if (trial["arm"], trial["seed"]) in of:
            trial["warnings"] = {metric: words}
    path.write_text(json.dumps(manifest))


def test_a_metric_with_a_warning_says_so_and_has_no_best_mean(study):
    """Whatever metric it is: the plain baseline would be the best of these nats."""
    folder = study(seeds=range(8))
    warn(folder, "nll", "too few <samples>", {("old", 1), ("old", 2), ("new", 3)})
    manifest, frame = manifests.load(folder), rows.load(folder)
    table = all_metrics.metrics(manifest["study"], frame, manifest["trials"], details=False)
    (head,) = [cell for cell in table.header if cell.text.startswith("nll")]
    assert head.note == "nats, see the warning"
    assert not [cell for cell in cells(table, "nll ↓").values() if cell.kind == "best"]
    assert cells(table, "knn/affnist ↑")["new"].kind == "best", "others are as before"
    page = page_of(folder)
    assert "nll: too few <samples>: new (1), old (2)." in page.text
    found = answer(manifest["study"], frame, manifest["trials"])
    noted = {one.contrast["metric"]: one.notes for one in found.secondary}
    assert "warning about nll: too few <samples> (new, old)" in noted["nll"]
    assert not any("warning" in note for note in found.primary.notes)
    assert "warning about nll" in page.text


def test_a_warning_of_the_primary_metric_is_among_what_the_answer_does_not_show(study):
    folder = study()
    warn(folder, "knn/affnist", "it was a bad day", {("old", 1)})
    assert "Warning about knn/affnist: it was a bad day (old)." in page_of(folder).text


def test_a_reference_neither_wins_nor_stands_in_the_way(study):
    folder = study(seeds=range(8))
    found, frame = manifests.load(folder)["study"], rows.load(folder)
    frame.loc[frame.arm == "pixels", "value"] = 5.0
    own = cells(all_metrics.metrics(found, frame, details=False), "knn/affnist ↑")
    assert [name for name, cell in own.items() if cell.kind == "best"] == ["new"]


def test_roles_and_sides_stand_under_the_arms(study):
    folder = study()
    found = manifests.load(folder)["study"]
    table = all_metrics.metrics(found, rows.load(folder), details=False)
    assert [line[0].note for line in table.rows] == [
        "arm, treatment", "arm, control", "baseline", "reference",
    ]  # fmt: skip


def test_what_was_published_has_its_own_column_beside_ours(study):
    folder = study()
    found = manifests.load(folder)["study"]
    table = all_metrics.metrics(found, rows.load(folder), details=False)
    heads = [cell.text for cell in table.header]
    assert heads[:3] == ["arm", "knn/affnist ↑", "published"]
    assert table.header[2].links == (("what differs", "#published"),)
    told = {line[0].text: (line[2].text, line[2].note, line[2].raw) for line in table.rows}
    assert told["old"] == ("0.551", "T_VAE, Table 1, column F-Aff, z_dim 10", (0.551,))
    assert told["plain"][0] == "0.363"
    assert told["new"] == ("—", "", ())
    assert heads.count("published") == 2  # knn/fashion_mnist too; nothing for nll and T/r2


def test_columns_that_nobody_declared_are_minor(study):
    folder = enrich(study())
    found = manifests.load(folder)["study"]
    table = all_metrics.metrics(found, rows.load(folder), details=False)
    minor = {table.header[i].text for i in table.minor}
    assert "cost/seconds ↑" in minor
    assert not minor & {"knn/affnist ↑", "nll ↓", "T/r2 ↑", "published", "arm"}


def test_values_measured_otherwise_have_a_column_of_their_own(study):
    folder = study()
    frame = rows.load(folder)
    (usual,) = frame[frame.metric == "nll"].fingerprint.unique()
    frame.loc[(frame.metric == "nll") & (frame.arm == "old"), "fingerprint"] = "other"
    table = all_metrics.metrics(manifests.load(folder)["study"], frame, details=False)
    notes = [cell.note for cell in table.header if cell.text == "nll ↓"]
    assert notes == [f"nats, measured as {usual}", "nats, measured as other"]


def titles(figure):
    """What a reader who points at the marks of a chart reads."""
    return [unescape(one) for one in re.findall("<title>(.*?)</title>", figure.drawn.decode())]


def test_label_efficiency_has_every_arm_at_every_number_of_samples(study):
    folder = enrich(study())
    ((caption, figure),) = all_metrics.fitted(*loaded(folder))
    assert "neighbours on affnist with n labelled samples" in caption
    points = [title for title in titles(figure) if "labelled" in title]
    assert {title.split(":")[0] for title in points} == {
        f"{arm}, {n} labelled samples"
        for arm in ("new", "old", "plain", "pixels")
        for n in (10, 100, 1000)
    }
    assert len(points) == 12
    assert figure.alt.startswith("Accuracy on affnist by number of labelled samples. 10 labelled ")
    assert "1000 labelled samples: new 0.3" in figure.alt


def test_accuracy_against_the_variants_of_the_fit_set_is_a_figure_too(study):
    declaration, frame = loaded(enrich(study()))
    frame.metric = frame.metric.str.replace("label_efficiency/affnist", "fit_set/affnist")
    ((caption, figure),) = all_metrics.fitted(declaration, frame)
    assert "on affnist, fitted on v variants of each train image" in caption
    assert "new, 100 variants of each image: 0.2" in " ".join(titles(figure))
    assert "Star" not in figure.note, "the paper fitted on other images"


def test_a_published_number_stands_where_as_many_images_were_fitted_on(study):
    declaration, frame = loaded(enrich(study()))
    frame.metric = frame.metric.str.replace("label_efficiency/affnist", "fit_set/affnist")
    declaration["images"] = {"affnist": {"train": 1_600_000}}
    ((_, figure),) = all_metrics.fitted(declaration, frame)
    stars = [title for title in titles(figure) if "published" in title]
    assert sorted(stars) == [
        "old, published: 0.551 (Table 1, column F-Aff, z_dim 10)",
        "plain, published: 0.363 (Table 1, column F-Aff, z_dim 10)",
    ]
    assert figure.note == "Star: the paper's number."
    assert figure.alt.endswith("; published: old 0.551, plain 0.363.")


def test_intervals_of_arms_are_t_intervals_cut_to_what_can_be(study):
    frame = loaded(enrich(study()))[1]
    own = frame[(frame.metric == "label_efficiency/affnist/10") & (frame.arm == "new")]
    low, high = stats.ttest_1samp(own.value, 0).confidence_interval(0.95)
    mean, found = all_metrics._summary(own, "arm", 0.05)["new"]
    assert mean == pytest.approx(own.value.mean())
    assert (found.low, found.high) == pytest.approx((low, high))
    wide = own.assign(value=[0.0, 0.5, 1.0])
    assert stats.ttest_1samp(wide.value, 0).confidence_interval(0.95).high > 1
    _, found = all_metrics._summary(wide, "arm", 0.05)["new"]
    assert (found.low, found.high) == (0, 1)
    _, found = all_metrics._summary(wide.assign(unit="s"), "arm", 0.05)["new"]
    assert found.low == 0
    assert found.high > 1
    _, found = all_metrics._summary(wide.assign(unit="nats"), "arm", 0.05)["new"]
    assert found.low < 0


def test_a_point_says_its_arm_its_seed_and_its_value(study):
    found, frame = loaded(study())
    said = titles(all_metrics.primary_values(found, frame))
    own = frame[frame.metric == "knn/affnist"]
    assert {f"{r.arm}, seed {r.seed}: {number(r.value)}" for r in own.itertuples()} <= set(said)


@pytest.mark.parametrize("n", [1, 3, 11, 24])
def test_names_beside_points_do_not_touch(n):
    rng = np.random.default_rng(n)
    places = np.sort(rng.uniform(0.4, 0.5, n))
    moved = pen.apart(places, 1 / 24)
    assert (np.diff(moved) >= 1 / 24 - 1e-9).all()
    assert (moved >= 0).all()
    assert (moved <= 1).all()
    far = np.linspace(0, 1, n)
    assert pen.apart(far, 0.9 / 24) == pytest.approx(far), "none moves without need"
