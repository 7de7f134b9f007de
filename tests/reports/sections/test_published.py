"""Ours beside the paper's numbers, and what differs."""

from __future__ import annotations

from reports.sections import published as beside_ours


def study(train="fashion_mnist", latent_dim=10, size="small"):
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
            "trainer": {"steps": 200},
            "evaluation": {"knn": {"k": 5}},
        },
    }


def test_what_differs_is_said():
    said = " ".join(beside_ours.differences(study()))
    assert "200 steps here" in said
    assert "small subset" in said
    assert "knn.k = 5" in said
    assert "10,000 held out" in " ".join(beside_ours.differences(study(size="full")))
