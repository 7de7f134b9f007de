"""The schema of a study, and the way from a file and overrides to a resolved one.

Merged in this order, later wins: the budget, the study file, the command line. Every error is
reported at once, each with its path and, for a name, a near match.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from tvae import registry
from tvae.registry import Registry, unknown_name

Tree = dict[str, Any]

REPOSITORY = Path(__file__).resolve().parent.parent
PLUGINS: dict[str, Registry[Any]] = {
    "latent_transform": registry.latent_transforms,
    "coherence": registry.divergences,
    "prior": registry.divergences,
}
"""Options of a model that name a plugin."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a configuration, at a dotted path."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigError(ValueError):
    """Everything that is wrong with a configuration, at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(dict.fromkeys(problems))
        super().__init__("\n".join(map(str, self.problems)))


class Section(BaseModel):
    """Strict: no unknown keys, no conversions between types; immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Data(Section):
    """What is trained and tested on."""

    train: str
    transfer: list[str] = []
    size: Literal["small", "full"] = "small"
    root: str | None = None
    download: bool = False
    variants: Annotated[int, Field(ge=1)] = 1
    protocol: Literal["resize", "centre_crop", "native"] = "resize"

    @property
    def labels(self) -> list[str]:
        """The data sets' names without their size, the training set first."""
        return list(dict.fromkeys([self.train, *self.transfer]))

    def source(self, label: str) -> Tree:
        """What `tvae.data.load` takes for `label` at this size, the name of the data included."""
        from tvae import data

        small = f"{label}_small"
        name = small if self.size == "small" and small in data.names() else label
        options = {"variants": self.variants} if "variants" in data.source(name).options else {}
        return {"name": name, "root": self.root, **options}


class Trainer(Section):
    """How to train; see `tvae.trainer.Training`."""

    steps: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2)] = 100
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    schedule: Literal["halving", "cosine", "constant"] = "cosine"
    halve_every: Annotated[int, Field(ge=1)] = 50
    record_every: Annotated[int, Field(ge=1)] = 100
    checkpoint_every: Annotated[int, Field(ge=0)] = 500


class Arm(Section):
    """One arm or baseline: what it changes of the study's shared configuration."""

    summary: str = ""
    published: str = ""
    model: Tree = {}
    family: Tree | str | None = None
    trainer: Tree = {}


class Primary(Section):
    """The one contrast and metric that the study is about, named before it runs."""

    treatment: str
    control: str
    metric: str
    equivalence: Annotated[float, Field(ge=0)]


class Secondary(Section):
    """The declared family of further comparisons.

    Each of `contrasts` on the primary metric, and the primary contrast on each of `metrics`
    (metric -> half-width of its region of practical equivalence).
    """

    contrasts: list[tuple[str, str]] = []
    metrics: dict[str, Annotated[float, Field(ge=0)]] = {}


class Study(Section):
    """A question and all that is needed to answer it."""

    name: str
    question: str
    budget: str = "quick"
    budget_summary: str = ""
    budget_warning: str = ""
    data: Data
    family: Tree
    model: Tree = {}
    arms: Annotated[dict[str, Arm], Field(min_length=1)]
    baselines: dict[str, Arm] = {}
    trainer: Trainer
    metrics: Annotated[dict[str, Tree], Field(min_length=1)]
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    primary: Primary
    secondary: Secondary = Secondary()
    level: Annotated[float, Field(gt=0, lt=1)] = 0.05
    threads: Annotated[int, Field(ge=1)] = 1
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    def configuration(self, arm: Arm) -> Tree:
        """The whole configuration of one arm: shared sections with the arm's changes."""
        return {
            "model": merge(self.model, arm.model),
            "family": merge(self.family, plugin(arm.family) if arm.family else {}),
            "trainer": merge(self.trainer.model_dump(), arm.trainer),
        }


class Tracking(Section):
    """Where runs are shown."""

    enabled: bool = True
    uri: str | None = None


