"""From a study's file and overrides to a resolved study.

Merged in this order, later wins: the budget, the study file, the command line. Every error is
reported at once, each with its path and, for a name, a near match.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bench.arguments import parse, texts
from bench.study.check import check_names, check_plugins, sound_data
from bench.study.crossing import crossed, too_many
from bench.study.files import budget_names, find, read_study, read_yaml, study_names
from bench.study.looks import over, spelled_out
from bench.study.paths import with_names
from bench.study.problems import ConfigError, Problem
from bench.study.schema import MOST_TRIALS, Execution, StudyFile, Variants
from bench.study.setup import Study, role_of, settle
from bench.study.tree import Tree, delete, merge
from bench.study.wording import validate
from tvae.registry import unknown_name


def resolve(
    arguments: Iterable[str], early: Callable[[Problem], None] = lambda problem: None
) -> tuple[Study, Execution]:
    """The study and its execution that the command line asks for.

    Args:
        arguments: of the command line.
        early: is given what is wrong with keys and names, which is known at once. To ask plugins
            what they refuse takes the seconds of importing them; then everything is raised.

    Raises:
        ConfigError: anything wrong with it, everything at once.
    """
    problems: list[Problem] = []
    arguments = list(arguments)
    overrides, deletions = parse(arguments, problems)
    # before anything that may name a plugin is read
    _add_files(overrides.get("plugins", []), problems)
    name = _named(overrides.pop("study", None), arguments)
    if not isinstance(name, str) or not name:
        names = "|".join(study_names())
        raise ConfigError(
            [*problems, Problem("study", f"name one: study={names}, or a file's path")]
        )
    try:
        file = read_study(name)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from error
    execution = {key: overrides.pop(key) for key in Execution.model_fields if key in overrides}
    selections = {
        role: [str(name) for name in overrides.pop(role)]
        for role in ("arms", "baselines")
        if isinstance(overrides.get(role), list)
    }
    file["baselines"] = _baselines(file.get("baselines", {}), problems)
    below = _budget(overrides.get("budget", file.get("budget", "quick")), problems)
    # a budget may set what a metric costs; which metrics there are is the study's
    if isinstance(file.get("metrics"), Mapping):
        known = file["metrics"]
        below["metrics"] = {k: v for k, v in below.get("metrics", {}).items() if k in known}
    before = over(below, file)
    tree = over(before, overrides)
    for path in deletions:
        try:
            delete(tree, path)
        except ValueError as error:
            problems.append(Problem(f"~{path}", str(error)))
    most = execution.get("max_trials", MOST_TRIALS)
    before, tree = (
        crossed(spelled_out(t, found), most, found) for t, found in ((before, []), (tree, problems))
    )
    before, tree = with_names(before, []), with_names(tree, problems)
    tree = _matched(tree, problems)
    _select(tree, selections, problems)
    dropped = _arms(before) - _arms(tree)
    _drop_contrasts(tree, dropped)

    study = _study(tree, before, problems)
    if study is not None and "variants" not in _section(overrides, "data"):
        study = _single(study)
    options = validate(Execution, execution, problems)
    if study is not None:
        problems += check_names(study, dropped)
    for problem in dict.fromkeys(problems):
        early(problem)
    if study is not None:
        count = count_trials(study)
        if options is not None and count > options.max_trials:
            problems.append(Problem("max_trials", too_many(count, options.max_trials)))
        problems += check_plugins(study)
    if problems or study is None or options is None:
        raise ConfigError(problems)
    return settle(study), options


def _named(given: Any, arguments: Iterable[str]) -> Any:
    """The study's name as it was typed where it was read as a number or a truth value."""
    if isinstance(given, str | list | dict):
        return given
    return texts(arguments, ["study"])[0].get("study", "").strip()


def _add_files(files: Any, problems: list[Problem]) -> None:
    """Make the plugins of the command line's ``plugins=`` known."""
    given = [files] if isinstance(files, str) else files
    for file in given if isinstance(given, list) else []:
        from bench.plug.kinds import add

        try:
            add(str(file))
        except ValueError as error:
            cause = (
                f" ({type(error.__cause__).__name__}: {error.__cause__})" if error.__cause__ else ""
            )
            problems.append(Problem("plugins", f"{error}{cause}"))


def count_trials(study: StudyFile) -> int:
    """Trials of the whole matrix: each arm's candidates at each tuning seed, and its seeds."""
    trained = [name for name in study.every_arm if role_of(study, name) != "reference"]
    tuning = study.tune.trials * len(study.tune.seeds) * len(trained)
    return tuning + len(study.seeds) * len(study.every_arm)


