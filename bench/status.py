"""How a study stands: ``python -m bench.status study=NAME [key=value ...]``.

Takes the arguments of ``bench.run``, since they decide which trials the study has; reads only,
but for ``sync``.

- ``explain=KEY``: what has changed since the trial in that folder was made (a few digits do);
- ``sync=true``: tells MLflow and Optuna's ledger what they lack, after they were down.

Exit status: 0, or 2 for bad input; 3 where ``sync`` finds the study being run.
"""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.arguments import texts
from bench.console import console
from bench.plan.keys import differences
from bench.plan.progress import Ending, Progress
from bench.plan.trials import Trial
from bench.store import Owned, Recipe, Store, owned
from bench.study.problems import ConfigError
from bench.study.resolve import resolve
from bench.study.schema import Execution
from bench.study.setup import Study
from bench.study.uris import masked
from bench.watch.dry_run import to_go

COLUMNS = (
    "done", "pruned", "running", "interrupted", "waiting", "diverged", "failed", "not needed",
)  # fmt: skip
MOST_LINES = 10
"""Of one kind."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or "--help" in arguments or "-h" in arguments:
        console().print(__doc__)
        return 0 if arguments else 2
    out, errors = console(), console(stderr=True)
    own, rest = texts(arguments, ("explain", "sync"))
    try:
        if own.get("sync", "false") not in ("true", "false"):
            raise ValueError(f"sync: must be true or false, got {own['sync']!r}")
        study, execution = resolve(rest)
        progress = _progress(study, Path(execution.runs))
        if own.get("sync") == "true":
            command = f"python -m bench.run {shlex.join(map(masked, rest))}"
            for line in sync(progress, execution, command):
                out.print(line)
        elif "explain" in own:
            for line in explain(progress, own["explain"]):
                out.print(line)
        else:
            show(progress, out)
    except Owned as error:
        errors.print(f"error: {error}")
        return 3
    except (ConfigError, ValueError) as error:
        for line in str(error).splitlines():
            errors.print(f"error: {line}")
        return 2
    return 0


def _progress(study: Study, runs: Path) -> Progress:
    from bench.plan import machine

    progress = Progress(study, machine.look(study), Store(runs, study.name))
    progress.advance()
    return progress


def sync(progress: Progress, execution: Execution, command: str) -> list[str]:
    """Tell Optuna's ledger and MLflow what they lack of a study; returns what was done, in words.

    Args:
        progress: how far the study is.
        execution: where they are.
        command: that runs the study.

    Raises:
        Owned: the study is being run by another process.
        ValueError: there is nobody or nothing to tell, or one of them does not answer.
    """
    from bench import answer
    from bench.watch.base import Guarded
    from bench.watch.optuna_file import OptunaFile

    study, store, uri = progress.study, progress.store, execution.ledger.uri
    if not execution.tracking.enabled and uri is None:
        raise ValueError("tracking.enabled=false: there is nobody to tell")
    if not store.keys():
        raise ValueError(f"{store.path} has no trials")
    with owned(store.path):
        # a driver may have ended more trials since; what it wrote must not be taken back
        progress = Progress(study, progress.world, store)
        progress.advance()
        answer.check_looks(progress)
        ledger = Guarded(OptunaFile(store.path / "optuna.db", study, uri))
        ledger.catch_up(progress)
        said = ["Optuna has all trials"] if uri else []
        if execution.tracking.enabled:
            said.append(_tell_mlflow(progress, execution, command))
        for why in ledger.problems.values():
            raise ValueError(f"Optuna: {why}")
        return said


def _tell_mlflow(progress: Progress, execution: Execution, command: str) -> str:
    """Tell MLflow what it lacks; returns what that was, in words."""
    from bench import answer
    from bench.watch.base import TOLD, Guarded
    from bench.watch.mlflow_runs import MLflowRuns, address

    runs = MLflowRuns(progress.study, progress.store, command, address(execution.tracking))
    try:
        runs.look()
    except Exception as error:  # a tracking server fails in as many ways as it is plugged
        raise ValueError(masked(f"MLflow: {str(error).splitlines()[0]}")) from error
    keys = {
        (ending.trial.evaluation_key, ending.result.status)
        for ending in progress.endings()
        if ending.result.status in TOLD
    }
    lacking = keys - runs.shown
    if runs.complete and not lacking:
        return f"MLflow has all {len(keys)} trials"
    watched = Guarded(runs)
    answer.collect(progress, command)
    watched.catch_up(progress)
    answer.build(progress, answer.inputs(progress, command, execution), watched)
    if runs in watched.problems:
        raise ValueError(f"MLflow: {watched.problems[runs]}")
    return f"MLflow was told {len(lacking)} of {len(keys)} trials"


def show(progress: Progress, console: Console) -> None:
    """A line for each arm and stage, what went wrong, and what is stale."""
    from rich.table import Table

    counts: dict[tuple[str, str], Counter[str]] = {}
    for ending in progress.endings():
        where = ending.trial.arm, ending.trial.stage
        counts.setdefault(where, Counter())[_state(progress, ending)] += 1
    columns = [c for c in COLUMNS if any(found[c] for found in counts.values())]
    table = Table("arm", "stage", *columns)
    for (arm, stage), found in counts.items():
        table.add_row(arm, stage, *(str(found[column] or "-") for column in columns))
    console.print(f"{progress.study.name} in {progress.store.path}")
    console.print(table)
    for ending in progress.endings():
        key, result = ending.trial.training_key, ending.result
        if result.status in ("diverged", "failed"):
            console.print(f"{result.status}: {ending.trial.name}: {result.reason} ({key})")
        for metric, why in result.unmeasured.items():
            console.print(f"not measured: {ending.trial.name}: {metric}: {why} ({key})")
        for note in result.notes:
            console.print(f"note: {ending.trial.name}: {note} ({key})")
    stale, old = _stale(progress)
    for key in stale[:MOST_LINES]:
        recipe = progress.store.trial(key).recipe()
        whose = f"{recipe['arm']} seed {recipe['training'].get('seed')}" if recipe else "unreadable"
        console.print(f"stale: {key} ({whose}) is not of this plan; explain={key} says why")
    for trial in old[:MOST_LINES]:
        console.print(
            f"stale: {trial.training_key} ({trial.name}) will be measured again, not trained; "
            f"explain={trial.training_key} says why"
        )
    more = sum(max(0, len(found) - MOST_LINES) for found in (stale, old))
    if more:
        console.print(f"stale: {more:,} more")
    for line in progress.looks.said:
        console.print(line)
    console.print(to_go(progress) or "finished")


def _state(progress: Progress, ending: Ending) -> str:
    """One of `COLUMNS`; what a look that decided came before is not needed, even if it is done."""
    if ending.trial.seed in progress.needless:
        return "not needed"
    folder = progress.store.trial(ending.trial.training_key)
    if ending.result.status != "interrupted":
        return ending.result.status
    if folder.running:
        return "running"
    return "interrupted" if folder.recipe() else "waiting"


def _stale(progress: Progress) -> tuple[list[str], list[Trial]]:
    """(keys of folders that the plan does not have, trials whose measurements are out of date)."""
    planned = {ending.trial.training_key: ending.trial for ending in progress.endings()}
    there = progress.store.keys()
    old = []
    for key in there:
        result = progress.store.trial(key).result()
        if (
            key in planned
            and result is not None
            and result.status == "done"
            and result.evaluation != planned[key].evaluation_key
        ):
            old.append(planned[key])
    return [key for key in there if key not in planned], old


def explain(progress: Progress, key: str) -> list[str]:
    """What differs between a trial as it was made and as the study would make it now.

    Args:
        progress: of the study.
        key: the first digits, at least, of a trial's folder or of a trial to come.

    Raises:
        ValueError: no trial, or several, begin so.
    """
    planned = [ending.trial for ending in progress.endings()]
    known = {*progress.store.keys(), *(trial.training_key for trial in planned)}
    found = sorted(name for name in known if key and name.startswith(key))
    if len(found) != 1:
        raise ValueError(
            f"explain: {len(found) or 'no'} trials begin with {key!r}"
            + (f": {', '.join(found[:5])}" if found else "")
        )
    (key,) = found
    recipe = progress.store.trial(key).recipe()
    if recipe is None:
        mine = next((trial for trial in planned if trial.training_key == key), None)
        if mine is None:
            return [f"{key} does not say what it was made from"]
        there = progress.store.keys()
        others = [(other, progress.store.trial(other).recipe()) for other in there]
        near = [
            (len(_changes(made, mine)), other, made)
            for other, made in others
            if made is not None and _same_place(made, mine)
        ]
        if not near:
            return [f"{key} ({mine.name}) has not run, and nothing like it has"]
        _, other, made = min(near, key=lambda entry: entry[:2])
        return [f"{key} ({mine.name}) has not run; nearest is {other}:", *_changes(made, mine)]
    alike = [trial for trial in planned if _same_place(recipe, trial)]
    if not alike:
        seed = recipe["training"].get("seed")
        return [f"the study has no {recipe['arm']} seed {seed} in stage {recipe['stage']}"]
    nearest = min(alike, key=lambda trial: len(_changes(recipe, trial)))
    changes = _changes(recipe, nearest)
    if not changes:
        return [f"{key} ({nearest.name}) is up to date"]
    return [f"{key} ({nearest.name}), then -> now:", *changes]


def _same_place(recipe: Recipe, trial: Trial) -> bool:
    seed = recipe["training"].get("seed")
    return (recipe["arm"], recipe["stage"], seed) == (trial.arm, trial.stage, trial.seed)


def _changes(recipe: Recipe, trial: Trial) -> list[str]:
    """What differs, a line each; the evaluation's own mention of its training is no news."""
    before, after = dict(recipe["evaluation"]), dict(trial.evaluation)
    before.pop("training", None)
    after.pop("training", None)
    return [
        *(f"  training: {line}" for line in differences(recipe["training"], trial.training)),
        *(f"  evaluation: {line}" for line in differences(before, after)),
    ]


if __name__ == "__main__":
    sys.exit(main())
