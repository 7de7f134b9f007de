"""Whether T acts, image by image and by plain loops; what cheats score is in test_cheats."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from tvae.evaluation._ridge import ALPHAS, Ridge
from tvae.evaluation.act import Act, chances, skill
from tvae.evaluation.base import Context
from tvae.registry import families
from tvae.streams import Streams

N, K, FIT = 10, 5, 30


def values(metric, context):
    return {m.name: m.value for m in metric(context)}


def test_a_rank_is_counted_and_ties_share_theirs():
    generator = np.random.default_rng(0)
    query = generator.integers(0, 3, (200, 2))
    candidates = generator.integers(0, 3, (200, 4, 2))
    mrr, hit1 = chances(torch.from_numpy(query), torch.from_numpy(candidates))
    for i in range(200):
        far = [int(((query[i] - c) ** 2).sum()) for c in candidates[i]]
        places = [p for p, d in enumerate(sorted(far), 1) if d == far[0]]
        assert mrr[i] == pytest.approx(np.mean([1 / p for p in places]))
        assert hit1[i] == pytest.approx(np.mean([p == 1 for p in places]))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_collapses_or_explodes_is_at_chance(bad):
    chance = sum(1 / i for i in range(1, 21)) / 20
    for query, candidates in (
        (torch.zeros(3, 2), torch.zeros(3, 20, 2)),
        (torch.full((3, 2), bad), torch.randn(3, 20, 2)),
        (torch.zeros(3, 2), torch.full((3, 20, 2), bad)),
    ):
        mrr, hit1 = chances(query, candidates)
        assert mrr == pytest.approx(chance)
        assert hit1 == pytest.approx(1 / 20)
    assert skill(0.0, 0.0, 0.0) == skill(bad, 1.0) == skill(1.0, bad) == 0
    assert skill(0.25, 1.0, 0.5) == 0.5


def ridge(x, y, at):
    scaler = StandardScaler().fit(x)
    return RidgeCV(ALPHAS).fit(scaler.transform(x), y).predict(scaler.transform(at))


@pytest.mark.parametrize("columns", [3, 29, 30, 80])
def test_one_decomposition_serves_every_output_as_scikit_learn_does(columns):
    """With fewer and with more columns than rows, a constant one, and unlike best penalties."""
    generator = np.random.default_rng(columns)
    x, at = (generator.standard_normal((n, columns)) * 3 + 1 for n in (30, 7))
    x[:, 0] = at[:, 0] = 0.1
    regression = Ridge(torch.from_numpy(x))
    told = x[:, 1:3] @ generator.standard_normal((2, 4))
    for noise in (0.0, 1.0, 100.0):
        y = told + noise * generator.standard_normal(told.shape)
        found = regression(torch.from_numpy(y), torch.from_numpy(at))
        np.testing.assert_allclose(found, ridge(x, y, at), atol=1e-6 * max(1, noise))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_regression_on_what_is_not_finite_says_nothing(bad):
    fine, broken = torch.randn(4, 2), torch.full((4, 2), bad)
    for inputs, outputs, new in ((broken, fine, fine), (fine, broken, fine), (fine, fine, broken)):
        assert Ridge(inputs)(outputs, new).isnan().all()


@torch.no_grad()
@pytest.mark.parametrize("form", ["additive", "matrix", "matrix_free", "mlp"])
@pytest.mark.parametrize("family", ["rotation_crop", "superpixel"])
def test_image_by_image(form, family, build, noisy_data):
    """The definitions written out, with the draws of the metric's own streams."""
    context = Context(
        build(form).double(), families.make(family), {"noise": noisy_data}, "test", seed=3
    )
    model, family = context.model, context.family
    found = values(Act(N, K, FIT), context)
    stream, second = (Streams(3)(f"evaluation/act{more}") for more in ("", "/second"))
    images = context.sample(24)
    x, rest = images[:N], images[N:]

    def one(parameters, i):
        return {name: value[i : i + 1] for name, value in parameters.items()}

    def embed(image):
        return model.encoder(image.double())[0]

    def T(image, f):
        return model.infer_T(
            embed(family.apply(image, f)), embed(family.apply(image, family.invert(f)))
        )

    f, others = family.draw(N, stream), family.draw(N * (K - 1), stream)
    f_fit = family.draw(FIT, stream)
    pairs = [
        (rest[i % len(rest)][None], rest[(i + 1) % FIT % len(rest)][None], one(f_fit, i))
        for i in range(FIT)
    ]
    e_fit = torch.cat([embed(to) for _, to, _ in pairs])
    target_fit = torch.cat([embed(family.apply(to, f)) for _, to, f in pairs])
    e_to = torch.cat([embed(x[(i + 1) % N][None]) for i in range(N)])
    blind = torch.from_numpy(ridge(e_fit.double(), target_fit.double(), e_to.double()))

    ranks, errors, around, mapped = [], [], [], []
    ts = [T(x[i][None], one(f, i)) for i in range(N)]
    for i in range(N):
        to = x[(i + 1) % N][None]
        true = embed(family.apply(to, one(f, i)))
        candidates = [true] + [
            embed(family.apply(to, one(others, i * (K - 1) + j))) for j in range(K - 1)
        ]
        where = model.r(embed(to), ts[i])
        far = [float((where - c).double().square().sum()) for c in candidates]
        # two superpixel transformations can be the same one
        nearer = sum(d < far[0] * (1 - 1e-9) for d in far)
        ranks.append(
            [nearer + 1 + j for j in range(sum(d <= far[0] * (1 + 1e-9) for d in far) - nearer)]
        )
        errors.append(float((where - true).square().sum()))
        mean = torch.stack([model.r(embed(to), ts[(i + s) % N]) for s in range(2, 10)]).mean(0)
        around.append(float((mean - true).square().sum()))
        mapped.append(float((blind[i] - true).square().sum()))
    assert found["act/mrr"] == pytest.approx(
        np.mean([np.mean(1 / np.array(places)) for places in ranks])
    )
    assert found["act/hit1"] == pytest.approx(
        np.mean([np.mean(np.array(places) == 1) for places in ranks])
    )
    least = min(np.mean(around), np.mean(mapped))
    assert found["act/skill"] == pytest.approx(1 - np.mean(errors) / least, rel=1e-4)

    g = family.draw(N, second)
    both_fit_g = family.draw(FIT, second)
    both_fit = torch.cat(
        [
            embed(family.apply(family.apply(to, f), one(both_fit_g, i)))
            for i, (_, to, f) in enumerate(pairs)
        ]
    )
    blind = torch.from_numpy(ridge(e_fit.double(), both_fit.double(), e_to.double()))
    later = [T(x[i][None], one(g, i)) for i in range(N)]
    errors, around, mapped = [], [], []
    for i in range(N):
        to = x[(i + 1) % N][None]
        true = embed(family.apply(family.apply(to, one(f, i)), one(g, i)))

        def moved(shift, to=to, i=i):
            j = (i + shift) % N
            return model.r(model.r(embed(to), ts[j]), later[j])

        errors.append(float((moved(0) - true).square().sum()))
        mean = torch.stack([moved(s) for s in range(2, 10)]).mean(0)
        around.append(float((mean - true).square().sum()))
        mapped.append(float((blind[i] - true).square().sum()))
    least = min(np.mean(around), np.mean(mapped))
    expected = 1 - np.mean(errors) / least
    assert found["act/composition"] == pytest.approx(expected, rel=1e-4)
