"""Looks: the study ends at the first that decides, whatever ended first and whoever was killed.

Replayed with made-up results against intervals computed here; then real studies, killed and not.
"""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
from harness import TINY, WORLD, bench, installed, study, write
from scipy import stats

from bench import answer, collect
from bench.plan.progress import Progress
from bench.store import Result, Store
from bench.study.problems import ConfigError
from bench.study.schema import StudyFile
from bench.study.text import read
from bench.watch.dry_run import chances
from reports import manifest as manifests
from reports.statistics.looks import per_look

LOOKS = [2, 4, 6]
QUIET = ("study=tiny.yaml", "tracking.enabled=false")


def looking(folder: Path, *arguments: str, **changes):
    return study(*arguments, folder=folder, seeds={"looks": LOOKS}, **changes)


def result(trial, value: float | None) -> Result:
    """What a trial came to: failed where there is no value."""
    if value is None:
        return Result("failed", "it broke", trial.evaluation_key)
    measured = {
        "name": "nll", "value": value, "unit": "nats", "direction": "lower", "source": "likelihood",
    }  # fmt: skip
    return Result("done", evaluation=trial.evaluation_key, measurements=[measured])


def differing(differences):
    """Of a trial its value: additive - vae is `differences` at each seed, None where it fails."""

    def value(trial):
        found = differences[trial.seed]
        return found if trial.arm == "additive" or found is None else 0.0

    return value


def play(given, differences, store: Store | None = None, order=None) -> Progress:
    """All trials that are asked for end, in their order or a shuffled one."""
    progress = Progress(given, WORLD, store or Store(Path("nowhere"), given.name))
    value = differing(differences)
    with installed():
        todo = progress.advance()
        if order is not None:
            random.Random(order).shuffle(todo)
        for trial in todo:
            progress.finished(trial, result(trial, value(trial)))
    return progress


def ends_at(differences, looks=LOOKS, equivalence=1.0) -> tuple[int, str]:
    """(look, word) where a study ends, from the definition; lower is better."""
    at = per_look(looks, 0.05)
    for k, n in enumerate(looks, 1):
        d = np.array([x for x in differences[:n] if x is not None])
        if len(d) < 2:
            continue
        low, high = stats.t.interval(1 - at, len(d) - 1, d.mean(), stats.sem(d))
        if low > equivalence:
            return k, "worse"
        if high < -equivalence:
            return k, "better"
        if -equivalence <= low and high <= equivalence:
            return k, "equivalent"
    return len(looks), "inconclusive"


CASES = {
    "at the first": [-9.0, -9.1, 0, 0, 0, 0],
    "at the second, which the first three would not": [-9.0, -6.0, -8.0, -7.0, 50, 50],
    "never": [-9.0, 9.0, -7.0, 8.0, 3.0, 1.0],
    "at the last": [0.5, -0.5, 0.4, -0.6, 0.2, 0.1],
    "at the second, with a pair missing": [-9.0, None, -8.0, -9.0, 0, 0],
    "with no pair at the first": [None, None, -9.0, -9.1, 0, 0],
}


@pytest.mark.parametrize("name", CASES)
def test_a_study_ends_at_the_first_look_that_decides(tmp_path, name):
    given = looking(tmp_path)
    expected, word = ends_at(CASES[name])
    rows = []
    for order in (None, 1, 2):
        progress = play(given, CASES[name], order=order)
        looks = progress.looks
        assert (len(looks.passed), looks.passed[-1]) == (expected, word)
        assert looks.decided == (word != "inconclusive")
        assert looks.open is None
        with installed():
            assert progress.advance() == []
            rows.append(sorted(map(repr, collect.rows(progress))))
            told = collect.manifest(progress, {}, "")["study"]
        assert told["seeds"] == given.seeds[: LOOKS[expected - 1]]
        assert told["level"] == per_look(LOOKS, 0.05)
        assert told["looks"] == {
            "planned": LOOKS, "reached": expected, "level": 0.05, "decided": looks.decided,
        }  # fmt: skip
        assert {row["seed"] for row in collect.rows(progress)} <= {*told["seeds"]}
    assert rows[0] == rows[1] == rows[2]


