"""Ours beside the paper's numbers, and what differs: as it is set, never as it is by default.

A report that says "k = 5" of a study with another k is worse than one that says nothing, so
everything that the page says of settings is changed here, and the change must be on the page.
"""

from __future__ import annotations

import re

from tests.reports.fabricated import MODELS, SHARED, page_of

CHANGED = {
    "data": {"train": "fashion_mnist", "transfer": ["affnist"], "protocol": "centre_crop"},
    "family": {"name": "rotation_crop", "max_angle": 33, "min_scale": 0.61},
    "metrics": SHARED["metrics"] | {
        "knn": {"k": 7}, "label_efficiency": {"k": 3, "draws": 9},
        "likelihood": {"k": 77, "images": 41},
    },
    "trainer": {
        "steps": 321, "learning_rate": 0.0123, "schedule": "constant",
        "wide_rate": 0.5, "warm_up": 7, "batch_size": 64,
    },
}  # fmt: skip


def part_of(page, section):
    """The text of a section of the page, spaces and line ends as one space."""
    text = re.sub(r"\s+", " ", page.text)
    start = text.rindex(section)
    return text[start:]


def test_what_was_changed_is_what_the_page_says(study):
    page = page_of(study(declared=CHANGED))
    differs = part_of(page, "What differs Training")
    assert "Training: 321 steps here; 120,000 there" in differs
    assert "knn/affnist on 8,000 images here, 1,600,000 there" in differs
    assert "knn/fashion_mnist on 8,000 images here, 60,000 there" in differs
    assert "Data: small data sets here" in differs
    assert "rotation_crop (max_angle = 33, min_scale = 0.61)" in differs
    assert "data.protocol = centre_crop" in differs
    assert "Seeds: 3 here" in differs
    for setting in ("knn.k = 7", "label_efficiency.k = 3", "draws = 9", "likelihood.k = 77",
                    "likelihood.images = 41"):  # fmt: skip
        assert setting in differs
    chosen = part_of(page, "Choices where the paper is silent")
    for said in (
        "k = 7 nearest neighbours",
        "With few labels: k = 3 nearest neighbours, 9 random draws",
        "77 samples for each of 41 test images",
        "Rotations of up to 33 degrees, crops of at least 0.61 of a side",
        "Adam at 0.0123, all the time, after 7 steps of an even rise, on batches of 64",
        "q_psi and h_xi, learn at 0.00615",
        "the images of affnist, 40 x 40, cut to their middle",
        "AffNIST is generated from 12,000 of MNIST's digits",
    ):
        assert said in chosen, said
    for default in ("k = 5", "knn.k = 5", "cosine", "resized", "0.7 of a side", "45 degrees",
                    "160 steps"):  # fmt: skip
        assert default not in differs + chosen, default


def test_where_arms_differ_each_value_stands_with_its_arms(study):
    """Steps, family and the divergence's options differ between the two that are published."""
    models = MODELS | {"old": MODELS["old"] | {"coherence": {"name": "mmd", "kernel": "rbf"}}}
    page = page_of(
        study(
            models=models,
            arms={"old": {"trainer": {"steps": 11}, "family": "rotation"}},
            declared={"trainer": {"steps": 321}},
        )
    )
    differs = part_of(page, "What differs Training")
    assert "Training: 11 (old); 321 (plain) steps here" in differs
    assert "rotation (max_angle = 45) (old); rotation_crop (" in differs
    chosen = part_of(page, "Choices where the paper is silent")
    assert "The kernel (rbf) and the estimator (wae) of the MMD (old)." in chosen
    assert "The kernel (imq) and the estimator (wae) of the MMD (new, old)." in chosen
    assert "deviation 0.3, learn_scale = False (new)." in chosen
    assert "writes Tz (new)." in chosen
