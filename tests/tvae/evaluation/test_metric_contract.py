"""What every metric promises, checked for each that the registry finds, with and without T.

A study asks for measurements by name before anything runs: the names that come must be those that
were announced, for every model, with NaN where a metric does not apply.
"""

from __future__ import annotations

import math
from dataclasses import asdict

import pytest
import torch

from tvae.evaluation.base import Context, at_least
from tvae.registry import families, latent_transforms, likelihoods, metrics

SMALL = {
    "act": {"images": 10, "fit": 20},
    "likelihood": {"k": 12, "images": 6},
    "label_kept": {"steps": 3, "images": 8},
    "label_efficiency": {"draws": 2},
    "linear_probe": {"images": 40, "iterations": 20},
}


def make(name: str):
    return metrics.make(name, **SMALL.get(name, {}))


@pytest.fixture
def context(build, noisy_data):
    def context(arm, family="rotation", **changes):
        built = {
            "model": build(arm),
            "family": families.make(family),
            "datasets": {"noise": noisy_data, "other": noisy_data},
            "split": "test",
            "seed": 0,
            "facts": {"seconds": 2.0, "steps": 30, "batch_size": 10, "peak_mib": 5.0},
        }
        return Context(**{**built, **changes})

    return context


def values(name: str, context: Context) -> dict[str, float]:
    return {m.name: m.value for m in make(name)(context)}


@pytest.mark.parametrize(
    ("arm", "family"),
    [
        *((form, "rotation") for form in latent_transforms.names()),
        (None, "rotation"),
        ("matrix", "superpixel"),
        ("matrix", "none"),
        (None, "none"),
    ],
)
@pytest.mark.parametrize("name", metrics.names())
def test_what_is_announced_is_measured(name, arm, family, context):
    announced = make(name).directions(["noise", "other"])
    found = make(name)(context(arm, family))
    assert len({m.name for m in found}) == len(found)
    measured = {m.name: m.direction for m in found}
    assert {n: measured.get(n) for n in announced} == announced
    for m in found:
        # what is not announced is the detail of something that is, or a diagnostic
        detail = any(m.name.startswith(f"{known}/") for known in announced)
        assert m.name in announced or detail or m.direction == "none"
        assert m.unit
        assert isinstance(m.value, float)


T_ONLY = ("act/", "act_inverse/", "act_pixels/", "act_shuffled/", "act_own/", "transfer/", "T/r2",
          "T/spread", "algebra/", "coherence/", "drawn/", "reconstruction/z", "equivariance",
          "interpolation/path")  # fmt: skip
VIEWS_ONLY = (
    "act",
    "T/ceiling",
    "rate/views",
    "transfer",
    "difference/",
    "algebra_difference/",
    "label_kept/",
    "interpolation/",
)


@pytest.mark.parametrize("name", metrics.names())
def test_nan_where_it_does_not_apply_and_only_there(name, context):
    for arm in ("additive", None):
        for family in ("rotation", "none"):
            for measured, value in values(name, context(arm, family)).items():
                needs_T = measured.startswith(T_ONLY) and measured != "reconstruction/z0"
                needs_T &= not measured.endswith("/chance")
                missing = needs_T and (arm is None or family == "none")
                missing |= measured.startswith(VIEWS_ONLY) and family == "none"
                assert math.isnan(value) == missing, (arm, family, measured)


@pytest.mark.parametrize("name", metrics.names())
def test_measuring_twice_gives_the_same_numbers(name, context):
    """In a fresh process, whatever other metrics ran before, and whatever torch's generator did."""
    first = values(name, context("matrix"))
    torch.rand(5)
    shared = context("matrix")
    for other in metrics.names():
        make(other)(shared)
    assert values(name, shared) == first


@pytest.mark.parametrize("name", sorted({*metrics.names()} - {"cost", "fit_set", "knn"}))
def test_another_seed_measures_other_images_or_noise(name, context):
    first, other = (values(name, context("matrix", seed=seed)) for seed in (0, 1))
    assert first != other


@pytest.mark.parametrize("name", [n for n in metrics.names() if n != "cost"])
def test_the_validation_split_is_another_split(name, context):
    first, other = (values(name, context("matrix", split=s)) for s in ("test", "validation"))
    assert first != other


def test_only_what_the_clock_decides_is_not_comparable():
    assert [n for n in metrics.names() if not metrics.get(n).comparable] == ["cost"]


@pytest.mark.parametrize("name", [n for n in metrics.names() if not metrics.get(n).uses_family])
def test_what_is_said_not_to_use_the_family_does_not(name, context):
    """Its numbers share a table with those of arms that were trained with another family."""
    comparable = metrics.get(name).comparable
    for arm in ("matrix", None):
        first, *others = (
            values(name, context(arm, family)) for family in ("rotation", "crop", "none")
        )
        for other in others:
            assert other.keys() == first.keys()
            assert other == first or not comparable


def test_which_metrics_do_not_use_the_family():
    """A metric uses it unless it says so: the other way round numbers would be mixed up."""
    assert [n for n in metrics.names() if not metrics.get(n).uses_family] == [
        "cost",
        "fit_set",
        "knn",
        "label_efficiency",
        "likelihood",
        "linear_probe",
    ]


@pytest.mark.parametrize("name", sorted({*metrics.names()} - {"cost"}))
def test_what_is_said_not_to_use_the_likelihood_does_not(name, context, monkeypatch):
    """Two models of the same E and the same G, whose likelihoods are of unlike things."""
    shared = context("matrix")
    first = values(name, shared)
    monkeypatch.setattr(shared.model, "likelihood", likelihoods.make("gaussian", scale=0.3))
    other = values(name, context("matrix", model=shared.model))
    assert other.keys() == first.keys()
    assert (other != first) == metrics.get(name).uses_likelihood


def test_decodes_are_counted():
    """For a forecast: k samples for each image."""
    assert metrics.make("likelihood", k=7, images=11).decodes() == 77
    assert all(make(n).decodes() >= 0 for n in metrics.names())


def test_a_measurement_is_plain_data(context):
    (first, *_) = make("knn")(context(None))
    assert asdict(first).keys() == {"name", "value", "unit", "direction", "warning"}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("knn", {"k": 0}, "k must be at least 1, got 0"),
        ("fit_set", {"k": 0}, "k must be at least 1, got 0"),
        ("label_efficiency", {"k": 0}, "k must be at least 1, got 0"),
        ("label_efficiency", {"draws": 0}, "draws must be at least 1, got 0"),
        ("linear_probe", {"images": 1}, "images must be at least 2, got 1"),
        ("linear_probe", {"iterations": 0}, "iterations must be at least 1, got 0"),
        ("likelihood", {"k": 0}, "k must be at least 1, got 0"),
        ("likelihood", {"images": 0}, "images must be at least 1, got 0"),
        ("transfer", {"images": 1}, "images must be at least 2, got 1"),
        ("coherence", {"images": 1}, "images must be at least 2, got 1"),
        ("algebra", {"images": 1}, "images must be at least 2, got 1"),
        ("equivariance", {"images": 1}, "images must be at least 2, got 1"),
        ("interpolation", {"images": 0}, "images must be at least 1, got 0"),
        ("label_kept", {"images": 1}, "images must be at least 2, got 1"),
        ("label_kept", {"steps": 0}, "steps must be at least 1, got 0"),
        ("probe", {"images": 9}, "images must be at least 10, got 9"),
        ("reconstruction", {"images": 0}, "images must be at least 1, got 0"),
    ],
)
def test_impossible_settings_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        metrics.make(name, **options)
    assert at_least("k", 3, 3) == 3