def test_what_was_run_ahead_never_counts_while_a_look_is_open(tmp_path):
    """Even where it would decide by itself; of the first look what there is, and no look passed."""
    given = looking(tmp_path)
    progress = Progress(given, WORLD, Store(Path("nowhere"), given.name))
    value = differing([-9.0, -9.1, -9.0, -9.1, -9.0, -9.1])
    with installed():
        first, *rest = progress.advance()
        for trial in rest:
            progress.finished(trial, result(trial, value(trial)))
        assert progress.looks.passed == ()
        assert progress.looks.standing == "look 1 of 3 (2 seeds) is open"
        assert progress.advance() == [first]
        assert {row["seed"] for row in collect.rows(progress)} == {0, 1}
        assert collect.manifest(progress, {}, "")["study"]["looks"]["reached"] == 0
        progress.finished(first, result(first, value(first)))
        assert progress.looks.passed == ("better",)
        assert progress.needless == {2, 3, 4, 5}
        assert progress.advance() == []
        everything = {ending.trial.training_key for ending in progress.endings()}
    assert everything == {trial.training_key for trial in [first, *rest]}, "none is stale"


def test_a_later_driver_replays_several_looks_and_retry_asks_them_anew(tmp_path):
    given = looking(tmp_path)
    store = Store(tmp_path, given.name)
    differences = [-9.0, 9.0, None, 8.0, 3.0, 1.0]
    progress = play(given, differences)
    for ending in progress.endings():
        folder = store.trial(ending.trial.training_key)
        folder.path.mkdir(parents=True)
        folder.write_result(ending.result)
    with installed():
        again = Progress(given, WORLD, store)
        assert again.advance() == []
        assert again.looks == progress.looks
        assert len(again.looks.passed) == 3
        retried = Progress(given, WORLD, store, ("failed", "diverged"))
        assert [trial.seed for trial in retried.advance()] == [2, 2]
        assert retried.looks.passed == ("inconclusive",)
        assert retried.looks.open == 4


def test_a_pair_that_diverged_is_missing_at_its_look(tmp_path):
    given = looking(tmp_path)
    differences = [-9.0, None, -8.0, -9.0, 0, 0]
    progress = Progress(given, WORLD, Store(Path("nowhere"), given.name))
    value = differing(differences)
    with installed():
        for trial in progress.advance():
            found = value(trial)
            lost = Result("diverged", "the loss is not finite", trial.evaluation_key)
            progress.finished(trial, lost if found is None else result(trial, found))
        assert progress.advance() == []
    assert (len(progress.looks.passed), progress.looks.passed[-1]) == ends_at(differences)


def test_tuning_comes_once_and_before_the_first_look(tmp_path):
    """What it costs does not depend on where the study ends; its trials are no look's."""
    tune = {"trials": 2, "seeds": 1, "metric": "nll"}
    given = looking(tmp_path, tune=tune)
    progress = Progress(given, WORLD, Store(Path("nowhere"), given.name))
    stages = []
    value = differing([-9.0, -9.1, 0, 0, 0, 0])
    with installed():
        while todo := progress.advance():
            stages.append({trial.stage for trial in todo})
            assert progress.looks.passed == ()
            for trial in todo:
                found = 1.0 if trial.stage == "tune" else value(trial)
                progress.finished(trial, result(trial, found))
        assert progress.looks.passed == ("better",)
    assert stages[-1] == {"confirm"}
    assert {frozenset(each) for each in stages[:-1]} == {frozenset({"tune"})}


def test_of_a_crossing_the_primary_contrast_alone_decides(tmp_path):
    """An arm beside it may differ as it likes."""
    form = {"name": "tvae", "coherence": "kl", "prior": "kl", "hidden": 16}
    given = looking(
        tmp_path,
        arms={},
        factors={
            "form": {
                "shift": {"model": {**form, "latent_transform": "additive"}},
                "turn": {"model": {**form, "latent_transform": "so2"}},
            },
            "strength": {
                "usual": {"model": {"w_coherence": 1.0}}, "strong": {"model": {"w_coherence": 3.0}},
            },
        },
        primary={
            "treatment": "turn-usual", "control": "shift-usual", "metric": "nll",
            "equivalence": 1.0,
        },
    )  # fmt: skip
    differences = [-9.0, 9.0, -9.0, -9.1, -9.0, -9.1]
    progress = Progress(given, WORLD, Store(Path("nowhere"), given.name))
    with installed():
        for trial in progress.advance():
            own = {"turn-usual": differences[trial.seed], "turn-strong": -99.0}
            progress.finished(trial, result(trial, own.get(trial.arm, 0.0)))
        assert progress.advance() == []
    assert (len(progress.looks.passed), progress.looks.passed[-1]) == ends_at(differences)


