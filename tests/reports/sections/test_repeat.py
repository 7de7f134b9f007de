"""Where a study ran and how long measuring took, as the page says it."""

from __future__ import annotations

import json

from reports import manifest as manifests
from reports.sections import repeat
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
