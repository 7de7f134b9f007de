"""What the page says of tuning: what was tried, what won, what mattered."""

from __future__ import annotations

import pytest
from scipy import stats

from reports import manifest as manifests
from reports import rows
from reports.sections import tuning
from tests.reports.fabricated import enrich, page_of, tuning_of


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


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("knn/affnist", "the settings of every arm were chosen with labels of affnist"),
        ("label_efficiency/affnist/10", "chosen with labels of affnist"),
        ("knn/fashion_mnist", ""),  # what they were trained on
        ("nll", ""),
    ],
)
def test_tuning_on_a_transfer_data_set_is_said_to_have_seen_its_labels(study, metric, said):
    tuned = tuning_of(["new", "old", "plain"], metric=metric)
    folder = study(tuning=tuned)
    told = tuning.target(manifests.load(folder)["study"], tuned)
    assert said in told
    assert bool(said) == bool(told)
    assert ("a transfer data set: the settings" in page_of(folder).text) == bool(said)


def test_an_arm_that_is_trained_on_the_data_has_its_own_labels(study):
    given = manifests.load(study())["study"]
    own = {"data": {"train": "affnist", "transfer": ["affnist"]}}
    given["arms"]["old"] |= {"train": "affnist", "config": own}
    told = tuning.target(given, tuning_of(["new", "old"], metric="knn/affnist"))
    assert "the settings of new were chosen" in told


def test_the_tuning_table_has_defaults_winner_and_what_was_chosen(study):
    tuned = tuning_of(["new", "old", "plain"], chosen={"new": 1, "plain": None})
    table = tuning.tuning(manifests.load(study(tuning=tuned))["study"], tuned)
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
    table = tuning.tuning({"arms": {"new": {"role": "arm"}}}, tuned)
    assert [cell.text for cell in table.rows[0][2:4]] == ["250.310", "249.870"]


def loaded(folder):
    return manifests.load(folder)["study"], rows.load(folder)


def test_importance_is_the_rank_correlation_over_finished_candidates(study):
    found, _ = loaded(enrich(study()))
    figure = tuning.tuning_importance(found, found["tuning"])
    tried = [one for one in found["tuning"]["candidates"]["new"] if one["objective"] is not None]
    assert len(tried) == 6
    rank = stats.spearmanr(
        [one["values"]["model.rate"] for one in tried], [one["objective"] for one in tried]
    ).statistic
    assert f"new: model.rate {abs(rank):.2f};" in figure.alt
    assert "model.kind" not in figure.alt  # no number


def test_few_candidates_have_a_history_and_no_importance(study):
    found = manifests.load(study())["study"]
    tuned = tuning_of(["new"])
    assert tuning.tuning_importance(found, tuned) is None
    assert "new: first 0.500, best 0.625 of 2" in tuning.tuning_history(found, tuned).alt
    for candidate in tuned["candidates"]["new"]:
        candidate["objective"] = None
    assert tuning.tuning_history(found, tuned) is None


def test_the_best_so_far_follows_the_direction(study):
    found = manifests.load(study())["study"]
    assert "best 0.500" in tuning.tuning_history(found, tuning_of(["new"], direction="lower")).alt
