"""What every transformation family promises.

The trainer, the objective and the evaluation rely on these promises and on nothing else of a
family: two arms of one seed see the same transformations, saved parameters replay on other images,
and a second view that is declared exact is the inverse.

Legend: `B` batch, `C` channels, `H`, `W` height and width of an image with values in [0, 1].
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from tvae import data, registry
from tvae.families.base import Parameters, TransformationFamily
from tvae.testing.contract import Contract, devices, label


@cache
def real_images(n: int = 200) -> Tensor:
    """`n` test images, half digits, half clothes: B 1 28 28, in [0, 1]."""
    parts = [
        data.load(name).test.images[: n // 2] for name in ("mnist_small", "fashion_mnist_small")
    ]
    return torch.cat([torch.tensor(part) for part in parts])[:, None].float() / 255


@cache
def smooth_images(n: int = 16) -> Tensor:
    """`n` images B 1 48 48 in float64, each three wide blobs away from the border.

    Gaussian, of standard deviation 3 pixels: resampling loses little of them.
    """
    generator = torch.Generator().manual_seed(3)
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    centres = 18 + 12 * torch.rand(n, 3, 2, 1, 1, generator=generator)
    squares = (y - centres[:, :, 0]) ** 2 + (x - centres[:, :, 1]) ** 2
    return (torch.exp(-squares / (2 * 3.0**2)).sum(1, keepdim=True) / 3).double()


class FamilyContract(Contract):
    """The laws of a family of image transformations.

    Attributes:
        ranges: parameter -> (lowest, highest) value that `draw` may give; those it names are
            checked, and that draws come near both ends.
    """

    registry = registry.families
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Run what asks for a `family` with each of the options."""
        if "family" in metafunc.fixturenames:
            families = [self.make(options) for options in self.options]
            metafunc.parametrize("family", families, ids=[*map(label, self.options)])

    def make(self, options: Mapping[str, Any]) -> TransformationFamily:
        """The family with these options."""
        made: TransformationFamily = self.owner()(**options)
        return made

    def test_the_inverse_is_declared(self, family: TransformationFamily) -> None:
        """``exact``, ``assumed`` or ``none``."""
        assert family.inverse in ("exact", "assumed", "none")

    def test_parameters_are_one_number_per_image(self, family: TransformationFamily) -> None:
        """Floats, finite, that JSON can hold."""
        drawn = family.draw(7, generator())
        for record in (drawn, family.targets(drawn), family.invert(drawn)):
            for name, values in record.items():
                assert values.shape == (7,), name
                assert values.is_floating_point(), name
                assert values.isfinite().all(), name
        json.dumps({name: values.tolist() for name, values in drawn.items()})

    def test_parameters_keep_to_their_ranges(self, family: TransformationFamily) -> None:
        """Those that `ranges` names, and 4,000 draws come within 2 % of both ends."""
        if not self.ranges:
            pytest.skip("name the parameters' ranges to have them checked")
        drawn = family.draw(4000, generator(8))
        for name, (low, high) in self.ranges.items():
            values = drawn[name]
            assert values.min() >= low - 1e-6 * abs(low), name
            assert values.max() <= high + 1e-6 * abs(high), name
            spread = float(values.max() - values.min()) / (high - low)
            self.measured(f"range of {name} that is drawn", spread, 0.96, lower=True)

    def test_same_generator_state_same_draw_and_views(self, family: TransformationFamily) -> None:
        """Two arms of one seed see the same transformations; another seed sees others."""
        real, state = real_images(), torch.random.get_rng_state()
        x_1, x_2, parameters = family.views(real, generator(5))
        again_1, again_2, again = family.views(real, generator(5))
        assert equal(parameters, again)
        assert equal(parameters, family.draw(len(real), generator(5)))
        assert torch.equal(x_1, again_1)
        assert torch.equal(x_2, again_2)
        assert torch.equal(torch.random.get_rng_state(), state), "global random numbers were drawn"
        if family.has_views:
            assert not equal(parameters, family.draw(len(real), generator(6)))
            assert not torch.allclose(x_1, real, atol=0.01)
            assert not torch.allclose(x_1, x_2, atol=0.01)

    def test_views_are_f_and_its_inverse(self, family: TransformationFamily) -> None:
        """x_1 = f(x), x_2 = f^-1(x)."""
        real = real_images()
        x_1, x_2, parameters = family.views(real, generator())
        first = (x_1 - family.apply(real, parameters)).abs().max()
        second = (x_2 - family.apply(real, family.invert(parameters))).abs().max()
        self.measured("views are f and f^-1", max(float(first), float(second)), 1e-6)

    def test_invert_is_an_involution(self, family: TransformationFamily) -> None:
        """To the bit."""
        drawn = family.draw(50, generator())
        assert equal(family.invert(family.invert(drawn)), drawn)

    def test_images_keep_shape_type_and_range(self, family: TransformationFamily) -> None:
        """And the input is left alone; black, white, double, coloured, oblong and small, too."""
        real = real_images()
        for images in (
            real,
            torch.ones_like(real),
            torch.zeros_like(real),
            real.double(),
            real.expand(-1, 3, -1, -1),
            real[:, :, 4:],  # not square
            real[:20, :, 10:18, 10:18],  # as small as may be
        ):
            before = images.clone()
            x_1, x_2, _ = family.views(images, generator(1))
            assert torch.equal(images, before), "the input was changed in place"
            for view in (x_1, x_2):
                assert view.shape == images.shape
                assert view.dtype == images.dtype
                assert view.min() >= 0
                assert view.max() <= 1

    def test_device(self, family: TransformationFamily) -> None:
        """Views are where the images are, whatever the generator's device."""
        for device in devices():
            images = real_images()[:4].to(device)
            x_1, x_2, parameters = family.views(images, generator())
            assert x_1.device.type == x_2.device.type == device.type
            assert all(values.device.type == "cpu" for values in parameters.values())

    def test_a_batch_is_its_images_one_by_one(self, family: TransformationFamily) -> None:
        """Two images of a batch share the work, never the result."""
        images = real_images()[::4]
        parameters = family.draw(len(images), generator())
        batch = family.apply(images, parameters)
        single = [
            family.apply(images[i : i + 1], {name: v[i : i + 1] for name, v in parameters.items()})
            for i in range(len(images))
        ]
        error = float((batch - torch.cat(single)).abs().max())
        self.measured("a batch is its images", error, 1e-6)

    def test_a_batch_may_mix_transformations_and_inverses(
        self, family: TransformationFamily
    ) -> None:
        """Row by row."""
        images = real_images()[:20]
        f = family.draw(20, generator())
        inverse = family.invert(f)
        rows = torch.arange(20) % 3 == 0
        mixed = {name: torch.where(rows, f[name], inverse[name]) for name in f}
        expected = torch.where(
            rows[:, None, None, None], family.apply(images, f), family.apply(images, inverse)
        )
        error = float((family.apply(images, mixed) - expected).abs().max())
        self.measured("mixed batches", error, 1e-6)

    def test_an_exact_inverse_undoes_the_transformation(self, family: TransformationFamily) -> None:
        """Inside of the image; two resamplings of a blob lower its curvature, not its place."""
        if family.inverse != "exact":
            pytest.skip("declares no exact inverse")
        smooth = smooth_images()
        parameters = family.draw(len(smooth), generator(2))
        interior = (..., slice(12, 36), slice(12, 36))
        for f in (parameters, family.invert(parameters)):
            moved = family.apply(smooth, f)
            back = family.apply(moved, family.invert(f))
            error = float((back - smooth)[interior].abs().mean())
            self.measured("inverse, interior, grey values", error, 0.01)
            if family.has_views:
                change = float((moved - smooth)[interior].abs().mean())
                self.measured("what f changes there", change, 0.01, lower=True)


def generator(seed: int = 0) -> torch.Generator:
    """On the CPU, in the state of that seed."""
    return torch.Generator().manual_seed(seed)


def equal(p: Parameters, q: Parameters) -> bool:
    """To the bit."""
    return p.keys() == q.keys() and all(torch.equal(p[name], q[name]) for name in p)
