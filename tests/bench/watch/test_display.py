"""What a person sees while a study runs, on a terminal and in a log."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from harness import study, trials
from rich.console import Console

from bench.execute.base import Finished, Measuring, Recorded, Started
from bench.execute.trial import SELDOM, seldom
from bench.store import Result
from bench.watch import display
from bench.watch.display import Forecast, Lines, Live, duration, outcome


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    return trials(study(folder=tmp_path_factory.mktemp("display")))


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(display.time, "monotonic", lambda: Clock.now)
    return Clock


DONE = Result(
    "done", measurements=[{"name": "nll", "value": 487.40631}], facts={"seconds": 61.0, "steps": 8}
)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (599, "9 min 59 s"),
        (601, "10 min"),
        (3569, "59 min"),
        (3599, "60 min"),
        (3600, "1 h 0 min"),
        (7500, "2 h 5 min"),
        (90000, "25 h 0 min"),
    ],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_the_forecast_is_the_rest_at_the_rate_so_far(planned, clock):
    """Four trials of 8 steps; 4 steps in 10 seconds leave 28 steps, 70 seconds."""
    forecast = Forecast(planned)
    assert forecast.total == 32
    forecast.update(Started(planned[0]))
    assert forecast.remaining() is None
    clock.now += 10
    forecast.update(Recorded(planned[0], {"step": 4}))
    assert forecast.remaining() == pytest.approx(70)
    for i in range(500):  # a long evaluation says much and nothing of the rate
        forecast.update(Measuring(planned[1], "knn", i, 500))
    assert forecast.remaining() == pytest.approx(70)
    clock.now += 10
    forecast.update(Finished(planned[0], DONE))
    assert forecast.remaining() == pytest.approx(24 * 20 / 8)
    for trial in planned[1:]:
        clock.now += 10
        forecast.update(Finished(trial, Result("failed", "x")))
    assert forecast.remaining() == 0


def test_outcomes(planned):
    def told(result: Result, metric: str = "nll") -> str:
        return outcome(Finished(planned[0], result), metric)

    assert told(DONE) == "nll 487.4063, trained in 1 min 1 s"
    assert told(DONE, "knn/mnist") == "done, trained in 1 min 1 s"
    failed = Result("failed", "RuntimeError: x")
    assert told(failed) == "FAILED (RuntimeError: x)"


def events(planned):
    """A study of which the second trial fails before it starts to learn."""
    for trial in planned:
        yield Started(trial)
        if trial is planned[1]:
            yield Finished(trial, Result("failed", "[bold]no markup[/bold]"))
            continue
        yield Recorded(trial, {"step": 4, "train/loss": 12.34})
        yield Finished(trial, DONE)


def shown(kind, planned, terminal: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, _environ={})
    with kind(planned, "nll", console) as view:
        for event in events(planned):
            view.show(event)
    return out.getvalue()


def test_a_log_has_one_line_per_trial(planned, clock):
    lines = shown(Lines, planned, terminal=False).splitlines()
    assert lines == [
        "[1/4] vae seed 0: nll 487.4063, trained in 1 min 1 s",
        "[2/4] additive seed 0: FAILED ([bold]no markup[/bold])",
        "[3/4] vae seed 1: nll 487.4063, trained in 1 min 1 s",
        "[4/4] additive seed 1: nll 487.4063, trained in 1 min 1 s",
    ]


def test_a_terminal_has_bars_and_the_same_outcomes(planned):
    text = shown(Live, planned, terminal=True)
    assert "vae seed 0: nll 487.4063, trained in 1 min 1 s" in text
    assert "additive seed 0: FAILED ([bold]no markup[/bold])" in text
    assert "4/4 trials" in text


def test_how_far_the_evaluation_is(planned):
    """It may take longer than the training: a bar must not look dead."""
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=True)
    with Live(planned, "nll", console) as view:
        view.show(Started(planned[0]))
        view.show(Measuring(planned[0], "knn/affnist", 30, 120))
        (note,) = (task.fields["note"] for task in view.progress.tasks if task.id != view.whole)
    assert note == "measuring knn/affnist: 25%"


def test_progress_is_told_now_and_then(monkeypatch):
    """Not at every turn of a loop, which would cost more than the turn."""
    now, told = [10.0], []
    monkeypatch.setattr("bench.execute.trial.time.monotonic", lambda: now[0])
    progress = seldom(told.append)
    for done in range(100):
        progress("nll", done, 100)
        now[0] += SELDOM / 8
    assert told == [("nll", done, 100) for done in range(0, 100, 8)]


def test_bars_on_a_terminal_lines_elsewhere(planned):
    def kind(terminal: bool) -> type:
        shown = display.Display(Console(force_terminal=terminal, file=io.StringIO()))
        shown.batch(planned, "nll")
        try:
            return type(shown.view)
        finally:
            shown.rest()

    assert (kind(True), kind(False)) == (Live, Lines)


def test_a_hostile_name_is_shown_as_it_is(planned, clock):
    odd = replace(planned[0], arm="[red]a[/red] {b}")
    out = io.StringIO()
    with Lines([odd], "nll", Console(file=out, width=100)) as view:
        view.show(Finished(odd, DONE))
    assert out.getvalue().startswith("[1/1] [red]a[/red] {b} seed 0: nll")
