"""The importance-weighted likelihood against pythae's ``get_nll``, the same estimator.

Both get one model of ours with the same weights. pythae encodes an image again for every batch of
its samples and keeps gradients unless told otherwise; here it is told. That both estimate the same
number is checked before anything is timed: from samples of their own, within four standard errors
of their difference.

pythae is no dependency of ours. ``pip install --no-deps --target /tmp/pythae pythae==0.1.2`` and
``PYTHONPATH=/tmp/pythae`` leave the environment as it is.
"""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tvae
from tvae import data
from tvae.evaluation.base import Context
from tvae.evaluation.likelihood import Likelihood, log_weights
from tvae.models.base import Model
from tvae.registry import families
from tvae.streams import Streams
from tvae.trainer import State, Training, fit

TILE = 500
"""Latents that pythae decodes at once, its best of 100 (its default), 500, 1000 and 4000."""


@pytest.fixture(scope="module")
def model() -> Model:
    """A VAE trained for a minute at most: of an untrained one all weights are alike."""
    torch.set_num_threads(1)
    built = tvae.build({"name": "autoencoder", "latent_dim": 10, "prior": "kl"}, seed=0)
    images = torch.tensor(data.load("mnist_small").train.images).unsqueeze(1)
    state = State.start(built, seed=0)
    for _ in fit(state, images, families.make("none"), Training(steps=300)):
        pass
    return built.eval()


@pytest.fixture(scope="module")
def x() -> Tensor:
    """Test images, 8 1 28 28."""
    return torch.from_numpy(data.load("mnist_small").test.images[::250])[:, None].float() / 255


def in_pythae(model: Model):
    """The same encoder and decoder behind pythae's interface."""
    models = pytest.importorskip(
        "pythae.models", reason="pip install --no-deps --target /tmp/pythae pythae==0.1.2"
    )
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.inner = model

        def forward(self, x):
            mean, logvar = self.inner.encode(x)
            return ModelOutput(embedding=mean, log_covariance=logvar)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.inner = model

        def forward(self, z):
            return ModelOutput(reconstruction=self.inner.generate(z))

    config = models.VAEConfig(
        input_dim=(1, 28, 28), latent_dim=model.latent_dim, reconstruction_loss="bce"
    )
    return models.VAE(config, Encoder(), Decoder()).eval()


@torch.no_grad()
def theirs(peer, x: Tensor, k: int, batch: int = TILE) -> float:
    # in spite of its name what it returns is the mean log evidence, below 0
    return -float(peer.get_nll(x, n_samples=k, batch_size=batch))


def ours(model: Model, x: Tensor, k: int) -> float:
    class Given(Context):
        def sample(self, n: int) -> Tensor:
            return x

    given = Given(model, families.make("none"), {}, "test", seed=0)
    return Likelihood(k=k, images=len(x))(given)[0].value


def check_equal(model: Model, peer, x: Tensor, k: int) -> None:
    """Within the standard error of log mean w, which is deviation(w) / (mean w sqrt k).

    An image at a time, so that no image's error hides in the mean over all of them.
    """
    for image in x.split(1):
        log_w = torch.cat(list(log_weights(model, image, k, Streams(1))), 1).numpy()
        w = np.exp(log_w - log_w.max())
        error = w.std() / w.mean() / np.sqrt(k)
        assert error < 0.2, "too few samples to tell anything"
        torch.manual_seed(0)
        assert abs(ours(model, image, k) - theirs(peer, image, k)) < 4 * np.sqrt(2) * error


@pytest.mark.parametrize("k", [1000, 5000])
def test_against_pythae(benchmark, model, x, k):
    peer = in_pythae(model)
    check_equal(model, peer, x, 5000)
    slow: list[float] = []

    def setup() -> None:
        started = time.process_time()
        theirs(peer, x, k)
        slow.append(time.process_time() - started)

    fast: list[float] = []

    def once() -> None:
        started = time.process_time()
        ours(model, x, k)
        fast.append(time.process_time() - started)

    benchmark.pedantic(once, setup=setup, rounds=3)
    ratio = min(slow) / min(fast)
    benchmark.extra_info["times faster"] = round(ratio, 2)
    print(
        f"\nk = {k}, {len(x)} images: {1e6 * min(fast) / k / len(x):.0f} us a sample, pythae "
        f"{1e6 * min(slow) / k / len(x):.0f}: {ratio:.2f} times as fast as get_nll"
    )
    assert ratio > 1


MEMORY = """
import resource, sys
import numpy as np, torch, tvae
from tvae.data import Dataset, Split
from tvae.evaluation.base import Context
from tvae.evaluation.likelihood import Likelihood
from tvae.registry import families

torch.set_num_threads(1)
k, n = int(sys.argv[1]), int(sys.argv[2])
images = np.random.default_rng(0).integers(0, 256, (n, 28, 28), dtype=np.uint8)
split = Split(images, np.zeros(n, np.int64))
model = tvae.build({"name": "autoencoder", "latent_dim": 10, "prior": "kl"}, 0).eval()
decode = model.log_likelihood
# decoding would take hours: now and then is enough for its memory
calls = iter(range(10**9))
model.log_likelihood = lambda z, x: (
    decode(z, x) if next(calls) % 200 == 0 else -z.square().sum(1) - x.flatten(1).sum(1)
)
context = Context(model, families.make("none"), {"x": Dataset("x", split, split, split, "")},
                  "test", 0)
Likelihood(k, n)(context)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_memory(benchmark):
    """MiB at its peak, of ten times the images and of ten times the samples."""

    def peak(k: int, n: int) -> float:
        command = [sys.executable, "-c", MEMORY, str(k), str(n)]
        return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)

    base = benchmark.pedantic(peak, (500, 1000), rounds=1)
    images, samples = peak(500, 10_000), peak(5000, 1000)
    print(f"\npeak {base:.0f} MiB; ten times the images {images:.0f}, the samples {samples:.0f}")
    # 9,000 images more are 7 MB of bytes and 28 MB of floats
    assert images - base < 100
    assert samples - base < 30
