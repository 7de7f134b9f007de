"""SIGKILL at every write point: the same command ends with the rows of an undisturbed run.

Real commands, real kills. In a scenario the driver is killed at some points, one execution after
the other, and its workers at others; the driver restarts its workers by itself, and the same
command is given again for the driver. No point is forgotten: what an undisturbed run reaches must
be swept.
"""

from __future__ import annotations

import signal
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest
from real import Left, command, left, prepare, without_the_end

WORKER = [
    *(f"{file}/{moment}"
      for file in ("trial.json", "curve.jsonl", "step", "model.json", "weights.safetensors",
                   "facts.json", "pictures.npz", "result.json")
      for moment in ("begin", "written", "end")),
    "step/dropped", "step:5", "curve/end", "metric/begin",
]  # fmt: skip
"""Points in a worker: its files, each checkpoint step, training, evaluation."""

WHILE_TRIALS_RUN = [
    ("study.yaml/written", "driver/advanced:2"),
    ("mlflow/begin:2", "driver/finished:3"),
    ("optuna/end:3", "mlflow/run"),
    ("optuna/begin", "mlflow/end:4"),
]
"""Points in the driver while there are trials to run, two for each scenario."""

AFTER_THE_TRIALS = [
    ["study.yaml/begin", "study.yaml/end", "rows.parquet/begin", "manifest.json/begin",
     "report/begin", "report/end", "answer.json/begin"],
    ["rows.parquet/written", "manifest.json/written", "mlflow/run:2", "report/begin+0.4",
     "answer.json/written"],
    ["rows.parquet/end", "manifest.json/end", "mlflow/end:5", "answer.json/end"],
]  # fmt: skip
"""Points in the driver when all trials have ended and nobody was told; ``+``: seconds later."""


@dataclass(frozen=True)
class Scenario:
    """A study that is killed again and again.

    Attributes:
        driver: points at which the driver is killed, in the order that it comes to them.
        worker: points at which workers are killed.
        from_the_start: False: all trials have ended, nobody was told, nothing was collected.
    """

    driver: list[str]
    worker: list[str]
    from_the_start: bool

    def __str__(self) -> str:
        return " ".join([*self.driver, *self.worker])


SCENARIOS = [
    *(
        Scenario([early, late], WORKER[i :: len(WHILE_TRIALS_RUN)], True)
        for i, (early, late) in enumerate(WHILE_TRIALS_RUN)
    ),
    *(Scenario(chain, [], False) for chain in AFTER_THE_TRIALS),
]


@dataclass(frozen=True)
class Swept:
    """What a scenario came to."""

    fired: set[str]
    statuses: list[int]
    output: str
    left: Left | None
    running: list[str]


def run(folder: Path, kills: int, faults: list[str]) -> Swept:
    """Give the command in `folder` until it was killed `kills` times, and once more."""
    fired = folder / "fired"
    fired.mkdir()
    more = {"TVAE_FAULT": ",".join(faults), "TVAE_FAULT_FOLDER": str(fired)}
    runs = [command(folder, **more) for _ in range(kills + 1)]
    store = folder / "runs" / "tiny"
    return Swept(
        {path.name for path in fired.iterdir()},
        [done.returncode for done in runs],
        "\n".join(f"--- {done.returncode}\n{done.stdout}{done.stderr}" for done in runs),
        left(store) if (store / "manifest.json").exists() else None,
        half_told(folder),
    )


def half_told(folder: Path) -> list[str]:
    """The runs that MLflow believes to be running."""
    with sqlite3.connect(folder / "mlflow.db") as database:
        return [name for (name,) in database.execute(
            "select name from runs where status = 'RUNNING'"
        )]  # fmt: skip


def play(scenario: Scenario, folder: Path, fresh, undisturbed) -> Swept:
    """What a scenario comes to."""
    if scenario.from_the_start:
        prepare(folder, fresh)
    else:
        without_the_end(undisturbed, folder, fresh)
    return run(folder, len(scenario.driver), [*scenario.driver, *scenario.worker])


def test_every_point_of_an_undisturbed_run_is_swept(undisturbed):
    faults = [fault for one in SCENARIOS for fault in [*one.driver, *one.worker]]
    assert undisturbed.points == {fault.partition("+")[0].partition(":")[0] for fault in faults}


# of each kind one in every run of the tests, all of them in tox -e soak
EACH_TIME = (SCENARIOS[0], SCENARIOS[-1])


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(one, marks=[] if one in EACH_TIME else pytest.mark.soak, id=str(one))
        for one in SCENARIOS
    ],
)
def test_killed_and_continued_is_as_undisturbed(scenario, tmp_path, fresh, undisturbed):
    one = play(scenario, tmp_path / "study", fresh, undisturbed)
    assert one.statuses == [*[-signal.SIGKILL] * len(scenario.driver), 0], one.output
    faults = [*scenario.driver, *scenario.worker]
    assert one.fired == {fault.replace("/", "_") for fault in faults}, one.output
    assert one.left == undisturbed.left
    assert one.running == []
