"""A T that is drawn: what the truth, a T that never moves and one that scatters are said to be."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from tests.tvae.evaluation.test_cheats import Honest, halves
from tvae.data import Dataset
from tvae.evaluation.base import Context
from tvae.evaluation.drawn import Drawn, covered
from tvae.families.base import TransformationFamily

SPREAD = 0.04


class Shades(TransformationFamily):
    """Adds a normal shade to each half, so small that nothing is cut at black or white."""

    inverse = "exact"

    def draw(self, n, generator):
        return {side: SPREAD * torch.randn(n, generator=generator) for side in ("left", "right")}

    def apply(self, x, parameters):
        shade = torch.stack([parameters["left"], parameters["right"]], 1)[:, None, None].to(x)
        return x + shade.repeat_interleave(14, 3)

    def invert(self, parameters):
        return {name: -values for name, values in parameters.items()}


class Moving(Honest):
    """r(z, T) = z + `size` T."""

    def __init__(self, size: float) -> None:
        super().__init__()

        class Form(type(self.r)):
            def forward(self, z, t):
                return z + size * t

        self.r = Form(2)


@cache
def measured(size: float) -> dict[str, float]:
    data = Dataset.of("halves", halves(0, 400), halves(1, 100), halves(2, 200))
    context = Context(Moving(size).eval(), Shades(), {"halves": data}, "test", seed=0)
    return {m.name: m.value for m in Drawn(images=60, steps=100)(context)}


@pytest.mark.parametrize(
    ("size", "low", "high"),
    [(SPREAD, 0.93, 1.07), (0.0, -0.05, 0.0), (0.4 * SPREAD, 0.3, 0.9), (1.0, -1.0, 0.1)],
)
def test_the_family_s_own_law_has_1_and_standing_still_0(size, low, high):
    assert low <= measured(size)["drawn/coverage"] <= high


def test_what_scatters_is_far_and_loses_the_label():
    truth, far = measured(SPREAD), measured(1.0)
    assert truth["drawn/nearest"] == pytest.approx(1, abs=0.06)
    assert far["drawn/nearest"] > 5
    assert far["drawn/label_kept"] < truth["drawn/label_kept"] - 0.2
    assert far["drawn/coverage"] < 0.1


def test_covered_is_what_a_loop_finds():
    rng = np.random.default_rng(0)
    points, candidates = rng.normal(size=(2, 7, 3)), rng.normal(size=(2, 9, 3))
    found = covered(torch.tensor(points), torch.tensor(candidates)).numpy()
    for i in range(2):
        for k, candidate in enumerate(candidates[i]):
            others = np.delete(candidates[i], k, axis=0)
            radius = sorted(np.linalg.norm(others - candidate, axis=1))[2]
            near = any(np.linalg.norm(point - candidate) < radius for point in points[i])
            assert found[i, k] == near