class Execution(Section):
    """How to run, none of which changes a result."""

    runs: str = "runs"
    workers: Annotated[int, Field(ge=1)] | None = None
    dry_run: bool = False
    retry: Literal["none", "failed"] = "none"
    keep: Literal["last", "none", "all"] = "last"
    tracking: Tracking = Tracking()


def plugin(reference: Any) -> Any:
    """A plugin reference as a mapping: ``additive`` -> ``{"name": "additive"}``."""
    return {"name": reference} if isinstance(reference, str) else reference


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Tree:
    """`base` with `changes`, key by key; a plugin of another name brings its own options only."""
    out = dict(base)
    for key, value in changes.items():
        old = out.get(key)
        if key in PLUGINS or key == "family":
            old, value = plugin(old), plugin(value)
            if isinstance(old, Mapping) and isinstance(value, Mapping):
                same = "name" not in value or value["name"] == old.get("name")
                out[key] = {**old, **value} if same else value
                continue
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            out[key] = merge(old, value)
        else:
            out[key] = value
    return out


# --- files ------------------------------------------------------------------------------------


def studies_folders() -> list[Path]:
    """Where study files are looked for: ``studies/`` here, in the repository, in the package."""
    folders = [Path("studies"), REPOSITORY / "studies", Path(__file__).parent / "studies"]
    return [folder for folder in folders if folder.is_dir()]


def study_names() -> list[str]:
    """The studies that can be named, sorted."""
    found = {path.stem for folder in studies_folders() for path in folder.glob("*.yaml")}
    return sorted(found - {"baselines"})


def budget_names() -> list[str]:
    """The budgets that can be named, sorted."""
    return sorted({p.stem for folder in studies_folders() for p in folder.glob("budgets/*.yaml")})


def data_labels() -> list[str]:
    """The data sets that a study can name: without the size, which the budget decides."""
    from tvae import data

    names = data.names()
    return [n for n in names if not (n.endswith("_small") and n.removesuffix("_small") in names)]


def read_yaml(path: Path) -> Tree:
    """The mapping in a YAML file.

    Raises:
        ConfigError: it cannot be read, is no YAML, or no mapping.
    """
    try:
        content = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError([Problem(str(path), f"cannot be read: {error}")]) from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError([Problem(str(path), "must be a mapping of names to values")])
    return content  # type: ignore[return-value]


def find(relative: str) -> Path | None:
    """The first file of that path below a studies folder."""
    candidates = (folder / relative for folder in studies_folders())
    return next((path for path in candidates if path.is_file()), None)


def read_study(name: str) -> Tree:
    """The study file of a name or path, with what it extends merged below it.

    Raises:
        ConfigError: no such study; a file that cannot be read; a circle of ``extends``.
    """
    tree: Tree = {}
    seen: list[str] = []
    while name:
        if name in seen:
            raise ConfigError([Problem("extends", f"runs in a circle: {' -> '.join(seen)}")])
        seen.append(name)
        path = Path(name) if name.endswith((".yaml", ".yml")) else find(f"{name}.yaml")
        if path is None or name == "baselines":
            message = str(unknown_name("study", name, study_names()))
            raise ConfigError([Problem("study" if len(seen) == 1 else "extends", message)])
        below = read_yaml(path)
        parent = below.pop("extends", "")
        if not isinstance(parent, str):
            raise ConfigError([Problem("extends", "must be the name or path of a study")])
        tree = merge(below, tree)
        tree.setdefault("name", path.stem)
        name = parent
    return tree


# --- the command line -------------------------------------------------------------------------


