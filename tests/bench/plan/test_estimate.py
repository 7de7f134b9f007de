"""How long trials take, and the two limits on time: nothing starts that cannot end in time.

A forecast may be wrong by half; what counts is that a limit never costs a row.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from harness import TINY, bench, installed, study, trials, write

from bench.plan import estimate, machine
from bench.plan.estimate import AROUND, Estimate, Speed
from bench.plan.progress import Ending
from bench.store import Result
from reports import manifest as manifests
from reports import rows


@pytest.fixture
def given(tmp_path):
    return study(folder=tmp_path)


@pytest.fixture
def planned(given):
    """Vae and additive at seed 0, then at seed 1."""
    return trials(given, machine.look(given))


@pytest.fixture
def counted(monkeypatch) -> list[str]:
    """The arms of which a step is measured: half a second, and a millisecond for a decode."""
    arms = []

    def measure(_, trial):
        arms.append(trial.arm)
        return Speed(0.5, 0.001)

    monkeypatch.setattr(estimate, "measure", measure)
    return arms


def took(seconds: float, evaluation: float) -> Result:
    return Result("done", facts={"seconds": seconds, "evaluation_seconds": evaluation})


def test_trials_that_have_ended_are_the_measure(given, planned, counted):
    """Their mean, by arm and stage."""
    vae, additive, other, _ = planned
    found = Estimate(given, [Ending(vae, took(3, 1)), Ending(other, took(6, 2))])
    assert found.seconds(vae) == pytest.approx((4 + 8) / 2 + AROUND)
    assert counted == []
    found.learn(Ending(additive, took(30, 10)))
    assert found.seconds(additive) == pytest.approx(40 + AROUND)
    assert found.seconds(vae) == pytest.approx(6 + AROUND)
    tune = replace(vae, stage="tune")
    assert found.seconds(tune) != found.seconds(vae), "tuning trains and measures otherwise"


@pytest.mark.parametrize("status", ["failed", "diverged", "interrupted", "pruned"])
def test_trials_that_did_not_finish_say_nothing(given, planned, counted, status):
    result = Result(status, facts={"seconds": 0.1, "evaluation_seconds": 0.1})
    found = Estimate(given, [Ending(planned[0], result)])
    with installed():
        assert found.seconds(planned[0]) > 1
    assert counted == ["vae"]


def test_else_steps_and_decodes_are_counted(given, planned, counted):
    """8 steps; the likelihood decodes 2 samples of 4 images. Measured once for each arm."""
    found = Estimate(given)
    with installed():
        for trial in planned:
            assert found.seconds(trial) == pytest.approx(8 * 0.5 + 2 * 4 * 0.001 + AROUND)
        longer = replace(planned[0], config={**planned[0].config, "trainer": {"steps": 100}})
        assert found.seconds(longer) == pytest.approx(100 * 0.5 + 8 * 0.001 + AROUND)
    assert counted == ["vae", "additive"]


def test_every_image_of_every_data_set_is_embedded_for_neighbours(tmp_path, monkeypatch):
    """8,000 to fit on and 2,000 to test on (or to validate) of each; the rest costs nothing."""
    monkeypatch.setattr(estimate, "measure", lambda *_: Speed(0.0, 0.0, 0.001))
    data = {"train": "mnist", "transfer": ["affnist"]}
    given = study(folder=tmp_path, data=data, metrics={**TINY["metrics"], "knn": {}})
    (first, *_), plain = trials(given, machine.look(given)), study(folder=tmp_path, data=data)
    with installed():
        assert Estimate(given).seconds(first) == pytest.approx(2 * 10_000 * 0.001 + AROUND)
        alone = trials(plain, machine.look(plain))[0]
        assert Estimate(plain).seconds(alone) == pytest.approx(AROUND)


def test_a_real_step_takes_a_while(given, planned):
    """Positive, of a sane size, and used."""
    with installed():
        speed = estimate.measure(given, planned[1])
        assert 1e-4 < speed.step < 5
        assert 1e-7 < speed.decode < 0.1
        assert 1e-7 < speed.embed < 0.1
        assert AROUND < Estimate(given).seconds(planned[1]) < AROUND + 8 * 5 + 8 * 0.1


def test_an_arm_that_breaks_does_not_break_the_forecast(tmp_path):
    """It diverges, or raises an error, at its first steps; its trial will say so."""
    bad = {"model": {"name": "autoencoder", "prior": "kl", "views": True}}
    arms = {
        "raises": {**bad, "family": {"fault": "raise", "at": 2}},
        "diverges": {**TINY["arms"]["vae"], "trainer": {"learning_rate": 1e30}},
    }
    primary = {**TINY["primary"], "treatment": "raises", "control": "diverges"}
    write(tmp_path, arms=arms, primary=primary)
    shown = bench(tmp_path, "study=tiny.yaml", "dry_run=true")
    assert (shown.status, shown.err) == (0, "")
    assert "4 trials, 4 to run" in shown.out


# --- max_hours ----------------------------------------------------------------------------------

ARGUMENTS = ("study=tiny.yaml", "workers=1", "tracking.enabled=false")


def test_what_cannot_be_finished_in_time_is_not_started(finished, tmp_path, monkeypatch):
    """Two of four trials fit; the same command without a limit ends with the undisturbed rows."""
    write(tmp_path)
    with monkeypatch.context() as patch:
        # the limit's seconds, no matter how fast this machine is
        patch.setattr(Estimate, "seconds", lambda _, trial: 1e9 if trial.seed else 0.0)
        ran = bench(tmp_path, *ARGUMENTS, "max_hours=2.5")
    assert ran.status == 4
    assert ran.out.splitlines()[-1] == (
        "max_hours=2.5 is up, 2 trials to go: the same command continues"
    )
    manifest = manifests.load(ran.store)
    assert [(t["seed"], t["status"]) for t in manifest["trials"]] == [
        (0, "done"),
        (0, "done"),
        (1, "interrupted"),
        (1, "interrupted"),
    ]
    assert (ran.store / "report.html").is_file()
    again = bench(tmp_path, *ARGUMENTS)
    assert again.status == 0
    assert "2 to run" in again.out
    assert again.rows() == finished.rows()


def test_a_limit_that_is_up_at_once(tmp_path):
    """Nothing runs, a report says that there is nothing, and a trial that would fit is no loss."""
    write(tmp_path)
    ran = bench(tmp_path, *ARGUMENTS, "max_hours=1e-9")
    assert ran.status == 4
    assert "max_hours=1e-09 is up, 4 trials to go: the same command continues" in ran.out
    assert not list(ran.store.glob("trials/*/result.json"))
    assert rows.load(ran.store).empty
