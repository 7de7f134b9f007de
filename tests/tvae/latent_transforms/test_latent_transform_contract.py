"""The contract of `tvae.testing` for each form that the registry finds, and what is said of ours.

A form that is added is tested by being there; options worth testing are added here.
"""

from __future__ import annotations

import pytest
import torch

from tvae.registry import latent_transforms
from tvae.testing import LatentTransformContract
from tvae.testing.latent_transforms import relative

OPTIONS = {
    "matrix": (
        {},
        {"skew": True},
        {"block": 1},
        {"block": 2},
        {"block": 2, "skew": True},
        {"block": 5, "skew": True},
    ),
    "matrix_z": ({}, {"sides": "left"}),
    "lie_basis": ({}, {"generators": 1}),
    "householder": ({}, {"pairs": 3}),
    "coupling": ({}, {"parameters": 3}),
}
for _name in latent_transforms.names():
    _title = f"Test{_name.title().replace('_', '')}"
    _own = {"plugin": _name, "options": OPTIONS.get(_name, ({},)), "__module__": __name__}
    globals()[_title] = type(_title, (LatentTransformContract,), _own)


class TestRowMatrixZ(LatentTransformContract):
    """A z that is one row: T acts from the right alone."""

    plugin = "matrix_z"
    options = ({"shape": (1, 10)},)


def test_the_specified_forms_are_found():
    specified = {"additive", "matrix", "matrix_z", "matrix_free", "so2", "affine", "lie_basis"}
    assert specified | {"coupling", "householder", "mlp"} <= set(latent_transforms.names())


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
        ("so2", {}, {"norm", "abelian", "closed"}),
        ("affine", {}, set()),
        ("lie_basis", {}, set()),
        ("lie_basis", {"generators": 1}, {"abelian", "closed"}),
        ("coupling", {}, set()),
        ("householder", {}, {"norm"}),
    ],
)
def test_claims_are_those_of_the_group(name, options, claims):
    """Shifts and plane rotations commute and are closed; general linear maps do not commute."""
    assert latent_transforms.make(name, 10, **options).claims == claims | {"inverse", "identity"}


def test_the_negative_control_claims_nothing():
    assert latent_transforms.make("mlp", 10).claims == frozenset()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("additive", {}),
        ("matrix", {}),
        ("matrix", {"block": 2, "skew": True}),
        ("matrix_z", {}),
        ("so2", {}),
        ("affine", {}),
        ("lie_basis", {}),
        ("householder", {}),
    ],
)
def test_scale_gives_powers(name, options):
    """T^(1/2) twice is T; of matrix_free, I + A/2 lies between I and I + A and is no root."""
    torch.manual_seed(0)
    form = latent_transforms.make(name, 10, **options).double()
    z = torch.randn(7, 10, dtype=torch.float64)
    t = form.identity().to(z) + 0.2 * torch.randn(7, form.parameter_size, dtype=torch.float64)
    half = form.scale(t, 0.5)
    assert relative(form(form(z, half), half), form(z, t)) < 1e-10


@pytest.mark.parametrize(
    ("name", "options", "unused"),
    [
        ("additive", {}, 0),
        ("matrix", {}, 0),
        ("matrix", {"skew": True}, 4),  # the diagonal of a skew-symmetric matrix
        ("matrix", {"block": 2, "skew": True}, 4),  # two angles, written as four numbers each
        ("matrix_z", {}, 0),
        ("matrix_free", {}, 0),
        ("so2", {}, 0),
        ("affine", {}, 0),
        ("lie_basis", {}, 0),
        ("coupling", {}, 0),
        ("householder", {}, 2),  # the lengths of the two vectors
        ("mlp", {}, 0),
    ],
)
def test_every_number_of_T_that_is_used_learns_at_the_identity(name, options, unused):
    torch.manual_seed(0)
    form = latent_transforms.make(name, 4, **options).double()
    z, weights = torch.randn(2, 7, 4, dtype=torch.float64)
    t = form.identity().to(z).expand(7, -1).clone().requires_grad_()
    (form(z, t) * weights).sum().backward()
    assert int((t.grad.abs().amax(0) < 1e-9).sum()) == unused


@pytest.mark.parametrize("name", latent_transforms.names())
def test_an_unknown_option_is_refused(name):
    with pytest.raises(ValueError, match="unknown option of the latent transform"):
        latent_transforms.make(name, 4, blok=2)
