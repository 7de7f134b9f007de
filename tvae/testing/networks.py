"""What every network promises.

A model asks a network for both halves and knows nothing of what is in them. Images of another shape
must be refused before anything is computed; an encoder that mixes the images of a batch would let
the second view see the first, and metrics depend on who stands beside whom.

Legend: `B` batch, `C` channels, `H`, `W` height and width, `D` latent size, `K` numbers that a
likelihood asks for, of every pixel and channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tvae import registry
from tvae.networks.base import Network
from tvae.shapes import GREY_28, ImageShape
from tvae.streams import Streams
from tvae.testing.contract import Contract, Law, devices, json_data, label

SHAPES = (
    ImageShape(1, 1, 1),
    ImageShape(3, 5, 7),
    ImageShape(1, 8, 8),
    ImageShape(3, 17, 24),
    GREY_28,
    ImageShape(3, 32, 32),
    ImageShape(1, 128, 96),
)
"""Grey and colour, odd and even, square and not, with sides from 1 to 128 pixels."""


class NetworkContract(Contract):
    """The promises of a network, at each of the shapes that it does not refuse.

    Attributes:
        shapes: of images; name others where it takes none of these.
        batch: B.
        dim: D.
    """

    registry = registry.networks
    shapes: ClassVar[Sequence[ImageShape]] = SHAPES
    batch: ClassVar[int] = 4
    dim: ClassVar[int] = 3

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Run what asks for `halves` with each of the options at each shape that can be had."""
        if "settings" in metafunc.fixturenames:
            metafunc.parametrize("settings", self.options, ids=label)
        if "halves" in metafunc.fixturenames:
            found = [
                Halves(self.make(options), shape, self.dim, self.batch, label(options))
                for options in self.options
                for shape in self.shapes
                if not self.make(options).refuses(shape)
            ]
            metafunc.parametrize("halves", found, ids=str)

    def make(self, settings: Mapping[str, Any]) -> Network:
        """The network with these options."""
        made: Network = self.owner()(**settings)
        return made

    def test_options_are_plain_data(self, settings: Mapping[str, Any]) -> None:
        """JSON can hold them: a checkpoint and a training key do."""
        json_data(self.owner(), settings)

    def test_it_says_in_words_what_it_refuses(self, settings: Mapping[str, Any]) -> None:
        """With the sizes of what it was given; and it takes some shape."""
        network, taken = self.make(settings), 0
        for shape in self.shapes:
            refused = network.refuses(shape)
            assert isinstance(refused, str), f"{shape}: refuses() must return words"
            if refused:
                assert str(shape) in refused, f"{refused!r} does not say that it was {shape}"
                assert " " in refused.replace(str(shape), "").strip(), f"{refused!r} is no reason"
            taken += not refused
        assert taken, "it takes none of the shapes that were tried: name one that it takes"

    def test_moments_and_parameters_have_their_shapes(self, halves: Halves) -> None:
        """(mean, logvar), each B D, and B (K C) H W for K = 1 and 2; finite, where the images are.

        Of every size that it says the encoder reads, that which it was built for among them; the
        images are left alone.
        """
        sizes = halves.network.reads(halves.shape)
        assert halves.shape in sizes, f"its encoder does not read {halves.shape}"
        for device in devices():
            encoder = halves.encoder().to(device)
            for size in sizes:
                x = halves.images(size).to(device)
                before = x.clone()
                moments = encoder(x)
                assert isinstance(moments, tuple), "an encoder gives (mean, logvar)"
                assert len(moments) == 2, "an encoder gives (mean, logvar)"
                for moment in moments:
                    assert moment.shape == (self.batch, self.dim)
                    assert moment.device.type == device.type
                    assert moment.isfinite().all()
                assert torch.equal(x, before), "the images were changed in place"
            channels, height, width = halves.shape
            for k in (1, 2):
                parameters = halves.decoder(k).to(device)(halves.latents().to(device))
                assert parameters.shape == (self.batch, k * channels, height, width)
                assert parameters.device.type == device.type
                assert parameters.isfinite().all()

    def test_no_image_of_a_batch_sees_another(self, halves: Halves) -> None:
        """A batch is its images one by one, while it trains: no normalisation over it, no dropout.

        Both halves in float64; relative to the largest number.
        """
        encoder, decoder = halves.encoder().train(), halves.decoder().train()
        laws = []
        with torch.no_grad():
            x, z = halves.images(), halves.latents()
            batch = torch.cat(encoder(x), 1)
            single = torch.cat([torch.cat(encoder(one), 1) for one in x.split(1)])
            laws.append(Law("encoded one by one", _difference(batch, single), 1e-10))
            single = torch.cat([decoder(one) for one in z.split(1)])
            laws.append(Law("decoded one by one", _difference(decoder(z), single), 1e-10))
        self.hold(laws)

    def test_gradients_reach_every_parameter(self, halves: Halves) -> None:
        """Finite, of both halves; at the start or after one step, as a layer may start at 0.

        At one seed of a few: of a narrow layer all may be dead by chance.
        """
        for name in ("encoder", "decoder"):
            reached: dict[str, float] = {}
            for seed in range(5):
                for key, norm in self.gradients(halves, name, seed).items():
                    reached[key] = max(norm, reached.get(key, 0.0))
                if all(reached.values()):
                    break
            assert reached, f"the {name} has no parameters"
            least = min(reached, key=lambda key: reached[key])
            assert reached[least] > 0, f"{name}.{least} gets no gradient"
            self.measured(f"least gradient of a layer, {name}", reached[least], 1e-12, lower=True)

    def gradients(self, halves: Halves, name: str, seed: int) -> dict[str, float]:
        """Parameter of a half -> norm of its gradient, the larger of two steps."""
        half: nn.Module = getattr(halves, name)(seed=seed)
        reached = dict.fromkeys(dict(half.named_parameters()), 0.0)
        for _ in range(2):
            half.zero_grad()
            out = (
                half(halves.latents()) if name == "decoder" else torch.cat(half(halves.images()), 1)
            )
            if out.requires_grad:
                (out * halves.noise(*out.shape)).sum().backward()
            for key, parameter in half.named_parameters():
                if parameter.grad is not None:
                    assert parameter.grad.isfinite().all(), f"{name}.{key}"
                    reached[key] = max(reached[key], float(parameter.grad.norm()))
                    with torch.no_grad():
                        parameter.sub_(1e-3 * parameter.grad.sign())
        return reached

    def test_what_comes_out_depends_on_what_goes_in(self, halves: Halves) -> None:
        """Moments of different images differ, and so do images of different latents."""
        with torch.no_grad():
            mean, _ = halves.encoder()(halves.images())
            pixels = halves.decoder()(halves.latents())
        for out in (mean, pixels.flatten(1)):
            assert (out[1:] - out[:-1]).abs().amax(1).gt(0).all()

    def test_a_seed_fixes_the_weights(self, halves: Halves) -> None:
        """Bit for bit, drawn from torch's own generator; another seed gives others."""
        for half in (halves.encoder, halves.decoder):
            first = half().state_dict()
            torch.rand(5)
            again, other = half().state_dict(), half(seed=1).state_dict()
            assert first.keys() == again.keys() == other.keys()
            for name, weight in again.items():
                assert torch.equal(weight, first[name]), name
            assert any(not torch.equal(weight, first[name]) for name, weight in other.items()), (
                "another seed gives the same weights"
            )


