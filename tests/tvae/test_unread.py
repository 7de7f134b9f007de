"""Between two records nothing is read from the device: an accelerator never waits for a step.

On the device ``meta`` tensors have shapes and no numbers, so that whatever needs a number (`item`,
`bool`, a mask, a copy to the CPU) raises, on a machine without an accelerator, too. The loop must
get as far as its first record there, whatever is plugged into it. A copy to the device must be told
not to wait.
"""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import tvae
from tvae import registry
from tvae.models.base import completed
from tvae.trainer import State, Training, fit

EVERY, B, D = 3, 8, 4
IMAGES = torch.zeros(3 * B, 1, 28, 28, dtype=torch.uint8, device="meta")
WAIT = {"sinkhorn": "geomloss takes its temperatures as Python numbers"}


class NoWaiting(TorchDispatchMode):
    """Raises where a copy to another device is not told not to wait."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default:
            target = kwargs.get("device") or args[0].device
            if target != args[0].device and not kwargs.get("non_blocking", False):
                raise AssertionError(f"a copy from {args[0].device} to {target} that waits")
        if func is torch.ops.aten.copy_.default and args[0].device != args[1].device:
            waits = len(args) < 3 and not kwargs.get("non_blocking", False)
            assert not waits, f"a copy from {args[1].device} to {args[0].device} that waits"
        return func(*args, **kwargs)


def steps_until_something_is_read(config, family="rotation", **training) -> int:
    """Steps done when the loop first asks for a number of the device."""
    with torch.device("meta"):
        model = tvae.build(config)
    state = State(model, torch.optim.Adam(model.parameters()), tvae.streams.Streams(0))
    for group in state.optimizer.param_groups:
        group["wide"] = False
    family = registry.families.build(family)
    loop = fit(state, IMAGES, family, Training(9, B, record_every=EVERY, **training))
    with NoWaiting(), pytest.raises((NotImplementedError, RuntimeError), match=r"(?i)meta"):
        next(loop)
    return state.step


TRAINED = [name for name in registry.models.names() if registry.models.get(name).trains]


@pytest.mark.parametrize("likelihood", registry.likelihoods.names())
@pytest.mark.parametrize("name", TRAINED)
def test_models_and_likelihoods(name, likelihood):
    owner = registry.models.get(name)
    config = completed(owner, {"likelihood": likelihood}, D)
    assert steps_until_something_is_read({"name": name, **config}) == EVERY


@pytest.mark.parametrize("network", registry.networks.names())
def test_networks(network):
    config = {"name": "autoencoder", "latent_dim": D, "network": network, "views": True}
    assert steps_until_something_is_read(config) == EVERY


TVAE = {"name": "tvae", "latent_dim": D, "hidden": 8, "latent_transform": "additive",
        "coherence": "mmd", "prior": "mmd"}  # fmt: skip


@pytest.mark.parametrize(
    "more", [{}, {"T_dim": 2}, {"w_prior_T": 1.0, "view_reconstruction": True}]
)
@pytest.mark.parametrize("form", registry.latent_transforms.names())
def test_forms(form, more):
    config = {**TVAE, "latent_transform": form, **more}
    assert steps_until_something_is_read(config) == EVERY


@pytest.mark.parametrize("family", registry.families.names())
@pytest.mark.parametrize("views", [2, 3])
def test_families(family, views):
    assert steps_until_something_is_read(TVAE, family, views=views) == EVERY


@pytest.mark.parametrize("options", [{}, {"kernel": "rbf_median"}])
@pytest.mark.parametrize("divergence", registry.divergences.names())
def test_divergences(divergence, options):
    if options and not set(options) <= set(
        registry.options_of(registry.divergences.get(divergence))
    ):
        pytest.skip("has no such option")
    chosen = {"name": divergence, **options}
    done = steps_until_something_is_read({**TVAE, "coherence": chosen, "prior": chosen})
    assert done == (0 if divergence in WAIT else EVERY)


def test_the_detector_sees_a_reading_and_a_copy_that_waits():
    x = torch.zeros(3, device="meta")
    for read in (lambda: x.sum().item(), lambda: bool(x.any()), lambda: x[x > 0], x.cpu):
        with pytest.raises((NotImplementedError, RuntimeError)):
            read()
    with NoWaiting():
        torch.zeros(3).to("meta", non_blocking=True)
        with pytest.raises(AssertionError, match="cpu to meta"):
            torch.zeros(3).to("meta")
