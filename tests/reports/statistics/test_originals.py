"""Intervals over seeds and originals, from the file that a trial leaves: its outcomes by original.

Variants of one original are no independent evidence; the interval must treat them as one. The file
is read as data that anybody may have made: what does not fit is refused and said, never used.
"""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pytest

from reports import manifest as manifests
from reports.rows import COLUMNS
from reports.statistics import intervals, originals
from reports.statistics.answers import answer

METRIC = "knn/affnist"
SEEDS = [1, 2, 3, 4, 5, 6]
ORIGINALS = 40
CONTRAST = {"treatment": "new", "control": "old", "metric": METRIC, "equivalence": 0.01}


def paired(differences):
    """As outcomes of two sides whose differences (S N) these are."""
    control = np.random.default_rng(1).random(differences.shape[1])
    return [(control + one, control) for one in differences]


def test_it_is_what_drawing_seeds_and_originals_one_by_one_gives():
    rng = np.random.default_rng(0)
    differences = rng.normal(0.1, 0.2, (4, 1)) + rng.normal(0, 0.5, 7) + rng.normal(0, 0.3, (4, 7))
    means = [
        differences[rng.integers(0, 4, 4)][:, rng.integers(0, 7, 7)].mean() for _ in range(40_000)
    ]
    found = originals.hierarchical_bootstrap(paired(differences), 0.1)
    low, high = np.quantile(means, [0.05, 0.95])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.05 * (high - low))
    assert found.level == 0.1
    assert found == originals.hierarchical_bootstrap(paired(differences), 0.1)


def test_where_originals_do_not_matter_it_is_the_bootstrap_over_seeds():
    d = np.random.default_rng(3).normal(0.3, 1, 8)
    found = originals.hierarchical_bootstrap(paired(np.repeat(d[:, None], 30, axis=1)), 0.05)
    plain = intervals.bootstrap(d, 0.05)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=0.04)


def test_where_seeds_do_not_matter_more_of_them_do_not_narrow_it():
    """What is hard about an original is hard at every seed."""
    of_originals = np.random.default_rng(3).normal(0.3, 1, 50)
    few, many = (
        originals.hierarchical_bootstrap(paired(np.tile(of_originals, (n, 1))), 0.05)
        for n in (3, 30)
    )
    plain = intervals.bootstrap(of_originals, 0.05)
    assert few.half == pytest.approx(plain.half, rel=0.05)
    assert many.half == pytest.approx(plain.half, rel=0.05)


def test_sides_are_read_on_the_same_originals():
    """Hard originals, hard for both: their spread cancels as long as pairs stay together."""
    hard = np.random.default_rng(3).normal(0, 100, 50)
    found = originals.hierarchical_bootstrap([(hard + 1, hard)] * 4, 0.05)
    assert (found.low, found.high) == pytest.approx((1, 1))


def test_different_numbers_of_originals_are_refused():
    with pytest.raises(ValueError, match="different numbers of originals"):
        originals.hierarchical_bootstrap([(np.zeros(3), np.zeros(4))], 0.05)


