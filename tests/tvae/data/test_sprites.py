"""Sprites are what their factors say: by area, by symmetry, and by another's drawing.

A wrong sign, order or unit here would make a good T look bad, as with AffNIST.
"""

import colorsys
import hashlib

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import stats

from tvae import data
from tvae.data import sprites, stored
from tvae.data.source import CorruptData
from tvae.data.sprites import CLASSES, FACTORS, Sprites, render
from tvae.testing.datasets import DatasetContract

ALL = np.arange(len(CLASSES))
PLAIN = {"scale": 20.0, "angle": 0.0, "shift_x": 0.0, "shift_y": 0.0}


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tvae-bench"


POLYGONS = {
    "arrow": [(-0.95, 0.2), (0.2, 0.2), (0.2, 0.8), (1, 0), (0.2, -0.8), (0.2, -0.2),
              (-0.95, -0.2)],
    "flag": [(-0.7, 0.7), (0.6, 0.7), (0.6, 0.05), (-0.4, 0.05), (-0.4, -0.7), (-0.7, -0.7)],
    "tee": [(-0.7, 0.7), (0.7, 0.7), (0.7, 0.35), (0.2, 0.35), (0.2, -0.9), (-0.2, -0.9),
            (-0.2, 0.35), (-0.7, 0.35)],
}  # fmt: skip


@pytest.mark.parametrize("name", POLYGONS)
def test_agrees_with_a_drawing_of_pil(name):
    """On a canvas 16 times as fine, averaged: scale, angle and shifts by their definitions."""
    fine, rng = 16, np.random.default_rng(0)
    for _ in range(10):
        factors = {name: rng.uniform(*span) for name, span in FACTORS.items()}
        a = np.deg2rad(factors["angle"])
        canvas = Image.new("L", (64 * fine, 64 * fine))
        corners = [
            (
                fine
                * (32 + factors["shift_x"] + factors["scale"] * (np.cos(a) * x - np.sin(a) * y)),
                fine
                * (32 + factors["shift_y"] - factors["scale"] * (np.sin(a) * x + np.cos(a) * y)),
            )
            for x, y in POLYGONS[name]
        ]
        ImageDraw.Draw(canvas).polygon(corners, fill=255)
        expected = np.asarray(canvas.reduce(fine)).astype(float)
        drawn = render([CLASSES.index(name)], factors)[0].astype(float)
        assert np.abs(drawn - expected).mean() < 0.6
        assert np.abs(drawn - expected).max() < 110  # at sharp corners, to the first order
        assert drawn.sum() == pytest.approx(expected.sum(), rel=0.02)


def test_round_shapes_have_their_areas():
    """A segment of a circle, and two discs over what hangs below their tangents."""
    images = render(ALL, {**PLAIN, "scale": 100.0}, side=256)
    areas = dict(zip(CLASSES, images.sum((1, 2)) / 255 / 100**2, strict=True))
    h = 0.1
    assert areas["bow"] == pytest.approx(np.pi - np.arccos(h) + h * np.sqrt(1 - h**2), rel=2e-3)
    x, y = np.random.default_rng(0).uniform(-1, 1, (2, 400_000))
    discs = np.minimum(np.hypot(x - 0.42, y - 0.3), np.hypot(x + 0.42, y - 0.3)) < 0.45
    turn = np.deg2rad(40)
    below = (np.cos(turn) * np.abs(x) - np.sin(turn) * y < 0.579) & (y < 0.011)
    between = (np.abs(x) < 0.42) & (y < 0.3) & (y > 0)
    assert areas["heart"] == pytest.approx(4 * (discs | below | between).mean(), rel=0.01)


def test_quarter_turns_and_whole_shifts_are_exact():
    rng = np.random.default_rng(0)
    given = {name: rng.uniform(*span, len(ALL)) for name, span in FACTORS.items()}
    images = render(ALL, given).astype(int)
    turned = render(
        ALL,
        {**given, "angle": given["angle"] + 90, "shift_x": given["shift_y"],
         "shift_y": -given["shift_x"]},
    ).astype(int)  # fmt: skip
    assert np.abs(turned - np.rot90(images, 1, (1, 2))).max() <= 1  # counter-clockwise
    moved = render(ALL, {**given, "shift_x": given["shift_x"] + 3, "shift_y": given["shift_y"] - 2})
    assert np.abs(moved.astype(int) - np.roll(images, (-2, 3), (1, 2))).max() <= 1
    assert np.abs(render(ALL, {**given, "angle": given["angle"] + 360}) - images).max() <= 1


def test_nothing_goes_beyond_scale_and_the_image():
    for angle in range(0, 360, 15):
        images = render(ALL, {**PLAIN, "scale": 100.0, "angle": angle}, side=256)
        _, y, x = np.nonzero(images)
        assert np.hypot(x - 127.5, y - 127.5).max() < 101
        edge = render(ALL, {**PLAIN, "angle": angle, "shift_x": 11, "shift_y": -11})
        assert not edge[:, 0].any()
        assert not edge[:, :, -1].any()


