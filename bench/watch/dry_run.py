"""The expanded matrix of a study, for people: what there is, what is done, what it will take."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator

from rich.console import Console

from bench.plan.looks import level_of
from bench.plan.progress import Progress
from bench.plan.trials import Trial, differing, direction, tuning_metric
from bench.study.looks import listed
from bench.study.resolve import count_trials
from bench.study.setup import Study


def opening(study: Study, progress: Progress, todo: list[Trial]) -> str:
    """The first line of a run. `todo` is what runs first."""
    parts = [
        f"{len(study.arms)} arms",
        f"{len(study.baselines)} baselines",
        f"looks at {listed(study.looks)} seeds" if study.looks else f"{len(study.seeds)} seeds",
    ]
    if progress.searches:
        tune = study.tune
        parts.append(f"{tune.trials} candidates x {len(tune.seeds)} tuning seeds")
    left = count_left(progress) if todo else 0
    most = "at most " if study.looks else ""
    return (
        f"{study.name}: {most}{count_trials(study):,} trials ({', '.join(parts)}), {left:,} to run"
    )


def count_left(progress: Progress) -> int:
    """Trials still to be run, as far as the plan can tell."""
    now = [t for t in progress.advance() if t.training_key not in progress.results]
    return len(now) + len(progress.to_come())


def to_go(progress: Progress) -> str:
    """How much there is still to do, in words; empty: nothing."""
    left, standing = count_left(progress), progress.looks.standing
    said = f"{'at most ' if standing else ''}{left:,} trials to go"
    return ", ".join(filter(None, (said, standing))) if left else ""


def remark_on_seeds(study: Study) -> Iterable[str]:
    """That no test with so few seeds can reach the level, with the number that could."""
    from reports.statistics.tests import seeds_to_reach

    level, have = level_of(study), len(study.seeds)
    need = seeds_to_reach(level)
    if have < need:
        yield (
            f"note: with {have} seeds the exact sign-flip test cannot reach the level "
            f"{level:g} whatever the outcome; seeds={need} could"
        )


def remark_on_power(study: Study) -> Iterable[str]:
    """Which difference so many seeds find, in units that nobody has to guess beforehand."""
    from reports.statistics import planning
    from reports.statistics.power import POWER, detectable

    have = len(study.seeds)
    if have > 1:
        if study.looks:
            found = planning.detectable(study.looks, study.level)
        else:
            found = detectable(have, 1.0, study.level)
        yield (
            f"{have} seeds find with {POWER:.0%} power a true difference that is {found:.2g} "
            f"standard deviations (of the paired differences) beyond +-"
            f"{study.primary.equivalence:g}; smaller ones mostly stay inconclusive"
        )


def remark_on_looks(study: Study) -> Iterable[str]:
    """When the study is looked at, and how sure each look and all of them are."""
    if study.looks:
        yield (
            f"looks at {listed(study.looks)} seeds, the last at the latest; each reads intervals "
            f"of {1 - level_of(study):.4g}, so that all together keep {1 - study.level:.4g}"
        )


def chances(progress: Progress) -> dict[str, list[float]]:
    """Case, in words -> by look the chance that its trials run, if it has not ended before.

    At least and at most, and what the simulated studies of `reports.statistics.planning` do whose
    true difference is so and so many standard deviations.
    """
    from reports.statistics.planning import expected

    study, passed = progress.study, len(progress.looks.passed)
    count = len(study.looks)
    first = [float(k <= passed) for k in range(count)]
    found = {"at least": first, "at most": [1.0] * count}
    for deviations, words in ((1.0, "one standard deviation"), (2.0, "two standard deviations")):
        stops = expected(study.looks, study.level, deviations, 1.0).stops.values()
        goes_on = [1 - sum(sum(chances[:k]) for chances in stops) for k in range(count)]
        found[f"on average, if the true difference lies {words} beyond the region"] = [
            max(sure, after / max(goes_on[min(passed, count - 1)], 1e-9))
            for sure, after in zip(first, goes_on, strict=True)
        ]
    return found


MUCH = 1e9
"""Bytes of embeddings that are worth a word."""


def remarks_on_data(study: Study, todo: Iterable[Trial]) -> Iterator[str]:
    """The sizes of the data sets, and what their embeddings take where that is much."""
    from bench.plan.estimate import embedded

    sizes = {label: study.data.images(label) for label in study.labels}
    told = (f"{label} {of['train']:,} / {of['test']:,}" for label, of in sizes.items())
    yield f"images to fit on / to test on: {', '.join(told)}"
    needs = {
        trial.arm: 4 * embedded(study, trial) * study.setups[trial.arm].latent_dim for trial in todo
    }
    most = max(needs, key=needs.__getitem__, default="")
    if (size := needs.get(most, 0)) >= MUCH:
        yield f"embeddings of one trial take up to {size / 1e9:.1f} GB of memory or disk ({most})"


def show(study: Study, progress: Progress, room: Callable[[], int], console: Console) -> None:
    """What would run: arms, candidates, seeds, steps, what is cached, and how long it would take.

    Args:
        study: resolved.
        progress: how far it is.
        room: how many trials would run at once.
        console: where to.
    """
    from rich.table import Column, Table

    now = progress.advance()
    todo = [*now, *progress.to_come()]
    table = Table(
        Column("arm", overflow="fold"), "role", "tuning", "seeds", "done", "to run", "steps each"
    )
    endings = progress.endings()
    for name, setup in study.setups.items():
        mine = [trial for trial in todo if trial.arm == name]
        done = sum(e.trial.arm == name and e.result.status != "interrupted" for e in endings)
        candidates = next((s.budget for s in progress.searches if s.name == name), 0)
        table.add_row(
            name,
            setup.role,
            f"{candidates} x {len(study.tune.seeds)}" if candidates else "-",
            str(len(study.seeds)),
            str(done),
            str(len(mine)),
            "-" if setup.role == "reference" else f"{setup.config['trainer']['steps']:,}",
        )
    console.print(table)
    console.print("what differs between them:")
    for name, paths in differing(progress.confirmed_study, written=True).items():
        told = (
            f"{path.removeprefix('model.').removesuffix('.name')}={value}"
            for path, value in paths.items()
            if value is not None
        )
        console.print(f"  {name}: {', '.join(told)}")
    steps = sum(trial.steps for trial in todo)
    console.print(
        f"{study.name}, budget {study.budget}: {count_trials(study):,} trials, {len(todo):,} to "
        f"run, {steps:,} steps, on {progress.world.device}"
    )
    if progress.searches:
        tune = study.tune
        console.print(
            f"tuning: {tune.sampler}, pruner {tune.pruner}, on {tuning_metric(study)} "
            f"({direction(study, tuning_metric(study))} is better) of validation data, "
            f"seeds {', '.join(map(str, tune.seeds))}"
        )
    for line in (
        *remarks_on_data(study, todo),
        *remark_on_looks(study),
        *progress.looks.said,
        *remark_on_power(study),
        *remark_on_seeds(study),
    ):
        console.print(line)
    if todo:
        _forecast(study, progress, todo, room(), console)


def _forecast(
    study: Study, progress: Progress, todo: list[Trial], workers: int, console: Console
) -> None:
    """How long it would take, which is measured where no trial has ended yet: after all else."""
    from bench.plan.estimate import Estimate
    from bench.watch.display import duration

    estimate = Estimate(study, progress.endings())
    seconds = dict.fromkeys((trial.arm for trial in todo), 0.0)
    for trial in todo:
        seconds[trial.arm] += estimate.seconds(trial)
    console.print(
        f"about {duration(sum(seconds.values()) / workers)} with {workers} "
        f"worker{'s' if workers > 1 else ''} "
        f"({', '.join(f'{arm} {duration(each)}' for arm, each in seconds.items())}), from trials "
        "that have ended or a step measured now (evaluation: what its metrics embed and decode, "
        "without the search for neighbours)"
    )
    if study.looks:
        place = {seed: k for k, seed in enumerate(study.seeds)}
        for case, of_look in chances(progress).items():
            # a trial of tuning is of no look, and runs
            runs = [
                of_look[bisect_right(study.looks, place[trial.seed])] if trial.seed in place else 1
                for trial in todo
            ]
            takes = sum(r * estimate.seconds(t) for r, t in zip(runs, todo, strict=True))
            console.print(f"{case}: {sum(runs):.0f} trials, {duration(takes / workers)}")
