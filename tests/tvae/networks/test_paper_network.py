"""Both halves of Appendix B: shapes, parameter counts worked out by hand, and the fast layers.

A padding or a width that is off by one still trains; it is then another architecture than the one
that the report names.
"""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from tvae.networks._layers import FromOne, ToOne, ToPixels
from tvae.networks.paper import Paper
from tvae.shapes import GREY_28


def Encoder(latent_dim):  # as the paper's
    return Paper().encoder(GREY_28, latent_dim)


def Decoder(latent_dim):
    return Paper().decoder(GREY_28, latent_dim, 1)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def sizes(network: nn.Module, x: torch.Tensor) -> list[tuple[int, ...]]:
    """(channels, side) after every layer with weights."""
    found = []
    for layer in network.layers:
        x = layer(x)
        if not isinstance(layer, nn.ReLU):
            found.append((x.shape[1], x.shape[2]))
    return found


@pytest.mark.parametrize(("latent_dim", "parameters"), [(10, 221_972), (100, 590_792)])
def test_encoder_parameters(latent_dim, parameters):
    """16 weights a filter and input, one bias a filter: filters 32, 32, 64, 128, 2D."""
    by_hand = (
        (16 * 1 + 1) * 32
        + (16 * 32 + 1) * 32
        + (16 * 32 + 1) * 64
        + (16 * 64 + 1) * 128
        + (16 * 128 + 1) * 2 * latent_dim
    )
    assert count(Encoder(latent_dim)) == by_hand == parameters


@pytest.mark.parametrize(("latent_dim", "parameters"), [(10, 182_273), (100, 193_793)])
def test_decoder_parameters(latent_dim, parameters):
    """A 1x1 layer of 128, then 16 weights an input and output: 64, 32, 32, 1."""
    by_hand = (
        (latent_dim + 1) * 128
        + (16 * 128 + 1) * 64
        + (16 * 64 + 1) * 32
        + (16 * 32 + 1) * 32
        + (16 * 32 + 1) * 1
    )
    assert count(Decoder(latent_dim)) == by_hand == parameters


@pytest.mark.parametrize(("side", "sides"), [(28, [14, 7, 4, 2, 1]), (40, [20, 10, 6, 3, 1])])
def test_encoder_sizes(side, sides):
    encoder = Encoder(5)
    x = torch.rand(3, 1, side, side)
    assert sizes(encoder, x) == list(zip([32, 32, 64, 128, 10], sides, strict=True))
    mean, logvar = encoder(x)
    assert mean.shape == logvar.shape == (3, 5)
    assert torch.equal(torch.cat([mean, logvar], 1), encoder.layers(x)[:, :, 0, 0])


def test_decoder_sizes():
    decoder = Decoder(5)
    z = torch.randn(3, 5)
    expected = [(128, 1), (64, 4), (32, 7), (32, 14), (1, 28)]
    assert sizes(decoder, z[:, :, None, None]) == expected
    assert decoder(z).shape == (3, 1, 28, 28)


@pytest.mark.parametrize("network", [Encoder(3), Decoder(3)])
def test_relu_between_all_layers_and_none_at_the_end(network):
    kinds = [isinstance(layer, nn.ReLU) for layer in network.layers]
    assert kinds == [False, True] * (len(kinds) // 2) + [False]


LAYERS = {
    "to pixels": (ToPixels, (32,), nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1)),
    "to one": (ToOne, (128, 20), nn.Conv2d(128, 20, 4, stride=2, padding=1)),
    "from one": (FromOne, (128, 64), nn.ConvTranspose2d(128, 64, 4)),
}


@pytest.mark.parametrize(
    ("layer", "height", "width"),
    [("to pixels", 14, 14), ("to pixels", 5, 3)]
    + [("to one", height, width) for height in (2, 3, 4, 7) for width in (2, 3, 5)]
    + [("from one", 1, 1), ("from one", 3, 1), ("from one", 2, 4)],
)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_fast_layers_are_the_convolutions_they_stand_for(layer, height, width, memory_format):
    """Output and all gradients: the same numbers in another order of summation."""
    torch.manual_seed(0)
    kind, channels, theirs = LAYERS[layer]
    ours, theirs = kind(*channels).double(), deepcopy(theirs).double()
    theirs.load_state_dict(ours.state_dict())
    ours = ours.to(memory_format=memory_format)
    x = torch.randn(4, channels[0], height, width, dtype=torch.float64, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    found, expected = ours(x.to(memory_format=memory_format)), theirs(y)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    weight = torch.randn_like(expected)
    for output in (found, expected):
        (weight * output).sum().backward()
    pairs = [(x.grad, y.grad), (ours.weight.grad, theirs.weight.grad)]
    for one, other in [*pairs, (ours.bias.grad, theirs.bias.grad)]:
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-11)