def parse_overrides(arguments: Iterable[str]) -> tuple[Tree, list[str]]:
    """(tree, deletions) of ``key.sub=value`` arguments, in the grammar of Hydra's overrides.

    Values are YAML (lists, quotes, null); ``+key=`` and ``++key=`` mean ``key=``; ``~key`` deletes.

    Raises:
        ConfigError: an argument that is neither.
    """
    tree: Tree = {}
    deletions, problems = [], []
    for argument in arguments:
        if re.fullmatch(r"~[^=\s]+", argument):
            deletions.append(argument[1:])
            continue
        key, equals, text = argument.partition("=")
        key = key.lstrip("+")
        parts = key.split(".")
        if not equals or not all(parts):
            problems.append(Problem(argument, "is not of the form key=value"))
            continue
        try:
            value = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))
        except (yaml.YAMLError, OmegaConfBaseException) as error:
            problems.append(Problem(key, f"cannot read the value {text!r}: {error}"))
            continue
        nested: Tree = {parts[-1]: value["value"]}  # type: ignore[index,call-overload]
        for part in reversed(parts[:-1]):
            nested = {part: nested}
        tree = merge(tree, nested)
    if problems:
        raise ConfigError(problems)
    return tree, deletions


def delete(tree: Tree, path: str) -> None:
    """Remove the entry at a dotted path.

    Raises:
        ConfigError: there is none.
    """
    *parents, last = path.split(".")
    for part in parents:
        child = tree.get(part)
        if not isinstance(child, dict):
            raise ConfigError([Problem(f"~{path}", "there is no such key to delete")])
        tree = child
    if last not in tree:
        raise ConfigError([Problem(f"~{path}", str(unknown_name("key", last, tree)))])
    del tree[last]


# --- resolution -------------------------------------------------------------------------------


def resolve(arguments: Iterable[str]) -> tuple[Study, Execution]:
    """The study and its execution that the command line asks for.

    Raises:
        ConfigError: anything wrong with it, everything at once.
    """
    overrides, deletions = parse_overrides(arguments)
    name = overrides.pop("study", None)
    if not isinstance(name, str) or not name:
        raise ConfigError([Problem("study", f"name one: study={'|'.join(study_names())}")])
    file = read_study(name)
    execution = {key: overrides.pop(key) for key in Execution.model_fields if key in overrides}

    budget = overrides.get("budget", file.get("budget", "quick"))
    path = find(f"budgets/{budget}.yaml") if isinstance(budget, str) else None
    if path is None:
        raise ConfigError(
            [Problem("budget", str(unknown_name("budget", str(budget), budget_names())))]
        )
    below = read_yaml(path)
    for key in ("summary", "warning"):
        below[f"budget_{key}"] = below.pop(key, "")

    problems: list[Problem] = []
    selections = {
        role: overrides.pop(role)
        for role in ("arms", "baselines")
        if isinstance(overrides.get(role), list)
    }
    file["baselines"] = _baselines(file.get("baselines", {}), problems)
    # a budget may set what a metric costs; which metrics there are is the study's
    if isinstance(file.get("metrics"), Mapping):
        known = file["metrics"]
        below["metrics"] = {k: v for k, v in below.get("metrics", {}).items() if k in known}
    tree = merge(merge(below, file), overrides)
    for path_ in deletions:
        delete(tree, path_)
    tree["family"] = plugin(tree.get("family", {}))
    if isinstance(tree.get("metrics"), Mapping):
        tree["metrics"] = {k: v or {} for k, v in tree["metrics"].items()}
    if isinstance(tree.get("seeds"), int) and not isinstance(tree["seeds"], bool):
        if tree["seeds"] < 1:
            problems.append(Problem("seeds", f"must be at least 1, got {tree['seeds']}"))
            tree["seeds"] = 1
        tree["seeds"] = list(range(tree["seeds"]))
    _select(tree, selections, problems)

    study = _validate(Study, tree, problems)
    options = _validate(Execution, execution, problems)
    if study is not None:
        problems += _check_names(study)
        if not problems:
            problems += _check_plugins(study)
    if problems or study is None or options is None:
        raise ConfigError(problems)
    return study, options


def _baselines(given: Any, problems: list[Problem]) -> Any:
    """Names of ``baselines.yaml`` looked up; a mapping is taken as it is."""
    if not isinstance(given, list):
        return given
    path = find("baselines.yaml")
    known = read_yaml(path) if path else {}
    out = {}
    for name in given:
        if name in known:
            out[name] = known[name]
        else:
            problems.append(Problem("baselines", str(unknown_name("baseline", str(name), known))))
    return out


