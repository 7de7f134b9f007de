"""What is wrong with a configuration, in words for the person who wrote it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.study.looks import check_looks
from bench.study.paths import wrong_names
from bench.study.problems import Problem
from bench.study.schema import Arm, ArmData, Data, Own, StudyFile, Trainer, Variants
from bench.study.setup import Setup, model_name, model_options, parts, setups, written
from bench.study.space import declared, search_space
from bench.study.tree import Tree
from bench.study.wording import options_schema, shown, validate
from tvae import registry
from tvae.registry import Registry, unknown_name
from tvae.shapes import GREY_28


def data_labels() -> list[str]:
    """The data sets that a study can name: without the size, which the budget decides."""
    from tvae import data

    names = data.names()
    return [n for n in names if not (n.endswith("_small") and n.removesuffix("_small") in names)]


def wrong_data(data: Data, label: str) -> str | None:
    """Why a study cannot have the data set `label`; None where nothing speaks against it."""
    from tvae.data.catalogue import original
    from tvae.data.own import is_path

    inner = label
    while (of := original(inner)) is not None:
        inner = of
    known = data_labels()
    if is_path(inner):  # or it would have a name
        return f"{inner} gives no name; give it one: data.paths.NAME={inner}, and NAME here"
    if inner not in known and inner not in data.paths:
        hint = f"; for the folder of that name write ./{inner}" if Path(inner).is_dir() else ""
        return f"{unknown_name('data set', inner, [*known, *data.paths])}{hint}"
    try:
        data.images(label)
        data.shape(label)
    except ValueError as error:
        return str(error)
    return None


def sound_data(study: StudyFile) -> bool:
    """Whether there is every data set of the study, as far as a look at names tells."""
    return all(wrong_data(study.data, label) is None for label in study.labels)


def check_names(study: StudyFile, dropped: set[str]) -> list[Problem]:
    """Data sets and arms that there are not, or twice; `dropped` are the arms left out."""
    problems: list[Problem] = []

    def known(path: str, what: str, name: str, names: list[str]) -> None:
        if name in names:
            return
        if name in dropped:
            message = f"the arm {name!r} is left out; keep it, or name one of {', '.join(names)}"
        else:
            message = str(unknown_name(what, name, names))
        problems.append(Problem(path, message))

    wrong = {label: wrong_data(study.data, label) for label in study.labels}
    sections = {"data": study.data} | {
        f"{role}.{name}.data": arm.data.over(study.data)
        for role, arms in (("arms", study.arms), ("baselines", study.baselines))
        for name, arm in arms.items()
        if arm.data != ArmData()
    }
    for path, section in sections.items():
        named = {f"{path}.train": section.train}
        named |= {f"{path}.transfer.{i}": label for i, label in enumerate(section.transfer)}
        problems += [Problem(at, said) for at, label in named.items() if (said := wrong[label])]
        for i, label in enumerate(section.transfer):
            if wrong[section.train] or wrong[label]:
                continue
            take = section.shape(section.train).channels
            have = section.shape(label).channels
            if have != take:
                message = f"{label} has images of {have} channels, {section.train} of {take}"
                problems.append(Problem(f"{path}.transfer.{i}", message))
    problems += wrong_names(study.data.paths)
    if study.data.own != Own() and not any(map(study.data.is_own, study.labels)):
        message = f"none of {', '.join(study.labels)} is given by its path"
        problems.append(Problem("data.own", message))
    if study.data.variants != Variants() and not any(wrong.values()):
        sources = [study.data.source(label) for label in study.labels]
        if not any("variants" in source for source in sources):
            names = ", ".join(source["name"] for source in sources)
            problems.append(Problem("data.variants", f"none of {names} comes in variants"))
    arms = [*study.arms, *study.baselines]
    for name in study.baselines:
        if name in study.arms:
            problems.append(Problem(f"baselines.{name}", "is also the name of an arm"))
    for side in ("treatment", "control"):
        known(f"primary.{side}", "arm", getattr(study.primary, side), arms)
    if study.primary.treatment == study.primary.control:
        problems.append(Problem("primary", "treatment and control are the same arm"))
    for i, pair in enumerate(study.secondary.contrasts):
        for name in pair:
            known(f"secondary.contrasts.{i}", "arm", name, arms)
    if len(study.seeds) != len(set(study.seeds)):
        problems.append(Problem("seeds", f"must differ, got {shown(study.seeds)}"))
    problems += check_looks(study.looks, study.seeds)
    return [*problems, *_check_tuning(study), *_check_plugin_names(study)]


def _check_plugin_names(study: StudyFile) -> list[Problem]:
    """Models, families and metrics that there are not; none of them is imported."""
    named: list[tuple[str, Registry[Any], Any]] = [
        (f"metrics.{name}", registry.metrics, name) for name in study.metrics
    ]
    for role, arms in (("arms", study.arms), ("baselines", study.baselines)):
        for name, arm in arms.items():
            named.append((f"{role}.{name}.model", registry.models, model_name(study, arm)))
            family = f"{role}.{name}.family" if arm.family else "family"
            said = (arm.family or {}).get("name", study.family.get("name"))
            named.append((family, registry.families, said))
    return [
        Problem(path, str(unknown_name(plugins.kind, name, plugins.names())))
        for path, plugins, name in named
        if isinstance(name, str) and name not in plugins.names()
    ]


def _check_tuning(study: StudyFile) -> list[Problem]:
    """Seeds that tuning shares with confirmation, and settings of metrics that there are not."""
    problems: list[Problem] = []
    tune = study.tune
    if len(tune.seeds) != len(set(tune.seeds)):
        problems.append(Problem("tune.seeds", f"must differ, got {shown(tune.seeds)}"))
    both = sorted({*tune.seeds} & {*study.seeds})
    if both:
        message = f"{shown(both)} are confirmation seeds, which tuning must not see"
        problems.append(Problem("tune.seeds", message))
    for name in tune.metrics:
        if name not in study.metrics:
            message = str(unknown_name("metric of this study", name, study.metrics))
            problems.append(Problem(f"tune.metrics.{name}", message))
    return problems


def check_plugins(study: StudyFile) -> list[Problem]:
    """Plugins that there are not, and options that one does not have or refuses.

    Found by making each once, without memory for its weights.
    """
    problems: list[Problem] = []
    metrics = {
        name: _make(
            registry.metrics, {"name": name, **options}, _below(f"metrics.{name}"), problems
        )
        for name, options in study.metrics.items()
    }
    for role, section in (("arms", study.arms), ("baselines", study.baselines)):
        for name, arm in section.items():
            _check_arm(study, arm, f"{role}.{name}", problems)
    problems += _check_shared(study)
    for name, options in study.tune.metrics.items():
        if name in study.metrics:
            options = {"name": name, **study.metrics[name], **options}
            _make(registry.metrics, options, _below(f"tune.metrics.{name}"), problems)
    sound = sound_data(study)
    if None not in metrics.values() and sound:
        measured = {
            name: which
            for metric in metrics.values()
            for name, which in metric.directions(study.labels).items()
        }
        named = [
            ("primary.metric", study.primary.metric),
            *((f"secondary.metrics.{m}", m) for m in study.secondary.metrics),
        ]
        if study.tune.metric is not None:
            named.append(("tune.metric", study.tune.metric))
        for path, metric in named:
            if metric not in measured:
                problems.append(Problem(path, str(unknown_name("metric", metric, measured))))
        aim = study.tune.metric or study.primary.metric
        if measured.get(aim) == "none" and (study.tune.trials or study.tune.metric):
            message = f"{aim} is better neither higher nor lower, so it cannot be optimised"
            problems.append(Problem("tune.metric", message))
    # what follows reads configurations whose plugins are there
    if problems:
        return problems
    found = setups(study)
    made = {name: metric for name, metric in metrics.items() if metric is not None}
    return [
        *_check_untrained(found),
        *_check_twins(found),
        *(_check_spaces(study, found) or _check_fixed(study, found)),
        *_check_primary(study, found, made),
        *(_check_sizes(found, made) if sound else []),
    ]


def _check_primary(
    study: StudyFile, found: Mapping[str, Setup], metrics: Mapping[str, Any]
) -> list[Problem]:
    """A primary contrast on what one of its sides does not have."""
    aim, problems = study.primary.metric, []
    for metric in metrics.values():
        if aim not in metric.directions(study.labels):
            continue
        for name in (study.primary.treatment, study.primary.control):
            if name not in found:
                continue  # which is said where names are checked
            config = found[name].config
            model = registry.models.get(config["model"]["name"])
            family = registry.families.build(config["family"])
            lacks = metric.lacking(aim, model, family)
            if lacks:
                message = f"{aim} does not apply to {name!r}: it needs {' and '.join(lacks)}"
                problems.append(Problem("primary.metric", message))
    return problems


def _check_sizes(found: Mapping[str, Setup], metrics: Mapping[str, Any]) -> list[Problem]:
    """Batches and settings of metrics that the data sets are too small for."""
    problems = []
    for setup in found.values():
        sizes = {label: setup.data.images(label)["train"] for label in setup.data.labels}
        batch, images = setup.config["trainer"]["batch_size"], sizes[setup.data.train]
        if setup.role != "reference" and batch > images:
            message = f"a step takes {batch:,} images, and {setup.data.train} has {images:,}"
            problems.append(Problem("trainer.batch_size", message))
        for name, metric in metrics.items():
            refused = metric.refuses(sizes)
            if refused:
                problems.append(Problem(f"metrics.{name}", refused))
    return list(dict.fromkeys(problems))


def _check_untrained(found: Mapping[str, Setup]) -> list[Problem]:
    """Arms with nothing to train."""
    models = {name: s.config["model"]["name"] for name, s in found.items() if s.role == "arm"}
    return [
        Problem(f"arms.{name}.model", f"{model} is not trained, so it is a baseline and no arm")
        for name, model in models.items()
        if not registry.models.get(model).trains
    ]


def _check_twins(found: Mapping[str, Setup]) -> list[Problem]:
    """Arms of one training that are to be measured on different data: they share a folder."""
    problems, seen = [], dict[str, tuple[str, list[str]]]()
    for name, setup in found.items():
        labels = setup.data.labels
        first, before = seen.setdefault(repr((setup.config, setup.data.train)), (name, labels))
        if before != labels:
            message = f"is the same training as {first!r}, measured on other data; list all of it"
            message += " in both arms' data.transfer"
            role = "arms" if setup.role == "arm" else "baselines"
            problems.append(Problem(f"{role}.{name}.data.transfer", message))
    return problems


def _check_spaces(study: StudyFile, found: Mapping[str, Setup]) -> list[Problem]:
    """What tuning would search and cannot."""
    problems = []
    for name, setup in found.items() if study.tune.trials else ():
        try:
            search_space(setup, study.tune.fixed)
        except ValueError as error:
            problems.append(Problem("tune", f"{name}: {error}; tune.fixed leaves it alone"))
    return problems


def _check_fixed(study: StudyFile, found: Mapping[str, Setup]) -> list[Problem]:
    """Paths that tuning should leave alone and would not search anyway."""
    if not study.tune.fixed or not study.tune.trials:
        return []
    known = {path for setup in found.values() for path in declared(setup)}
    return [
        Problem(f"tune.fixed.{i}", str(unknown_name("value that is tuned", path, known)))
        for i, path in enumerate(study.tune.fixed)
        if path not in known
    ]


def _check_shared(study: StudyFile) -> list[Problem]:
    """Shared options of the model that no arm's model has."""
    names = {model_name(study, arm) for arm in study.every_arm.values()}
    options = [model_options(name) for name in sorted(map(str, names))]
    if None in options:
        return []  # a model that there is not is reported with its arm
    known = {"name", *(option for found in options for option in found or [])} - {*registry.GIVEN}
    return [
        Problem(f"model.{name}", str(unknown_name("option of every model here:", name, known)))
        for name in study.model
        if name not in known
    ]


