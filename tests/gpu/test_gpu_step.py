"""A training step on a GPU is that of a CPU up to rounding, of the same draws, and repeats exactly.

What is plugged in may compute otherwise on a GPU: a sum in another order, the exponential by other
products. So everything is tried, in a step of a model small enough for rounding to stay small, and
a run that was resumed is compared bit for bit.
"""

from __future__ import annotations

import pytest
import torch

import tvae
from tvae import checkpoint, registry
from tvae.trainer import State, Training, batch, fit

B, D, SEED = 16, 8, 5
IMAGES = torch.randint(
    0, 256, (70, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
TVAE = {"name": "tvae", "latent_dim": D, "hidden": 32, "latent_transform": "matrix",
        "coherence": "kl", "prior": "mmd", "T_dim": 2}  # fmt: skip

LOSS, GRADIENT, VIEWS = 1e-4, 1e-2, 1e-4
"""Relative differences of the loss, of each parameter's gradient by its norm, and of pixels that
may differ. In float32 a step of this size rounds to about 1e-6; ReLUs that flip weigh more."""


def state_on(device, config=TVAE) -> State:
    return State.start(tvae.build(config, SEED).to(device), SEED)


def one_step(device, config=TVAE, family="rotation"):
    """(views, terms, gradients) on the CPU, of the first step."""
    state = state_on(device, config)
    family = registry.families.build(family)
    x, views = batch(IMAGES.to(device), torch.arange(B), family, True, state.streams)
    terms = state.model.objective(x, views if state.model.uses_views else None, state.streams)
    terms["loss"].backward()
    gradients = {n: p.grad.cpu() for n, p in state.model.named_parameters() if p.grad is not None}
    seen = torch.stack([view.cpu() for view in views.images]) if views else torch.empty(0)
    return seen, {name: float(value.detach()) for name, value in terms.items()}, gradients


def check_step(device, config=TVAE, family="rotation") -> None:
    views, terms, gradients = one_step(device, config, family)
    seen, expected, known = one_step(torch.device("cpu"), config, family)
    assert int(((views - seen).abs() > VIEWS).sum()) <= 1e-3 * seen.numel()
    for name, value in expected.items():
        scale = max(abs(value), 1e-2 * abs(expected["loss"]))
        assert abs(terms[name] - value) < LOSS * scale, name
    assert gradients.keys() == known.keys()
    largest = max(float(gradient.norm()) for gradient in known.values())
    for name, gradient in known.items():
        scale = max(float(gradient.norm()), 1e-3 * largest)
        assert float((gradients[name] - gradient).norm()) < GRADIENT * scale, name


@pytest.mark.parametrize("form", registry.latent_transforms.names())
def test_a_step_of_every_form(device, form):
    check_step(device, {**TVAE, "latent_transform": form, "view_reconstruction": True})


@pytest.mark.parametrize("divergence", registry.divergences.names())
def test_a_step_of_every_divergence(device, divergence):
    try:
        registry.divergences.get(divergence)
    except registry.BrokenPlugin as error:
        pytest.skip(str(error))
    check_step(device, {**TVAE, "coherence": divergence, "prior": divergence})


@pytest.mark.parametrize("family", registry.families.names())
def test_a_step_of_every_family(device, family):
    check_step(device, family=family)


@pytest.mark.parametrize("likelihood", registry.likelihoods.names())
@pytest.mark.parametrize("network", registry.networks.names())
def test_a_step_of_every_network_and_likelihood(device, network, likelihood):
    check_step(device, {**TVAE, "network": network, "likelihood": likelihood})


def test_draws_are_those_of_the_cpu(device):
    state, other = state_on(device), state_on(torch.device("cpu"))
    for like in (torch.empty(3, 2), torch.empty(100, 100), torch.empty(5, dtype=torch.float64)):
        ours = state.streams.normal("prior", like.to(device))
        assert ours.device.type == device.type
        assert torch.equal(ours.cpu(), other.streams.normal("prior", like))


def run(device, checkpoint_=None, folder=None, ahead=None, config=TVAE, family="superpixel"):
    """(final tensors on the CPU, records without their times)."""
    state = state_on(device, config)
    if checkpoint_ is not None:
        state.load(*checkpoint_)
    training = Training(9, B, record_every=4, checkpoint_every=3)
    images, family = IMAGES.to(device), registry.families.build(family)

    def save(state: State) -> None:
        if folder is not None:
            checkpoint.save_state(folder, state.step, *state.tensors())

    records = list(fit(state, images, family, training, save=save, ahead=ahead))
    for record in records:
        del record["seconds"]
    return {name: tensor.cpu() for name, tensor in state.tensors()[0].items()}, records


def check_equal(one, other) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


RUNS = {
    "matrix": TVAE,
    "sliced": {**TVAE, "latent_transform": "additive", "coherence": "sliced_wasserstein"},
    "resnet": {**TVAE, "network": {"name": "resnet", "width": 4}, "latent_transform": "coupling"},
    "vae": {"name": "autoencoder", "latent_dim": D, "prior": "kl", "views": True},
}


@pytest.mark.parametrize("config", RUNS.values(), ids=RUNS)
def test_resuming_changes_no_bit_and_neither_does_the_thread(device, config, tmp_path):
    weights, records = run(device, folder=tmp_path, config=config)
    check_equal(run(device, config=config, ahead=False)[0], weights)
    for path in sorted(tmp_path.glob("step-*")):
        tensors, meta = checkpoint.read_state(path)
        again, rest = run(device, (tensors, meta), config=config)
        check_equal(again, weights)
        assert rest == [record for record in records if record["step"] > meta["step"]]


@pytest.mark.parametrize("family", ["rotation", "superpixel", "affnist", "elastic"])
@pytest.mark.parametrize("form", ["additive", "matrix", "matrix_z", "householder"])
def test_no_step_waits_for_the_gpu(device, form, family):
    """As CUDA itself sees it: in its debug mode whatever waits raises, which a record does."""
    if device.type != "cuda":
        pytest.skip("a CPU has nothing to wait for")
    state = state_on(device, {**TVAE, "latent_transform": form})
    family = registry.families.build(family)
    loop = fit(state, IMAGES.to(device), family, Training(8, B, record_every=4))
    next(loop)  # what is set up once may wait
    try:
        torch.cuda.set_sync_debug_mode("error")
        with pytest.raises(RuntimeError, match="synchroniz"):
            next(loop)
    finally:
        torch.cuda.set_sync_debug_mode("default")
        loop.close()
    assert state.step == 8