def _select(tree: Tree, selections: Mapping[str, list[Any]], problems: list[Problem]) -> None:
    """Keep the selected arms and baselines, and the secondary contrasts between what is kept."""
    declared = {name for role in ("arms", "baselines") for name in _names(tree.get(role))}
    for role, chosen in selections.items():
        known = tree.get(role)
        if role == "baselines":
            path = find("baselines.yaml")
            known = {**(read_yaml(path) if path else {}), **(known or {})}
        if not isinstance(known, Mapping):
            continue
        for name in chosen:
            if name not in known:
                problems.append(Problem(role, str(unknown_name(role[:-1], str(name), known))))
        tree[role] = {name: known[name] for name in chosen if name in known}
    kept = {name for role in ("arms", "baselines") for name in _names(tree.get(role))}
    secondary = tree.get("secondary")
    if (
        selections
        and isinstance(secondary, Mapping)
        and isinstance(secondary.get("contrasts"), list)
    ):
        dropped = declared - kept
        contrasts = [
            pair
            for pair in secondary["contrasts"]
            if not (isinstance(pair, list) and dropped & {str(name) for name in pair})
        ]
        tree["secondary"] = {**secondary, "contrasts": contrasts}


def _names(section: Any) -> list[str]:
    return list(section) if isinstance(section, Mapping) else []


def _validate(schema: type[Any], tree: Mapping[str, Any], problems: list[Problem]) -> Any:
    """The section, or None with what is wrong with it added to `problems`."""
    try:
        # JSON has no tuples, so strict validation of JSON takes a list for one
        return schema.model_validate_json(json.dumps(tree))
    except TypeError as error:
        problems.append(Problem("", f"only plain data can be configured: {error}"))
    except ValidationError as error:
        for entry in error.errors():
            problems.append(_problem(schema, entry))
    return None


def _problem(schema: type[BaseModel], entry: Any) -> Problem:
    path = ".".join(map(str, entry["loc"]))
    if entry["type"] == "extra_forbidden":
        fields = _fields(schema, entry["loc"][:-1])
        return Problem(path, str(unknown_name("key", str(entry["loc"][-1]), fields)))
    got = "" if entry["type"] == "missing" else f", got {entry['input']!r}"
    message = entry["msg"][0].lower() + entry["msg"][1:]
    return Problem(path, f"{message}{got}")


def _fields(schema: Any, location: Iterable[Any]) -> list[str]:
    """The fields of the (nested) section at a location of a validation error."""
    for part in location:
        field = getattr(schema, "model_fields", {}).get(part)
        if field is not None:
            annotation = field.annotation
            arguments = [annotation, *getattr(annotation, "__args__", ())]
            schema = next(
                (a for a in arguments if inspect.isclass(a) and issubclass(a, BaseModel)), None
            )
    return list(getattr(schema, "model_fields", {}))


def _check_names(study: Study) -> list[Problem]:
    """Unknown names, found without importing a plugin."""
    problems: list[Problem] = []

    def known(path: str, what: str, name: Any, names: Iterable[str]) -> None:
        names = list(names)
        if name not in names:
            problems.append(Problem(path, str(unknown_name(what, str(name), names))))

    for path, label in [("data.train", study.data.train)] + [
        (f"data.transfer.{i}", label) for i, label in enumerate(study.data.transfer)
    ]:
        known(path, "data set", label, data_labels())
    arms = [*study.arms, *study.baselines]
    for name in arms:
        if arms.count(name) > 1:
            problems.append(Problem(f"baselines.{name}", "is also the name of an arm"))
    for side in ("treatment", "control"):
        known(f"primary.{side}", "arm", getattr(study.primary, side), arms)
    if study.primary.treatment == study.primary.control:
        problems.append(Problem("primary", "treatment and control are the same arm"))
    for i, pair in enumerate(study.secondary.contrasts):
        for name in pair:
            known(f"secondary.contrasts.{i}", "arm", name, arms)
    known(
        "family.name", "transformation family", study.family.get("name"), registry.families.names()
    )
    for name in study.metrics:
        known(f"metrics.{name}", "metric", name, registry.metrics.names())
    for role, section in (("arms", study.arms), ("baselines", study.baselines)):
        for name, arm in section.items():
            config = study.configuration(arm)
            path = f"{role}.{name}"
            known(
                f"{path}.model.name", "model", config["model"].get("name"), registry.models.names()
            )
            if arm.family:
                known(
                    f"{path}.family.name",
                    "transformation family",
                    config["family"].get("name"),
                    registry.families.names(),
                )
            for option, plugins in PLUGINS.items():
                reference = plugin(config["model"].get(option))
                if isinstance(reference, Mapping):
                    known(
                        f"{path}.model.{option}",
                        plugins.kind,
                        reference.get("name"),
                        plugins.names(),
                    )
    if len(study.seeds) != len(set(study.seeds)):
        problems.append(Problem("seeds", f"must differ, got {study.seeds}"))
    return problems