def _matched(tree: Tree, problems: list[Problem]) -> Tree:
    """`tree` with its arms' capacities matched, if it asks for that and is sound.

    Before arms are selected: a trial is the same whatever other arms run beside it.
    """
    if tree.get("capacity", "own") == "own":
        return tree
    study = validate(StudyFile, tree, [])
    if study is None or not sound_data(study) or check_plugins(study):
        return tree  # which is said where the study is checked
    from bench.study.capacity import match

    try:
        return match(tree, study)
    except ConfigError as error:
        problems += error.problems
        return tree


def _budget(name: Any, problems: list[Problem]) -> Tree:
    """The file of a budget; of an unknown one, that of another, so that the rest is checked too."""
    path = find(f"budgets/{name}.yaml")
    if path is None:
        if isinstance(name, str):  # or the schema says so
            problems.append(Problem("budget", str(unknown_name("budget", name, budget_names()))))
        path = find("budgets/quick.yaml")
    below = read_yaml(path) if path else {}
    for key in ("summary", "warning"):
        below[f"budget_{key}"] = below.pop(key, "")
    return below


def _baselines(given: Any, problems: list[Problem]) -> Any:
    """Names of ``baselines.yaml`` looked up; a mapping is taken as it is."""
    if not isinstance(given, list):
        return given
    path = find("baselines.yaml")
    known = read_yaml(path) if path else {}
    for name in given:
        if str(name) not in known:
            problems.append(Problem("baselines", str(unknown_name("baseline", str(name), known))))
    return {str(name): known[str(name)] for name in given if str(name) in known}


def _select(tree: Tree, selections: Mapping[str, list[str]], problems: list[Problem]) -> None:
    """Keep the selected arms and baselines."""
    for role, chosen in selections.items():
        known = tree.get(role)
        if role == "baselines":
            path = find("baselines.yaml")
            known = merge(read_yaml(path) if path else {}, known if known else {})
        if not isinstance(known, Mapping):
            continue
        for name in chosen:
            if name not in known:
                problems.append(Problem(role, str(unknown_name(role[:-1], name, known))))
        kept = {name: known[name] for name in chosen if name in known}
        # where every name is unknown, that is the mistake, not an empty selection
        tree[role] = kept if kept or not chosen else known


def _section(tree: Tree, name: str) -> Mapping[str, Any]:
    """A section of a tree; of what is none, an empty one."""
    section = tree.get(name)
    return section if isinstance(section, Mapping) else {}


def _single(study: StudyFile) -> StudyFile:
    """The study without variants that its full data sets have and its small ones have not.

    A study file says what its full budget takes; a smaller one shortens it in this, too. On the
    command line it is a mistake.
    """
    data = study.data
    full = data.model_copy(update={"size": "full"})
    if not sound_data(study):
        return study
    here, there = (
        any("variants" in size.source(label) for label in study.labels) for size in (data, full)
    )
    if here or not there:
        return study
    return study.model_copy(update={"data": data.model_copy(update={"variants": Variants()})})


def _arms(tree: Tree) -> set[str]:
    """The names of arms and baselines."""
    sections = (tree.get(role) for role in ("arms", "baselines"))
    return {name for section in sections if isinstance(section, Mapping) for name in section}


def _drop_contrasts(tree: Tree, dropped: set[str]) -> None:
    """Leave out the secondary contrasts with arms that were."""
    secondary = tree.get("secondary")
    if isinstance(secondary, Mapping) and isinstance(secondary.get("contrasts"), list):
        contrasts = [
            pair
            for pair in secondary["contrasts"]
            if not (isinstance(pair, list) and dropped & {str(name) for name in pair})
        ]
        tree["secondary"] = {**secondary, "contrasts": contrasts}


def _study(tree: Tree, before: Tree, problems: list[Problem]) -> StudyFile | None:
    """The study; where `tree` is none, what is wrong is set aside to let the rest be checked.

    Args:
        tree: the whole configuration.
        before: the same before the command line's changes.
        problems: is added what is wrong.
    """
    found: list[Problem] = []
    study = validate(StudyFile, tree, found)
    problems += found
    if study is None:
        for problem in found:
            tree = _without(tree, before, problem.path.split("."))
        study = validate(StudyFile, tree, [])
    return study  # type: ignore[no-any-return]


def _without(tree: Tree, before: Any, path: list[str]) -> Tree:
    """`tree` with the entry at `path` as it is in `before`, or without it."""
    key, *rest = path
    instead = before.get(key) if isinstance(before, Mapping) else None
    if rest and isinstance(tree.get(key), dict):
        return {**tree, key: _without(tree[key], instead, rest)}
    out = {name: value for name, value in tree.items() if name != key}
    return out if instead is None else {**out, key: instead}
