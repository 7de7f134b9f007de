"""The paper's likelihood, worked out by hand; a reduction or a sign that is off still trains."""

from __future__ import annotations

import math

import torch

from tvae.likelihoods.bernoulli import Bernoulli


def test_by_hand():
    """Logit 0 is log 2 nats for every pixel, whatever it is; log 3 is p = 3/4."""
    x = torch.tensor([[[[0.0, 1.0, 0.3]]]])
    even = Bernoulli().nll(torch.zeros_like(x), x)
    torch.testing.assert_close(even, torch.tensor([3 * math.log(2)]))
    logits = torch.full_like(x, math.log(3))
    expected = -(math.log(1 / 4) + math.log(3 / 4) + 0.3 * math.log(3 / 4) + 0.7 * math.log(1 / 4))
    torch.testing.assert_close(Bernoulli().nll(logits, x), torch.tensor([expected]))
    torch.testing.assert_close(Bernoulli().mean(logits), torch.full_like(x, 0.75))


def test_nothing_is_below_the_entropy_of_the_grey_values():
    x = torch.rand(1, 1, 20, 20, dtype=torch.float64)
    entropy = -(torch.special.xlogy(x, x) + torch.special.xlogy(1 - x, 1 - x)).sum()
    torch.testing.assert_close(Bernoulli().nll(x.logit(), x)[0], entropy)
    assert Bernoulli().nll(x.logit() + 0.1, x)[0] > entropy