def test_the_study_in_the_store_is_read_back_as_it_was(tmp_path):
    from bench.study.text import dump

    for given in (looking(tmp_path), study("seeds=until_decided", "max_seeds=6", folder=tmp_path)):
        content = read(dump(given.model_dump(mode="json")))
        path = tmp_path / "again.yaml"
        path.write_text(
            json.dumps({k: v for k, v in content.items() if k in StudyFile.model_fields})
        )
        with installed():
            from bench.study.resolve import resolve

            again = resolve([f"study={path}"])[0]
            plain = resolve([f"study={path}", "seeds=3"])[0]
        assert (again.seeds, again.looks) == (given.seeds, given.looks)
        assert (plain.seeds, plain.looks) == ([0, 1, 2], [])


@pytest.mark.parametrize(
    ("arguments", "seeds", "looks"),
    [
        (["seeds=until_decided"], 16, [4, 8, 12, 16]),
        (["seeds=until_decided", "max_seeds=10"], 10, [6, 10]),
        (["seeds.looks=[2,3]"], 3, [2, 3]),
        (["seeds=[7,8,9]", "looks=[2,3]"], 3, [2, 3]),
        (["seeds=5"], 5, []),
    ],
)
def test_how_looks_are_said(tmp_path, arguments, seeds, looks):
    given = looking(tmp_path, *arguments)
    assert (len(given.seeds), given.looks) == (seeds, looks)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["max_seeds=4"], "max_seeds: goes with seeds=until_decided, and seeds is {"),
        (["seeds=until_decided", "max_seeds=1"], "max_seeds: must be a whole number from 2 to"),
        (["seeds.looks=[1,2]"], "looks: must be numbers of seeds, each above the one before"),
        (["seeds.looks=[4,2]"], "looks: must be numbers of seeds, each above the one before"),
        (["seeds.looks=[]"], "seeds.looks: must be a list of numbers of seeds"),
        (
            ["seeds.looks=many"],
            'seeds.looks: must be a list of numbers of seeds, such as [4, 8, 12], got "many"',
        ),
        (["seeds=until_decidet"], "seeds: must be a list of seeds, or how many"),
        (["seeds=[1,2,3]", "looks=[2,4]"], "looks: the last, 4, must be the number of seeds"),
        (["seeds.looks=[2,4]", "looks=[2,4]"], "looks: is said twice"),
    ],
)
def test_looks_that_contradict_themselves_are_refused(tmp_path, arguments, why):
    with pytest.raises(ConfigError) as refused:
        looking(tmp_path, *arguments)
    (problem,) = refused.value.problems
    assert str(problem).startswith(why)


def stored(given, differences, folder) -> None:
    """What a study with these results leaves of its answer."""
    store = Store(folder, given.name)
    store.path.mkdir(parents=True, exist_ok=True)
    progress = play(given, differences, store)
    with installed():
        collect.write(store, collect.rows(progress), collect.manifest(progress, {}, ""))


def asked(given, folder) -> str:
    """What is wrong with asking this study in a folder where another was answered."""
    progress = Progress(given, WORLD, Store(folder, given.name))
    try:
        answer.check_looks(progress)
    except ConfigError as error:
        return str(error)
    return answer.enlarged(progress)


def test_looks_added_to_an_answered_study_are_refused_unless_declared(tmp_path):
    differences = [-9.0, 9.0, -7.0, 8.0, 3.0, 1.0]
    assert asked(looking(tmp_path), tmp_path / "none") == ""
    stored(looking(tmp_path), differences, tmp_path / "looks")
    assert asked(looking(tmp_path), tmp_path / "looks") == ""
    for other in ("seeds.looks=[2,4]", "seeds.looks=[2,4,6,8]", "seeds=6", "seeds=9"):
        said = asked(looking(tmp_path, other), tmp_path / "looks")
        assert "was declared with looks at 2, 4, 6 seeds, of which 3 passed" in said
        assert "Give seeds.looks=[2, 4, 6] and the same seeds again, or name=OTHER" in said

    stored(study("seeds=4", folder=tmp_path), differences, tmp_path / "fixed")
    assert asked(study("seeds=4", folder=tmp_path), tmp_path / "fixed") == ""
    assert asked(looking(tmp_path), tmp_path / "fixed") == ""
    said = asked(looking(tmp_path, "seeds.looks=[3,6]"), tmp_path / "fixed")
    assert "was answered with the 4 seeds 0, 1, 2, 3, which is none of the looks at 3, 6" in said
    said = asked(study("seeds=6", folder=tmp_path), tmp_path / "fixed")
    assert said.startswith("note: 4 seeds have been tested, and 6 test again")
    assert asked(study("seeds=2", folder=tmp_path), tmp_path / "fixed") == ""


