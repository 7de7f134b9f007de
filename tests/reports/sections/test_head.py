"""What the answer rests on and does not show, as the head of the page says it."""

from __future__ import annotations

import json

from reports import manifest as manifests
from reports import words
from reports.report import load, read
from reports.sections import head
from reports.statistics.answers import answer
from tests.reports.fabricated import contrast, page_of


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


def test_every_secondary_contrast_has_a_line_with_its_word_and_leads_to_its_row(study):
    secondary = [
        contrast("new", arm, metric)
        for metric in ("nll", "knn/affnist", "T/r2")
        for arm in ("old", "plain")
    ]
    folder = study(seeds=range(8), secondary=secondary * 3)
    report = read(folder)
    lines = head.secondary_lines(report.answer)
    assert len(lines) == 18
    assert [line.metric for line in lines] == ["knn/affnist"] * 6 + ["nll"] * 6 + ["T/r2"] * 6
    for line in lines:
        one = report.answer.secondary[int(line.row.removeprefix("contrast-")) - 1]
        assert (line.who, line.metric) == (words.who(one), one.contrast["metric"])
        assert (line.verdict, line.effect) == (one.verdict, words.effect_text(one))
    page = page_of(folder)
    links = [link["href"] for link in page.all("a") if link["href"].startswith("#contrast-")]
    assert links == [f"#{line.row}" for line in lines]
    first = page.text[: page.text.index("What it rests on")]
    assert first.index("on knn/affnist") < first.index("on nll") < first.index("The others")
    assert first.index("The others") < first.index("on T/r2")


def test_the_command_says_which_secondary_contrasts_are_decided_and_counts_the_rest(study):
    secondary = [
        contrast("new", arm, metric) for metric in ("nll", "T/r2") for arm in ("old", "plain")
    ]
    secondary.append(contrast("new", "old", "knn/fashion_mnist", 5.0))
    found = read(study(seeds=range(8), secondary=secondary)).answer.secondary
    worse, other, better, counts = words.secondary_text(found)
    assert worse.startswith("secondary: new is worse than old on nll: +0.")
    assert other.startswith("secondary: new is worse than plain on nll: +0.")
    assert better.startswith("secondary: new is better than old on T/r2: +0.")
    assert counts == "secondary: 1 equivalent, 1 n/a"
