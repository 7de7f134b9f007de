"""What every divergence promises.

The objective calls a divergence in two places, as coherence and as prior, and knows nothing else of
it. Whether it ties z_1 to its own z and T decides what a study of latent transforms can show, and
its default weight whether kinds are compared at one strength, so what it declares is measured.

Legend: `B` batch, `D` latent size, `P` size of T.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from tvae import registry
from tvae.divergences.base import UNIT_SHIFT, Divergence, Side
from tvae.streams import Streams
from tvae.testing.contract import Contract, Law, devices, label

SIZES = (1.0, 10.0, 100.0, 1000.0)
"""Of T, next to z."""


class DivergenceContract(Contract):
    """The laws of a divergence between the inference and the generative side.

    Attributes:
        batch: B.
        dim: D.
    """

    registry = registry.divergences
    batch: ClassVar[int] = 64
    dim: ClassVar[int] = 3

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Run what asks for `settings` with each of the options."""
        if "settings" in metafunc.fixturenames:
            metafunc.parametrize("settings", self.options, ids=label)

    def make(self, settings: Mapping[str, Any]) -> Divergence:
        """The divergence in float64."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            made: Divergence = self.owner()(**settings)
        return made.double()

    def double_loop(
        self, divergence: Divergence, q: Side, p: Side, given: Mapping[str, Tensor] | None
    ) -> float | None:
        """The same estimate by plain loops over the samples; None: there is none to compare with.

        To be overridden: the one independent truth that only the plugin's author can write.
        """
        return None

    def sides(
        self, noise: float = 0.1, n: int | None = None, size: float = 1.0
    ) -> tuple[Side, Side, dict[str, Tensor]]:
        """(q, p, given) in float64: T moves z to r = z + T, and q's means lie `noise` from r.

        T is `size` times as large as z; both in units that make r's variance 1 at size 1.
        """
        generator = torch.Generator().manual_seed(0)
        shape = (self.batch if n is None else n, self.dim)
        z, t, error = torch.randn(3, *shape, generator=generator, dtype=torch.float64)
        t = size * t
        r = (z + t) / 2**0.5
        mean, logvar = r + noise * error, torch.full_like(r, -4.0)
        q = Side.gaussian(mean, logvar, torch.randn(shape, generator=generator, dtype=z.dtype))
        return q, Side(r), {"z": z, "T": t}

    def test_both_uses_give_a_scalar_with_gradients_to_both_sides(
        self, settings: Mapping[str, Any]
    ) -> None:
        """As coherence and as prior."""
        divergence = self.make(settings)
        q, p, given = self.sides()
        assert q.mean is not None
        assert q.logvar is not None
        leaf = q.mean.detach().requires_grad_()
        target = p.sample.detach().requires_grad_()
        noise = torch.zeros_like(leaf)
        coherence = divergence(Side.gaussian(leaf, q.logvar, noise), Side(target), given)
        assert coherence.shape == ()
        coherence.backward()
        for side in (leaf, target):
            assert side.grad is not None
            assert (side.grad.abs().sum(1) > 0).all(), "a sample gets no gradient"

        leaf.grad = None
        pi = Side.standard_normal(leaf, Streams(0))
        prior = divergence(Side.gaussian(leaf, q.logvar, noise), pi)
        assert prior.shape == ()
        prior.backward()
        assert leaf.grad is not None
        assert (leaf.grad.abs().sum(1) > 0).all(), "a sample gets no gradient"

    def test_the_gradient_is_that_of_the_value(self, settings: Mapping[str, Any]) -> None:
        """Along random directions, against central differences.

        2 % of the largest possible slope: a solver's gradient is that of its limit, its value that
        of its last iterate.
        """
        divergence = self.make(settings)
        q, p, given = self.sides(n=12)
        assert q.mean is not None
        assert q.logvar is not None
        generator = torch.Generator().manual_seed(1)
        noise = (q.sample - q.mean) * torch.exp(-0.5 * q.logvar)

        def value(mean: Tensor, r: Tensor) -> Tensor:
            assert q.logvar is not None
            out: Tensor = divergence(Side.gaussian(mean, q.logvar, noise), Side(r), given)
            return out

        at = q.mean.clone().requires_grad_(), p.sample.clone().requires_grad_()
        gradients = torch.autograd.grad(value(*at), at)
        worst, h = 0.0, 1e-5
        for _ in range(4):
            along = [torch.randn(x.shape, generator=generator, dtype=x.dtype) for x in at]
            ahead, behind = (
                value(*(x.detach() + sign * h * d for x, d in zip(at, along, strict=True)))
                for sign in (1, -1)
            )
            slope = sum(float((g * d).sum()) for g, d in zip(gradients, along, strict=True))
            scale = sum(float(g.norm() * d.norm()) for g, d in zip(gradients, along, strict=True))
            worst = max(worst, abs(float_of(ahead - behind) / (2 * h) - slope) / scale)
        self.measured("gradient against finite differences", worst, 0.02)

    def test_zero_at_equality(self, settings: Mapping[str, Any]) -> None:
        """Two samples of one law, against the value one standard deviation apart."""
        divergence = self.make(settings)
        generator = torch.Generator().manual_seed(2)
        a, b = torch.randn(2, 512, self.dim, generator=generator, dtype=torch.float64)
        zeros = torch.zeros_like(a)

        def value(shift: float) -> float:
            return float_of(
                divergence(Side(a + shift, zeros + shift, zeros), Side(b, zeros, zeros))
            )

        self.measured("zero at equality", abs(value(0.0)) / abs(value(1.0)), 0.1)

    def test_positivity(self, settings: Mapping[str, Any]) -> None:
        """Different laws are apart; an unbiased estimate may fall below 0 for equal ones alone."""
        divergence = self.make(settings)
        values = [float_of(divergence(*self.sides(noise))) for noise in (4.0, 2.0)]
        self.measured("positivity, apart", min(values), 0.0, lower=True)

    def test_it_decreases_as_the_sides_meet(self, settings: Mapping[str, Any]) -> None:
        """From 4 standard deviations to 0.3."""
        divergence = self.make(settings)
        _, p, given = self.sides()
        values = [
            float_of(divergence(self.sides(noise)[0], p, given)) for noise in (4.0, 2.0, 1.0, 0.3)
        ]
        assert values == sorted(values, reverse=True), values

    def test_the_order_of_the_batch_plays_no_part(self, settings: Mapping[str, Any]) -> None:
        """Pairs that are permuted together give the same value."""
        divergence = self.make(settings)
        q, p, given = self.sides()
        order = torch.randperm(self.batch, generator=torch.Generator().manual_seed(3))
        before = float_of(divergence(q, p, given))
        moved = {name: values[order] for name, values in given.items()}
        after = float_of(divergence(permuted(q, order), Side(p.sample[order]), moved))
        self.measured("pairs permuted together", abs(after - before) / abs(before), 1e-9)

    def test_it_ties_pairs_where_it_says_so(self, settings: Mapping[str, Any]) -> None:
        """Other pairs cost a tenth of a nat or more, and nothing is below z_1 = r(z, T).

        Where it does not say so, other pairs cost nothing, or something is below.
        """
        divergence = self.make(settings)
        exact = {size: self.coherence(divergence, 0.0, False, size) for size in SIZES}
        others = [
            self.coherence(divergence, noise, shuffled, size)
            for size in SIZES
            for noise in (0.0, 0.1, 0.5)
            for shuffled in (False, True)
        ]
        change = self.coherence(divergence, 0.0, True) - exact[1]
        below = max(exact.values()) - min(others)
        if divergence.pairs:
            self.hold(
                [
                    Law("pairs: nats for other pairs", change, 0.1, lower=True),
                    Law("pairs: nats below z_1 = r(z, T)", below, 1e-9),
                    Law("pairs: descent enlarges what is given", self.pull(divergence), 1e-9),
                ]
            )
        elif below <= 1e-9:
            self.measured("no pairs: nats for other pairs", abs(change), 1 / self.batch)
        else:
            self.measured("no pairs: nats below z_1 = r(z, T)", below, 1e-9, lower=True)

    def pull(self, divergence: Divergence) -> float:
        """How fast the weighted value falls as T grows that is given, r(z, T) held fixed."""
        q, p, given = self.sides(0.5)
        size = torch.ones((), dtype=torch.float64, requires_grad=True)
        value = divergence(q, p, {**given, "T": size * given["T"]})
        if not value.requires_grad:
            return 0.0
        (slope,) = torch.autograd.grad(value, size, allow_unused=True)
        return 0.0 if slope is None else -divergence.default_weight(self.dim) * float_of(slope)

    def test_it_is_bounded_where_it_says_so(self, settings: Mapping[str, Any]) -> None:
        """As T grows, and r(z, T) and z_1 with it; one that is not falls by a nat and more."""
        divergence = self.make(settings)
        fall = max(
            self.coherence(divergence, noise, shuffled, SIZES[-2])
            - self.coherence(divergence, noise, shuffled, SIZES[-1])
            for noise in (0.0, 0.5)
            for shuffled in (False, True)
        )
        if divergence.bounded:
            self.measured("bounded: nats by which it falls as T grows", fall, UNIT_SHIFT / 2)
        else:
            self.measured("unbounded: nats by which it falls as T grows", fall, 1.0, lower=True)

    def coherence(
        self, divergence: Divergence, noise: float, shuffled: bool, size: float = 1.0
    ) -> float:
        """The weighted coherence, in nats, of z_1 that lies `noise` from r(z, T), T of a `size`.

        `shuffled`: z_1 of the next sample.
        """
        q, p, given = self.sides(noise, size=size)
        assert q.mean is not None
        q = Side(q.mean, q.mean, q.logvar)
        if shuffled:
            q = permuted(q, torch.roll(torch.arange(self.batch), 1))
        return divergence.default_weight(self.dim) * float_of(divergence(q, p, given))

    def test_double_loop(self, settings: Mapping[str, Any]) -> None:
        """Against `double_loop`, with and without something given."""
        divergence = self.make(settings)
        q, p, given = self.sides(n=9)
        for condition in (given, None):
            expected = self.double_loop(divergence, q, p, condition)
            if expected is None:
                pytest.skip("override double_loop to compare with an independent computation")
            error = abs(float_of(divergence(q, p, condition)) - expected) / abs(expected)
            self.measured("against a double loop", error, 1e-9)

    def test_equal_generators_give_equal_estimates(self, settings: Mapping[str, Any]) -> None:
        """And no other source of random numbers is used."""
        divergence = self.make(settings)
        sides, state = self.sides(), torch.random.get_rng_state()
        for made in (lambda: torch.Generator().manual_seed(5), lambda: None):
            assert float_of(divergence(*sides, made())) == float_of(divergence(*sides, made()))
        assert torch.equal(torch.random.get_rng_state(), state), "global random numbers were drawn"

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    def test_type_and_device_are_those_of_the_sides(
        self, settings: Mapping[str, Any], dtype: torch.dtype
    ) -> None:
        """On the CPU and, where there is one, on the GPU; finite for a batch of two."""
        for device in devices():
            divergence = self.make(settings).to(device, dtype)
            q, p, given = self.sides(n=2)
            q, p = (moved(side, device, dtype) for side in (q, p))
            shared = {name: values.to(device, dtype) for name, values in given.items()}
            value = divergence(q, p, shared)
            assert value.dtype == dtype
            assert value.device.type == device.type
            assert value.isfinite()

    def test_a_unit_shift_costs_what_it_costs_by_the_kl(self, settings: Mapping[str, Any]) -> None:
        """Kinds are compared at one strength: the declared `at_unit_shift` against a large batch.

        The mean over shifts along every axis, both ways, above what equal laws give: what a batch
        adds to either and what depends on the direction cancels.
        """
        divergence = self.make(settings)
        for dim in (self.dim, 4 * self.dim):
            generator = torch.Generator().manual_seed(4)
            u, v, z, t = torch.randn(4, 512, dim, generator=generator, dtype=torch.float64)
            zeros = torch.zeros_like(u)

            def value(shift: Tensor, u: Any = u, v: Any = v, zeros: Any = zeros, z: Any = z,
                      t: Any = t) -> float:  # fmt: skip
                q = Side(u + shift, zeros + shift, zeros)
                return float_of(divergence(q, Side(v, zeros, zeros), {"z": z, "T": t}))

            axes = torch.eye(dim, dtype=torch.float64)
            shifted = [value(shift) for shift in (*axes, *-axes)]
            cost = sum(shifted) / len(shifted) - value(0 * axes[0])
            weight = divergence.default_weight(dim)
            assert weight > 0
            self.measured(
                f"a unit shift in D = {dim}, off by", abs(weight * cost / UNIT_SHIFT - 1), 0.25
            )


def float_of(value: Tensor) -> float:
    """The number, of a divergence with weights, too."""
    return float(value.detach())


def permuted(side: Side, order: Tensor) -> Side:
    """The side with its rows in another order."""
    assert side.mean is not None
    assert side.logvar is not None
    return Side(side.sample[order], side.mean[order], side.logvar[order])


def moved(side: Side, device: torch.device, dtype: torch.dtype) -> Side:
    """The side on another device, in another type."""
    parts = (side.sample, side.mean, side.logvar)
    sample, mean, logvar = (None if part is None else part.to(device, dtype) for part in parts)
    assert sample is not None
    return Side(sample, mean, logvar)
