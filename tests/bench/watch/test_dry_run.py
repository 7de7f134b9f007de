"""What a person sees before anything runs: the matrix, what it will take, and what it cannot show.

A study that is too large, or has too few seeds to decide anything, is best known before it starts.
"""

from __future__ import annotations

import time

import pytest
from harness import TINY, TUNED, bench, study, trials, write
from statsmodels.stats.power import TTestPower

from bench.plan.trials import World
from bench.study.problems import ConfigError
from bench.study.resolve import count_trials, resolve
from bench.watch.dry_run import remark_on_power, remark_on_seeds, remarks_on_data

DRY = ("study=tiny.yaml", "dry_run=true")


def table(lines: list[str]) -> list[list[str]]:
    """The cells of a table, head first."""
    return [[c.strip() for c in line.strip("│┃ ").replace("┃", "│").split("│")] for line in lines
            if "│" in line or "┃" in line]  # fmt: skip


def test_a_dry_run_shows_the_matrix(tmp_path):
    write(tmp_path, baselines=["vae_plus"])
    shown = bench(tmp_path, *DRY, "workers=2")
    assert (shown.status, shown.err) == (0, "")
    lines = shown.out.splitlines()
    head, *body = table(lines)
    assert head == ["arm", "role", "tuning", "seeds", "done", "to run", "steps each"]
    assert body == [
        ["vae", "arm", "-", "2", "0", "2", "8"],
        ["additive", "arm", "-", "2", "0", "2", "8"],
        ["vae_plus", "baseline", "-", "2", "0", "2", "8"],
    ]
    assert "tiny, budget smoke: 6 trials, 6 to run, 48 steps, on cpu" in lines
    assert any(line.startswith("about ") and " with 2 workers" in line for line in lines)
    start = lines.index("what differs between them:")
    (additive,) = [line for line in lines[start:] if line.startswith("  additive: ")]
    assert "latent_transform=additive" in additive
    assert "hidden=16" in additive
    assert "trainer" not in additive, "all are trained alike"
    assert lines[-2].startswith("note: with 2 seeds ")
    assert lines[-1].startswith("about "), "what has to be measured comes last"


def test_a_dry_run_of_a_study_that_is_tuned(tmp_path):
    """2 arms x (3 candidates x 2 seeds + 1 seed) = 14 trials of 4 steps."""
    write(tmp_path, **TUNED)
    shown = bench(tmp_path, *DRY, "tune.pruner=median")
    _, *body = table(shown.out.splitlines())
    assert [row[2:7] for row in body] == [["3 x 2", "1", "0", "7", "4"]] * 2
    assert "14 trials, 14 to run, 56 steps" in shown.out
    assert (
        "tuning: tpe, pruner median, on nll (lower is better) of validation data, "
        "seeds 1000000, 1000001"
    ) in shown.out


def test_what_is_done_is_not_counted_again(finished):
    _, *body = table(bench(finished.folder, *DRY).out.splitlines())
    assert [row[3:] for row in body] == [["2", "2", "0", "8"]] * 2
    _, *body = table(bench(finished.folder, *DRY, "seeds=3").out.splitlines())
    assert [row[3:6] for row in body] == [["3", "2", "1"]] * 2


@pytest.mark.parametrize("level", [0.5, 0.25, 0.1, 0.05, 0.01, 0.001])
def test_too_few_seeds_are_remarked_on(tmp_path, level):
    """The smallest two-sided p-value of n signs is that of all alike: 2 of 2^n, counted out."""
    enough = next(n for n in range(1, 20) if 2 / 2**n <= level)
    for seeds in range(1, enough):
        given = study(f"level={level}", f"seeds={seeds}", folder=tmp_path)
        assert list(remark_on_seeds(given)) == [
            f"note: with {seeds} seeds the exact sign-flip test cannot reach the level {level:g} "
            f"whatever the outcome; seeds={enough} could"
        ]
    given = study(f"level={level}", f"seeds={enough}", folder=tmp_path)
    assert list(remark_on_seeds(given)) == []


