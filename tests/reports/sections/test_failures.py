"""The ledger of failures: what did not end as planned, and what happened on the way."""

from __future__ import annotations

from reports import manifest as manifests
from reports.sections import failures
from tests.reports.fabricated import enrich, page_of


def test_the_ledger_counts_and_tells_what_happened_on_the_way(study):
    folder = enrich(study(fail=[("old", 2), ("plain", 1)]))
    manifest = manifests.load(folder)
    assert failures.outcome_counts(manifest) == [
        ("confirmation trials", "10 of 12 done; 2 diverged")
    ]
    ledger = {line[0].text: line for line in failures.failures(manifest).rows}
    assert set(ledger) == {"new", "old", "plain"}
    assert (ledger["new"][3].text, ledger["new"][6].text) == ("done", "its process was killed once")
    assert ledger["old"][5].text == "loss is nan"
    text = page_of(folder).text
    assert "10 of 12 done; 2 diverged" in text
    assert "its process was killed once" in text
