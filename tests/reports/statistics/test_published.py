"""The paper's numbers, against the text of its Table 1 as transcribed here a second time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reports.rows import COLUMNS
from reports.sections import published as beside_ours
from reports.statistics import intervals, published

TABLE_1 = """
VAE    10   55.9  96.2  32.8  81.7
VAE+   10   70.2  96.7  36.3  82.2
T_VAE  10   73.5  96.6  55.1  84.0
VAE    100  66.3  96.2  43.1  82.6
VAE+   100  79.2  97.4  43.3  82.7
T_VAE  100  90.6  98.1  81.2  86.9
"""
COLUMN = (
    ("mnist", "knn/affnist"), ("mnist", "knn/mnist"),
    ("fashion_mnist", "knn/affnist"), ("fashion_mnist", "knn/fashion_mnist"),
)  # fmt: skip


def study(train="fashion_mnist", latent_dim=10, size="full", steps=120_000, fit=1_600_000):
    """By default the paper's steps and fit set of AffNIST, a column each of 32 x 50,000."""
    arms = {"ours": "T_VAE", "theirs": "VAE", "other": ""}
    return {
        "level": 0.05,
        "arms": {
            name: {"role": "arm", "summary": "", "differs": {}, "published": label}
            for name, label in arms.items()
        },
        "config": {
            "data": {"train": train, "size": size},
            "model": {"latent_dim": latent_dim},
            "trainer": {"steps": steps},
        },
        "images": {"affnist": {"train": fit}, "mnist": {"train": 50_000}},
    }


def rows_of(arm, values, metric="knn/affnist", unit="accuracy"):
    records = [
        ("s", arm, "arm", seed, "confirm", "done", "k", "e", metric, value, unit, "higher", "f",
         "test")
        for seed, value in enumerate(values)
    ]  # fmt: skip
    return pd.DataFrame(records, columns=list(COLUMNS)).astype(COLUMNS)


def test_table_1_is_transcribed_right():
    for line in TABLE_1.split("\n")[1:-1]:
        model, latent_dim, *values = line.split()
        for (train, metric), value in zip(COLUMN, values, strict=True):
            entry = published.lookup(model, train, metric, int(latent_dim))
            assert entry is not None
            assert entry.value == pytest.approx(float(value) / 100)
            assert entry.place.startswith("Table 1")
            assert entry.predicts
    assert sum(entry.predicts for entry in published.PUBLISHED) == 24


def test_the_nats_of_the_text_hold_for_any_latent_size_and_predict_nothing():
    nats = {model: published.lookup(model, "mnist", "nll", 10) for model in published.MODELS}
    assert {model: entry.value for model, entry in nats.items()} == {
        "T_VAE": 92, "VAE": 93, "VAE+": 94,
    }  # fmt: skip
    assert not any(entry.predicts for entry in nats.values())
    assert published.lookup("VAE", "mnist", "nll", 100) == nats["VAE"]
    assert published.lookup("VAE", "fashion_mnist", "nll", 10) is None
    assert published.lookup("VAE", "mnist", "knn/mnist", 32) is None
    assert published.lookup("", "mnist", "knn/mnist", 10) is None


def test_a_prediction_interval_holds_the_next_seed_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(0, 1, (4000, 6))
    held = 0
    for *seen, following in draws:
        interval = intervals.prediction_interval(np.array(seen), 0.1)
        held += interval.low <= following <= interval.high
    assert held / len(draws) == pytest.approx(0.9, abs=0.02)


