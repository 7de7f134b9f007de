"""What every latent transform promises, measured for each that the registry finds.

A study compares forms of r(z, T) by what they can represent: a law that a form declares and does
not keep, or keeps only at one latent size, would be read as a property of the data. All laws are
measured in float64, so that a residual is a mistake and not rounding.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tvae.latent_transforms.base import CLAIMS, LatentTransform
from tvae.registry import latent_transforms

B = 7
DIMS = (1, 4, 10, 100)
OPTIONS = {
    "matrix": (
        {},
        {"skew": True},
        {"block": 1},
        {"block": 2},
        {"block": 2, "skew": True},
        {"block": 5, "skew": True},
    ),
    "matrix_z": ({}, {"sides": "left"}, {"sides": "both", "shape": "row"}),
}


def variants(name: str, dim: int) -> list[dict]:
    """The options of a form that fit the latent size."""
    fitting = [dict(o) for o in OPTIONS.get(name, ({},)) if dim % o.get("block", 1) == 0]
    return [{**o, "shape": (1, dim)} if o.get("shape") == "row" else o for o in fitting]


CASES = [
    pytest.param(name, dim, options, id=f"{name}-{dim}-{options or 'default'}")
    for name in latent_transforms.names()
    for dim in DIMS
    for options in variants(name, dim)
]
every_form = pytest.mark.parametrize(("name", "dim", "options"), CASES)
several_dimensions = pytest.mark.parametrize(
    ("name", "dim", "options"), [case for case in CASES if case.values[1] > 1]
)
small_forms = pytest.mark.parametrize(
    ("name", "dim", "options"), [case for case in CASES if case.values[1] == 4]
)


def make(name: str, dim: int, options: dict) -> LatentTransform:
    torch.manual_seed(0)  # of forms that have weights
    return latent_transforms.make(name, dim, **options).double()


def draw(form: LatentTransform, n: int = B, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """(z, S, T) in float64; a matrix of such entries has eigenvalues of about 1/2."""
    generator = torch.Generator().manual_seed(seed)
    scale = 0.5 / form.latent_dim**0.5
    z = torch.randn(n, form.latent_dim, generator=generator, dtype=torch.float64)
    s, t = scale * torch.randn(2, n, form.parameter_size, generator=generator, dtype=torch.float64)
    return z, s, t


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def residuals(form: LatentTransform) -> dict[str, float]:
    """Law -> how far it is from holding, relative to the lengths involved."""
    z, s, t = draw(form)
    identity = form.identity().to(z).expand(B, -1)
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


def test_the_specified_forms_are_found():
    assert {"additive", "matrix", "matrix_z", "matrix_free"} <= set(latent_transforms.names())


@every_form
def test_declared_laws_hold(name, dim, options):
    form = make(name, dim, options)
    assert form.claims <= CLAIMS
    assert {"inverse", "identity"} <= form.claims, "the objective relies on these two"
    laws = residuals(form)
    assert all(laws[claim] < 1e-10 for claim in form.claims), laws


@several_dimensions  # with one, numbers commute whatever the form
def test_laws_that_are_not_declared_fail(name, dim, options):
    """A claim left out is a statement too: a study picks forms by them."""
    form = make(name, dim, options)
    laws = residuals(form)
    assert all(laws[law] > 1e-3 for law in ("abelian", "norm") if law not in form.claims), laws
    if "closed" not in form.claims:
        _, s, t = draw(form)
        with pytest.raises(NotImplementedError, match="closed"):
            form.compose(s, t)


@pytest.mark.parametrize(
    ("name", "options", "claims"),
    [
        ("additive", {}, {"abelian", "closed"}),
        ("matrix", {}, set()),
        ("matrix", {"skew": True}, {"norm"}),
        ("matrix", {"block": 1}, {"abelian", "closed"}),
        ("matrix", {"block": 2}, set()),
        ("matrix", {"block": 2, "skew": True}, {"norm", "abelian", "closed"}),
        ("matrix_z", {}, set()),
        ("matrix_z", {"sides": "left"}, set()),
        ("matrix_free", {}, {"closed"}),
    ],
)
def test_claims_are_those_of_the_group(name, options, claims):
    """Shifts and plane rotations commute and are closed; general linear maps do not commute."""
    assert make(name, 10, options).claims == claims | {"inverse", "identity"}


@every_form
def test_shapes_and_types(name, dim, options):
    form = make(name, dim, options).float()
    assert form.parameter_size == torch.Size(form.parameter_shape).numel()
    assert form.identity().shape == (form.parameter_size,)
    z, _, t = (tensor.float() for tensor in draw(form))
    for out in (form(z, t), form.inverse(z, t)):
        assert out.shape == (B, dim)
        assert out.dtype == torch.float32


@every_form
def test_a_batch_is_its_samples_one_by_one(name, dim, options):
    """Two samples of a batch share the work, never the result."""
    form = make(name, dim, options)
    z, _, t = draw(form)
    t = t * torch.linspace(0.01, 3, B, dtype=t.dtype)[:, None]
    for act in (form, form.inverse):
        single = torch.cat([act(z[i : i + 1], t[i : i + 1]) for i in range(B)])
        torch.testing.assert_close(act(z, t), single, rtol=1e-9, atol=1e-11)


@every_form
def test_one_T_for_many_latents(name, dim, options):
    """An expanded T, as the pictures use it, has strides of 0."""
    form = make(name, dim, options)
    z, _, t = draw(form)
    one = t[:1].expand(B, -1)
    for act in (form, form.inverse):
        assert torch.equal(act(z, one), act(z, one.clone()))


@every_form
def test_scale_is_a_path_from_the_identity_to_T(name, dim, options):
    form = make(name, dim, options)
    z, _, t = draw(form)
    assert relative(form(z, form.scale(t, 0)), z) < 1e-12
    assert relative(form(z, form.scale(t, 1)), form(z, t)) < 1e-12
    half = form.scale(t, 0.5)
    straight = name == "matrix_free"  # I + A/2 lies between I and I + A and is no root of it
    assert straight or relative(form(form(z, half), half), form(z, t)) < 1e-10


@small_forms
def test_gradients(name, dim, options):
    form = make(name, dim, options)
    z, _, t = draw(form, n=2)
    inputs = z.requires_grad_(), t.requires_grad_()
    assert torch.autograd.gradcheck(form, inputs)
    assert torch.autograd.gradcheck(form.inverse, inputs)


@small_forms
def test_the_identity_does_not_stop_learning(name, dim, options):
    """T starts near the identity: there, too, its every used number must have a gradient."""
    form = make(name, dim, options)
    z, _, _ = draw(form)
    t = form.identity().to(z).expand(B, -1).clone().requires_grad_()
    generator = torch.Generator().manual_seed(1)
    form(z, t).mul(torch.randn(z.shape, generator=generator, dtype=z.dtype)).sum().backward()
    used = t.grad.abs().amax(0) > 1e-9
    unused = dim if options.get("skew") else 0  # the diagonal of a skew-symmetric matrix
    if options == {"block": 2, "skew": True}:
        unused = dim  # two blocks of one angle each, written as four numbers
    assert int((~used).sum()) == unused


@small_forms
def test_state_round_trip(name, dim, options):
    form = make(name, dim, options)
    torch.manual_seed(1)
    other = latent_transforms.make(name, dim, **options).double()
    other.load_state_dict(form.state_dict())
    z, _, t = draw(form)
    assert torch.equal(other(z, t), form(z, t))


@pytest.mark.parametrize("name", latent_transforms.names())
def test_bad_options_are_refused(name):
    for dim in (0, -3):
        with pytest.raises(ValueError, match="latent_dim must be at least 1"):
            latent_transforms.make(name, dim)
    with pytest.raises(ValueError, match="unknown option of the latent transform"):
        latent_transforms.make(name, 4, blok=2)
