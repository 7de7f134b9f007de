"""Effects of a crossing, against loops that spell the definitions out and against least squares.

A main effect or an interaction is a claim about every arm at once, so its arithmetic is checked on
simulated crossings whose truth is planted, and whatever makes a crossing unfit for it (a missing
cell, a missing seed, values measured otherwise) must be said and never averaged over.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols

from reports.rows import COLUMNS
from reports.sections import factors as crossings
from reports.statistics import factorial, verdicts
from reports.statistics.pairs import pair

LEVEL = 0.05
FACTORS = {"f": ["f0", "f1", "f2"], "g": ["g0", "g1", "g2"], "h": ["h0", "h1"]}
SEEDS = [3, 5, 8, 13, 21, 34]


def crossing(factors, **changes):
    """A study with an arm for each cell, named by its levels."""
    arms = {
        "-".join(cell): {
            "role": "arm", "summary": "", "differs": {},
            "levels": dict(zip(factors, cell, strict=True)),
        }
        for cell in itertools.product(*factors.values())
    }  # fmt: skip
    first, *_, last = arms
    primary = {"treatment": last, "control": first, "metric": "score", "equivalence": 0.1}
    plain = {"role": "baseline", "summary": "", "differs": {}, "levels": {}}
    return {
        "level": LEVEL, "factors": factors, "arms": arms | {"plain": plain},
        "primary": primary, "seeds": SEEDS,
    } | changes  # fmt: skip


def measured(study, truth=lambda *cell: 0.0, noise=0.05, seed=0, **changes):
    """Rows of every arm at every seed: a level of the seed's own, the cell's truth, and noise."""
    rng = np.random.default_rng(seed)
    own = dict(zip(study["seeds"], rng.normal(0, 3, len(study["seeds"])), strict=True))
    records = []
    for name, arm in study["arms"].items():
        cell = arm["levels"].values()
        for s in study["seeds"]:
            value = own[s] + (truth(*cell) if cell else 99.0) + rng.normal(0, noise)
            records.append(
                {
                    "study": "s", "arm": name, "role": arm["role"], "seed": s, "stage": "confirm",
                    "status": "done", "trial": f"{name}{s}", "evaluation": "e", "metric": "score",
                    "value": value, "unit": "points", "direction": "higher", "fingerprint": "f",
                    "split": "test", **changes,
                }
            )  # fmt: skip
    return pd.DataFrame(records, columns=list(COLUMNS)).astype(COLUMNS)


def planted(f, g, h):
    return 0.5 * (f == "f1") - 0.2 * (g == "g2") + 0.7 * (f == "f2" and g == "g1")


@pytest.fixture(scope="module")
def whole():
    study = crossing(FACTORS)
    rows = measured(study, planted)
    return study, rows, factorial.analyse(study, rows)


def test_every_effect_is_the_mean_of_loops_over_cells_and_seeds(whole):
    _, rows, found = whole
    value = rows.set_index(["arm", "seed"]).value
    cells = list(itertools.product(*FACTORS.values()))

    def marginal(seed, *levels):
        return np.mean([value["-".join(c), seed] for c in cells if set(levels) <= set(c)])

    expected = {}
    for f, levels in FACTORS.items():
        for level in levels[1:]:
            expected[(f,), (level,)] = [marginal(s, level) - marginal(s, levels[0]) for s in SEEDS]
    for f, g in itertools.combinations(FACTORS, 2):
        for i, j in itertools.product(FACTORS[f][1:], FACTORS[g][1:]):
            i0, j0 = FACTORS[f][0], FACTORS[g][0]
            expected[(f, g), (i, j)] = [
                marginal(s, i, j) - marginal(s, i, j0) - marginal(s, i0, j) + marginal(s, i0, j0)
                for s in SEEDS
            ]
    assert [(one.term.factors, one.term.levels) for one in found.effects] == list(expected)
    for one, differences in zip(found.effects, expected.values(), strict=True):
        assert one.found.pairs.differences == pytest.approx(differences)
        truth = stats.ttest_1samp(differences, 0)
        interval = truth.confidence_interval(1 - LEVEL)
        assert (one.found.interval.low, one.found.interval.high) == pytest.approx(tuple(interval))
        assert one.found.p_t == pytest.approx(truth.pvalue)
    assert (len(found.main), len(found.interactions)) == (5, 8)
    assert found.seeds == tuple(SEEDS)


def test_estimates_are_those_of_least_squares(whole):
    """In a balanced crossing treatment coding without higher terms gives marginal differences."""
    _, rows, found = whole
    data = rows[rows.arm != "plain"].copy()
    data[list(FACTORS)] = data.arm.str.split("-", expand=True).to_numpy()
    main = ols("value ~ f + g + h + C(seed)", data).fit().params
    for one in found.main:
        (factor,), (level,) = one.term.factors, one.term.levels
        assert one.found.mean == pytest.approx(main[f"{factor}[T.{level}]"])
    both = ols("value ~ (f + g + h) ** 2 + C(seed)", data).fit().params
    for one in found.interactions:
        (f, g), (i, j) = one.term.factors, one.term.levels
        assert one.found.mean == pytest.approx(both[f"{f}[T.{i}]:{g}[T.{j}]"])


def test_effects_coding_of_the_full_model_agrees_too(whole):
    _, rows, found = whole
    data = rows[rows.arm != "plain"].copy()
    data[list(FACTORS)] = data.arm.str.split("-", expand=True).to_numpy()
    full = ols("value ~ C(f, Sum) * C(g, Sum) * C(h, Sum) + C(seed, Sum)", data).fit().params
    f = [full["C(f, Sum)[S.f0]"], full["C(f, Sum)[S.f1]"]]
    f.append(-sum(f))
    assert [one.found.mean for one in found.main[:2]] == pytest.approx([f[1] - f[0], f[2] - f[0]])


def test_all_effects_are_one_family_adjusted_together(whole):
    *_, found = whole
    every = [one.found.pairs for one in found.effects]
    assert tuple(one.found for one in found.effects) == verdicts.judge_family(every, LEVEL)
    assert min(one.found.adjusted.level for one in found.effects) == pytest.approx(LEVEL / 13)


def test_a_planted_interaction_is_found_and_others_are_not_claimed(whole):
    *_, found = whole
    words = {one.term.levels: one.found.verdict for one in found.interactions}
    assert words.pop(("f2", "g1")) == "better"
    assert set(words.values()) <= {"equivalent", "inconclusive"}
    words = {one.term.levels[0]: one.found.verdict for one in found.main}
    assert words["f1"] == "better"
    assert words["g2"] == "worse"
    assert words["h1"] in ("equivalent", "inconclusive")


def test_nothing_is_claimed_of_noise_more_often_than_the_level_says(monkeypatch):
    """Without what decides nothing and takes long."""
    monkeypatch.setattr(verdicts, "bootstrap", lambda d, level: None)
    monkeypatch.setattr(verdicts, "detectable", lambda n, deviation, level: None)
    monkeypatch.setattr(verdicts, "seeds_needed", lambda *given: None)
    study, wrong, studies = crossing({"f": ["a", "b"], "g": ["x", "y", "z"]}), 0, 60
    study["primary"]["equivalence"] = 0.0
    for seed in range(studies):
        found = factorial.analyse(study, measured(study, noise=1.0, seed=seed))
        wrong += any(one.found.verdict != "inconclusive" for one in found.effects)
    assert wrong / studies < LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / studies)


def test_of_two_levels_a_main_effect_is_twice_the_coefficient_of_sum_coding():
    """As the page says of its coding; by least squares with levels at -1 and 1."""
    study = crossing({"f": ["a", "b"], "g": ["x", "y"]})
    rows = measured(study, lambda f, g: 2.0 * (f == "b") + 0.5 * (f == "b") * (g == "y"))
    crossed = rows[rows.arm != "plain"]
    cells = crossed.arm.str.split("-", expand=True)
    f, g = (np.where(cells[i] == level, 1.0, -1.0) for i, level in enumerate("by"))
    design = np.column_stack([np.ones(len(f)), f, g, f * g])
    _, coefficient, *_ = np.linalg.lstsq(design, crossed.value, rcond=None)[0]
    (effect, _) = factorial.analyse(study, rows).main
    assert effect.found.mean == pytest.approx(2 * coefficient)


def test_marginal_means_carry_the_interval_over_seeds(whole):
    _, rows, found = whole
    assert [means.factors for means in found.means] == [("f", "g"), ("f", "h"), ("g", "h")]
    means = found.means[1]
    own = rows[rows.arm.str.contains("f2-") & rows.arm.str.endswith("-h1")]
    values = own.groupby("seed").value.mean()
    interval = stats.ttest_1samp(values, 0).confidence_interval(1 - LEVEL)
    assert means.mean[2, 1] == pytest.approx(values.mean())
    assert means.half[2, 1] == pytest.approx((interval.high - interval.low) / 2)
    assert means.mean.shape == means.half.shape == (3, 2)


def test_names_say_what_is_subtracted_from_what(whole):
    *_, found = whole
    assert found.main[1].term.name == "f2 − f0"
    assert found.interactions[0].term.name == "f1 − f0, at g1 − at g0"
    contrast = found.interactions[0].found.contrast
    assert (contrast["treatment"], contrast["control"]) == ("f1 − f0, at g1", "f1 − f0, at g0")


def test_lower_is_better_turns_the_words_and_not_the_numbers(whole):
    study, rows, higher = whole
    lower = factorial.analyse(study, rows.assign(direction="lower"))
    assert lower.main[0].found.verdict == "worse"
    assert lower.main[0].found.mean == higher.main[0].found.mean


def test_a_seed_that_lacks_a_cell_is_named_and_left_out_everywhere(whole):
    study, rows, _ = whole
    gap = (rows.arm == "f1-g0-h1") & (rows.seed == 5)
    failed = rows.assign(status=rows.status.where(~((rows.arm == "f0-g0-h0") & (rows.seed == 8)),
                                                  "diverged"))  # fmt: skip
    rows = failed.assign(value=failed.value.where(~gap))
    found = factorial.analyse(study | {"seeds": [*SEEDS, 55]}, rows)
    assert found.seeds == (3, 13, 21, 34)
    assert found.missing == (
        "seed 5: no value of f1-g0-h1",
        "seed 8: no value of f0-g0-h0",
        "seed 55: no value of any cell",
    )
    assert all(one.found.pairs.seeds == found.seeds for one in found.effects)
    assert any("seed 5: no value of f1-g0-h1" in note for note in found.main[0].found.notes)


def test_a_baseline_outside_the_crossing_does_not_matter(whole):
    study, rows, found = whole
    again = factorial.analyse(study, rows[rows.arm != "plain"])
    assert again.effects == found.effects


def test_tuning_rows_do_not_enter(whole):
    study, rows, found = whole
    tuned = rows.assign(stage="tune", split="validation", value=7.0)
    assert factorial.analyse(study, pd.concat([rows, tuned])).effects == found.effects


def test_an_incomplete_crossing_has_no_effects_and_says_which_cells_lack(whole):
    study, rows, _ = whole
    kept = {name: arm for name, arm in study["arms"].items() if "f2-g0" not in name}
    found = factorial.analyse(study | {"arms": kept}, rows)
    assert found.problem == (
        "the crossing is incomplete: there is no arm of f2 with g0 with h0; f2 with g0 with h1"
    )
    assert found.effects == found.means == ()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("fingerprint", "other", "not measured in the same way everywhere (fingerprint f, other)"),
        ("unit", "miles", "has more than one unit"),
        ("value", math.nan, "score does not apply to f1-g1-h1"),
    ],
)
def test_values_that_must_not_be_averaged_are_refused(whole, column, value, message):
    study, rows, _ = whole
    changed = rows.assign(**{column: rows[column].where(rows.arm != "f1-g1-h1", value)})
    found = factorial.analyse(study, changed)
    assert message in found.problem
    assert found.effects == ()


def test_no_whole_seed_is_said_with_what_each_lacks():
    study = crossing({"f": ["a", "b"], "g": ["x", "y"]})
    rows = measured(study)
    found = factorial.analyse(study, rows[rows.arm != "b-y"])
    assert "no seed has a value of score in every cell" in found.problem
    assert found.missing[0] == "seed 3: no value of b-y"
    assert factorial.analyse(study, rows[:0]).missing[0] == "seed 3: no value of any cell"


def test_one_seed_has_differences_and_no_intervals():
    study = crossing({"f": ["a", "b"], "g": ["x", "y"]}, seeds=[1])
    found = factorial.analyse(study, measured(study))
    assert len(found.effects) == 3
    assert all(one.found.mean is not None for one in found.effects)
    assert all(one.found.interval is None for one in found.effects)
    assert {one.found.verdict for one in found.effects} == {"inconclusive"}
    assert np.isnan(found.means[0].half).all()
    assert crossings.effects(found.main).rows[0][3].text == "n/a"
    assert "±" not in crossings.cell_means(found)[0].alt


def test_one_factor_has_main_effects_only():
    study = crossing({"f": ["a", "b", "c"]})
    rows = measured(study)
    found = factorial.analyse(study, rows)
    pairs = pair(rows, study["primary"], SEEDS)  # c - a: cells are the margins
    assert found.main[1].found.pairs.differences == pytest.approx(pairs.differences)
    assert found.interactions == found.means == ()
    assert crossings.cell_means(found) == ()


def test_a_study_without_factors_has_no_crossing(whole):
    study, rows, _ = whole
    assert factorial.analyse({k: v for k, v in study.items() if k != "factors"}, rows) is None
    assert factorial.analyse(study | {"factors": {}}, rows) is None
