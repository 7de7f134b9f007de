"""The contract of `tvae.testing` for each likelihood that the registry finds, and what is ours.

A likelihood that is added is tested by being there; options worth testing, and its truth by torch's
distributions or scipy, are added here.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Normal

from tvae.likelihoods import Likelihood
from tvae.registry import likelihoods
from tvae.testing import LikelihoodContract

OPTIONS = {
    "gaussian": ({}, {"scale": 0.5}, {"learned": True}),
    "discretised_logistic": ({}, {"scale": 0.02}),
}


def bernoulli(self, likelihood, parameters, x):
    """Its two outcomes, weighted by the grey value."""
    p = torch.distributions.Bernoulli(logits=parameters[:, 0])
    return -(x * p.log_prob(torch.ones_like(x)) + (1 - x) * p.log_prob(torch.zeros_like(x)))


def gaussian(self, likelihood, parameters, x):
    scale = likelihood.log_scale.detach().exp()
    return -Normal(parameters[:, 0].sigmoid(), scale).log_prob(x)


def discretised_logistic(self, likelihood, parameters, x):
    """Differences of scipy's distribution, by the tail in which they have their digits."""
    centre, log_scale = parameters.unbind(1)
    scale = np.exp(np.maximum((log_scale + math.log(likelihood.scale)).numpy(), -7))
    law, byte = stats.logistic(centre.sigmoid().numpy(), scale), x.numpy()
    low = np.where(byte > 0, byte - 1 / 510, -np.inf)
    high = np.where(byte < 1, byte + 1 / 510, np.inf)
    # where a tail has no digits, the other is taken
    with np.errstate(divide="ignore"):
        below = law.logcdf(high) + np.log1p(-np.exp(law.logcdf(low) - law.logcdf(high)))
        above = law.logsf(low) + np.log1p(-np.exp(law.logsf(high) - law.logsf(low)))
    return -torch.from_numpy(np.where(byte < law.mean(), below, above))


TRUTHS = {f.__name__: f for f in (bernoulli, gaussian, discretised_logistic)}

for _name in likelihoods.names():
    _title = f"Test{_name.title().replace('_', '')}"
    _own = {"plugin": _name, "options": OPTIONS.get(_name, ({},)), "__module__": __name__}
    _own |= {"truth": TRUTHS[_name]} if _name in TRUTHS else {}
    globals()[_title] = type(_title, (LikelihoodContract,), _own)


def test_the_specified_likelihoods_are_found():
    found = {name: likelihoods.get(name).outputs for name in TRUTHS}
    assert found == {"bernoulli": 1, "gaussian": 1, "discretised_logistic": 2}


def test_an_unknown_option_is_refused():
    for name in likelihoods.names():
        with pytest.raises(ValueError, match="unknown option of the likelihood"):
            likelihoods.make(name, scle=1.0)


# --- the contract finds what is wrong -----------------------------------------------------------


class Sound(Likelihood):
    """A Laplace distribution around a sigmoid, with one fault at most."""

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.fault = fault

    def nll(self, parameters, x):
        mean = parameters.sigmoid()
        error = (x - mean).abs() / 0.1
        if self.fault == "mean over pixels":
            return error.flatten(1).mean(1)
        if self.fault == "mean over the batch":
            return error.flatten(1).sum(1).mean().expand(len(x))
        if self.fault == "beside itself":
            error = (x + 0.1 - mean).abs() / 0.1
        if self.fault == "overflows":
            error = error + 1e-30 * parameters.double().mul(20).exp().to(error)
        if self.fault == "stops":
            error = (x - mean.detach()).abs() / 0.1
        return error.flatten(1).sum(1)

    def mean(self, parameters):
        return 1.5 * parameters.sigmoid() if self.fault == "too bright" else parameters.sigmoid()


def failing(fault: str) -> set[str]:
    """The tests of the contract that a likelihood with that fault fails."""
    made = type("Contract", (LikelihoodContract,), {"plugin": Sound})()
    made._record = lambda *_: None
    settings, failed = {"fault": fault}, set()
    for test in [name for name in dir(made) if name.startswith("test_")]:
        asks = getattr(made, test).__code__.co_varnames[: getattr(made, test).__code__.co_argcount]
        given = {"settings": settings, "shape": made.shapes[1]}
        try:
            getattr(made, test)(**{name: given[name] for name in asks[1:]})
        except (AssertionError, RuntimeError):
            failed.add(test.removeprefix("test_"))
        except pytest.skip.Exception:
            pass
    return failed


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("mean over pixels", "it_is_a_sum_over_pixels_and_channels"),
        ("mean over the batch", "it_is_a_sum_over_pixels_and_channels"),
        ("beside itself", "it_is_least_where_the_mean_is_the_image"),
        ("overflows", "extreme_parameters_are_survived"),
        ("stops", "the_gradient_is_that_of_the_value"),
        ("too bright", "an_image_has_a_value_and_a_mean"),
    ],
)
def test_a_fault_is_found(fault, found):
    assert found in failing(fault)


def test_one_without_a_fault_passes():
    assert failing("") == set()