def _check_arm(study: StudyFile, arm: Arm, path: str, problems: list[Problem]) -> None:
    """Make an arm's family, model and the model's plugins; `path` is the arm's own."""
    config = written(study, arm)
    model = config["model"]
    size = {**_defaults(model.get("name")), **model}.get("latent_dim")

    def where(option: str) -> str:
        if not option:
            return f"{path}.model"
        # what no arm says, the study does
        return f"{path}.model.{option}" if option in arm.model else f"model.{option}"

    family = _below(f"{path}.family" if arm.family else "family")
    made = [_make(registry.families, config["family"], family, problems)]
    found: list[Problem] = []
    validate(Trainer, config["trainer"], found)
    problems += [Problem(f"{path}.trainer.{p.path}", p.message) for p in found]
    for option, plugins, reference in parts(model):
        shared = {}
        if plugins is registry.latent_transforms and size is not None:
            shared = {"latent_dim": size}

        def within(name: str, option: str = option, shared: Tree = shared) -> str:
            return where(name) if name in shared else _below(where(option))(name)

        made.append(_make(plugins, {**reference, **shared}, within, problems))
    if None not in made:
        data = arm.data.over(study.data)
        # what there is no data set for is said where names are checked
        shape = GREY_28 if wrong_data(data, data.train) else data.shape(data.train)
        if "image_shape" in (model_options(model.get("name")) or ["image_shape"]):
            _make(registry.models, model, where, problems, {"image_shape": shape})
        elif shape == GREY_28:
            _make(registry.models, model, where, problems)
        else:
            message = f"takes grey images of {GREY_28} alone, got {shape}"
            problems.append(Problem(where(""), message))


