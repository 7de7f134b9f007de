"""The contract of `tvae.testing` for each divergence that the registry finds, and what is ours.

A divergence that is added is tested by being there; options worth testing are added here.
"""

from __future__ import annotations

import pytest
import torch

from tvae.divergences.base import Side
from tvae.registry import divergences
from tvae.streams import Streams
from tvae.testing import DivergenceContract

OPTIONS = {
    # not rbf_median: its gradient holds the bandwidth constant, so it is not that of the value
    "mmd": (
        {},
        {"kernel": "rbf"},
        {"estimator": "unbiased"},
        {"estimator": "biased"},
    ),
    "mmd_joint": (
        {},
        {"kernel": "rbf"},
        {"given": ("z",)},
        {"given": ("T",)},
        {"estimator": "wae"},
        {"estimator": "unbiased"},
    ),
    "energy": ({}, {"estimator": "unbiased"}),
    "kl": ({}, {"scale": 1.0}, {"learn_scale": True}),
}

for _name in divergences.names():
    _title = f"Test{_name.title().replace('_', '')}"
    _own = {"plugin": _name, "options": OPTIONS.get(_name, ({},)), "__module__": __name__}
    globals()[_title] = type(_title, (DivergenceContract,), _own)


def test_the_specified_divergences_are_found():
    specified = {"mmd", "mmd_joint", "kl", "sliced_wasserstein", "energy", "sinkhorn"}
    assert specified <= set(divergences.names())


def test_those_that_tie_pairs():
    """A study of forms under a divergence that ties nothing shows little about T."""
    found = {name for name in divergences.names() if divergences.make(name).pairs}
    assert found == {"mmd_joint", "kl"}
    assert not divergences.make("mmd_joint", estimator="wae").pairs, "it pays for larger latents"
    assert not divergences.make("mmd_joint", estimator="unbiased").pairs


def test_all_are_bounded_by_default():
    """The unbiased energy of equal samples is not: -2 E|u - u'| / B."""
    assert all(divergences.make(name).bounded for name in divergences.names())
    assert not divergences.make("energy", estimator="unbiased").bounded


def test_an_unknown_option_is_refused():
    for name in divergences.names():
        with pytest.raises(ValueError, match="unknown option of the divergence"):
            divergences.make(name, kernell="imq")


def test_a_gaussian_side_has_the_moments_that_it_says():
    n = 200_000
    generator = torch.Generator().manual_seed(0)
    mean, logvar = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, -3.0]])
    noise = torch.randn(n, 2, generator=generator)
    side = Side.gaussian(mean.expand(n, -1), logvar.expand(n, -1), noise)
    torch.testing.assert_close(side.sample.mean(0), mean[0], atol=0.02, rtol=0)
    torch.testing.assert_close(side.sample.var(0).log(), logvar[0], atol=0.02, rtol=0)


def test_the_prior_is_standard_normal_and_has_its_own_stream():
    like = torch.empty(100_000, 2)
    streams = Streams(3)
    side = Side.standard_normal(like, streams)
    torch.testing.assert_close(side.sample.mean(0), torch.zeros(2), atol=0.02, rtol=0)
    torch.testing.assert_close(side.sample.var(0), torch.ones(2), atol=0.02, rtol=0)
    assert torch.equal(side.mean, torch.zeros_like(like))
    assert torch.equal(side.logvar, torch.zeros_like(like))
    assert torch.equal(side.sample, Streams(3).normal("prior", like))
    assert list(streams.state()) == ["prior"]
