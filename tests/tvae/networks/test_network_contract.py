"""The contract of `tvae.testing` for each network that the registry finds, and what is ours.

A network that is added is tested by being there; options worth testing are added here.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tvae.networks import ImageShape, Network
from tvae.registry import networks
from tvae.shapes import GREY_28
from tvae.testing import NetworkContract

OPTIONS = {
    # narrow ones are as good for laws that hold of any width, and take less of two cores
    "conv": ({"width": 4},),
    "resnet": ({"width": 2}, {"width": 4, "blocks": 2}),
    "mlp": ({"hidden": 20},),
}
REFUSED = {
    # what each takes -> of the shapes of the contract
    "paper": {"28 x 28"},
    "conv": {"8 x 8", "3 x 17 x 24", "28 x 28", "3 x 32 x 32", "128 x 96"},
    "resnet": {"8 x 8", "3 x 17 x 24", "28 x 28", "3 x 32 x 32", "128 x 96"},
    "mlp": {*map(str, NetworkContract.shapes)},
}

for _name in networks.names():
    _title = f"Test{_name.title().replace('_', '')}"
    _own = {"plugin": _name, "options": OPTIONS.get(_name, ({},)), "__module__": __name__}
    globals()[_title] = type(_title, (NetworkContract,), _own)


def test_the_specified_networks_are_found_and_take_what_they_say():
    for name, shapes in REFUSED.items():
        network = networks.make(name)
        taken = {str(shape) for shape in NetworkContract.shapes if not network.refuses(shape)}
        assert taken == shapes, name


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("conv", {"width": 0}, "width must be at least 1, got 0"),
        ("resnet", {"width": -1}, "width must be at least 1, got -1"),
        ("resnet", {"blocks": 0}, "blocks must be at least 1, got 0"),
        ("mlp", {"hidden": 0}, "hidden must be at least 1, got 0"),
        ("mlp", {"hiden": 3}, "unknown option of the network 'mlp' 'hiden'; did you mean 'hidden'"),
    ],
)
def test_impossible_options_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        networks.make(name, **options)


# --- the contract finds what is wrong -----------------------------------------------------------


class Sound(Network):
    """One linear layer a half."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def refuses(self, shape: ImageShape) -> str:
        return {"silent": "no", "nothing": f"never, not even {shape}"}.get(self.fault, "")

    def encoder(self, shape: ImageShape, latent_dim: int) -> nn.Module:
        return _Encoder(shape, latent_dim, self.fault)

    def decoder(self, shape: ImageShape, latent_dim: int, outputs: int) -> nn.Module:
        size = (outputs, shape.width if self.fault == "turned" else shape.height, shape.width)
        layer = nn.Linear(latent_dim, size[0] * size[1] * size[2])
        if self.fault == "seedless":
            nn.init.ones_(layer.weight)
            nn.init.ones_(layer.bias)
        norm = [nn.BatchNorm1d(latent_dim)] if self.fault == "mixing" else []
        return nn.Sequential(*norm, layer, nn.Unflatten(1, size))


class _Encoder(nn.Module):
    def __init__(self, shape: ImageShape, latent_dim: int, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.layer = nn.Linear(shape.numbers, 2 * latent_dim)
        if fault == "idle":
            self.idle = nn.Linear(2, 2)

    def forward(self, x):
        if self.fault == "in place":
            x.mul_(0.5)
        if self.fault == "centred":
            x = x - x.mean(0)
        if self.fault == "constant":
            x = torch.ones_like(x)
        return tuple(self.layer(x.flatten(1)).chunk(2, dim=1))


def contract(fault: str):
    """(the contract of a network with that fault, its halves at 3 x 5 x 7)."""
    from tvae.testing.networks import Halves

    made = type("Contract", (NetworkContract,), {"plugin": Sound, "options": ({"fault": fault},)})()
    made._record = lambda *_: None
    return made, Halves(Sound(fault), ImageShape(3, 5, 7), made.dim, made.batch, "")


CHECKS = (
    "moments_and_parameters_have_their_shapes",
    "no_image_of_a_batch_sees_another",
    "gradients_reach_every_parameter",
    "what_comes_out_depends_on_what_goes_in",
    "a_seed_fixes_the_weights",
)


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("", set()),
        ("turned", {"moments_and_parameters_have_their_shapes"}),
        ("in place", {"moments_and_parameters_have_their_shapes"}),
        ("centred", {"no_image_of_a_batch_sees_another"}),
        ("mixing", {"no_image_of_a_batch_sees_another"}),
        ("idle", {"gradients_reach_every_parameter"}),
        ("constant", {"what_comes_out_depends_on_what_goes_in"}),
        ("seedless", {"a_seed_fixes_the_weights"}),
    ],
)
def test_a_fault_is_found_and_no_other(fault, found):
    made, halves = contract(fault)
    failed = set()
    for check in CHECKS:
        try:
            getattr(made, f"test_{check}")(halves)
        except (AssertionError, ValueError):  # a normalisation refuses a batch of one
            failed.add(check)
    # a constant batch of one image is centred to 0, which other checks may see, too
    assert found <= failed
    assert failed == found or fault in ("in place", "centred")


@pytest.mark.parametrize(
    ("fault", "message"),
    [("silent", "does not say that it was"), ("nothing", "takes none of the shapes")],
)
def test_a_refusal_without_words_is_found(fault, message):
    made, _ = contract(fault)
    with pytest.raises(AssertionError, match=message):
        made.test_it_says_in_words_what_it_refuses({"fault": fault})


def test_what_a_network_refuses_a_model_refuses():
    from tvae.models import build

    config = {"name": "autoencoder", "latent_dim": 3}
    with pytest.raises(ValueError, match="takes grey images of 28 x 28 alone, got 3 x 17 x 24"):
        build(config, shape=ImageShape(3, 17, 24))
    assert build({**config, "network": "conv"}, shape=ImageShape(3, 17, 24)).shape != GREY_28