@pytest.fixture
def study(tmp_path):
    """A study of two arms with 4 variants of each original; `change` edits one file's arrays."""

    def make(keep=lambda arm, seed: True, change=lambda arm, seed, arrays: arrays):
        records, trials = [], []
        hard = np.random.default_rng(0).random(ORIGINALS)
        for (rank, arm), seed in itertools.product(enumerate(("new", "old")), SEEDS):
            rng = np.random.default_rng([rank, seed])
            right = rng.random((4, ORIGINALS)) < 0.2 + 0.6 * hard
            path = tmp_path / "trials" / f"{arm}{seed}" / "clusters.npz"
            path.parent.mkdir(parents=True)
            np.savez(path, **change(arm, seed, {METRIC: right.mean(axis=0)}))
            records.append(
                ("s", arm, "arm", seed, "confirm", "done", f"{arm}{seed}", "e", METRIC,
                 right.mean(), "accuracy", "higher", "f", "test")
            )  # fmt: skip
            trials.append(
                {
                    "trial": f"{arm}{seed}", "arm": arm, "role": "arm", "seed": seed,
                    "stage": "confirm", "status": "done", "reason": "", "steps": 1, "curve": None,
                    "pictures": None,
                    "clusters": str(path.relative_to(tmp_path)) if keep(arm, seed) else None,
                }
            )  # fmt: skip
        declared = {
            "name": "s", "question": "q", "budget": "quick", "budget_warning": "",
            "level": 0.05, "primary": CONTRAST, "seeds": SEEDS,
            "secondary": [CONTRAST | {"treatment": "old", "control": "new"}], "config": {},
            "choices": [], "command": "c",
            "arms": {arm: {"role": "arm", "summary": "", "differs": {}} for arm in ("new", "old")},
        }  # fmt: skip
        rows = pd.DataFrame(records, columns=list(COLUMNS)).astype(COLUMNS)
        return declared, rows, trials, tmp_path

    return make


def test_where_every_trial_left_its_originals_they_are_drawn_too(study):
    declared, rows, trials, folder = study()
    plain = answer(declared, rows, trials)
    found = answer(declared, rows, trials, folder)
    for one, before in zip(
        (found.primary, *found.secondary), (plain.primary, *plain.secondary), strict=True
    ):
        assert one.bootstrap_over == "seeds and originals"
        assert before.bootstrap_over == "seeds"
        assert one.bootstrap.half > before.bootstrap.half
        assert (one.verdict, one.interval, one.notes) == (
            before.verdict, before.interval, before.notes,
        )  # fmt: skip
    assert found.sentence == plain.sentence


@pytest.mark.parametrize(
    ("keep", "change", "note"),
    [
        (lambda arm, seed: False, None, ""),
        (lambda arm, seed: True, lambda arm, seed, arrays: {"other": arrays[METRIC]}, ""),
        (
            lambda arm, seed: (arm, seed) not in {("new", 2), ("old", 3)},
            None,
            "no outcomes by original of new at seed 2, old at seed 3",
        ),
        (
            lambda arm, seed: True,
            lambda arm, seed, arrays: {METRIC: arrays[METRIC] + 0.1 * (seed == 4) * (arm == "new")},
            "the originals at seed 4 do not average to the rows' difference",
        ),
        (
            lambda arm, seed: True,
            lambda arm, seed, arrays: {METRIC: np.tile(arrays[METRIC], 1 + (seed == 4))},
            "different numbers of originals",
        ),
    ],
)
def test_what_is_lacking_or_does_not_fit_is_said_and_seeds_are_drawn_alone(
    study, keep, change, note
):
    declared, rows, trials, folder = study(keep, change or (lambda arm, seed, arrays: arrays))
    plain = answer(declared, rows, trials).primary
    found = answer(declared, rows, trials, folder).primary
    assert found.bootstrap == plain.bootstrap
    assert found.bootstrap_over == "seeds"
    added = found.notes[len(plain.notes) :]
    assert len(added) == bool(note)
    assert note in "".join(added)


def test_a_broken_file_is_said_and_seeds_are_drawn_alone(study):
    declared, rows, trials, folder = study()
    (folder / trials[0]["clusters"]).write_bytes(b"half a file")
    found = answer(declared, rows, trials, folder).primary
    assert found.bootstrap_over == "seeds"
    assert "cannot be read" in found.notes[-1]


def test_a_manifest_names_the_file_inside_the_studys_folder_or_not_at_all(study):
    declared, rows, trials, folder = study(keep=lambda arm, seed: seed > 1)
    del trials[0]["clusters"]  # written before there were any
    rows.to_parquet(folder / "rows.parquet")
    manifest = {"study": declared, "trials": trials, "environment": {}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert manifests.load(folder)["trials"] == trials
    trials[1]["clusters"] = "../../secret.npz"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"secret.npz' leaves the study's folder"):
        manifests.load(folder)
