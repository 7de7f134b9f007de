"""The statistics on simulated studies whose truth is known: how often they are right.

An interval that covers too rarely or a verdict that is wrong too often would make any claim of a
report worthless, whatever each formula says by itself. Seeds are fixed. Measured rates are printed:
``pytest -s tests/reports/statistics/test_simulated.py``.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from reports.rows import COLUMNS
from reports.statistics import intervals, originals, power, verdicts
from reports.statistics.answers import answer
from reports.statistics.records import Pairs
from reports.statistics.tests import holm_levels, sign_flip

LEVEL = 0.05
SEEDS = (6, 10, 20)
LAWS = {
    "normal": lambda rng, size: rng.normal(size=size),
    "skewed": lambda rng, size: rng.gamma(4, size=size) - 4,  # skewness 1, mean 0
}

BOOTSTRAP_COVERS = {
    ("normal", 6): 0.863, ("normal", 10): 0.901, ("normal", 20): 0.928,
    ("skewed", 6): 0.845, ("skewed", 10): 0.891, ("skewed", 20): 0.918,
}  # fmt: skip
"""As the docstring of `bootstrap` says; by plain NumPy, on other draws, in 20,000 studies each."""
BOOTSTRAPPED = 2_000


def off(rate, n, times=3):
    """So many standard errors of a rate from n studies."""
    return times * math.sqrt(rate * (1 - rate) / n)


def covered(found, truth=0.0):
    return float(np.mean([one.low <= truth <= one.high for one in found]))


def pairs_of(differences, equivalence=0.0):
    contrast = {"treatment": "t", "control": "c", "metric": "m", "equivalence": equivalence}
    return Pairs(contrast, (), tuple(differences), (), "points", "higher")


def words(family, equivalence):
    """The verdicts of a family of contrasts (m n), without what else `judge_family` works out."""
    p = [verdicts.p_verdict(pairs_of(one, equivalence)) for one in family]
    levels = holm_levels(p, LEVEL)
    found = [intervals.t_interval(one, at) for one, at in zip(family, levels, strict=True)]
    return [verdicts.verdict(one, equivalence, "higher") for one in found]


@pytest.mark.parametrize("n", SEEDS)
@pytest.mark.parametrize("law", LAWS)
def test_t_intervals_cover_about_as_often_as_they_say(law, n):
    studies = 3_000
    draws = LAWS[law](np.random.default_rng(n), (studies, n))
    rate = covered(intervals.t_interval(one, LEVEL) for one in draws)
    print(f"t interval, {law}, n = {n}: {rate:.1%}")
    if law == "normal":
        assert rate == pytest.approx(1 - LEVEL, abs=off(LEVEL, studies))
    else:
        assert rate == pytest.approx(1 - LEVEL, abs=0.03)


@pytest.mark.parametrize(("law", "n"), BOOTSTRAP_COVERS)
def test_bootstrap_intervals_cover_as_rarely_as_documented(law, n, monkeypatch):
    """For a normal law a percentile interval is about mean +- z s sqrt(n - 1) / n."""
    monkeypatch.setattr(intervals, "RESAMPLES", 999)  # coverage asks for studies, not digits
    draws = LAWS[law](np.random.default_rng(n), (BOOTSTRAPPED, n))
    rate = covered(intervals.bootstrap(one, LEVEL) for one in draws)
    theory = 1 - 2 * stats.t.sf(stats.norm.isf(LEVEL / 2) * math.sqrt((n - 1) / n), n - 1)
    print(f"bootstrap, {law}, n = {n}: {rate:.1%} (normal theory {theory:.1%})")
    documented = BOOTSTRAP_COVERS[law, n]
    assert rate == pytest.approx(documented, abs=off(documented, BOOTSTRAPPED))
    assert documented <= theory + 0.005
    if n < 10:
        assert rate < 1 - LEVEL - off(LEVEL, BOOTSTRAPPED)


def independent(rng, contrasts, n):
    return rng.normal(size=(contrasts, n))


def shared_control(rng, contrasts, n):
    """Arms minus one control: correlated by a half, deviation 1."""
    return (rng.normal(size=(contrasts, n)) - rng.normal(size=n)) / math.sqrt(2)


@pytest.mark.parametrize("draw", [independent, shared_control])
@pytest.mark.parametrize(
    ("equivalence", "truths"),
    [
        (0.0, [0.0] * 5),  # any decision is wrong
        (0.5, [0.5] * 5),  # on the edge of the region: any decision counts as wrong
        (0.0, [0.0, 0.0, 0.0, 4.0, -4.0]),  # those found leave more of the level to the others
        (0.5, [0.5, -0.5, 0.5, 5.0, -5.0]),
        (0.0, [0.2, -0.2, 0.4, -0.4, 0.8]),  # only the direction can be wrong
    ],
)
def test_any_wrong_verdict_in_a_family_is_as_rare_as_the_level(draw, equivalence, truths):
    families, n, rng = 1_200, 6, np.random.default_rng(17)
    allowed = [
        set() if abs(truth) == equivalence else {"better"} if truth > 0 else {"worse"}
        for truth in truths
    ]
    wrong = 0
    for _ in range(families):
        family = draw(rng, len(truths), n) + np.array(truths)[:, None]
        said = words(family, equivalence)
        wrong += any(
            word not in right | {"inconclusive"} for word, right in zip(said, allowed, strict=True)
        )
    rate = wrong / families
    print(f"{draw.__name__}, R = {equivalence}, {truths}: {rate:.1%} of families wrong")
    assert rate <= LEVEL + off(LEVEL, families)
    if draw is independent and set(truths) == {0.0}:  # here Holm gives nothing away
        assert rate >= LEVEL - off(LEVEL, families)


@pytest.mark.parametrize("equivalence", [0.0, 0.5])
def test_the_words_of_these_simulations_are_those_of_the_whole_judgement(equivalence):
    rng = np.random.default_rng(3)
    for _ in range(10):
        family = shared_control(rng, 5, 6) + np.array([0, 0.5, 1, 2, 4])[:, None]
        found = verdicts.judge_family([pairs_of(one, equivalence) for one in family], LEVEL)
        assert [one.verdict for one in found] == words(family, equivalence)


def test_the_exact_sign_flip_test_rejects_as_often_as_its_steps_allow():
    """With 6 seeds the only p up to 0.05 is 2 / 2^6, that of six equal signs under any law."""
    studies = 4_000
    draws = np.random.default_rng(2).normal(size=(studies, 6))
    rate = np.mean([sign_flip(one) <= LEVEL for one in draws])
    assert rate == pytest.approx(2 / 2**6, abs=off(2 / 2**6, studies))


@pytest.mark.parametrize("n", SEEDS)
@pytest.mark.parametrize("equivalence", [0.0, 0.5])
def test_a_planted_effect_is_found_with_the_power_that_was_promised(n, equivalence):
    studies, deviation = 1_500, 0.7
    effect = equivalence + power.detectable(n, deviation, LEVEL)
    draws = np.random.default_rng(n).normal(effect, deviation, (studies, n))
    said = [words([one], equivalence)[0] for one in draws]
    rate = said.count("better") / studies
    print(f"n = {n}, R = {equivalence}, effect {effect:.2f}: found in {rate:.1%}")
    assert rate == pytest.approx(power.POWER, abs=off(power.POWER, studies))
    assert said.count("worse") == 0


LOOKS = {
    # seeds at which a study without an effect is tested until it decides -> how often it is wrong
    (6,): 0.05,
    (6, 12): 0.086,
    (10, 20, 30, 40): 0.130,
    (6, 12, 18, 24, 30): 0.148,
    (6, 9, 12, 15, 18, 21, 24): 0.160,
    tuple(range(6, 22)): 0.18,
}


@pytest.mark.parametrize("looks", LOOKS, ids=lambda looks: f"{len(looks)} looks")
def test_running_on_until_it_decides_is_wrong_far_more_often_than_the_level(looks):
    """Why more seeds are a study of their own. No effect and R = 0: any verdict is wrong."""
    studies, last = 30_000, looks[-1]
    draws = np.random.default_rng(11).normal(size=(studies, last))
    n = np.array(looks)
    sums, squares = draws.cumsum(1)[:, n - 1], (draws**2).cumsum(1)[:, n - 1]
    error = np.sqrt((squares - sums**2 / n) / (n - 1) / n)
    decided = np.abs(sums / n) > stats.t.ppf(1 - LEVEL / 2, n - 1) * error
    rate = decided.any(axis=1).mean()
    print(f"looks at {looks}: {rate:.1%} wrong")
    assert rate == pytest.approx(LOOKS[looks], abs=0.006)
    if len(looks) > 3:
        assert 0.12 < rate < 0.19
    one = draws[0, :6]
    assert decided[0, 0] == (words([one], 0.0)[0] != "inconclusive"), "the table is the verdict's"


@pytest.mark.parametrize("n", SEEDS)
def test_no_effect_and_a_small_spread_are_equivalent_as_two_one_sided_tests_say(n):
    """An interval at the level lies within the region where both tests reject at half of it."""
    margin, said = 1.0, []
    for one in np.random.default_rng(n).normal(0, 0.6, (300, n)):
        word = words([one], margin)[0]
        p = ttost_paired(one, np.zeros(n), -margin, margin)[0]
        assert (word == "equivalent") == (p <= LEVEL / 2)
        said.append(word)
    assert said.count("equivalent") > 0.5 * len(said)
    small = np.random.default_rng(n).normal(0, 0.2, (300, n))
    assert np.mean([words([one], margin)[0] == "equivalent" for one in small]) > 0.95


@pytest.mark.parametrize("direction", ["higher", "lower"])
@pytest.mark.parametrize(
    ("effect", "spread", "word"),
    [
        (0.10, 0.01, "better"),
        (-0.10, 0.01, "worse"),
        (0.00, 0.004, "equivalent"),
        (0.01, 0.10, "inconclusive"),
    ],
)
def test_a_simulated_study_comes_to_each_of_the_four_words(effect, spread, word, direction):
    """From rows to the answer; arms share what a seed does, which pairing takes out."""
    study = {
        "primary": {"treatment": "t", "control": "c", "metric": "m", "equivalence": 0.02},
        "secondary": [], "level": LEVEL, "seeds": list(range(10)), "budget_warning": "",
    }  # fmt: skip
    sign, right = 1 if direction == "higher" else -1, 0
    for number in range(20):
        rng = np.random.default_rng([number, 5])
        shared = rng.normal(0.5, 0.3, 10)
        values = {"c": shared, "t": shared + sign * effect + rng.normal(0, spread, 10)}
        rows = pd.DataFrame(
            [
                ("s", arm, "arm", seed, "confirm", "done", f"{arm}{seed}", "e", "m",
                 values[arm][seed], "u", direction, "f", "test")
                for arm, seed in itertools.product(values, range(10))
            ],
            columns=list(COLUMNS),
        ).astype(COLUMNS)  # fmt: skip
        found = answer(study, rows)
        right += found.verdict == word
    assert right >= 18


def crossed(rng, seeds, originals, of_seeds, of_originals, rest):
    """Differences S N of mean 0: what a seed does, what an original does, and what both do."""
    return (
        rng.normal(0, of_seeds, (seeds, 1))
        + rng.normal(0, of_originals, originals)
        + rng.normal(0, rest, (seeds, originals))
    )


def test_over_seeds_and_originals_the_bootstrap_covers_what_other_originals_would_give(monkeypatch):
    """Seeds and originals each give half of the mean's variance, and a little comes from both."""
    monkeypatch.setattr(originals, "ORIGINALS_DRAWN", 400)
    studies, rng = 250, np.random.default_rng(8)
    plain, both = [], []
    for _ in range(studies):
        drawn = crossed(rng, 10, 200, 0.02, 0.09, 0.1)
        plain.append(intervals.bootstrap(drawn.mean(axis=1), LEVEL))
        both.append(
            originals.hierarchical_bootstrap([(one, np.zeros(200)) for one in drawn], LEVEL)
        )
    print(f"crossed, n = 10: seeds alone {covered(plain):.1%}, with originals {covered(both):.1%}")
    assert covered(both) == pytest.approx(1 - LEVEL, abs=off(LEVEL, studies))
    assert covered(plain) < 0.85
