"""What every divergence promises, checked for each that the registry finds.

The objective calls a divergence in two places, as coherence and as prior, and knows nothing else of
it. Whether it ties z_1 to its own z and T decides what a study of latent transforms can show, so
the declaration `pairs` is measured.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tvae.divergences.base import Side
from tvae.registry import divergences
from tvae.streams import Streams

B, D = 64, 3

every_divergence = pytest.mark.parametrize("name", divergences.names())


def sides(noise: float = 0.1) -> tuple[Side, Side, dict[str, Tensor]]:
    """(q, p, given) in float64: T moves z to r = z + T, and q's means lie `noise` from r."""
    generator = torch.Generator().manual_seed(0)
    z, t, error = torch.randn(3, B, D, generator=generator, dtype=torch.float64)
    r = (z + t) / 2**0.5
    mean, logvar = r + noise * error, torch.full_like(r, -4.0)
    q = Side.gaussian(mean, logvar, torch.randn(B, D, generator=generator, dtype=torch.float64))
    return q, Side(r), {"z": z, "T": t}


def permuted(side: Side, order: Tensor) -> Side:
    assert side.mean is not None
    assert side.logvar is not None
    return Side(side.sample[order], side.mean[order], side.logvar[order])


def test_the_specified_divergences_are_found():
    assert {"mmd", "mmd_joint", "kl"} <= set(divergences.names())


@every_divergence
def test_both_uses_give_a_scalar_with_gradients_to_both_sides(name):
    divergence = divergences.make(name).double()
    q, p, given = sides()
    leaf = q.mean.detach().requires_grad_()
    target = p.sample.detach().requires_grad_()
    noise = torch.zeros_like(leaf)
    coherence = divergence(Side.gaussian(leaf, q.logvar, noise), Side(target), given)
    assert coherence.shape == ()
    coherence.backward()
    for side in (leaf, target):
        assert (side.grad.abs().sum(1) > 0).all()

    leaf.grad = None
    pi = Side.standard_normal(leaf, Streams(0))
    prior = divergence(Side.gaussian(leaf, q.logvar, noise), pi)
    assert prior.shape == ()
    prior.backward()
    assert (leaf.grad.abs().sum(1) > 0).all()


@every_divergence
def test_it_does_tie_pairs_where_it_says_so(name):
    """z_1 of another sample: a divergence that ties pairs must notice by a nat or more."""
    divergence = divergences.make(name).double()
    q, p, given = sides()
    order = torch.roll(torch.arange(B), 1)
    before, after = float(divergence(q, p, given)), float(divergence(permuted(q, order), p, given))
    change = divergence.default_weight * (after - before)
    if divergence.pairs:
        assert change > 1
    else:
        assert abs(change) < 1 / B


@every_divergence
def test_it_decreases_as_the_sides_meet(name):
    divergence = divergences.make(name).double()
    _, p, given = sides()
    values = [float(divergence(sides(noise)[0], p, given)) for noise in (4.0, 2.0, 1.0, 0.3)]
    assert values == sorted(values, reverse=True)


@every_divergence
def test_default_weight_and_space(name):
    plugin = divergences.get(name)
    assert plugin.default_weight > 0
    for option, searched in plugin.space.items():
        divergences.make(name, **{option: searched.default})
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
