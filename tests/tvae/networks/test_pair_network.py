"""The wide networks of T_VAE, q_psi and h_xi: parameter counts worked out by hand, and the pair.

A network that did not see which of two views is first could not infer T.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tvae.networks._pair import PairNetwork


@pytest.mark.parametrize(
    ("latent_dim", "outputs", "parameters"),
    [(10, 20, 1_042_020), (10, 100, 1_122_100), (100, 10_000, 11_212_000)],
)
def test_pair_network_parameters(latent_dim, outputs, parameters):
    """2D -> 1000 -> 1000 -> outputs."""
    assert sum(p.numel() for p in PairNetwork(latent_dim, outputs).parameters()) == parameters


def test_relu_between_all_layers_and_none_at_the_end():
    kinds = [isinstance(layer, nn.ReLU) for layer in PairNetwork(3, 4).layers]
    assert kinds == [False, True, False, True, False]


def test_gain_scales_the_last_layer_alone():
    networks = []
    for gain in (1.0, 0.01):
        torch.manual_seed(0)
        networks.append(PairNetwork(3, 7, hidden=5, gain=gain))
    full, small = networks
    for i in (0, 2):
        assert torch.equal(full.layers[i].weight, small.layers[i].weight)
    for name in ("weight", "bias"):
        ratio = getattr(small.layers[4], name) / getattr(full.layers[4], name)
        torch.testing.assert_close(ratio, torch.full_like(ratio, 0.01))


def test_the_pair_network_sees_which_is_first():
    torch.manual_seed(0)
    network = PairNetwork(3, 7, hidden=5)
    z_1, z_2 = torch.randn(2, 4, 3)
    first, second, last = network.layers[0], network.layers[2], network.layers[4]
    hidden = (torch.cat([z_1, z_2], 1) @ first.weight.T + first.bias).clamp_min(0)
    hidden = (hidden @ second.weight.T + second.bias).clamp_min(0)
    torch.testing.assert_close(network(z_1, z_2), hidden @ last.weight.T + last.bias)
    assert not torch.allclose(network(z_1, z_2), network(z_2, z_1))


@pytest.mark.parametrize("hidden", [0, -1])
def test_an_impossible_width_is_refused(hidden):
    with pytest.raises(ValueError, match="hidden layers must be at least 1"):
        PairNetwork(3, 4, hidden)
