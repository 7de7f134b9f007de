"""What the answer rests on and does not show, as the head of the page says it."""

from __future__ import annotations

import json

from reports import manifest as manifests
from reports import words
from reports.report import load
from reports.sections import head
from reports.statistics.answers import answer
from tests.reports.fabricated import page_of


def test_outcomes_of_trials_are_counted(study):
    assert ("trials", "10 of 12 done (2 diverged)") in head.facts(
        manifests.load(study(fail=[("old", 1), ("old", 2)]))
    )
    assert words.outcomes(["failed", "done", "pruned", "failed"]) == (1, "1 pruned, 2 failed")


def test_data_and_sizes_of_arms_are_among_the_facts_and_limits(study):
    folder = study()
    manifest = manifests.load(folder)
    manifest["study"]["arms"]["new"] |= {"train": "mnist", "latent_dim": 100}
    facts = dict(head.facts(manifest))
    assert facts["data"].startswith("train mnist, fashion_mnist, ")
    assert facts["latent size"] == "100, 10, 784"  # the last is the number of pixels
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert "Nothing beyond mnist and fashion_mnist, this budget" in page_of(folder).text


def test_p_values_stand_by_the_answer(study):
    folder = study()
    text = page_of(folder).text
    assert "n = 3 paired seeds. Against no difference at all: paired t test p " in text
    assert "exact sign-flip test p = 0.250" in text


def test_one_seed_has_no_p_values(study):
    manifest, frame = load(study(seeds=(1,)))
    assert head.tests(answer(manifest["study"], frame).primary) == ""
