"""Study -> trials: a pure function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.plan.keys import digest, source_digests
from bench.study.schema import Data
from bench.study.setup import Role, Setup, Study, parts
from bench.study.tree import Tree, flatten, plugin
from tvae import registry

Stage = Literal["tune", "confirm"]
SPLITS: dict[Stage, Literal["validation", "test"]] = {"tune": "validation", "confirm": "test"}
"""Test is for confirmation alone."""


@dataclass(frozen=True)
class World:
    """What trials depend on besides their study.

    Attributes:
        data: label -> digest of the data set's content.
        torch: version.
        device: type, such as ``cpu``.
        contents: label -> the digest by which `tvae.data.load` finds what was looked at, of data
            sets that take one: nothing that changes in their files meanwhile can enter a trial.
    """

    data: Mapping[str, str]
    torch: str
    device: str
    contents: Mapping[str, str] = field(default_factory=dict)

    def source(self, data: Data, label: str) -> Tree:
        """What `tvae.data.load` takes for `label`, as it was looked at."""
        found = data.source(label)
        return {**found, "digest": self.contents[label]} if label in self.contents else found


@dataclass(frozen=True)
class Trial:
    """An arm at a seed: all that a worker needs, as plain data.

    Attributes:
        arm: its name in the study.
        role: ``arm``, ``baseline`` or ``reference`` (a baseline whose model is not trained).
        seed: what pairs it with the other arms.
        stage: ``confirm`` or ``tune``.
        config: ``model``, ``family``, ``trainer``.
        data: the study's data section.
        metrics: metric -> settings.
        fingerprints: metric, or metric@data for a data set that is not the training set, -> what
            its numbers must share to be compared.
        training: content of the training key.
        evaluation: content of the evaluation key, `training_key` included.
        device: type.
        threads: of the worker.
        candidate: its number in the tuning of its arm.
    """

    arm: str
    role: Role
    seed: int
    stage: Stage
    config: Mapping[str, Any]
    data: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]]
    fingerprints: Mapping[str, str]
    training: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    device: str
    threads: int
    candidate: int | None = None

    @property
    def name(self) -> str:
        """For people: ``additive seed 3``, ``additive candidate 7 seed 1000000``."""
        which = "" if self.candidate is None else f" candidate {self.candidate}"
        return f"{self.arm}{which} seed {self.seed}"

    @property
    def steps(self) -> int:
        """Of its training; 0 where there is none."""
        return 0 if self.role == "reference" else int(self.config["trainer"]["steps"])

    def fingerprint(self, metric: str, measured: str) -> str:
        """Of the value called `measured`, such as ``knn/affnist``, that a metric gave.

        A name such as ``knn/affnist`` is about the data set in it, others are about the training
        set.
        """
        known = (self.fingerprints.get(f"{metric}@{part}") for part in measured.split("/"))
        return next(filter(None, known), self.fingerprints[metric])

    @property
    def training_key(self) -> str:
        """Hash of what the weights depend on; the name of the trial's folder."""
        return digest(self.training)

    @property
    def evaluation_key(self) -> str:
        """Hash of what the measurements depend on."""
        return digest(self.evaluation)

    @property
    def split(self) -> Literal["validation", "test"]:
        """Which held-out images it is measured on."""
        return SPLITS[self.stage]


def plan(study: Study, world: World) -> list[Trial]:
    """The confirmation trials, seed by seed, so that the first pairs are complete early."""
    return [
        trial(study, world, setup, seed, "confirm")
        for seed in study.seeds
        for setup in study.setups.values()
    ]


