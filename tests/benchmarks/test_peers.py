"""A training step, and two views of a batch, against how others make them.

What is equal is checked before anything is timed: loss and gradients of one batch with one noise,
the pixels of the views. Each side then pays all that its user pays for a step: picking the batch,
its views, the objective, the optimiser, what is written down. Loops have processes of their own,
since a trial of ours is started with what the executor sets and a script of one's own is not.

pythae is no dependency of ours. ``pip install --no-deps --target /tmp/pythae pythae==0.1.2`` and
``PYTHONPATH=/tmp/pythae`` leave the environment as it is.
"""

from __future__ import annotations

import atexit
import io
import shutil
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as torchvision

import tvae
from bench.execute.local import MALLOC
from tests.benchmarks.apart import Benchmark, race, serve
from tests.benchmarks.test_layers import CONFIG, plain
from tests.benchmarks.test_likelihood import in_pythae
from tests.benchmarks.turns import CONTROL
from tests.benchmarks.turns import race as in_turns
from tvae import data
from tvae.families.base import Parameters, TransformationFamily
from tvae.models.base import Model, Terms, Views
from tvae.registry import families
from tvae.streams import Streams
from tvae.trainer import State, Training, batch, fit

SIZE = 100
"""Images of a batch."""

STEPS, FEW = 20, 5
"""Steps of one turn: against pythae, whose loop cannot be left before the end of an epoch; else."""

STARTS, ROUNDS = 6, 4

SERVE = ("-m", "tests.benchmarks.test_peers")


@pytest.fixture(scope="module")
def images() -> Tensor:
    """See `read`."""
    return read()


def read() -> Tensor:
    """Real images, N 1 28 28 bytes."""
    torch.set_num_threads(1)
    return torch.tensor(data.load("mnist_small").train.images).unsqueeze(1)


def ours(model: Model, images: Tensor, family: TransformationFamily, steps: int):
    """Takes `steps` steps of our loop, with a point of the curves at the last."""
    training = Training(steps=100_000, batch_size=SIZE, record_every=steps)
    records = fit(State.start(model, 0), images, family, training)
    return lambda: next(records)


def check_equal(ours: Model, terms: Terms, theirs: Model, loss: Tensor) -> None:
    """One loss and, parameter by parameter, one gradient."""
    torch.testing.assert_close(terms["loss"], loss, rtol=1e-5, atol=0)
    expected = torch.autograd.grad(terms["loss"], list(ours.parameters()))
    got = torch.autograd.grad(loss, list(theirs.parameters()))
    for a, b in zip(got, expected, strict=True):
        assert (a - b).norm() <= 1e-4 * b.norm()


# --- pythae -------------------------------------------------------------------------------------


def pythaes(inner: Model, images: Tensor) -> Callable[[], object]:
    """An epoch of pythae's own loop, without what it does between two epochs."""
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    folder = tempfile.mkdtemp(prefix="pythae.")
    atexit.register(shutil.rmtree, folder)
    config = BaseTrainerConfig(
        output_dir=folder, per_device_train_batch_size=SIZE, learning_rate=1e-3
    )
    dataset = BaseDataset(images.float() / 255, torch.zeros(len(images)))
    trainer = BaseTrainer(in_pythae(inner), dataset, training_config=config)
    trainer.prepare_training()

    def epoch() -> None:
        with redirect_stderr(io.StringIO()):  # of its bar
            trainer.train_step(1)

    return epoch


def vae() -> Model:
    """The VAE that both train."""
    return tvae.build({"name": "autoencoder", "latent_dim": 10, "prior": "kl"}, seed=0)


def test_pythae(benchmark, images):
    """The VAE, with our networks as torch's layers write them, and with ours as they are."""
    pytest.importorskip(
        "pythae.trainers", reason="pip install --no-deps --target /tmp/pythae pythae==0.1.2"
    )
    model = vae()
    bare = plain(model)
    x = images[:SIZE].float() / 255
    peer = in_pythae(bare)
    noise = Streams(0)
    peer._sample_gauss = lambda mean, std: (mean + std * noise.normal("posterior/0", mean), None)
    check_equal(model, model.objective(x, None, Streams(0)), bare, peer({"data": x}).loss)

    contestants = {
        "ours": (SERVE, MALLOC, "VAE"),
        CONTROL: (SERVE, MALLOC, "VAE"),
        "pythae, torch's layers": (SERVE, {}, "VAE, pythae, torch's layers"),
        "pythae, our layers": (SERVE, {}, "VAE, pythae, our layers"),
    }
    race(
        benchmark,
        contestants,
        STARTS,
        ROUNDS,
        title=f"a step of the VAE, batch {SIZE}",
        count=STEPS,
    )


# --- the loop that one would write --------------------------------------------------------------


def view(image: Any, parameters: Parameters, index: int, number: int) -> Any:
    """One view of one image by torchvision: turned and cropped in one resampling.

    The window of side s about (x, y) is the image enlarged by 1/s and moved by -(x, y) / s.
    """
    angle = float(parameters["0.angle"][index]) * (1 if number == 1 else -1)
    scale, x, y = (float(parameters[f"1.{name}_{number}"][index]) for name in ("scale", "x", "y"))
    side = image.shape[-1] if isinstance(image, Tensor) else image.width
    shift = [-side * x / scale, -side * y / scale]
    return torchvision.affine(
        image, -angle, shift, 1 / scale, [0.0, 0.0], interpolation=InterpolationMode.BILINEAR
    )


