"""The layers that are matrix products against the convolutions that they stand in for.

Equal outputs and gradients, up to rounding, are checked before anything is timed. The maps lie in
memory as they do in training, channels last, and batches are those of training: x and both views
are encoded as one, and z is decoded with them.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

import tvae
from tests.benchmarks.turns import CONTROL, race
from tvae import data, registry
from tvae.networks import FromOne, ToOne, ToPixels
from tvae.streams import Streams
from tvae.trainer import State, Training, batch, fit

LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "ToOne": (lambda: ToOne(128, 20), (128, 2, 2), 3),
    "FromOne": (lambda: FromOne(128, 64), (128, 1, 1), 4),
    "ToPixels": (lambda: ToPixels(32), (32, 14, 14), 4),
}
"""Name -> (the layer, the shape of its map, images for each of the batch)."""

REPEATED = 5
"""Passes of a layer in one turn: one of a millisecond is too short to be timed."""

CONFIG = {
    "name": "tvae", "latent_dim": 10, "latent_transform": "additive", "coherence": "kl",
    "prior": "mmd",
}  # fmt: skip


def plain(module: nn.Module) -> nn.Module:
    """A copy whose convolutions are all torch's own, with the same weights."""
    copy = deepcopy(module)
    for layer in copy.modules():
        if isinstance(layer, ToOne | FromOne | ToPixels):
            layer.__class__ = type(layer).__bases__[0]
    return copy


def gradients(layer: nn.Module, x: Tensor, upstream: Tensor) -> tuple[Tensor, ...]:
    """(output, gradients of x and of the weights)."""
    out = layer(x)
    return out, *torch.autograd.grad(out, (x, *layer.parameters()), upstream)


@pytest.mark.parametrize("size", [32, 100], ids="B={}".format)
@pytest.mark.parametrize("name", LAYERS)
def test_layer(benchmark, name, size):
    torch.set_num_threads(1)
    make, shape, images = LAYERS[name]
    layer = make().to(memory_format=torch.channels_last)
    base, again = plain(layer), deepcopy(layer)
    x = torch.randn(images * size, *shape).to(memory_format=torch.channels_last).requires_grad_()
    upstream = torch.randn_like(layer(x))
    pairs = zip(gradients(layer, x, upstream), gradients(base, x, upstream), strict=True)
    for ours, theirs in pairs:
        scale = float(theirs.detach().abs().max())
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * scale)

    def timed(layer: nn.Module) -> Callable[[], object]:
        return lambda: [gradients(layer, x, upstream) for _ in range(REPEATED)]

    others = {CONTROL: timed(again), type(layer).__bases__[0].__name__: timed(base)}
    title = f"{name}, {images} x {size} maps, forward and backward"
    race(benchmark, timed(layer), others, 20, title=title, count=REPEATED)


@pytest.mark.parametrize("size", [32, 100], ids="B={}".format)
def test_step(benchmark, size):
    """A whole step of training, the views and the optimiser included."""
    torch.set_num_threads(1)
    images = torch.tensor(data.load("mnist_small").train.images).unsqueeze(1)
    family = registry.families.make("rotation_crop")
    model = tvae.build(CONFIG, seed=0).to(memory_format=torch.channels_last)
    models = {"ours": model, CONTROL: deepcopy(model), "torch's convolutions": plain(model)}

    x, views = batch(images, torch.arange(size), family, True, Streams(0))
    losses, norms = [], []
    for one in models.values():
        loss = one.objective(x, views, Streams(0))["loss"]
        found = torch.autograd.grad(loss, list(one.parameters()))
        losses.append(loss.detach())
        norms.append(torch.stack([gradient.norm() for gradient in found]))
    torch.testing.assert_close(losses[2], losses[0], rtol=1e-5, atol=0)
    torch.testing.assert_close(norms[2], norms[0], rtol=1e-3, atol=1e-4)

    def stepping(model: tvae.models.base.Model) -> Callable[[], object]:
        plan = Training(steps=10_000, batch_size=size, record_every=1)
        records = fit(State.start(model, 0), images, family, plan)
        return lambda: next(records)

    steps = {name: stepping(one) for name, one in models.items()}
    ours = steps.pop("ours")
    race(benchmark, ours, steps, 25, title=f"a T_VAE step, batch {size}")
