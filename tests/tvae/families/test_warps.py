"""Rotation, crop and affine maps against scipy, scikit-image and torch's own resizing.

A wrong sign or order here would not be noticed in training: the model would learn other
transformations than the report says.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage import transform
from torch.nn import functional

from tvae import registry
from tvae.families.affine import Affine
from tvae.families.compose import Composition
from tvae.families.crop import Crop
from tvae.families.rotation import Rotation
from tvae.families.rotation_crop import RotationCrop
from tvae.families.superpixel import Superpixel

MANY = 4000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def render(image: np.ndarray, forward: np.ndarray) -> np.ndarray:
    """scikit-image's rendering of pixel coordinates (x, y) moved by `forward`, 3 x 3."""
    return transform.warp(image, np.linalg.inv(forward), order=1, mode="constant", cval=0)


def about_centre(linear: np.ndarray, shift: tuple[float, float], side: int) -> np.ndarray:
    """The map in pixel coordinates: `linear` about the image's centre, then `shift` in pixels."""
    centre = (side - 1) / 2
    move = np.array([[1, 0, centre], [0, 1, centre], [0, 0, 1]], dtype=float)
    middle = np.eye(3)
    middle[:2, :2], middle[:2, 2] = linear, shift
    return move @ middle @ np.linalg.inv(move)


def counter_clockwise(degrees: float) -> np.ndarray:
    """As seen, so with y down: (1, 0), to the right, turns towards (0, -1), up."""
    a = math.radians(degrees)
    return np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]])


def test_rotation_is_scipys_in_size_and_sense(smooth):
    angles = torch.linspace(-180, 180, len(smooth), dtype=torch.float64)
    turned = Rotation(180).apply(smooth, {"angle": angles})
    for image, angle, ours in zip(smooth[:, 0], angles, turned[:, 0], strict=True):
        theirs = ndimage.rotate(image.numpy(), angle.item(), reshape=False, order=1)
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-6)


def test_a_quarter_turn_moves_right_to_the_top():
    image = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    image[0, 0, 2, 4] = 1
    turned = Rotation(90).apply(image, {"angle": torch.tensor([90.0], dtype=torch.float64)})
    assert turned[0, 0, 0, 2] == pytest.approx(1)


def test_rotation_draws_the_stated_range_and_targets():
    family = Rotation(30)
    drawn = family.draw(MANY, generator())
    assert drawn["angle"].abs().max() <= 30
    assert drawn["angle"].abs().max() > 29.5
    assert abs(drawn["angle"].mean()) < 4 * 30 / math.sqrt(3 * MANY)
    targets = family.targets(drawn)
    angles = torch.rad2deg(torch.atan2(targets["angle_sin"], targets["angle_cos"]))
    torch.testing.assert_close(angles, drawn["angle"], rtol=0, atol=1e-4)


def test_crop_is_the_window_resized(smooth):
    # a 32 x 32 window at row 4, column 14 of 48 x 48: its centre is at (30, 20) of (24, 24)
    tensor = {"scale_1": 32 / 48, "x_1": (30 - 24) / 48, "y_1": (20 - 24) / 48}
    parameters = {name: torch.full((len(smooth),), v).double() for name, v in tensor.items()}
    ours = Crop(0.5).apply(smooth, parameters)
    window = smooth[:, :, 4:36, 14:46]
    theirs = functional.interpolate(window, size=48, mode="bilinear", align_corners=False)
    interior = (..., slice(2, -2), slice(2, -2))  # interpolate does not see beyond the window
    torch.testing.assert_close(ours[interior], theirs[interior], rtol=0, atol=1e-6)


def test_windows_lie_inside_and_are_independent():
    drawn = Crop(0.7).draw(MANY, generator())
    for view in "12":
        scale = drawn[f"scale_{view}"]
        assert 0.7 <= scale.min() < 0.71
        assert 0.99 < scale.max() <= 1
        for axis in "xy":
            reach = drawn[f"{axis}_{view}"].abs() + scale / 2
            assert reach.max() <= 0.5 + 1e-6
            assert reach.max() > 0.499
    names = [f"{field}_{view}" for view in "12" for field in ("scale", "x", "y")]
    correlation = np.corrcoef(np.stack([drawn[name].numpy() for name in names]))
    assert np.abs(correlation - np.eye(6)).max() < 4 / math.sqrt(MANY)


