"""What a study ends in: a frozen record for each arm and baseline, with nothing left to merge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from bench.study.schema import Arm, Data, StudyFile
from bench.study.tree import SECTION, Tree, merge, plugin, put
from tvae import registry
from tvae.registry import Registry
from tvae.shapes import ImageShape

Role = Literal["arm", "baseline", "reference"]


@dataclass(frozen=True)
class Setup:
    """An arm or baseline, ready to be trained.

    Attributes:
        name: in the study.
        role: ``arm``, ``baseline`` or ``reference`` (a baseline whose model is not trained).
        summary: in words.
        published: the label of the paper's model that it repeats.
        levels: factor -> level, for an arm of a crossing.
        data: what it is trained and tested on.
        config: ``model``, ``family`` and ``trainer`` with every default spelled out. Two setups
            differ in nothing that is not in here or in `data`, which is why keys and the report
            use it.
        written: the same as the study says it.
        fixed: dotted paths of `config` that the study's file sets itself, so that tuning leaves
            them alone. Rates and steps come with the budget and do not count.
    """

    name: str
    role: Role
    summary: str
    published: str
    levels: Mapping[str, str]
    data: Data
    config: Tree
    written: Tree
    fixed: frozenset[str]

    @property
    def latent_dim(self) -> int:
        """D; of a model that has no such option, which is its input itself, the numbers of that."""
        model = self.config["model"]
        size: int = model.get("latent_dim") or self.shape.numbers
        return size

    @property
    def shape(self) -> ImageShape:
        """Of the images that it is trained on."""
        return self.data.shape(self.data.train)

    def having(self, values: Mapping[str, Any]) -> Setup:
        """The setup with `values` (dotted path -> value) in its configuration."""
        config, written = self.config, self.written
        for path, value in values.items():
            config, written = put(config, path, value), put(written, path, value)
        return replace(self, config=config, written=written)


class Study(StudyFile):
    """A question and all that is needed to answer it, checked and resolved.

    Attributes:
        setups: what is compared, arms first: everything behind `bench.study` reads this, and the
            sections of the file for what all arms share.
    """

    setups: Annotated[dict[str, Setup], Field(exclude=True)]

    def having(self, setup: Setup) -> Study:
        """The study with another setup of that name."""
        return self.model_copy(update={"setups": {**self.setups, setup.name: setup}})


class Part(NamedTuple):
    """A plugin that a model is made of: its option, its kind, its name and options."""

    option: str
    plugins: Registry[Any]
    reference: Tree


def parts(model: Mapping[str, Any]) -> Iterator[Part]:
    """The parts of a model's configuration that are there, in the order the model declares."""
    for option, plugins in _declared(model).items():
        reference = plugin(model.get(option))
        if isinstance(reference, Mapping):
            yield Part(option, plugins, {**reference})


def idle_weights(model: Mapping[str, Any]) -> set[str]:
    """The options ``w_OPTION`` of parts that are not there."""
    there = {part.option for part in parts(model)}
    return {f"w_{option}" for option in _declared(model) if option not in there}


def _declared(model: Mapping[str, Any]) -> Mapping[str, Registry[Any]]:
    try:
        declared: Mapping[str, Registry[Any]] = registry.models.get(str(model.get("name"))).parts
    except ValueError:  # there is no such model, which is said where names are checked
        return {}
    return declared


def model_name(file: StudyFile, arm: Arm) -> Any:
    """The name of an arm's model, or what stands in its place."""
    return arm.model.get("name", file.model.get("name"))


def model_options(name: Any) -> list[str] | None:
    """The options of the model of that name; None where there is none to ask."""
    try:
        return [*registry.options_of(registry.models.get(name))]
    except ValueError:
        return None


def role_of(file: StudyFile, name: str) -> Role:
    """Of an arm or baseline: a baseline whose model is not trained is a reference."""
    if name in file.arms:
        return "arm"
    try:
        trains = registry.models.get(str(model_name(file, file.baselines[name]))).trains
    except ValueError:  # there is no such model, which is said where names are checked
        return "baseline"
    return "baseline" if trains else "reference"


def written(file: StudyFile, arm: Arm) -> Tree:
    """The configuration of one arm as the study says it: shared sections with the arm's changes.

    Of the shared model options an arm takes those that its model has.
    """
    known = model_options(model_name(file, arm))
    shared = {k: v for k, v in file.model.items() if known is None or k in {"name", *known}}
    model = merge(shared, arm.model, SECTION)
    model |= {part.option: part.reference for part in parts(model)}
    return {
        "model": model,
        **merge({"family": file.family}, {} if arm.family is None else {"family": arm.family}),
        "trainer": merge(file.trainer.model_dump(), arm.trainer),
    }


def expanded(config: Mapping[str, Any]) -> Tree:
    """A configuration with every default spelled out."""
    model = _with_defaults(registry.models, config["model"])
    for part in parts(model):
        model[part.option] = _with_defaults(part.plugins, part.reference)
    return {
        "model": model,
        "family": _with_defaults(registry.families, config["family"]),
        "trainer": config["trainer"],
    }


def _with_defaults(plugins: Registry[Any], options: Mapping[str, Any]) -> Tree:
    """A plugin's options with its constructor's defaults below them."""
    return {**registry.defaults_of(plugins.get(options["name"])), **options}


def setups(file: StudyFile) -> dict[str, Setup]:
    """Name -> setup, of every arm and baseline of a file whose plugins have been checked."""
    return {name: _setup(file, name, arm) for name, arm in file.every_arm.items()}


def _setup(file: StudyFile, name: str, arm: Arm) -> Setup:
    said = written(file, arm)
    model = said["model"]
    fixed = {f"model.{option}" for option in model}
    fixed |= {f"model.{part.option}.{option}" for part in parts(model) for option in part.reference}
    fixed |= {f"trainer.{option}" for option in arm.trainer}
    return Setup(
        name=name,
        role=role_of(file, name),
        summary=arm.summary,
        published=arm.published,
        levels=arm.levels,
        data=arm.data.over(file.data),
        config=expanded(said),
        written=said,
        fixed=frozenset(fixed),
    )


def settle(file: StudyFile) -> Study:
    """The resolved study of a file that has been checked."""
    return Study.model_construct(
        **{name: getattr(file, name) for name in StudyFile.model_fields}, setups=setups(file)
    )
