"""What knows nothing scores what chance scores, on every measure that has a better side.

In the two-grey world the left and the right half of an image have a grey each, f adds a shade to
both, E(x) are the two greys and G(z) paints them: the additive form is exact. Each cheat breaks one
part of that model. A measure either does not look at that part, and then its value is the honest
model's, or it is at chance, or worse.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.tvae.evaluation.conftest import Shade
from tvae import registry
from tvae.data import Dataset, Split
from tvae.evaluation.base import Context
from tvae.models.base import Transforming

K, CLASSES = 20, 4
SETTINGS = {
    "act": {"images": 300, "fit": 900, "transformations": K},
    "label_efficiency": {"draws": 3},
    "label_kept": {"images": 200, "steps": 60},
    "likelihood": {"k": 20, "images": 100},
    "drawn": {"images": 60, "steps": 5},
}
CHANCE = {
    "mrr": sum(1 / i for i in range(1, K + 1)) / K,
    "hit1": 1 / K,
    "skill": 0.0,
    "gain": 0.0,
    "composition": 0.0,
    "drawn": 0.0,
    "r2": 0.0,
    "fit_set": 1 / CLASSES,
    "knn": 1 / CLASSES,
    "knn_standardised": 1 / CLASSES,
    "linear": 1 / CLASSES,
    "label_efficiency": 1 / CLASSES,
    "label_kept": 1 / CLASSES,
}
"""Of a measurement by its last name, else by its first."""
TOLERANCE = 0.08


def halves(seed: int, n: int) -> Split:
    """Images of two greys, of which the left one decides the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % CLASSES
    left = 60 + 35 * labels + rng.integers(-8, 9, n)
    right = rng.integers(60, 191, n)
    images = np.empty((n, 28, 28), np.uint8)
    images[:, :, :14], images[:, :, 14:] = left[:, None, None], right[:, None, None]
    return Split(images, labels.astype(np.int64))


class Honest(Transforming):
    """E, G and T are what they should be."""

    def __init__(self) -> None:
        super().__init__(2, 0)
        self.r = registry.latent_transforms.build("additive", 2)

    def objective(self, x, views, streams):
        raise NotImplementedError

    def encode(self, x):
        z = torch.stack([x[..., :14].flatten(1).mean(1), x[..., 14:].flatten(1).mean(1)], 1)
        return z, torch.full_like(z, -8.0)

    def decoded(self, z):
        return z.clamp(0.01, 0.99)[:, None, None].repeat_interleave(14, 3).expand(-1, 1, 28, 28)

    def generate(self, z):
        return self.decoded(z)

    def log_likelihood(self, z, x):
        p = self.decoded(z)
        return (x * p.log() + (1 - x) * (1 - p).log()).flatten(1).sum(1)

    def infer_T(self, z_1, z_2):
        return (z_1 - z_2) / 2

    def infer_z(self, z_1, z_2):
        return (z_1 + z_2) / 2, torch.full_like(z_1, -8.0)


class ConstantEncoder(Honest):
    def encode(self, x):
        z, logvar = super().encode(x)
        return torch.full_like(z, 0.5), logvar


class NoisyEncoder(Honest):
    """A hash of the image: every image, moved or not, is somewhere else."""

    def encode(self, x):
        z, logvar = super().encode(x)
        one = (z @ z.new_tensor([[12345.6], [54321.7]])).sin() * 1e3
        return torch.cat([one.sin(), (one * 1.7).sin()], 1) / 2 + 0.5, logvar


class ConstantDecoder(Honest):
    """The mean image, whatever z."""

    def decoded(self, z):
        return super().decoded(z * 0 + 0.45)


class Blind(Honest):
    """The best linear map from E(x') to E(f(x')) that never sees f: here nearly the identity."""

    def __init__(self) -> None:
        super().__init__()
        x = torch.from_numpy(halves(7, 4000).images)[:, None].float() / 255
        z = self.encode(x)[0]
        f = Shade().draw(len(x), torch.Generator().manual_seed(0))
        moved = self.encode(Shade().apply(x, f))[0]
        ones = torch.ones(len(z), 1)
        weights = torch.linalg.lstsq(torch.cat([z, ones], 1), moved).solution

        class Map(type(self.r)):
            def forward(self, z, t):
                return torch.cat([z, torch.ones(len(z), 1)], 1) @ weights

            inverse = forward

        self.r = Map(2)