def test_the_expected_number_of_trials_is_that_of_studies_one_by_one(tmp_path):
    """One standard deviation beyond the region, which is far from its other side."""
    given = looking(tmp_path)
    with installed():
        progress = Progress(given, WORLD, Store(tmp_path / "none", given.name))
        progress.advance()
        least, most, one, two = chances(progress).values()
    assert (least, most) == ([1, 0, 0], [1, 1, 1])
    rng, studies = np.random.default_rng(3), 2000
    for deviations, found in ((1.0, one), (2.0, two)):
        ends = [ends_at(d, equivalence=0.0)[0] for d in rng.normal(deviations, 1, (studies, 6))]
        for k, chance in enumerate(found):
            share = np.mean([end > k for end in ends])
            assert chance == pytest.approx(share, abs=4 * math.sqrt(0.25 / studies))


# --- real studies -----------------------------------------------------------------------------

CHEAP = {
    "family": "rotation",
    "trainer": {**TINY["trainer"], "steps": 2},
    "metrics": {"likelihood": {"k": 1, "images": 2}},
}


def sized(folder: Path, equivalence: float, **changes) -> Path:
    primary = {**TINY["primary"], "equivalence": equivalence}
    folder.mkdir(exist_ok=True)
    write(folder, **CHEAP, primary=primary, seeds={"looks": [2, 4]}, **changes)
    return folder


@pytest.fixture(scope="module")
def undecided(tmp_path_factory):
    """Nothing lies within no region, and two arms that learned nothing do not differ."""
    folder = sized(tmp_path_factory.mktemp("undecided"), 0.0)
    return bench(folder, *QUIET, "workers=2")


def test_a_study_that_is_not_decided_is_the_one_with_all_seeds(undecided):
    assert undecided.status == 0, undecided.out + undecided.err
    assert "look 1 of 2 (2 seeds): inconclusive" in undecided.out
    assert "Undecided after all 2 looks (4 seeds)." in undecided.out
    assert {seed for (seed,) in undecided.rows("seed")} == {"0", "1", "2", "3"}


def test_out_of_time_it_says_which_look_is_open(tmp_path):
    done = bench(sized(tmp_path, 0.0), *QUIET, "workers=1", "max_hours=0.0000001")
    assert done.status == 4, done.out + done.err
    assert "look 1 of 2 (2 seeds) is open" in done.out


@pytest.mark.soak
def test_killed_within_and_between_looks_it_ends_with_the_same_rows(
    tmp_path, undecided, monkeypatch
):
    """Real kills; the trials of `undecided` are the independent truth, being undisturbed."""
    import subprocess
    import sys

    from harness import PLUGIN, REPOSITORY

    sized(tmp_path, 0.0)
    (tmp_path / "fired").mkdir()
    monkeypatch.setenv("PYTHONPATH", f"{PLUGIN}:{REPOSITORY}")
    monkeypatch.setenv("TVAE_FAULT", "driver/finished:2,driver/looked")
    monkeypatch.setenv("TVAE_FAULT_FOLDER", str(tmp_path / "fired"))
    command = [sys.executable, "-m", "bench.run", *QUIET, "workers=2"]
    ends = [
        subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        for _ in range(3)
    ]
    assert [done.returncode for done in ends] == [-9, -9, 0], ends[-1].stderr
    assert {path.name for path in (tmp_path / "fired").iterdir()} == {
        "driver_finished:2", "driver_looked",
    }  # fmt: skip
    again = type(undecided)(tmp_path, 0, ends[-1].stdout, "")
    assert again.rows() == undecided.rows()
    assert manifests.load(again.store)["study"]["looks"]["reached"] == 2


def test_a_decided_study_is_the_one_with_the_seeds_of_its_look(tmp_path, undecided):
    """Three workers for four trials: those of the next look run ahead, and do not count."""
    done = bench(sized(tmp_path, 1e6), *QUIET, "workers=3")
    assert done.status == 0, done.out + done.err
    assert "look 1 of 2 (2 seeds): equivalent" in done.out
    assert "Decided at look 1 of 2 (2 seeds)." in done.out
    ran = len([*(done.store / "trials").iterdir()])
    assert ran > 4, "nothing was run ahead"
    assert done.rows() == [row for row in undecided.rows() if row[3] in ("0", "1")]
    told = manifests.load(done.store)
    assert {trial["seed"] for trial in told["trials"]} == {0, 1}
    assert told["study"]["looks"]["decided"]

    from bench.status import main as status

    again = bench(tmp_path, *QUIET, "workers=3")
    assert "0 to run" in again.out
    assert len([*(done.store / "trials").iterdir()]) == ran
    with installed(), pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        import contextlib
        import io

        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status(list(QUIET))
    assert "stale" not in out.getvalue()
    assert "not needed" in out.getvalue()
    assert "finished" in out.getvalue()