def test_ours_stands_beside_the_same_model_data_and_size():
    values = [0.50, 0.53, 0.56]
    rows = pd.concat([rows_of("ours", values), rows_of("other", values), rows_of("theirs", [0.9])])
    found = published.beside(study(), rows)
    assert [(line.arm, line.published.value) for line in found] == [
        ("ours", 0.551), ("theirs", 0.328),
    ]  # fmt: skip
    half = stats.t.ppf(0.975, 2) * np.std(values, ddof=1) * np.sqrt(1 + 1 / 3)
    assert found[0].prediction.half == pytest.approx(half)
    assert found[0].within is True
    assert found[1].within is None  # one seed: no interval to hold it against
    assert beside_ours.beside_published(found).rows[0][7].text == "yes"
    assert beside_ours.beside_published(found).rows[0][6].text == "—"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": 3_000}, ("steps: 3,000 here, 120,000 there",)),
        ({"steps": None}, ("steps: unknown here, 120,000 there",)),
        ({"fit": 50_000}, ("images to fit on: 50,000 here, 1,600,000 there",)),
    ],
)
def test_another_experiment_is_shown_with_what_differs_and_no_verdict(changes, said):
    rows = rows_of("ours", [0.50, 0.53, 0.56])
    (line,) = published.beside(study(**changes), rows)
    assert line.apart == said
    assert line.within is None
    assert line.published.value == 0.551
    cells = [cell.text for cell in beside_ours.beside_published([line]).rows[0]]
    assert cells[6:8] == ["; ".join(said), "not asked"]
    assert line.prediction is not None, "ours has its interval all the same"


def test_the_official_train_files_have_more_images_than_ours():
    """The paper sets none of the 60,000 aside; 10,000 of ours are for validation."""
    (line,) = published.beside(study(train="mnist"), rows_of("ours", [0.9, 0.95], "knn/mnist"))
    assert line.apart == ("images to fit on: 50,000 here, 60,000 there",)


def test_an_arm_s_own_steps_count():
    given = study()
    given["arms"]["ours"]["config"] = {"trainer": {"steps": 7}}
    rows = pd.concat([rows_of("ours", [0.5, 0.6]), rows_of("theirs", [0.3, 0.4])])
    ours, theirs = published.beside(given, rows)
    assert ours.apart == ("steps: 7 here, 120,000 there",)
    assert theirs.apart == ()
    assert theirs.within is not None


def test_far_values_are_outside_and_nats_are_never_judged():
    assert published.beside(study(), rows_of("ours", [0.1, 0.11, 0.1]))[0].within is False
    nats = rows_of("ours", [92.0, 92.1], metric="nll", unit="nats")
    assert published.beside(study(train="mnist"), nats)[0].within is None


def test_other_units_sizes_and_data_have_nothing_published():
    assert not published.beside(study(), rows_of("ours", [55.0, 54.0], unit="per cent"))
    assert not published.beside(study(latent_dim=32), rows_of("ours", [0.5, 0.6]))
    assert not published.beside(study(train="letters"), rows_of("ours", [0.5, 0.6]))


def test_an_arm_stands_beside_what_was_published_for_its_own_data_and_size():
    given = study(train="letters", latent_dim=32)
    given["arms"]["ours"] |= {"train": "mnist", "latent_dim": 100}
    given["arms"]["theirs"] |= {"train": "fashion_mnist", "latent_dim": 10}
    given["arms"]["other"] |= {"published": "VAE"}  # as shared: letters, 32
    rows = pd.concat([rows_of(arm, [0.5, 0.6]) for arm in given["arms"]])
    found = published.beside(given, rows)
    assert [(line.arm, line.published.value, line.latent_dim) for line in found] == [
        ("ours", 0.906, 100), ("theirs", 0.328, 10),
    ]  # fmt: skip
    cells = [(line[1].text, line[1].note) for line in beside_ours.beside_published(found).rows]
    assert cells == [("mnist", "latent size 100"), ("fashion_mnist", "latent size 10")]


def test_one_of_data_and_size_may_be_the_arms_own():
    given = study(train="mnist", latent_dim=10)
    given["arms"]["ours"]["latent_dim"] = 100
    assert published.beside(given, rows_of("ours", [0.5]))[0].published.value == 0.906
    del given["config"]["data"]
    assert not published.beside(given, rows_of("ours", [0.5]))
