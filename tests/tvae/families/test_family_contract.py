"""What every transformation family promises, checked for each that the registry finds.

The trainer, the objective and the evaluation rely on these promises and on nothing else of a
family: two arms of one seed see the same transformations, saved parameters replay on other images,
and a second view that is declared exact is the inverse.
"""

from __future__ import annotations

import json

import pytest
import torch

from tvae.families.affine import Affine
from tvae.families.compose import Composition
from tvae.families.crop import Crop
from tvae.families.rotation import Rotation
from tvae.families.superpixel import Superpixel
from tvae.registry import families

COMPOSITIONS = {
    "rotation, affine": Composition([Rotation(), Affine()]),
    "crop, affine": Composition([Crop(), Affine()]),
    "rotation, superpixel, crop": Composition([Rotation(), Superpixel(), Crop()]),
    "composition, rotation": Composition([Composition([Affine(), Rotation()]), Rotation()]),
}
SPECIFIED = {
    "none": "exact",
    "rotation": "exact",
    "crop": "assumed",
    "rotation_crop": "assumed",
    "affine": "exact",
    "superpixel": "none",
}


@pytest.fixture(params=[*families.names(), *COMPOSITIONS])
def family(request):
    return COMPOSITIONS.get(request.param) or families.make(request.param)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def equal(p, q) -> bool:
    return p.keys() == q.keys() and all(torch.equal(p[name], q[name]) for name in p)


def test_the_specified_families_are_found_and_declare_their_inverse():
    assert {name: families.get(name).inverse for name in SPECIFIED} == SPECIFIED
    assert [name for name in SPECIFIED if not families.get(name).has_views] == ["none"]


def test_parameters_are_one_number_per_image(family):
    drawn = family.draw(7, generator())
    for record in (drawn, family.targets(drawn), family.invert(drawn)):
        for name, values in record.items():
            assert values.shape == (7,), name
            assert values.is_floating_point(), name
            assert values.isfinite().all(), name
    json.dumps({name: values.tolist() for name, values in drawn.items()})


def test_same_generator_state_same_draw_and_views(family, real):
    x_1, x_2, parameters = family.views(real, generator(5))
    again_1, again_2, again = family.views(real, generator(5))
    assert equal(parameters, again)
    assert equal(parameters, family.draw(len(real), generator(5)))
    assert torch.equal(x_1, again_1)
    assert torch.equal(x_2, again_2)
    if family.has_views:
        assert not equal(parameters, family.draw(len(real), generator(6)))
        assert not torch.allclose(x_1, real, atol=0.01)
        assert not torch.allclose(x_1, x_2, atol=0.01)


def test_views_are_f_and_its_inverse(family, real):
    x_1, x_2, parameters = family.views(real, generator())
    torch.testing.assert_close(x_1, family.apply(real, parameters), rtol=0, atol=1e-6)
    second = family.apply(real, family.invert(parameters))
    torch.testing.assert_close(x_2, second, rtol=0, atol=1e-6)


def test_invert_is_an_involution(family):
    drawn = family.draw(50, generator())
    assert equal(family.invert(family.invert(drawn)), drawn)


def test_images_keep_shape_type_and_range_and_the_input_is_left_alone(family, real):
    for images in (real, torch.ones_like(real), real.double(), real.expand(-1, 3, -1, -1)):
        before = images.clone()
        x_1, x_2, _ = family.views(images, generator(1))
        assert torch.equal(images, before)
        for view in (x_1, x_2):
            assert view.shape == images.shape
            assert view.dtype == images.dtype
            assert view.min() >= 0
            assert view.max() <= 1


def test_a_batch_is_its_images_one_by_one(family, real):
    images = real[::4]
    parameters = family.draw(len(images), generator())
    batch = family.apply(images, parameters)
    single = [
        family.apply(images[i : i + 1], {name: v[i : i + 1] for name, v in parameters.items()})
        for i in range(len(images))
    ]
    torch.testing.assert_close(batch, torch.cat(single), rtol=0, atol=1e-6)


def test_a_batch_may_mix_transformations_and_inverses(family, real):
    images = real[:20]
    f = family.draw(20, generator())
    inverse = family.invert(f)
    rows = torch.arange(20) % 3 == 0
    mixed = {name: torch.where(rows, f[name], inverse[name]) for name in f}
    expected = torch.where(
        rows[:, None, None, None], family.apply(images, f), family.apply(images, inverse)
    )
    torch.testing.assert_close(family.apply(images, mixed), expected, rtol=0, atol=1e-6)


def test_an_exact_inverse_undoes_the_transformation(family, smooth):
    if family.inverse != "exact":
        pytest.skip("declares no exact inverse")
    parameters = family.draw(len(smooth), generator(2))
    for f in (parameters, family.invert(parameters)):
        moved = family.apply(smooth, f)
        back = family.apply(moved, family.invert(f))
        # Two bilinear resamplings of a blob of sigma 3 lower its curvature, not its place.
        interior = (..., slice(12, 36), slice(12, 36))
        assert (back - smooth)[interior].abs().mean() < 0.01
        if family.has_views:
            assert (moved - smooth)[interior].abs().mean() > 0.02


def test_an_unknown_option_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="max_angle"):
        families.make("rotation", max_angel=30)