def _defaults(name: Any) -> Tree:
    """The defaults of the model of that name; none where there is none to ask."""
    try:
        found: Tree = registry.defaults_of(registry.models.get(name))
    except ValueError:
        return {}
    return found


def _below(path: str) -> Callable[[str], str]:
    return lambda option: f"{path}.{option}" if option else path


def _make(
    plugins: Registry[Any],
    options: Tree,
    where: Callable[[str], str],
    problems: list[Problem],
    given: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """The plugin, or None with what is wrong added to `problems`.

    Args:
        plugins: its kind.
        options: its ``name`` and options.
        where: the path of an option, and that of the plugin for an empty name.
        problems: see above.
        given: options of `registry.GIVEN`.
    """
    import torch

    options = dict(options)
    name = options.pop("name", None)
    if not isinstance(name, str):
        problems.append(Problem(where(""), f"must name a {plugins.kind}, got {shown(name)}"))
        return None
    try:
        owner: Any = plugins.get(name)
    except ValueError as error:
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        problems.append(Problem(where(""), f"{error}{cause}"))
        return None
    found: list[Problem] = []
    checked = validate(
        options_schema(owner), options, found, f"option of the {plugins.kind} {name!r}:"
    )
    problems += [Problem(where(p.path), p.message) for p in found]
    if checked is None:
        return None
    try:
        with torch.device("meta"):
            return owner(**{option: getattr(checked, option) for option in options}, **given)
    except Exception as error:  # a constructor refuses in as many ways as there are plugins
        option, _, message = str(error).partition(" ")
        if isinstance(error, ValueError) and option in options:
            problems.append(Problem(where(option), message))
        else:
            problems.append(Problem(where(""), str(error) or type(error).__name__))
    return None