class Transformed(Dataset):
    """Images with two views each, made one by one, as a ``transform`` does."""

    def __init__(self, images: Tensor, family: TransformationFamily) -> None:
        self.images, self.family, self.noise = images, family, torch.Generator().manual_seed(0)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        x = self.images[index].float() / 255
        drawn = self.family.draw(1, self.noise)
        return x, view(x, drawn, 0, 1), view(x, drawn, 0, 2)


def loop(model: Model, images: Tensor, family: TransformationFamily) -> Callable[[], object]:
    """A step of the loop that one would write, with the objective given."""
    loader = DataLoader(Transformed(images, family), SIZE, shuffle=True, drop_last=True)
    optimizer, streams = torch.optim.Adam(model.parameters(), lr=1e-3), Streams(0)
    batches = (each for _ in iter(int, 1) for each in loader)

    def step() -> float:
        x, x_1, x_2 = next(batches)
        loss = model.objective(x, Views(x_1, x_2), streams)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def test_eager(benchmark, images):
    """T_VAE, with torch's layers in their layout, DataLoader, torchvision and Adam as they come."""
    family = families.make("rotation_crop")
    model = tvae.build(CONFIG, seed=0)
    bare = plain(model)

    x, views = batch(images, torch.arange(SIZE), family, True, Streams(0))
    drawn = family.draw(SIZE, Streams(0)("views"))
    theirs = [torch.stack([view(one, drawn, i, n) for i, one in enumerate(x)]) for n in (1, 2)]
    terms = model.objective(x, views, Streams(0))
    check_equal(model, terms, bare, bare.objective(x, Views(*theirs), Streams(0))["loss"])

    contestants = {
        "ours": (SERVE, MALLOC, "T_VAE"),
        CONTROL: (SERVE, MALLOC, "T_VAE"),
        "ours, without what the executor sets": (SERVE, {}, "T_VAE"),
        "eager": (SERVE, {}, "T_VAE, eager"),
    }
    race(benchmark, contestants, STARTS, ROUNDS, title=f"a step of T_VAE, batch {SIZE}", count=FEW)


# --- views --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rotation", "rotation_crop"])
def test_views(benchmark, images, name):
    """Two views of each image of a batch, drawn and made, by torchvision from tensors and PIL's."""
    family = families.make(name)
    x = images[:SIZE].float() / 255
    pictures = [torchvision.to_pil_image(one) for one in images[:SIZE]]

    def turned(image: Any, parameters: Parameters, index: int, number: int) -> Any:
        angle = float(parameters["angle"][index]) * (1 if number == 1 else -1)
        return torchvision.rotate(image, angle, interpolation=InterpolationMode.BILINEAR)

    one_by_one = turned if name == "rotation" else view

    def tensors(noise: torch.Generator) -> list[Tensor]:
        drawn = family.draw(SIZE, noise)
        return [
            torch.stack([one_by_one(one, drawn, i, n) for i, one in enumerate(x)]) for n in (1, 2)
        ]

    def pil(noise: torch.Generator) -> list[Tensor]:
        drawn = family.draw(SIZE, noise)
        return [
            torch.stack([torchvision.to_tensor(one_by_one(one, drawn, i, n))
                         for i, one in enumerate(pictures)])
            for n in (1, 2)
        ]  # fmt: skip

    def batched(noise: torch.Generator) -> tuple[Tensor, ...]:
        return family.views(x, noise)[:2]

    expected = batched(Streams(0)("views"))
    for got, wanted in zip(tensors(Streams(0)("views")), expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-3)
    for got, wanted in zip(pil(Streams(0)("views")), expected, strict=True):
        # it rounds to bytes, and fades a border of a pixel out by a rule of its own
        assert float((got - wanted).abs().mean()) < 5e-3

    def making(how: Callable[[torch.Generator], object]) -> Callable[[], object]:
        noise = Streams(1)("views")
        return lambda: how(noise)

    others = {
        CONTROL: making(batched),
        "torchvision, tensors": making(tensors),
        "torchvision, PIL": making(pil),
    }
    title = f"two views of an image by {name}, {SIZE} at once"
    in_turns(benchmark, making(batched), others, 20, title=title, count=SIZE)


# --- in a process of its own --------------------------------------------------------------------


def several(step: Callable[[], object]) -> Benchmark:
    """`FEW` steps."""
    return lambda: [step() for _ in range(FEW)]


CONTESTANTS: dict[str, Callable[[], Benchmark]] = {
    "VAE": lambda: ours(vae(), read()[: STEPS * SIZE], families.make("none"), STEPS),
    "VAE, pythae, torch's layers": lambda: pythaes(plain(vae()), read()[: STEPS * SIZE]),
    "VAE, pythae, our layers": lambda: pythaes(vae(), read()[: STEPS * SIZE]),
    "T_VAE": lambda: ours(tvae.build(CONFIG, 0), read(), families.make("rotation_crop"), FEW),
    "T_VAE, eager": lambda: several(
        loop(plain(tvae.build(CONFIG, 0)), read(), families.make("rotation_crop"))
    ),
}

if __name__ == "__main__":
    serve(CONTESTANTS)
