"""What every likelihood promises.

A model hands it a decoder's numbers and adds up what comes back. That it sums over pixels is what
makes a model of small images and one of large ones the same kind of thing, and that it is least
where its mean is the image is what makes a decoder learn images.

Legend: `B` batch, `C` channels, `H`, `W` height and width, `K` numbers of every pixel and channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from tvae import registry
from tvae.likelihoods.base import Likelihood
from tvae.shapes import GREY_28, ImageShape
from tvae.testing.contract import Contract, Law, devices, json_data, label

SHAPES = (ImageShape(1, 1, 1), ImageShape(3, 5, 7), GREY_28)
"""Of the images that it is tried on."""

EXTREMES = (-50.0, 0.0, 50.0)
"""Numbers of a decoder at which nothing may overflow in float32."""


class LikelihoodContract(Contract):
    """The promises of a likelihood p(x|z).

    Attributes:
        shapes: of images.
        batch: B.
    """

    registry = registry.likelihoods
    shapes: ClassVar[Sequence[ImageShape]] = SHAPES
    batch: ClassVar[int] = 4

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Run what asks for `settings` with each of the options, and for `shape` at each."""
        if "settings" in metafunc.fixturenames:
            metafunc.parametrize("settings", self.options, ids=label)
        if "shape" in metafunc.fixturenames:
            ids = [str(shape).replace(" ", "") for shape in self.shapes]
            metafunc.parametrize("shape", self.shapes, ids=ids)

    def make(self, settings: Mapping[str, Any]) -> Likelihood:
        """The likelihood in float64."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            made: Likelihood = self.owner()(**settings)
        return made.double()

    def truth(self, likelihood: Likelihood, parameters: Tensor, x: Tensor) -> Tensor | None:
        """-log p of every pixel and channel, B C H W, by other means; None: there are none.

        To be overridden, with a distribution of torch or scipy: the one independent truth that only
        the plugin's author can write.

        Args:
            likelihood: with the options under test, in float64.
            parameters: B K C H W, of a decoder.
            x: B C H W in [0, 1]; bytes, 0 and 1 are among them.
        """
        return None

    def batch_of(self, likelihood: Likelihood, shape: ImageShape) -> tuple[Tensor, Tensor]:
        """(parameters B (K C) H W, images B C H W) in float64: noise; images are bytes / 255."""
        generator = torch.Generator().manual_seed(0)
        channels, *size = shape
        numbers = (self.batch, likelihood.outputs * channels, *size)
        parameters = 2 * torch.randn(numbers, generator=generator, dtype=torch.float64)
        x = torch.randint(256, (self.batch, *shape), generator=generator).double() / 255
        # ends are where likelihoods of grey values need care
        x[0], x[1] = 0, 1
        return parameters, x

    def test_options_are_plain_data(self, settings: Mapping[str, Any]) -> None:
        """JSON can hold them: a checkpoint and a training key do."""
        json_data(self.owner(), settings)

    def test_it_says_how_many_numbers_it_asks_for(self, settings: Mapping[str, Any]) -> None:
        """K, at least 1."""
        assert isinstance(self.make(settings).outputs, int)
        assert self.make(settings).outputs >= 1

    def test_an_image_has_a_value_and_a_mean(
        self, settings: Mapping[str, Any], shape: ImageShape
    ) -> None:
        """B nats, finite; means B C H W in [0, 1]; of the parameters' type, where they are."""
        for device, dtype in product(devices(), (torch.float32, torch.float64)):
            likelihood = self.make(settings).to(device, dtype)
            parameters, x = (t.to(device, dtype) for t in self.batch_of(likelihood, shape))
            nll, mean = likelihood.nll(parameters, x), likelihood.mean(parameters)
            assert nll.shape == (self.batch,)
            assert nll.isfinite().all()
            assert mean.shape == x.shape
            assert ((mean >= 0) & (mean <= 1)).all(), "means are grey values in [0, 1]"
            for out in (nll, mean):
                assert out.device.type == device.type
                assert out.dtype == dtype
            assert likelihood.nll(parameters[:0], x[:0]).shape == (0,)

    def test_it_is_the_independent_truth(
        self, settings: Mapping[str, Any], shape: ImageShape
    ) -> None:
        """As `truth` says it, per image in nats."""
        likelihood = self.make(settings)
        parameters, x = self.batch_of(likelihood, shape)
        split = parameters.unflatten(1, (likelihood.outputs, shape.channels))
        expected = self.truth(likelihood, split, x)
        if expected is None:
            pytest.skip("override `truth` to have it compared")
        assert expected.shape == x.shape, "of every pixel and channel"
        error = likelihood.nll(parameters, x).detach() - expected.flatten(1).sum(1)
        scale = _largest(expected.flatten(1).abs().sum(1))
        self.measured("against an independent truth", _largest(error) / scale, 1e-6)

    def test_it_is_a_sum_over_pixels_and_channels(
        self, settings: Mapping[str, Any], shape: ImageShape
    ) -> None:
        """A batch is its images; two images side by side add up; so do the channels of one.

        The first C of the parameters' channels are the first of the K numbers, and so on.
        """
        likelihood = self.make(settings)
        parameters, x = self.batch_of(likelihood, shape)
        with torch.no_grad():
            nll = likelihood.nll(parameters, x)
            pairs = [*zip(parameters.split(1), x.split(1), strict=True)]
            single = torch.cat([likelihood.nll(p, one) for p, one in pairs])
            (p_1, p_2), (x_1, x_2) = parameters[:2].split(1), x[:2].split(1)
            beside = likelihood.nll(torch.cat([p_1, p_2], 3), torch.cat([x_1, x_2], 3))
            split = parameters.unflatten(1, (likelihood.outputs, shape.channels))
            channels = sum(likelihood.nll(split[:, :, c], x[:, c : c + 1]) for c in range(shape[0]))
        scale = float(nll.abs().max())
        self.hold(
            [
                Law("a batch is its images", _largest(nll - single) / scale, 1e-10),
                Law("two images side by side", _largest(nll[:2].sum() - beside) / scale, 1e-10),
                Law("channels one by one", _largest(nll - channels) / scale, 1e-10),
            ]
        )

    def test_the_gradient_is_that_of_the_value(self, settings: Mapping[str, Any]) -> None:
        """Against finite differences, and it reaches each of the K numbers and what is learned."""
        likelihood = self.make(settings)
        shape = ImageShape(2, 2, 2)
        parameters, x = self.batch_of(likelihood, shape)
        parameters.requires_grad_()
        assert torch.autograd.gradcheck(lambda p: likelihood.nll(p, x), (parameters,))
        likelihood.nll(parameters, x).sum().backward()
        assert parameters.grad is not None
        for k, number in enumerate(parameters.grad.unflatten(1, (-1, 2)).unbind(1)):
            assert number.abs().max() > 0, f"number {k} of {likelihood.outputs} gets no gradient"
        for name, parameter in likelihood.named_parameters():
            assert parameter.grad is not None, f"{name} gets no gradient"
            assert parameter.grad.abs().max() > 0, f"{name} gets no gradient"

    def test_extreme_parameters_are_survived(self, settings: Mapping[str, Any]) -> None:
        """Every combination of -50, 0 and 50, in float32, of black, grey and white pixels.

        Value, mean and gradients are finite: one bad batch must not end a training.
        """
        likelihood = self.make(settings).float()
        # the corners of what K numbers can be, or of a part where there are too many
        corners = torch.tensor([*product(EXTREMES, repeat=min(likelihood.outputs, 6))])
        extra = corners[:, :1].expand(-1, likelihood.outputs - corners.shape[1])
        corners = torch.cat([corners, extra], 1)
        grey = torch.tensor([0.0, 0.5, 1.0]).repeat_interleave(len(corners))
        parameters = corners.repeat(3, 1)[:, :, None, None].requires_grad_()
        nll = likelihood.nll(parameters, grey[:, None, None, None])
        nll.sum().backward()
        mean = likelihood.mean(parameters)
        assert parameters.grad is not None
        for name, found in (("value", nll), ("mean", mean), ("gradient", parameters.grad)):
            wrong = ~found.reshape(len(grey), -1).isfinite().all(1)
            at = [*zip(parameters[wrong].flatten(1).tolist(), grey[wrong].tolist(), strict=True)]
            assert not at, f"the {name} is not finite at (parameters, pixel) {at[:3]}"
        assert ((mean >= 0) & (mean <= 1)).all()

    def test_float32_is_enough(self, settings: Mapping[str, Any], shape: ImageShape) -> None:
        """Trainings are in float32: the same nats as in float64, relative to the largest."""
        likelihood = self.make(settings)
        with torch.no_grad():
            parameters, x = self.batch_of(likelihood, shape)
            exact = likelihood.nll(parameters, x)
            found = likelihood.float().nll(parameters.float(), x.float())
        self.measured("float32", _largest(found - exact) / _largest(exact), 1e-4)

    def test_it_is_least_where_the_mean_is_the_image(self, settings: Mapping[str, Any]) -> None:
        """Of 20,000 random parameters of a pixel the best have its grey value for a mean."""
        likelihood = self.make(settings)
        generator = torch.Generator().manual_seed(2)
        size = (20_000, likelihood.outputs, 1, 1)
        tried = 16 * torch.rand(size, generator=generator, dtype=torch.float64) - 8
        worst = 0.0
        with torch.no_grad():
            means = likelihood.mean(tried).flatten()
            for grey in (0.0, 0.1, 0.3, 0.5, 0.8, 1.0):
                nll = likelihood.nll(tried, torch.full_like(tried[:, :1], grey))
                worst = max(worst, abs(float(means[nll.argmin()]) - grey))
        self.measured("mean at the least, grey values", worst, 0.02)


def _largest(x: Tensor) -> float:
    return float(x.abs().max())
