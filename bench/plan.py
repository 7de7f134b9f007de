"""Study -> trials: a pure function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bench.config import PLUGINS, Study, plugin
from bench.keys import digest, source_digests
from tvae import registry

Stage = Literal["tune", "confirm"]


@dataclass(frozen=True)
class World:
    """What trials depend on besides their study.

    Attributes:
        data: label -> digest of the data set's content.
        torch: version.
        device: type, such as ``cpu``.
    """

    data: Mapping[str, str]
    torch: str
    device: str


@dataclass(frozen=True)
class Trial:
    """An arm at a seed: all that a worker needs, as plain data.

    Attributes:
        arm: its name in the study.
        role: ``arm`` or ``baseline``.
        seed: what pairs it with the other arms.
        stage: ``confirm`` or ``tune``.
        config: ``model``, ``family``, ``trainer``.
        data: the study's data section.
        metrics: metric -> settings.
        fingerprints: metric -> what its numbers must share to be compared.
        training: content of the training key.
        evaluation: content of the evaluation key, `training_key` included.
        device: type.
        threads: of the worker.
    """

    arm: str
    role: Literal["arm", "baseline"]
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
        """Test is for confirmation alone."""
        return "test" if self.stage == "confirm" else "validation"


def plan(study: Study, world: World) -> list[Trial]:
    """The confirmation trials, seed by seed, so that the first pairs are complete early."""
    return list(_trials(study, world))


def _trials(study: Study, world: World) -> Iterator[Trial]:
    data = study.data.model_dump()
    for seed in study.seeds:
        for role, section in (("arm", study.arms), ("baseline", study.baselines)):
            for name, arm in section.items():
                config = study.expanded(arm)
                training = {
                    "config": config,
                    "seed": seed,
                    # the content counts, not where its files lie
                    "data": {"train": study.data.train, "digest": world.data[study.data.train]},
                    "source": source_digests(training_modules(config)),
                    "torch": world.torch,
                    "device": world.device,
                    "threads": study.threads,
                }
                fingerprints = {
                    metric: digest(
                        {
                            "metric": metric,
                            "settings": settings,
                            "split": "test",
                            "protocol": study.data.protocol,
                            "data": dict(world.data),
                            "family": config["family"],
                        }
                    )
                    for metric, settings in study.metrics.items()
                }
                evaluation = {
                    "training": digest(training),
                    "fingerprints": fingerprints,
                    "source": source_digests(
                        registry.metrics.origins[metric].module for metric in study.metrics
                    ),
                    "pictures": source_digests(["tvae.pictures"]),
                }
                yield Trial(
                    arm=name,
                    role=role,  # type: ignore[arg-type]
                    seed=seed,
                    stage="confirm",
                    config=config,
                    data=data,
                    metrics=study.metrics,
                    fingerprints=fingerprints,
                    training=training,
                    evaluation=evaluation,
                    device=world.device,
                    threads=study.threads,
                )


def training_modules(config: Mapping[str, Any]) -> list[str]:
    """The modules whose code can change the weights: the loop, the model and its plugins."""
    model = config["model"]
    modules = [
        "tvae.trainer",
        registry.models.origins[model["name"]].module,
        registry.families.origins[config["family"]["name"]].module,
    ]
    for option, plugins in PLUGINS.items():
        reference = plugin(model.get(option))
        if isinstance(reference, Mapping):
            modules.append(plugins.origins[reference["name"]].module)
    return modules


def differing(study: Study) -> dict[str, dict[str, Any]]:
    """Arm -> dotted path -> value, for every path on which the arms are not all alike."""
    flat = {
        name: dict(_flatten(study.expanded(arm)))
        for name, arm in {**study.arms, **study.baselines}.items()
    }
    paths = dict.fromkeys(path for values in flat.values() for path in values)
    absent = object()
    differ = [
        path
        for path in paths
        if len({repr(values.get(path, absent)) for values in flat.values()}) > 1
    ]
    return {name: {p: values.get(p) for p in differ} for name, values in flat.items()}


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if key in PLUGINS:
            value = plugin(value)
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