class Identity(Honest):
    def infer_T(self, z_1, z_2):
        return torch.zeros_like(z_1)


class Shuffled(Honest):
    """The T of another image."""

    def infer_T(self, z_1, z_2):
        return super().infer_T(z_1, z_2).roll(37, 0)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A model's class -> name -> (value, direction), of every metric that there is."""
    data = Dataset.of("halves", halves(0, 600), halves(1, 200), halves(2, 1200))
    cache, known = tmp_path_factory.mktemp("classifiers"), {}

    def measured(model):
        if model not in known:
            context = Context(
                model().eval(), Shade(), {"halves": data}, "test", seed=1, cache=cache
            )
            found = {}
            for name in registry.metrics.names():
                metric = registry.metrics.make(name, **SETTINGS.get(name, {}))
                if not metric.comparable:  # what it costs, which no cheat is about
                    continue
                found |= {m.name: (m.value, m.direction) for m in metric(context)}
            known[model] = found
        return known[model]

    return measured


def chance(name: str) -> float | None:
    """What a guess scores; None: nats, which have no such number."""
    first, _, rest = name.partition("/")
    return CHANCE.get(rest.partition("/")[0] if first in ("T", "difference") or
                      first.startswith("act") else first)  # fmt: skip


def constant_image() -> float:
    """-log p of the test images under their mean: what one image for all can reach, nats."""
    x = halves(2, 1200).images / 255
    p = x.mean(0)
    return float(-(x * np.log(p) + (1 - x) * np.log(1 - p)).sum((1, 2)).mean())


def test_the_honest_model_is_far_from_chance(measured):
    found = measured(Honest)
    for name in ("act/mrr", "act/hit1", "act/skill", "act/gain", "act/composition", "T/r2",
                 "act_inverse/mrr", "act_inverse/skill", "act_pixels/mrr", "act_pixels/skill",
                 "act_difference/mrr", "knn/halves"):  # fmt: skip
        assert found[name][0] > 0.95, name
    assert found["act/mrr/chance"][0] == pytest.approx(CHANCE["mrr"])
    assert found["act/hit1/chance"][0] == pytest.approx(CHANCE["hit1"])


@pytest.mark.parametrize(
    "cheat", [ConstantEncoder, ConstantDecoder, Blind, Identity, Shuffled, NoisyEncoder]
)
def test_a_cheat_scores_chance(cheat, measured):
    honest, found = measured(Honest), measured(cheat)
    assert found.keys() == honest.keys()
    caught = 0
    for name, (value, direction) in found.items():
        if direction == "none" or math.isnan(value):
            continue
        if value == pytest.approx(honest[name][0], rel=1e-6, abs=1e-9):
            continue  # does not look at what the cheat has broken
        caught += 1
        sign, level = (1 if direction == "higher" else -1), chance(name)
        if level is None:
            level = -sign * constant_image()
            assert sign * (value - level) <= 0.01 * abs(level), (name, value, level)
        else:
            assert sign * (value - level) <= TOLERANCE, (name, value, level)
    assert caught >= 3


def test_what_does_not_look_is_few_enough(measured):
    """The measures of T are caught by every cheat on T, and those of E by every cheat on E."""
    for cheat in (ConstantEncoder, Blind, Identity, Shuffled, NoisyEncoder):
        found = measured(cheat)
        for name in ("act/mrr", "act/hit1", "act/skill", "act/gain", "act/composition",
                     "act_inverse/mrr", "act_pixels/mrr", "act_pixels/skill"):  # fmt: skip
            assert found[name][0] <= chance(name) + TOLERANCE, (cheat.__name__, name)
    for cheat in (ConstantEncoder, NoisyEncoder):
        for name in ("knn/halves", "knn_standardised/halves", "linear/halves", "T/r2"):
            assert measured(cheat)[name][0] <= chance(name) + TOLERANCE, (cheat.__name__, name)