def test_the_sizes_of_the_data_are_told_and_what_embedding_them_takes(tmp_path):
    """Worked out by hand: 4 bytes x 784 pixels x (50,000 + 10,000 + 1,600,000 + 10,000) images."""
    data = {"train": "mnist", "transfer": ["affnist"]}
    variants = ("data.size=full", "data.variants={train: 32, test: 1}")
    metrics = {**TINY["metrics"], "knn": {}}
    given = study(*variants, folder=tmp_path, data=data, baselines=["pixels"], metrics=metrics)
    world = World({"mnist": "a", "affnist": "b"}, "2.0", "cpu")
    sizes, memory = remarks_on_data(given, trials(given, world))
    assert sizes == (
        "images to fit on / to test on: mnist 50,000 / 10,000, affnist 1,600,000 / 10,000"
    )
    assert memory == "embeddings of one trial take up to 5.2 GB of memory or disk (pixels)"
    small = study(folder=tmp_path, data=data, baselines=["pixels"], metrics=metrics)
    assert list(remarks_on_data(small, trials(small, world))) == [
        "images to fit on / to test on: mnist 8,000 / 2,000, affnist 8,000 / 2,000"
    ]


@pytest.mark.parametrize(("seeds", "deviations"), [(3, "3.3"), (6, "1.4"), (10, "1")])
def test_the_difference_that_the_seeds_find_is_told(tmp_path, seeds, deviations):
    """Of the noncentral t, by statsmodels: power 0.8 of a one-sided test at half the level."""
    (told,) = remark_on_power(study(f"seeds={seeds}", folder=tmp_path))
    assert f"{seeds} seeds find with 80% power a true difference that is {deviations} " in told
    theirs = TTestPower().power(float(deviations), seeds, 0.025, alternative="larger")
    assert theirs == pytest.approx(0.8, abs=0.03)
    assert list(remark_on_power(study("seeds=1", folder=tmp_path))) == []


# --- too large ----------------------------------------------------------------------------------


def refused(folder, *arguments: str, **changes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        study(*arguments, folder=folder, **changes)
    return list(map(str, caught.value.problems))


def test_the_matrix_is_counted(tmp_path):
    """Arms and baselines x (candidates x tuning seeds + seeds)."""
    tune = {"trials": 5, "seeds": 3}
    assert count_trials(study(folder=tmp_path, tune=tune, baselines=["vae_plus"])) == 3 * (15 + 2)
    assert count_trials(study(folder=tmp_path)) == 4


def test_too_many_trials_are_refused_unless_wanted(tmp_path):
    """One more than is allowed; the message says what to write to have them all the same."""
    message = "max_trials: the matrix has 4 trials, more than 3; max_trials=4 runs it"
    assert refused(tmp_path, "max_trials=3") == [message]
    assert study("max_trials=4", folder=tmp_path)
    (message,) = refused(tmp_path, "seeds=5001")
    assert message.startswith("max_trials: the matrix has 10,002 trials, more than 10,000; ")
    path = write(tmp_path, family="rotation")
    assert resolve([f"study={path}", "seeds=5001", "max_trials=10002"])[1].max_trials == 10_002


def crossing(factors: int, levels: int) -> dict:
    """An empty crossing of so many factors."""
    return {f"f{i}": {f"l{i}.{j}": {} for j in range(levels)} for i in range(factors)}


def test_a_huge_crossing_is_refused_before_it_is_expanded(tmp_path):
    """10^12 arms would fill the memory; the refusal takes no time."""
    began = time.monotonic()
    problems = refused(tmp_path, factors=crossing(12, 10))
    assert time.monotonic() - began < 2
    assert problems == [
        "factors: the matrix has 1,000,000,000,000 trials, more than 10,000; "
        "max_trials=1000000000000 runs it"
    ]


def test_a_crossing_counts_with_its_seeds(tmp_path):
    vae = {"name": "autoencoder", "prior": "kl"}
    factors = {"width": {str(n): {"model": {"latent_dim": n}} for n in (2, 3)}, "x": {"y": {}}}
    primary = {**TINY["primary"], "treatment": "2-y", "control": "3-y"}
    changes = {"model": vae, "arms": {}, "factors": factors, "primary": primary}
    (message,) = refused(tmp_path, "max_trials=3", **changes)
    assert message == "max_trials: the matrix has 4 trials, more than 3; max_trials=4 runs it"
