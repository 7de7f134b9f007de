"""Where a study ran and how long measuring took, as the page says it."""

from __future__ import annotations

import json

from reports import manifest as manifests
from reports import rows
from reports.sections import head, repeat, trials
from tests.reports.fabricated import page_of, trial_of


def test_what_every_metric_took_is_told_longest_first(study):
    folder = study()
    manifest = manifests.load(folder)
    assert not repeat.measuring(manifest).rows, "of an older study nobody knows"
    for seed, seconds in ((1, 1.0), (2, 3.0)):
        trial_of(manifest, "new", seed)["metric_seconds"] = {"knn": seconds, "probe": 0.25}
    trial_of(manifest, "pixels", 1)["metric_seconds"] = {"knn": 8.0}
    tuned = {**trial_of(manifest, "old", 1), "stage": "tune", "metric_seconds": {"knn": 100.0}}
    manifest["trials"].append(tuned)
    knn, probe = repeat.measuring(manifest).rows
    assert [cell.text for cell in knn] == ["knn", "4.00", "8.00", "12.0"]
    assert knn[2].note == "pixels"
    assert [cell.text for cell in probe] == ["probe", "0.25", "0.25", "0.5"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "CPU seconds of every metric" in page_of(folder).text


def test_where_it_was_trained_is_told_once_for_one_machine(study):
    folder = study()
    manifest = manifests.load(folder)
    assert not repeat.trained_on(manifest), "of an older study nobody knows"
    for trial in manifest["trials"]:
        trial["machines"] = [] if trial["role"] == "reference" else ["Abacus (AVX2)"]
    assert repeat.trained_on(manifest) == "Trained on Abacus (AVX2)."
    assert not head.unlike_machines(manifest)
    assert all(len(row) == 8 for row in trials.trials(folder, manifest, rows.load(folder)).rows)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert page_of(folder).text.count("Abacus") == 1


def test_unlike_machines_are_told_where_the_answer_is_and_by_trial(study):
    """Of three pairs one was trained apart; a fourth trial was continued elsewhere."""
    folder = study()
    manifest = manifests.load(folder)
    for trial in manifest["trials"]:
        trial["machines"] = [] if trial["role"] == "reference" else ["A (AVX2)"]
    trial_of(manifest, "new", 1)["machines"] = ["B (AVX512)"]
    trial_of(manifest, "plain", 3)["machines"] = ["A (AVX2)", "B (AVX512)"]
    (said,) = head.unlike_machines(manifest)
    assert "(7 on A (AVX2), 1 on B (AVX512), 1 on A (AVX2), then B (AVX512))" in said
    assert "in 1 of 3 pairs of the primary contrast" in said
    table = trials.trials(folder, manifest, rows.load(folder))
    assert table.header[-1].text == "trained on"
    last = {(row[0].text, row[1].text): row[-1].text for row in table.rows}
    assert last["new", "1"] == "B (AVX512)"
    assert last["pixels", "1"] == ""
    del trial_of(manifest, "new", 2)["machines"]
    trial_of(manifest, "old", 1)["machines"] = ["B (AVX512)"]
    assert "in none of 2 pairs" in head.unlike_machines(manifest)[0]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    text = page_of(folder).text
    assert "in none of 2 pairs" in text
    assert "Trained on unlike machines: " in text
