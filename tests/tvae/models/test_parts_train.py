"""A model of each network and each likelihood learns coloured images that are not square.

Both halves may keep every promise and still start where nothing can be learned from.
"""

from __future__ import annotations

import pytest
import torch

from tvae.models import build
from tvae.registry import likelihoods, networks
from tvae.shapes import GREY_28, ImageShape
from tvae.streams import Streams

COLOUR = ImageShape(3, 17, 24)
NARROW = {"conv": {"width": 8}, "resnet": {"width": 4}, "mlp": {"hidden": 50}}
PAIRS = [(name, "bernoulli") for name in networks.names()]
PAIRS += [("mlp", name) for name in likelihoods.names() if name != "bernoulli"]


@pytest.mark.parametrize(("network", "likelihood"), PAIRS)
def test_the_elbo_rises(network, likelihood):
    """Of dark noise, at the same draws, in a moment."""
    reference = {"name": network, **NARROW.get(network, {})}
    shape = GREY_28 if networks.build(reference).refuses(COLOUR) else COLOUR
    config = {"name": "autoencoder", "latent_dim": 4, "prior": "kl", "likelihood": likelihood}
    model = build({**config, "network": reference}, shape=shape)
    x = torch.rand(8, *shape, generator=torch.Generator().manual_seed(0)) ** 3
    optimiser, losses = torch.optim.Adam(model.parameters(), 2e-3), []
    for _ in range(8):
        loss = model.objective(x, None, Streams(0))["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.01 * abs(losses[0])
    assert model.embed(x).shape == (8, 4)
    assert model.generate(torch.zeros(2, 4)).shape == (2, *shape)