class Halves:
    """Both halves for images of one shape, and what goes into them, in float64.

    Attributes:
        network: whose they are.
        shape: of the images.
    """

    def __init__(
        self, network: Network, shape: ImageShape, latent_dim: int, batch: int, options: str
    ) -> None:
        self.network, self.shape = network, shape
        self._dim, self._batch, self._options = latent_dim, batch, options

    def __str__(self) -> str:
        return f"{str(self.shape).replace(' ', '')},{self._options}"

    def encoder(self, seed: int = 0) -> nn.Module:
        """From images to moments, as a model of that seed starts."""
        with Streams(seed).initialising("encoder"):
            return self.network.encoder(self.shape, self._dim).double()

    def decoder(self, k: int = 1, seed: int = 0) -> nn.Module:
        """From latents to K numbers of every pixel and channel, likewise."""
        with Streams(seed).initialising("decoder"):
            return self.network.decoder(self.shape, self._dim, k * self.shape.channels).double()

    def images(self, shape: ImageShape | None = None) -> Tensor:
        """B C H W: noise in [0, 1], which is as good as digits for laws that hold of any image."""
        shape = self.shape if shape is None else shape
        generator = torch.Generator().manual_seed(0)
        return torch.rand(self._batch, *shape, generator=generator, dtype=torch.float64)

    def latents(self) -> Tensor:
        """B D, standard normal."""
        return self.noise(self._batch, self._dim)

    def noise(self, *size: int) -> Tensor:
        """Standard normal, the same for the same size."""
        generator = torch.Generator().manual_seed(1)
        return torch.randn(*size, generator=generator, dtype=torch.float64)


def _difference(a: Tensor, b: Tensor) -> float:
    """The largest, over the largest number of `a`."""
    return float((a - b).abs().max() / a.abs().max())
