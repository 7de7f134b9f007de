"""What every form of r(z, T) promises.

A study compares forms by what they can represent: a law that a form declares and does not keep, or
keeps only at one latent size, would be read as a property of the data. All laws are measured in
float64, so that a residual is a mistake and not rounding.

Legend: `B` batch, `D` latent size, `P` size of T.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar, NamedTuple

import pytest
import torch
from torch import Tensor

from tvae import registry
from tvae.latent_transforms.base import CLAIMS, LatentTransform
from tvae.testing.contract import Contract, Law, devices, label

EXACT = 1e-10
"""Largest residual of a law that holds, relative to the lengths involved."""

BROKEN = 1e-3
"""Smallest residual of a law that is not claimed: a claim left out is a statement, too."""


class Case(NamedTuple):
    """A form at a latent size."""

    dim: int
    options: Mapping[str, Any]

    def __str__(self) -> str:
        return f"D={self.dim},{label(self.options)}"


class LatentTransformContract(Contract):
    """The laws of a form of r(z, T).

    Attributes:
        dims: latent sizes D; those that the constructor refuses are left out, and must not be all.
        batch: B.
    """

    registry = registry.latent_transforms
    dims: ClassVar[Sequence[int]] = (1, 4, 10, 100)
    batch: ClassVar[int] = 7

    @classmethod
    def cases(cls, smallest: int = 1) -> list[Case]:
        """Every latent size from `smallest` on with all the options that fit it.

        Options that fit none of `dims` are tried at the smallest sizes that they do fit.
        """
        fitting = []
        for options in cls.options:
            dims = [dim for dim in cls.dims if cls.fits(dim, options)]
            others = (dim for dim in range(2, 33) if not dims and cls.fits(dim, options))
            dims += islice(others, 2)
            fitting += [Case(dim, options) for dim in dims if dim >= smallest]
        return fitting

    @classmethod
    def fits(cls, dim: int, options: Mapping[str, Any]) -> bool:
        """Whether the form takes these options at this latent size."""
        try:
            with torch.device("meta"):
                cls.owner()(dim, **options)
        except ValueError:
            return False
        return True

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Run what asks for a `case` at each, for a `large` one at each of D > 1, and a `small`."""
        for fixture, smallest in (("case", 1), ("large", 2), ("small", 2)):
            if fixture in metafunc.fixturenames:
                cases = self.cases(smallest) or self.cases()
                if fixture == "small" and cases:
                    cases = [case for case in cases if case.dim == min(c.dim for c in cases)]
                metafunc.parametrize(fixture, cases, ids=str)

    def make(self, case: Case) -> LatentTransform:
        """The form in float64; one that has weights always has the same."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            made: LatentTransform = self.owner()(case.dim, **case.options)
        return made.double()

    def draw(
        self, form: LatentTransform, n: int | None = None, seed: int = 0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(z, S, T) in float64, S and T around T_id.

        A matrix of such entries has eigenvalues of about 1/2.
        """
        n = self.batch if n is None else n
        generator = torch.Generator().manual_seed(seed)
        size = 0.5 / form.latent_dim**0.5
        z = torch.randn(n, form.latent_dim, generator=generator, dtype=torch.float64)
        noise = torch.randn(2, n, form.parameter_size, generator=generator, dtype=torch.float64)
        s, t = form.identity().to(z) + size * noise
        return z, s, t

    def residuals(self, form: LatentTransform) -> dict[str, float]:
        """Law -> how far it is from holding, relative to the lengths involved."""
        z, s, t = self.draw(form)
        identity = form.identity().to(z).expand(len(z), -1)
        laws = {
            "inverse": max(
                relative(form.inverse(form(z, t), t), z), relative(form(form.inverse(z, t), t), z)
            ),
            "identity": max(relative(form(z, identity), z), relative(form.inverse(z, identity), z)),
            "abelian": relative(form(form(z, s), t), form(form(z, t), s)),
            "norm": relative(form(z, t).norm(dim=1), z.norm(dim=1)),
        }
        if "closed" in form.claims:
            laws["closed"] = relative(form(z, form.compose(s, t)), form(form(z, s), t))
        return laws

    def test_it_takes_one_of_the_latent_sizes(self) -> None:
        """Or nothing else here would be tested; says why it does not."""
        for options in self.options:
            if not any(case.options == options for case in self.cases()):
                self.owner()(max(self.dims), **options)

    def test_claimed_laws_hold(self, case: Case) -> None:
        """Each of the form's `claims`."""
        form = self.make(case)
        assert form.claims <= CLAIMS, f"{sorted(form.claims - CLAIMS)} is no law"
        laws = self.residuals(form)
        self.hold([Law(claim, laws[claim], EXACT) for claim in sorted(form.claims)])

    def test_laws_that_are_not_claimed_fail(self, large: Case) -> None:
        """A study picks forms by their claims; at D = 1 numbers commute whatever the form."""
        form = self.make(large)
        laws = self.residuals(form)
        unclaimed = sorted(laws.keys() - form.claims)
        self.hold([Law(f"no {law}", laws[law], BROKEN, lower=True) for law in unclaimed])
        if "closed" not in form.claims:
            _, s, t = self.draw(form)
            with pytest.raises(NotImplementedError):
                form.compose(s, t)

    def test_shapes(self, case: Case) -> None:
        """T of `parameter_shape`, flat in a batch: B P; r(z, T) of B D, finite."""
        form = self.make(case)
        assert form.latent_dim == case.dim
        assert form.parameter_size == torch.Size(form.parameter_shape).numel() > 0
        assert form.identity().shape == (form.parameter_size,)
        z, _, t = self.draw(form)
        for out in (form(z, t), form.inverse(z, t)):
            assert out.shape == z.shape
            assert out.isfinite().all()
        for name, values in form.diagnostics(t).items():
            assert values.shape == (len(z),), f"diagnostics[{name!r}] must be one number a sample"

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    def test_type_and_device_are_those_of_z(self, case: Case, dtype: torch.dtype) -> None:
        """On the CPU and, where there is one, on the GPU."""
        for device in devices():
            form = self.make(case).to(device, dtype)
            z, _, t = (tensor.to(device, dtype) for tensor in self.draw(form))
            for out in (form(z, t), form.inverse(z, t), form.scale(t, 0.5)):
                assert out.dtype == dtype
                assert out.device.type == device.type

    def test_float32_is_enough(self, case: Case) -> None:
        """Models train in it: r(z, T) there is near what it is in float64."""
        form = self.make(case)
        z, _, t = self.draw(form)
        exact = form(z, t)
        rough = form.float()(z.float(), t.float()).double()
        self.measured("float32 against float64", relative(rough, exact), 1e-4)

    def test_a_batch_is_its_samples_one_by_one(self, case: Case) -> None:
        """Two samples of a batch share the work, never the result."""
        form = self.make(case)
        z, _, t = self.draw(form)
        identity = form.identity().to(t)
        t = identity + (t - identity) * torch.linspace(0.01, 3, len(t), dtype=t.dtype)[:, None]
        for act in (form, form.inverse):
            single = torch.cat([act(z[i : i + 1], t[i : i + 1]) for i in range(len(z))])
            self.measured("a batch is its samples", relative(act(z, t), single), 1e-9)

    def test_one_T_for_many_latents(self, case: Case) -> None:
        """An expanded T, as the pictures use it, has strides of 0."""
        form = self.make(case)
        z, _, t = self.draw(form)
        one = t[:1].expand(len(z), -1)
        for act in (form, form.inverse):
            assert torch.equal(act(z, one), act(z, one.clone()))

    def test_it_is_deterministic_and_leaves_its_arguments_alone(self, case: Case) -> None:
        """Twice the same, to the bit, without drawing random numbers."""
        form = self.make(case)
        z, _, t = self.draw(form)
        before, state = (z.clone(), t.clone()), torch.random.get_rng_state()
        for act in (form, form.inverse):
            assert torch.equal(act(z, t), act(z, t))
        assert torch.equal(z, before[0]), "z was changed in place"
        assert torch.equal(t, before[1]), "T was changed in place"
        assert torch.equal(torch.random.get_rng_state(), state), "random numbers were drawn"

    def test_scale_is_a_path_from_the_identity_to_T(self, case: Case) -> None:
        """T^0 is the identity, T^1 is T."""
        form = self.make(case)
        z, _, t = self.draw(form)
        start = form(z, form.identity().to(z).expand(len(z), -1))
        self.measured("T^0 = T_id", relative(form(z, form.scale(t, 0)), start), EXACT)
        self.measured("T^1 = T", relative(form(z, form.scale(t, 1)), form(z, t)), EXACT)

    def test_gradients(self, small: Case) -> None:
        """With respect to z and T, against finite differences (`torch.autograd.gradcheck`)."""
        form = self.make(small)
        z, _, t = self.draw(form, n=2)
        inputs = z.requires_grad_(), t.requires_grad_()
        assert torch.autograd.gradcheck(form, inputs)
        assert torch.autograd.gradcheck(form.inverse, inputs)

    def test_the_identity_does_not_stop_learning(self, small: Case) -> None:
        """T starts near the identity: there, too, r(z, T) must depend on it."""
        form = self.make(small)
        z, _, _ = self.draw(form)
        t = form.identity().to(z).expand(len(z), -1).clone().requires_grad_()
        generator = torch.Generator().manual_seed(1)
        form(z, t).mul(torch.randn(z.shape, generator=generator, dtype=z.dtype)).sum().backward()
        assert t.grad is not None
        assert t.grad.isfinite().all()
        gradient = float(t.grad.norm(dim=1).min() / z.norm(dim=1).max())
        self.measured("gradient at T_id", gradient, 1e-3, lower=True)

    def test_r_learns_what_it_has_to_learn(self, small: Case) -> None:
        """Every weight of the form itself, if it has any, gets a gradient."""
        form = self.make(small)
        z, _, t = self.draw(form)
        form(z.requires_grad_(), t).square().sum().backward()
        for name, weight in form.named_parameters():
            assert weight.grad is not None, f"{name} has no gradient"
            assert weight.grad.isfinite().all()
            assert weight.grad.abs().max() > 0, f"the gradient of {name} is 0"

    def test_extreme_T_in_float32(self, case: Case) -> None:
        """Within the form's `reach` of T_id nothing overflows."""
        form = self.make(case).float()
        generator = torch.Generator().manual_seed(0)
        z = torch.nn.functional.normalize(torch.randn(24, case.dim, generator=generator), dim=1)
        direction = torch.randn(24, form.parameter_size, generator=generator)
        direction[:8] = 0
        for i in range(8):  # along single numbers of T, both ways
            direction[i, torch.randint(form.parameter_size, (1,), generator=generator)] = (
                -1.0
            ) ** i
        t = form.identity() + form.reach * torch.nn.functional.normalize(direction, p=1, dim=1)
        outs = [form(z, t)]
        if "inverse" in form.claims:
            outs.append(form.inverse(z, t))
        lost = sum(int((~out.isfinite()).sum()) for out in outs)
        self.measured(f"overflows within {form.reach:g} of T_id, float32", lost, 0)

    def test_a_unit_of_T_moves_every_form_as_far(self, case: Case) -> None:
        """Within 10 %; by finite differences, without the form's own `unit`."""
        form = self.make(case)
        generator, a = torch.Generator().manual_seed(4), 1e-4
        z = torch.randn(512, form.latent_dim, generator=generator, dtype=torch.float64)
        e = torch.randn(512, form.parameter_size, generator=generator, dtype=torch.float64)
        identity = form.identity().to(z).expand(len(z), -1)
        with torch.no_grad():
            moved = form(z, identity + a * form.unit * e) - form(z, identity)
        far = float(moved.norm() / (a * z.norm()))
        if far:  # at D = 1 a rotation moves nothing
            self.measured("a unit of T moves z by |z|", abs(far - 1), 0.1)

    def test_state_round_trip(self, small: Case) -> None:
        """A form of other initial weights is the same form with this one's state."""
        form = self.make(small)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            other = self.owner()(small.dim, **small.options).double()
        other.load_state_dict(form.state_dict())
        z, _, t = self.draw(form)
        assert torch.equal(other(z, t), form(z, t))

    def test_bad_sizes_are_refused(self) -> None:
        """With a `ValueError` that says what is wrong."""
        for dim in (0, -3):
            with pytest.raises(ValueError, match="latent_dim"):
                self.owner()(dim)

    def test_the_first_argument_is_the_latent_size(self) -> None:
        """``latent_dim`` is what a study sets for all forms at once."""
        assert next(iter(registry.options_of(self.owner())), None) == "latent_dim"


def relative(found: Tensor, expected: Tensor) -> float:
    """|found - expected| / |expected|."""
    return float((found - expected).norm().detach() / expected.norm().detach())
