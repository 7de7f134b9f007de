"""What differs between arms: across the page where there are few, down it where there are many."""

from __future__ import annotations

import json

import pytest

from reports import manifest as manifests
from reports import rows
from reports.sections import arms as arms_of
from reports.sections import metrics as all_metrics
from tests.reports.fabricated import ARMS, enrich, page_of


def test_many_arms_go_down_the_page(crossed):
    folder = crossed()
    manifest, frame = manifests.load(folder), rows.load(folder)
    found = manifest["study"]
    metrics = all_metrics.metrics(found, frame, details=False)
    for table in (metrics, arms_of.arms(found, manifest)):
        assert table.header[0].text == "arm"
        assert [line[0].text for line in table.rows] == list(found["arms"])
        assert table.rows[-1][0].kind == "baseline"
        assert {len(line) for line in table.rows} == {len(table.header)}
    differ = list(found["arms"]["s0-b0-h0"]["differs"])
    assert "model.hidden" in differ
    assert [cell.text for cell in table.header[1 : 2 + len(differ)]] == ["summary", *differ]
    assert metrics.rows[0][1].text.startswith("0.")


def test_few_arms_stay_across(study):
    few = manifests.load(study())
    assert [cell.text for cell in arms_of.arms(few["study"], few).header[1:]] == list(ARMS)


def test_weights_in_force_are_shown(study):
    """Also where the study left them at their defaults and arms do not differ in what it says."""
    found = manifests.load(study())
    arms = found["study"]["arms"]
    assert "weight of" not in str(arms_of.arms(found["study"], found))
    arms["new"]["weights"] = {"coherence": 13.348, "prior": 4.552}
    arms["plain"]["weights"] = {"prior": 1.0}
    rows = {line[0].text: line[1:] for line in arms_of.arms(found["study"], found).rows}
    shown = {
        part: dict(zip(arms, (cell.text for cell in rows[f"weight of {part}"]), strict=True))
        for part in ("coherence", "prior")
    }
    assert shown["coherence"] == {**dict.fromkeys(arms, "—"), "new": "13.3"}
    assert shown["prior"] == {**dict.fromkeys(arms, "—"), "new": "4.55", "plain": "1"}


def test_claims_of_a_manifest_are_read_and_shown(study):
    folder = enrich(study())
    assert manifests.load(folder)["study"]["arms"]["new"]["claims"] == ["inverse", "abelian"]
    assert "inverse, abelian" in page_of(folder).text
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["study"]["arms"]["new"]["claims"] = "inverse"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="claims"):
        manifests.load(folder)
