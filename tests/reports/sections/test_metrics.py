"""The tables and figures of metrics: what is bold, what was published, what stands apart.

A table is what gets copied into a paper, so only what was measured alike
may stand side by side.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from reports import manifest as manifests
from reports import rows
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


def test_label_efficiency_has_every_arm_at_every_number_of_samples(study, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        all_metrics, "_efficiency_panel", lambda axes, study, own: drawn.append(own)
    )
    folder = enrich(study())
    figure = all_metrics.label_efficiency(*loaded(folder))
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
    all_metrics._efficiency_panel(axes, found, own.assign(n=10))
    low, high = (axes.collections[0].get_paths()[0].vertices[:, 1] for _ in range(2))
    interval = stats.ttest_1samp(own.value, 0).confidence_interval(0.95)
    assert (low.min(), high.max()) == pytest.approx(tuple(interval))
    assert axes.get_xscale() == "log"