def options_schema(owner: type[Any], skip: Iterable[str] = ()) -> type[BaseModel]:
    """The options of a constructor as a schema, from its signature and type hints."""
    hints = get_type_hints(owner.__init__)
    fields: Tree = {}
    for name, parameter in list(inspect.signature(owner.__init__).parameters.items())[1:]:
        if name in skip or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (hints.get(name, Any), default)
    return create_model(owner.__name__, __base__=Section, **fields)


def _check_plugins(study: Study) -> list[Problem]:
    """Options that a plugin does not have or refuses, found by making each once."""
    problems: list[Problem] = []

    def make(path: str, plugins: Registry[Any], options: Tree, *positional: Any) -> Any:
        options = dict(options)
        name = options.pop("name", None)
        try:
            owner = plugins.get(name)
            skip = list(inspect.signature(owner.__init__).parameters)[1 : 1 + len(positional)]
            before = len(problems)
            found: list[Problem] = []
            checked = _validate(options_schema(owner, [*skip, "seed"]), options, found)
            problems.extend(
                Problem(f"{path}.{p.path}" if p.path else path, p.message) for p in found
            )
            if checked is not None and len(problems) == before:
                values = {k: getattr(checked, k) for k in options}
                return owner(*positional, **values)
        except ValueError as error:
            cause = f" ({error.__cause__})" if error.__cause__ else ""
            problems.append(Problem(path, f"{error}{cause}"))
        return None

    metrics = {
        n: make(f"metrics.{n}", registry.metrics, {"name": n, **o})
        for n, o in study.metrics.items()
    }
    for role, section in (("arms", study.arms), ("baselines", study.baselines)):
        for name, arm in section.items():
            config = study.configuration(arm)
            path = f"{role}.{name}"
            family = make(
                "family" if not arm.family else f"{path}.family",
                registry.families,
                config["family"],
            )
            _validate_at(f"{path}.trainer", Trainer, config["trainer"], problems)
            before = len(problems)
            dim = config["model"].get("latent_dim")
            for option, plugins in PLUGINS.items():
                reference = plugin(config["model"].get(option))
                needs_dim = plugins is registry.latent_transforms
                if isinstance(reference, Mapping) and (not needs_dim or isinstance(dim, int)):
                    make(
                        f"{path}.model.{option}",
                        plugins,
                        dict(reference),
                        *([dim] if needs_dim else []),
                    )
            if len(problems) == before and family is not None:
                make(f"{path}.model", registry.models, config["model"])
    if not problems:
        measured = {m for metric in metrics.values() for m in metric.directions(study.data.labels)}
        for path, metric in [
            ("primary.metric", study.primary.metric),
            *((f"secondary.metrics.{m}", m) for m in study.secondary.metrics),
        ]:
            if metric not in measured:
                problems.append(Problem(path, str(unknown_name("metric", metric, measured))))
    return problems


def _validate_at(path: str, schema: type[Any], tree: Tree, problems: list[Problem]) -> None:
    found: list[Problem] = []
    _validate(schema, tree, found)
    problems += [Problem(f"{path}.{p.path}", p.message) for p in found]