def test_affine_is_the_stated_product(smooth):
    family = Affine(40, 0.5, 1.5, 0.15)
    drawn = {n: v.double() for n, v in family.draw(len(smooth), generator(4)).items()}
    ours = family.apply(smooth, drawn)
    inverse = family.apply(smooth, family.invert(drawn))
    for i in range(len(smooth)):
        p = {name: values[i].item() for name, values in drawn.items()}
        lean = np.array([[1, -p["shear"]], [0, 1]])  # up (y < 0) moves to the right
        linear = counter_clockwise(p["angle"]) @ lean @ np.diag([p["scale_x"], p["scale_y"]])
        forward = about_centre(linear, (48 * p["x"], 48 * p["y"]), 48)
        image = smooth[i, 0].numpy()
        np.testing.assert_allclose(ours[i, 0].numpy(), render(image, forward), atol=1e-6)
        back = render(image, np.linalg.inv(forward))
        np.testing.assert_allclose(inverse[i, 0].numpy(), back, atol=1e-6)


def test_affine_matrix_times_its_inverse_is_the_identity():
    family = Affine(180, 1, 3, 0.5)
    drawn = {n: v.double() for n, v in family.draw(MANY, generator()).items()}
    product = family.source(drawn) @ family.source(family.invert(drawn))
    identity = torch.eye(3, dtype=torch.float64).expand_as(product)
    torch.testing.assert_close(product, identity, rtol=0, atol=1e-12)


def test_affine_draws_the_stated_ranges_and_both_views_scale_alike():
    drawn = Affine(20, 0.2, 1.25, 0.1).draw(MANY, generator())
    bounds = {"angle": 20, "shear": 0.2, "x": 0.1, "y": 0.1}
    for name, bound in bounds.items():
        assert 0.99 * bound < drawn[name].abs().max() <= bound
    for name in ("scale_x", "scale_y"):
        logs = drawn[name].log() / math.log(1.25)
        assert 0.99 < logs.abs().max() <= 1 + 1e-6
        assert abs(logs.mean()) < 4 / math.sqrt(3 * MANY)
    targets = Affine().targets(drawn)
    assert set(targets) == {"angle_sin", "angle_cos", "shear", "scale_x", "scale_y", "x", "y"}


@pytest.mark.parametrize(
    "family",
    [Rotation(), Crop(), Affine(), RotationCrop()],
    ids=lambda family: type(family).__name__,
)
def test_saved_parameters_replay_the_same_map_on_other_images(family, smooth):
    """A map of the plane is linear in the image: f(a + b) = f(a) + f(b) tells replays apart."""
    parameters = family.draw(8, generator())
    a, b = smooth[:8] / 2, smooth[8:] / 2
    both = family.apply(a + b, parameters)
    parts = family.apply(a, parameters) + family.apply(b, parameters)
    torch.testing.assert_close(both, parts, rtol=0, atol=1e-9)


def test_a_composition_applies_first_to_last_and_inverts_last_to_first(smooth):
    rotation, affine = Rotation(), Affine()
    family = Composition([rotation, affine])
    drawn = family.draw(len(smooth), generator())
    turn = {"angle": drawn["0.angle"]}
    move = {n.removeprefix("1."): v for n, v in drawn.items() if n.startswith("1.")}
    by_hand = affine.apply(rotation.apply(smooth, turn), move)
    back_by_hand = rotation.apply(affine.apply(smooth, affine.invert(move)), rotation.invert(turn))
    wrong_order = rotation.apply(affine.apply(smooth, move), turn)
    ours = family.apply(smooth, drawn)
    back = family.apply(smooth, family.invert(drawn))
    # by hand is resampled twice
    assert (ours - by_hand).abs().mean() < 0.002
    assert (back - back_by_hand).abs().mean() < 0.002
    assert (ours - wrong_order).abs().mean() > 0.004