def test_no_shape_is_like_itself_or_another_turned():
    """An angle means one image, and a label one shape."""
    at = np.arange(0, 360, 5.0)
    turned = np.stack([render(ALL, {**PLAIN, "angle": a}) for a in at]).astype(float) / 255
    for kind in ALL:
        for other in ALL:
            apart = np.abs(turned[:, other] - turned[0, kind]).sum((1, 2))
            apart /= turned[0, [kind, other]].sum((1, 2)).mean()
            far = np.minimum(at, 360 - at) > 25
            assert apart[far if kind == other else slice(None)].min() > 0.25
            if kind == other:
                assert apart[0] == 0


def test_images_change_smoothly_with_every_factor():
    rng = np.random.default_rng(0)
    given = {name: rng.uniform(*span, len(ALL)) for name, span in FACTORS.items()}
    images = render(ALL, given).astype(float)
    for name, step in {"scale": 0.1, "angle": 0.3, "shift_x": 0.1, "shift_y": 0.1}.items():
        near, nearer = (
            np.abs(render(ALL, {**given, name: given[name] + s}) - images).sum((1, 2))
            for s in (step, step / 2)
        )
        assert (near > 20).all(), name
        np.testing.assert_allclose(nearer / near, 0.5, atol=0.12, err_msg=name)


def test_hues_are_those_of_hsv():
    hue = np.arange(0, 360, 7.0)
    labels = np.zeros(len(hue), int)
    drawn = render(labels, {**PLAIN, "hue": hue})
    grey = render(labels, PLAIN)
    middle = drawn[:, :, 32, 32] / 255
    expected = [colorsys.hsv_to_rgb(h / 360, 1, 1) for h in hue]
    np.testing.assert_allclose(middle, expected, atol=0.5 / 255 + 1e-9)
    np.testing.assert_array_equal(drawn.max(1), grey)
    assert drawn.shape == (len(hue), 3, 64, 64)


@pytest.mark.parametrize(("name", "span"), [*{**FACTORS, **sprites.HUE}.items()])
def test_factors_are_uniform_and_independent(name, span):
    low, high = span
    drawn = sprites.draw("train", 20_000, colour=True)
    assert low <= drawn[name].min() < drawn[name].max() < high
    assert stats.kstest(drawn[name], stats.uniform(low, high - low).cdf).pvalue > 0.01
    everything = [*drawn.values(), *sprites.draw("test", 20_000, colour=True).values()]
    off = np.corrcoef(everything) - np.eye(len(everything))
    assert np.abs(off).max() < 4.5 / np.sqrt(20_000)


@pytest.mark.parametrize("colour", [False, True])
def test_every_image_can_be_drawn_again_from_its_factors(colour):
    source = Sprites("sprites", colour, (110, 20, 20))
    found = source.load(None)
    for split in (found.train, found.validation, found.test):
        np.testing.assert_array_equal(render(split.labels, split.parameters), split.images)
        counts = np.bincount(split.labels)
        assert len(counts) == len(CLASSES)
        assert (counts == len(split) // len(CLASSES)).all()
    assert isinstance(found.train.images, np.memmap)
    assert found.digest == source.identity == source.content(None)
    with pytest.raises(ValueError, match=r"factors must be scale, angle, .*, not \['scale'\]"):
        render([0], {"scale": 3})
    with pytest.raises(ValueError, match="labels must be N whole numbers from 0 to 4"):
        render([5], PLAIN)


def test_the_sets_by_name():
    grey, colour = data.source("sprites"), data.source("sprites_colour")
    assert (grey.shape, colour.shape) == ((1, 64, 64), (3, 64, 64))
    assert grey.sizes == colour.sizes == (8_000, 2_000, 2_000)
    assert len({grey.identity, colour.identity, Sprites("s", sizes=(1, 1, 1)).identity}) == 3
    assert data.available("sprites") == {"sprites": grey.identity}
    same = [sprites.draw("test", 9, c)["angle"] for c in (False, True)]
    np.testing.assert_array_equal(*same)


def test_a_version_means_one_content():
    """When this fails, a change has altered the images: raise VERSION with the new hash."""
    found = sprites.SPRITES_COLOUR._drawn("test", 50)
    content = hashlib.sha256(b"".join(chunk.images.tobytes() for chunk in found)).hexdigest()
    assert (sprites.VERSION, content) == (
        1,
        "c0c369dda57a63468c3ae925052ad5de53540a542134af4697e5c714b17fc9f2",
    )


def test_a_damaged_copy_is_noticed(cache):
    source = Sprites("sprites", sizes=(10, 5, 5))
    images = source.fetch(None) / "test" / "images.npy"
    images.write_bytes(images.read_bytes()[:-1] + b"\1")
    with pytest.raises(CorruptData, match=f"{images} has changed"):
        source.verify(None)
    assert stored.exists(source.locate(None))


class TestContract(DatasetContract):
    """What every data set promises, by few sprites."""

    plugin = Sprites("sprites", sizes=(200, 100, 100))