def trial(
    study: Study, world: World, setup: Setup, seed: int, stage: Stage, candidate: int | None = None
) -> Trial:
    """The trial of one arm or baseline at one seed; its setup may be another than the study's.

    A tuning trial is measured by what gives the tuning metric alone, on validation data.
    """
    config, data = setup.config, setup.data
    metrics: Mapping[str, Mapping[str, Any]] = study.metrics
    if stage == "tune":
        source = metric_source(study, tuning_metric(study))
        metrics = {source: {**metrics[source], **study.tune.metrics.get(source, {})}}
    training = {
        "config": config,
        "seed": seed,
        # the content counts, not where its files lie
        "data": {"train": data.train, "digest": world.data[data.train]},
        "source": source_digests(
            [*training_modules(config), *_modules_of_others(data, [data.train])]
        ),
        "torch": world.torch,
        "device": world.device,
        "threads": study.threads,
    }

    def fingerprint(metric: str, label: str) -> str:
        owner = registry.metrics.get(metric)
        likelihood = _likelihood(config["model"]) if owner.uses_likelihood else {}
        return digest(
            {
                "metric": metric,
                "settings": metrics[metric],
                "split": SPLITS[stage],
                "protocol": data.protocol,
                "data": {label: world.data[label]},
                # numbers that do not depend on f may be compared across families
                "family": config["family"] if owner.uses_family else None,
                **likelihood,
            }
        )

    fingerprints = {metric: fingerprint(metric, data.train) for metric in metrics}
    fingerprints |= {
        f"{metric}@{label}": fingerprint(metric, label)
        for metric in metrics
        for label in data.labels[1:]
    }
    evaluation = {
        "training": digest(training),
        "fingerprints": fingerprints,
        "source": source_digests(
            [
                *(registry.metrics.origin(metric).module for metric in metrics),
                *_modules_of_others(data, data.labels),
            ]
        ),
        "pictures": source_digests(["tvae.pictures"]) if stage == "confirm" else None,
    }
    return Trial(
        arm=setup.name,
        role=setup.role,
        seed=seed,
        stage=stage,
        config=config,
        data=data.model_dump(),
        metrics=metrics,
        fingerprints=fingerprints,
        training=training,
        evaluation=evaluation,
        device=world.device,
        threads=study.threads,
        candidate=candidate,
    )


def tuning_metric(study: Study) -> str:
    """What tuning optimises: the primary metric unless the study names another."""
    return study.tune.metric or study.primary.metric


def metric_source(study: Study, measured: str) -> str:
    """The name of the study's metric that gives the value called `measured`."""
    return _metric(study, measured)[0]


def direction(study: Study, measured: str) -> str:
    """Which way of a measured value is better: ``higher``, ``lower`` or ``none``."""
    return _metric(study, measured)[1]


def _metric(study: Study, measured: str) -> tuple[str, str]:
    for name, settings in study.metrics.items():
        directions = registry.metrics.make(name, **settings).directions(study.labels)
        if measured in directions:
            return name, directions[measured]
    raise AssertionError(f"no metric gives {measured}, which was checked")


def training_modules(config: Mapping[str, Any]) -> list[str]:
    """The modules whose code can change the weights: the loop, the model and its plugins."""
    model = config["model"]
    modules = [
        "tvae.trainer",
        registry.models.origin(model["name"]).module,
        registry.families.origin(config["family"]["name"]).module,
        *_modules_of_parts(registry.families.build(config["family"])),
    ]
    modules += [plugins.origin(part["name"]).module for _, plugins, part in parts(model)]
    return modules


def _likelihood(model: Mapping[str, Any]) -> dict[str, Any]:
    """What sets nats apart from those under the likelihood that models have unless told another."""
    found = model.get("likelihood")
    usual = plugin(registry.defaults_of(registry.models.abstract)["likelihood"])
    return {} if found in (None, usual) else {"likelihood": found}


def _modules_of_parts(family: Any) -> set[str]:
    """The modules of the families that a family is made of, if it is made of any."""
    from tvae.families.compose import Composition

    parts = family.parts if isinstance(family, Composition) else ()
    inside = (_modules_of_parts(part) for part in parts)
    return {type(part).__module__ for part in parts}.union(*inside)


def _modules_of_others(data: Data, labels: Iterable[str]) -> list[str]:
    """The modules that bring data sets of others; of ours, the content's digest says everything."""
    from tvae.data import catalogue

    origins = [catalogue.origin(data.source(label)["name"]) for label in labels]
    return [origin.module for origin in origins if not origin.ours]


def differing(study: Study, *, written: bool = False) -> dict[str, dict[str, Any]]:
    """Arm -> dotted path -> value, for every path on which the arms are not all alike.

    Args:
        study: resolved.
        written: as the study says it, without the defaults of what it does not say.
    """
    flat = {
        name: {
            **{f"data.{key}": getattr(setup.data, key) for key in ("train", "transfer")},
            **flatten(setup.written if written else setup.config),
        }
        for name, setup in study.setups.items()
    }
    paths = dict.fromkeys(path for values in flat.values() for path in values)
    absent = object()
    differ = [
        path
        for path in paths
        if len({repr(values.get(path, absent)) for values in flat.values()}) > 1
    ]
    return {name: {p: values.get(p) for p in differ} for name, values in flat.items()}