def test_a_run_of_warps_is_resampled_once(smooth):
    """Two half turns are a whole one: nothing may be blurred."""
    family = Composition([Rotation(180), Rotation(180)])
    half = torch.full((len(smooth),), 90.5)
    drawn = {"0.angle": half, "1.angle": -half, "reversed": torch.zeros_like(half)}
    torch.testing.assert_close(family.apply(smooth, drawn), smooth, rtol=0, atol=1e-5)


def test_a_composition_with_other_parts_runs_them_in_their_place(real):
    rotation, superpixel = Rotation(), Superpixel()
    family = Composition([superpixel, rotation])
    drawn = family.draw(len(real), generator())
    counts = {n.removeprefix("0."): v for n, v in drawn.items() if n.startswith("0.")}
    by_hand = rotation.apply(superpixel.apply(real, counts), {"angle": drawn["1.angle"]})
    torch.testing.assert_close(family.apply(real, drawn), by_hand, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("parts", "weakest"),
    [
        ([Rotation(), Affine()], "exact"),
        ([Rotation(), Crop()], "assumed"),
        ([Superpixel(), Crop(), Rotation()], "none"),
    ],
)
def test_the_inverse_of_a_composition_is_its_weakest(parts, weakest):
    assert Composition(parts).inverse == weakest
    assert Composition(parts[::-1]).inverse == weakest


def test_rotation_crop_is_the_papers_setting(smooth):
    """x_1 = crop_1(rot(a)), x_2 = crop_2(rot(-a)), each crop after its rotation."""
    family = RotationCrop(max_angle=45, min_scale=0.6)
    x_1, x_2, drawn = family.views(smooth, generator())
    for view, sign, seen in (("1", 1, x_1), ("2", -1, x_2)):
        turned = Rotation().apply(smooth, {"angle": sign * drawn["0.angle"]})
        window = {f"{field}_1": drawn[f"1.{field}_{view}"] for field in ("scale", "x", "y")}
        cropped = Crop().apply(turned, window)
        assert (seen - cropped).abs().mean() < 0.002


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rotation(0), "max_angle"),
        (lambda: Rotation(181), "max_angle"),
        (lambda: Rotation(math.nan), "max_angle"),
        (lambda: Crop(0), "min_scale"),
        (lambda: Crop(1.0), "min_scale"),
        (lambda: Affine(max_shear=-0.1), "max_shear"),
        (lambda: Affine(max_scale=0.8), "max_scale"),
        (lambda: Affine(0, 0, 1, 0), "must transform"),
        (lambda: RotationCrop(min_scale=2), "min_scale"),
        (lambda: Composition([]), "at least one"),
    ],
)
def test_a_bad_option_says_which(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", ["rotation", "scale", "shear", "affine"])
@pytest.mark.parametrize("size", [(20, 32), (36, 24)])
def test_an_image_that_is_not_square_is_the_middle_of_one_that_is(name, size):
    """Whatever the frame, the plane is moved alike: nothing is bent or stretched with it."""
    options = {"max_shift": 0.0} if name == "affine" else {}
    family = registry.families.make(name, **options)
    x = torch.rand(4, 2, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    top, left = ((44 - side) // 2 for side in size)
    square = functional.pad(x, (left, left, top, top))
    drawn = family.draw(4, torch.Generator().manual_seed(1))
    whole = family.apply(square, drawn)[:, :, top : top + size[0], left : left + size[1]]
    torch.testing.assert_close(family.apply(x, drawn), whole, rtol=0, atol=1e-4)


def test_a_shift_is_in_shorter_sides():
    x = torch.zeros(1, 1, 10, 30)
    x[0, 0, 4, 12] = 1
    family = registry.families.make("translation")
    drawn = {name: torch.tensor([0.3]) for name in family.draw(1, torch.Generator())}
    expected = torch.zeros(1, 1, 10, 30)
    expected[0, 0, 7, 15] = 1
    torch.testing.assert_close(family.apply(x, drawn), expected, rtol=0, atol=1e-4)
