"""What a person sees while a study runs: a live display, or plain lines where none can be shown."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench.execute.base import Event, Finished, Measuring, Recorded, Started
from bench.plan.trials import Trial
from bench.watch.base import Watcher


def duration(seconds: float) -> str:
    """A length of time for people: ``42 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole < 600 else f"{round(whole / 60)} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Forecast:
    """How long the rest takes: steps still to do at the rate of the steps done so far.

    Args:
        trials: those that will run.
    """

    def __init__(self, trials: list[Trial]) -> None:
        self.total = sum(trial.steps for trial in trials)
        self.done: dict[str, int] = {}
        self.marks: deque[tuple[float, int]] = deque([(time.monotonic(), 0)], maxlen=200)

    def update(self, event: Event) -> None:
        """Take the event into account."""
        key = event.trial.training_key
        if isinstance(event, Recorded):
            self.done[key] = int(event.record["step"])
        elif isinstance(event, Finished):
            self.done[key] = event.trial.steps
        else:  # of which there are so many that what was before them would be forgotten
            return
        self.marks.append((time.monotonic(), sum(self.done.values())))

    def remaining(self) -> float | None:
        """Seconds; None before there is anything to judge by."""
        (start, before), (now, steps) = self.marks[0], self.marks[-1]
        if steps <= before or now <= start:
            return None
        return (self.total - steps) * (now - start) / (steps - before)


def outcome(event: Finished, metric: str) -> str:
    """What became of a trial, in a few words."""
    if event.result.status != "done":
        return f"{event.result.status.upper()} ({event.result.reason})"
    value = next((m["value"] for m in event.result.measurements if m["name"] == metric), None)
    shown = f"{metric} {value:.4f}" if value is not None else "done"
    return f"{shown}, trained in {duration(event.result.facts.get('seconds', 0))}"


class Lines:
    """A line for each trial that ends.

    Args:
        trials: those that will run.
        metric: the primary one.
        console: where to.
    """

    def __init__(self, trials: list[Trial], metric: str, console: Console) -> None:
        self.trials, self.metric, self.console = trials, metric, console
        self.forecast = Forecast(trials)
        self.finished = 0

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, event: Event) -> None:
        """Print, if it is the end of a trial."""
        self.forecast.update(event)
        if not isinstance(event, Finished):
            return
        self.finished += 1
        left = self.forecast.remaining()
        rest = f"; about {duration(left)} left" if left and self.finished < len(self.trials) else ""
        self.console.print(
            f"[{self.finished}/{len(self.trials)}] {event.trial.name}: "
            f"{outcome(event, self.metric)}{rest}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


class Live:
    """A bar for the study and one for each running trial, redrawn in place.

    Args:
        trials: those that will run.
        metric: the primary one.
        console: where to.
    """

    def __init__(self, trials: list[Trial], metric: str, console: Console) -> None:
        self.metric = metric
        self.forecast = Forecast(trials)
        self.finished, self.count = 0, len(trials)
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            console=console,
        )
        self.whole = self.progress.add_task("study", total=self.forecast.total, note="")
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Live:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def show(self, event: Event) -> None:
        """Move the bars."""
        self.forecast.update(event)
        key, trial = event.trial.training_key, event.trial
        if isinstance(event, Started):
            self.tasks[key] = self.progress.add_task(trial.name, total=trial.steps, note="starting")
        elif isinstance(event, Recorded):
            self.progress.update(
                self.tasks[key],
                completed=event.record["step"],
                note=f"loss {event.record['train/loss']:.1f}",
            )
        elif isinstance(event, Measuring):
            share = event.done / max(event.total, 1)
            self.progress.update(self.tasks[key], note=f"measuring {event.what}: {share:.0%}")
        else:
            self.finished += 1
            if key in self.tasks:
                self.progress.remove_task(self.tasks.pop(key))
            self.progress.console.print(
                f"{trial.name}: {outcome(event, self.metric)}", markup=False, highlight=False
            )
        left = self.forecast.remaining()
        rest = f", {duration(left)} left" if left is not None else ""
        self.progress.update(
            self.whole,
            completed=sum(self.forecast.done.values()),
            note=f"{self.finished}/{self.count} trials{rest}",
        )


class Display(Watcher):
    """What a person sees of every batch: bars on a terminal, lines elsewhere.

    Args:
        console: where to.
    """

    name = "the display"

    def __init__(self, console: Console) -> None:
        self.console = console
        self.view: Live | Lines | None = None

    def batch(self, trials: Sequence[Trial], metric: str) -> None:
        """See `Watcher.batch`."""
        kind = Live if self.console.is_terminal else Lines
        self.view = kind(list(trials), metric, self.console)
        with self._closing():
            self.view.__enter__()

    def happens(self, event: Event) -> None:
        """See `Watcher.happens`."""
        assert self.view is not None
        with self._closing():
            self.view.show(event)

    def rest(self) -> None:
        """See `Watcher.rest`."""
        view, self.view = self.view, None
        if view is not None:
            view.__exit__(None, None, None)

    @contextmanager
    def _closing(self) -> Iterator[None]:
        """Within: whatever goes wrong, the terminal is left as it was; nobody tells it to rest."""
        try:
            yield
        except BaseException:
            with suppress(Exception):  # of a terminal that went away
                self.rest()
            raise
