"""What every metric promises.

A study asks for measurements by name before anything runs: the names that come must be those that
were announced, for every model, with NaN where a metric does not apply.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from tvae import data, registry
from tvae.data import Dataset, Split
from tvae.evaluation.base import Context, Metric
from tvae.models.base import Model, build, completed
from tvae.testing.contract import Contract, label

LABELS = ("own", "other")
"""Of the two data sets in the contexts here."""


@cache
def _datasets() -> dict[str, Dataset]:
    """60 images of each split of two embedded sets."""

    def few(split: Split) -> Split:
        return Split(np.array(split.images[:60]), np.array(split.labels[:60]))

    found = {}
    for name, source in zip(LABELS, ("mnist_small", "fashion_mnist_small"), strict=True):
        whole = data.load(source)
        splits = (few(split) for split in (whole.train, whole.validation, whole.test))
        found[name] = Dataset.of(name, *splits)
    return found


@cache
def _models() -> tuple[Model, Model]:
    """Two models that have learned nothing: one that infers T and one that does not."""
    found: list[Model] = []
    for has_T in (True, False):
        name = next(
            n
            for n in registry.models.names()
            if registry.models.get(n).trains and registry.models.get(n).has_T == has_T
        )
        found.append(build({"name": name, **completed(registry.models.get(name), {}, 4)}, seed=0))
    return found[0], found[1]


class MetricContract(Contract):
    """The promises of a metric, with a model that infers T and one that does not."""

    registry = registry.metrics

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Run what asks for `settings` with each of the options."""
        if "settings" in metafunc.fixturenames:
            metafunc.parametrize("settings", self.options, ids=label)

    def make(self, settings: Mapping[str, Any]) -> Metric:
        """The metric with these settings."""
        made: Metric = self.owner()(**settings)
        return made

    def contexts(self, **changes: Any) -> list[Context]:
        """Each model with a family that has views, and the first with one that has none."""
        moving, still = (
            next(
                registry.families.make(name)
                for name in registry.families.names()
                if registry.families.get(name).has_views == views
            )
            for views in (True, False)
        )
        with_T, without = _models()
        made = []
        for model, family in ((with_T, moving), (without, moving), (with_T, still)):
            settings: dict[str, Any] = {
                "model": model,
                "family": family,
                "datasets": _datasets(),
                "split": "test",
                "seed": 0,
                "facts": {"seconds": 2.0, "steps": 30, "batch_size": 10, "peak_mib": 5.0},
            }
            made.append(Context(**{**settings, **changes}))
        return made

    def values(self, settings: Mapping[str, Any], context: Context) -> dict[str, float]:
        """Measured name -> value."""
        return {m.name: m.value for m in self.make(settings)(context)}

    def test_what_is_announced_is_measured(self, settings: Mapping[str, Any]) -> None:
        """Every name, once, with the direction that was announced and a unit."""
        metric = self.make(settings)
        announced = metric.directions(list(LABELS))
        assert announced, "nothing is announced"
        assert set(announced.values()) <= {"higher", "lower", "none"}
        for context in self.contexts():
            found = metric(context)
            assert len({m.name for m in found}) == len(found), "a name comes twice"
            measured = {m.name: m.direction for m in found}
            assert {n: measured.get(n) for n in announced} == announced
            for m in found:
                # what is not announced is the detail of something that is, or a diagnostic
                detail = any(m.name.startswith(f"{known}/") for known in announced)
                assert m.name in announced or detail or m.direction == "none", m.name
                assert m.unit, f"{m.name} has no unit"
                assert isinstance(m.value, float), f"{m.name} is no float"

    def test_it_lacks_what_it_says_and_nothing_else(self, settings: Mapping[str, Any]) -> None:
        """A study that asks for what has no value is refused, and no other: see `needs`."""
        metric = self.make(settings)
        for context in self.contexts():
            values = self.values(settings, context) if metric.applies_to(context.model) else {}
            for name in metric.directions(list(LABELS)):
                lacks = metric.lacking(name, context.model, context.family)
                has = not np.isnan(values.get(name, float("nan")))
                assert has != bool(lacks), f"{name}: {'needs' if lacks else 'lacks'} {lacks}"

    def test_it_measures_something(self, settings: Mapping[str, Any]) -> None:
        """A number, at least of the model that infers T."""
        values = self.values(settings, self.contexts()[0])
        assert any(np.isfinite(list(values.values()))), values

    def test_measuring_twice_gives_the_same_numbers(self, settings: Mapping[str, Any]) -> None:
        """Whatever torch's generator did in between; unless the clock decides."""
        first = self.values(settings, self.contexts()[0])
        torch.rand(5)
        again = self.values(settings, self.contexts()[0])
        assert first.keys() == again.keys()
        if self.owner().comparable:
            np.testing.assert_equal(again, first)

    def test_the_model_is_left_as_it_was(self, settings: Mapping[str, Any]) -> None:
        """Its weights, and no gradients stay behind."""
        context = self.contexts()[0]
        before = {name: weight.clone() for name, weight in context.model.state_dict().items()}
        self.values(settings, context)
        for name, weight in context.model.state_dict().items():
            assert torch.equal(weight, before[name]), name
        assert all(weight.grad is None for weight in context.model.parameters())

    def test_what_is_said_not_to_use_the_family_does_not(self, settings: Mapping[str, Any]) -> None:
        """Its numbers share a table with those of arms that were trained with another family."""
        if self.owner().uses_family or not self.owner().comparable:
            pytest.skip("says that it uses the family, or that the clock decides")
        moving, _, still = self.contexts()
        np.testing.assert_equal(self.values(settings, moving), self.values(settings, still))

    def test_its_cost_is_foreseen(self, settings: Mapping[str, Any]) -> None:
        """`decodes` is a count."""
        assert self.make(settings).decodes() >= 0
