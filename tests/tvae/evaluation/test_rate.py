"""The rate, against torch.distributions."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from tvae.evaluation.base import Context
from tvae.evaluation.rate import Rate
from tvae.registry import families


@pytest.mark.parametrize("form", ["matrix", None])
@pytest.mark.parametrize("family", ["rotation", "none"])
@torch.no_grad()
def test_it_is_the_divergence_from_the_prior(form, family, build, noisy_data):
    data = {"noise": noisy_data}
    context = Context(build(form), families.make(family), data, "test", seed=3)
    found = {m.name: m.value for m in Rate(12)(context)}

    def rate(x):
        mean, logvar = context.model.encode(x)
        return float(kl_divergence(Normal(mean, (logvar / 2).exp()), Normal(0, 1)).sum(1).mean())

    assert found["rate/x"] == pytest.approx(rate(context.sample(12)), rel=1e-4, abs=1e-6)
    if family == "none":
        assert math.isnan(found["rate/views"])
    else:
        probe = context.probe(12)
        expected = rate(torch.cat([probe.x_1, probe.x_2]))
        assert found["rate/views"] == pytest.approx(expected, rel=1e-4, abs=1e-6)
