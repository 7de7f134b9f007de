"""AffNIST is what its module says: the stated laws, the stated geometry, no ink lost.

True parameters are what probes of T are scored against, so a wrong sign or order here would make
a good T look bad; and images must not depend on how the work is cut into chunks.
"""

import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from idx_files import lay_out
from scipy import ndimage, stats

from tvae import data
from tvae.data import affnist, stored
from tvae.data.records import Split
from tvae.data.source import CorruptData, MissingData, variants_of
from tvae.shapes import ImageShape


@pytest.fixture(scope="module")
def digits():
    return data.load("mnist_small").validation


@pytest.fixture(scope="module")
def some(digits):
    """The first 300 digits, and one variant of each."""
    originals = Split.of({name: array[:300] for name, array in digits.arrays()})
    (made,) = affnist.generate(originals, "validation", chunk=300)
    return originals, made


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("scale_x", 0.8, 1.2),
        ("scale_y", 0.8, 1.2),
        ("shear", -0.2, 0.2),
        ("angle", -20, 20),
        ("place_x", 0, 1),
        ("place_y", 0, 1),
    ],
)
def test_draws_are_uniform_over_the_published_range(name, low, high):
    drawn = affnist.draw("train", 0, 20_000)[name]
    assert low <= drawn.min() < drawn.max() <= high
    assert stats.kstest(drawn, stats.uniform(low, high - low).cdf).pvalue > 0.01


def test_draws_are_independent_of_each_other():
    drawn = np.stack(
        [
            values
            for split in ("train", "test")
            for variant in (0, 1)
            for values in affnist.draw(split, variant, 20_000).values()
        ]
    )
    off = np.corrcoef(drawn) - np.eye(len(drawn))
    assert np.abs(off).max() < 4.5 / np.sqrt(20_000)


def scipy_rendering(image, p):
    """The same transformation by scipy, from the factors' definitions, in rows and columns."""
    a = np.deg2rad(p["angle"])
    scale = np.diag([p["scale_x"], p["scale_y"]])
    shear = np.array([[1, p["shear"]], [0, 1]])
    rotation = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    forward = rotation @ shear @ scale
    backward = np.linalg.inv(forward)[::-1, ::-1]  # from (x, y) to (row, column)
    # in the middle of a canvas twice as large, and beyond, where the border of ink fades out
    around = [((n + 1) // 2 + 2, n - (n + 1) // 2 + 2) for n in image.shape]
    padded = np.pad(image.astype(float), around)
    middle = np.array([low + (n - 1) / 2 for (low, _), n in zip(around, image.shape, strict=True)])
    shape = [2 * n for n in image.shape]
    offset = middle - backward @ (np.array(shape) - 1) / 2
    return ndimage.affine_transform(padded, backward, offset, shape, order=1)


def test_agrees_with_an_independent_rendering(some):
    originals, made = some
    canvas = affnist.render(originals.images, made.parameters)
    for i in range(100):
        p = {name: values[i] for name, values in made.parameters.items()}
        expected = scipy_rendering(originals.images[i], p)
        assert np.abs(canvas[i] - expected).max() <= 0.5 + 1e-9
        shifted = np.roll(expected, (p["shift_y"], p["shift_x"]), (0, 1))
        # The roll wraps only where no ink is: 27 of 56 pixels from the centre.
        margin = (56 - 40) // 2
        inside = shifted[margin:-margin, margin:-margin]
        assert np.abs(made.images[i] - inside).max() <= 0.5 + 1e-9


def drawn(**values):
    neutral = {"scale_x": 1.0, "scale_y": 1.0, "shear": 0.0, "angle": 0.0}
    return {name: np.array([value]) for name, value in (neutral | values).items()}


def centre_of_ink(canvas, rows=slice(None), columns=slice(None)):
    ink = canvas[0].astype(float)[rows, columns]
    return ndimage.center_of_mass(ink)


def test_signs_are_those_of_the_documentation():
    bar = np.zeros((1, 28, 28), np.uint8)
    bar[:, 13:15, 6:22] = 255
    neutral = affnist.render(bar, drawn())
    np.testing.assert_array_equal(neutral[0], np.pad(bar[0], 14))
    turned = affnist.render(bar, drawn(angle=20.0))
    left, right = slice(0, 28), slice(28, 56)
    assert centre_of_ink(turned, columns=right)[0] < 27 < centre_of_ink(turned, columns=left)[0]
    upright = bar.transpose(0, 2, 1)
    sheared = affnist.render(upright, drawn(shear=0.2))
    assert centre_of_ink(sheared, rows=right)[1] > 28 > 27 > centre_of_ink(sheared, rows=left)[1]
    wide = affnist.render(bar, drawn(scale_x=1.2))
    assert np.ptp(np.nonzero(wide[0])[1]) > np.ptp(np.nonzero(neutral[0])[1])
    assert wide.sum() == pytest.approx(1.2 * neutral.sum(), rel=0.02)


def test_no_ink_is_lost(some):
    originals, made = some
    canvas = affnist.render(originals.images, made.parameters)
    np.testing.assert_array_equal(
        made.images.sum((1, 2), dtype=np.int64), canvas.sum((1, 2), dtype=np.int64)
    )
    for i, image in enumerate(made.images):
        before, after = ndimage.center_of_mass(canvas[i]), ndimage.center_of_mass(image)
        moved = np.subtract(after, before) + 8  # the canvas is 8 pixels larger on each side
        shifts = made.parameters["shift_y"][i], made.parameters["shift_x"][i]
        np.testing.assert_allclose(moved, shifts, atol=1e-9)


def test_shifts_cover_all_places_uniformly():
    canvas = np.zeros((1, 56, 56), np.uint8)
    canvas[0, 20:35, 25:28] = 9  # 15 high, 3 wide
    n = 20_000
    draws = affnist.draw("test", 0, n)
    images, x, y = affnist.place(np.repeat(canvas, n, 0), draws["place_x"], draws["place_y"])
    assert (images.sum((1, 2), dtype=np.int64) == canvas.sum(dtype=np.int64)).all()
    for shift, first, size in ((x, 25, 3), (y, 20, 15)):
        allowed = np.arange(8 - first, 8 - first + 40 - size + 1)
        values, counts = np.unique(shift, return_counts=True)
        np.testing.assert_array_equal(values, allowed)
        assert stats.chisquare(counts).pvalue > 0.01
    assert images[:, 0].any()
    assert images[:, -1].any()
    assert images[:, :, 0].any()
    assert images[:, :, -1].any()


def test_chunks_change_nothing(some):
    originals, made = some
    for chunk in (1, 7, 128):
        parts = list(affnist.generate(originals, "validation", chunk=chunk))
        for name, values in made.arrays():
            joined = np.concatenate([dict(part.arrays())[name] for part in parts])
            np.testing.assert_array_equal(joined, values)


def test_more_variants_begin_with_fewer(some):
    originals, made = some
    parts = list(affnist.generate(originals, "validation", variants=3, chunk=300))
    assert len(parts) == 3
    np.testing.assert_array_equal(parts[0].images, made.images)
    for part in parts:
        np.testing.assert_array_equal(part.source, originals.source)
        np.testing.assert_array_equal(part.labels, originals.labels)
    assert (parts[1].parameters["angle"] != parts[0].parameters["angle"]).all()


def test_images_come_as_they_are_needed(some):
    first = next(affnist.generate(some[0], "validation", variants=10**12, chunk=2))
    np.testing.assert_array_equal(first.images, some[1].images[:2])


def test_blank_images_are_refused():
    images = np.ones((4, 28, 28), np.uint8)
    images[2] = 0
    originals = Split(images, np.zeros(4, np.int64), source=np.arange(10, 14))
    with pytest.raises(ValueError, match="image 12 of those that become train images is blank"):
        list(affnist.generate(originals, "train"))
    blank = np.zeros((1, 56, 56), np.uint8), np.zeros(1), np.zeros(1)
    with pytest.raises(ValueError, match="blank or its ink is larger than 40 pixels"):
        affnist.place(*blank)


# --- the law for other images -------------------------------------------------------------------


def test_canvases_are_40_28ths():
    sides = {28: 40, 32: 46, 64: 92, 8: 12, 16: 22}
    for side, canvas in sides.items():
        assert affnist.canvas_of(ImageShape(3, side, 28)) == (3, canvas, 40)
        assert abs(canvas - side * 40 / 28) <= 1


@pytest.mark.parametrize("shape", [(20, 32), (3, 20, 32), (3, 15, 15)])
def test_images_of_any_shape_and_colour_obey_it(shape):
    """Every colour by scipy, as a grey image; H and W are not mixed up."""
    images = np.random.default_rng(0).integers(1, 256, (6, *shape), dtype=np.uint8)
    originals = Split(images, np.zeros(6, np.int64))
    (made,) = affnist.generate(originals, "train", chunk=6)
    canvas = affnist.canvas_of(originals.shape)
    assert made.shape == canvas
    rendered = affnist.render(images, made.parameters)
    for i in range(6):
        p = {name: values[i] for name, values in made.parameters.items()}
        for before, whole, image in zip(
            images[i].reshape(-1, *shape[-2:]),
            rendered[i].reshape(-1, *rendered.shape[-2:]),
            made.images[i].reshape(-1, *canvas[1:]),
            strict=True,
        ):
            expected = scipy_rendering(before, p)
            assert np.abs(whole - expected).max() <= 0.5 + 1e-9
            shifted = ndimage.shift(whole, (p["shift_y"], p["shift_x"]), order=0)
            top, left = (whole.shape[0] - canvas[1]) // 2, (whole.shape[1] - canvas[2]) // 2
            np.testing.assert_array_equal(
                image, shifted[top : top + canvas[1], left : left + canvas[2]]
            )
            assert image.sum() == whole.sum()  # no ink is lost


def test_what_leaves_no_place_for_all_ink_is_drawn_again():
    """A frame full of ink fits on 40 x 40 after some transformations only."""
    n = 400
    originals = Split(np.full((n, 28, 28), 255, np.uint8), np.zeros(n, np.int64))
    (made,) = affnist.generate(originals, "train", chunk=n)
    first = affnist.draw("train", 0, n)
    second = affnist.draw("train", 0, n, 1)
    kept = made.parameters["angle"] == first["angle"]
    width, height = (extent(first, axis) for axis in (0, 1))
    # beyond a border of a pixel that interpolation adds or takes, geometry decides
    assert kept[(width < 39) & (height < 39)].all()
    assert not kept[(width > 41) | (height > 41)].any()
    assert 0.5 < kept.mean() < 0.97
    again = made.parameters["angle"] == second["angle"]
    assert (again & ~kept).sum() > 0.2 * (~kept).sum()
    canvas = affnist.render(originals.images, made.parameters)
    np.testing.assert_array_equal(
        made.images.sum((1, 2), dtype=np.int64), canvas.sum((1, 2), dtype=np.int64)
    )
    parts = list(affnist.generate(originals, "train", chunk=7))
    np.testing.assert_array_equal(np.concatenate([part.images for part in parts]), made.images)


def extent(p, axis):
    """Width (0) or height (1) of a transformed 28 x 28 square, from its corners."""
    a = np.deg2rad(p["angle"])
    x, y = 28 * p["scale_x"], 28 * p["scale_y"]
    row = (np.cos(a), np.sin(a)) if axis == 0 else (-np.sin(a), np.cos(a))
    return np.abs(row[0] * x) + np.abs((row[0] * p["shear"] + row[1]) * y)


def test_a_version_means_one_content(some):
    """When this fails, a change has altered the images: raise VERSION with the new hash."""
    content = hashlib.sha256(some[1].images.tobytes()).hexdigest()
    assert (affnist.VERSION, content) == (
        1,
        "beedbe3be5687dfe8be77c48dd6123a865564a783b5be09b7bd21b244eea68c1",
    )


def test_the_digest_tells_settings_apart(monkeypatch):
    variants = (1, 2, {"train": 2}, {"test": 2}, {"train": 32, "test": 2})
    digests = [affnist.digest("a", variants_of(each)) for each in variants]
    digests.append(affnist.digest("b", variants_of(1)))
    monkeypatch.setattr(affnist, "VERSION", affnist.VERSION + 1)
    digests.append(affnist.digest("a", variants_of(1)))
    assert len(set(digests)) == 7
    assert affnist.digest("a", variants_of({"train": 3, "test": 3})) == affnist.digest(
        "a", variants_of(3)
    )


def test_one_number_of_variants_keeps_the_digest_that_it_had():
    """Before there could be two: what is in somebody's cache stays what it is."""
    settings = {
        "originals": "a", "variants": 2, "size": 40, "seed": 0, "version": 1,
        "ranges": {"scale_x": [0.8, 1.2], "scale_y": [0.8, 1.2], "shear": [-0.2, 0.2],
                   "angle": [-20.0, 20.0]},
    }  # fmt: skip
    before = hashlib.sha256(f"affnist {json.dumps(settings, sort_keys=True)}".encode()).hexdigest()
    assert affnist.digest("a", variants_of(2)) == before


def test_small_set(some):
    small = data.load("affnist_small")
    assert [len(s) for s in (small.train, small.validation, small.test)] == [8000, 2000, 2000]
    assert small.train.images.shape[1:] == (40, 40)
    np.testing.assert_array_equal(small.validation.images[:300], some[1].images)
    np.testing.assert_array_equal(small.test.source, data.load("mnist_small").test.source)
    assert small.digest == data.load("affnist_small").digest


def test_large_set_is_made_once_kept_and_mapped(official, tmp_path):
    with pytest.raises(MissingData, match="affnist is generated from mnist, and mnist was not"):
        data.load("affnist")
    root = lay_out(official, tmp_path / "root", True)
    first = data.load("affnist", root, variants=2)
    assert isinstance(first.train.images, np.memmap)
    assert [len(s) for s in (first.train, first.validation, first.test)] == [100, 20, 20]
    np.testing.assert_array_equal(first.validation.source, [*range(50, 60), *range(50, 60)])
    originals = data.load("mnist", root).test
    (expected,) = affnist.generate(originals, "test", 1)
    np.testing.assert_array_equal(first.test.images[:10], expected.images)
    np.testing.assert_array_equal(first.test.parameters["shear"][:10], expected.parameters["shear"])
    # Without its originals: it is kept.
    again = data.load("affnist", variants=2)
    assert again.digest == first.digest
    np.testing.assert_array_equal(again.train.images, first.train.images)
    assert data.load("affnist", root).digest != first.digest


def test_fit_and_test_images_have_variants_of_their_own(official, tmp_path):
    """Validation gets what test gets; each split is that of a set with its number everywhere."""
    root = lay_out(official, tmp_path / "root", True)
    found = data.load("affnist", root, variants={"train": 3, "test": 2})
    assert [len(s) for s in (found.train, found.validation, found.test)] == [150, 20, 20]
    alike = {n: data.load("affnist", root, variants=n) for n in (1, 2, 3)}
    for split, n in (("train", 3), ("validation", 2), ("test", 2)):
        own, other = getattr(found, split), getattr(alike[n], split)
        np.testing.assert_array_equal(own.images, other.images)
        np.testing.assert_array_equal(own.source, other.source)
    lacking = data.load("affnist", root, variants={"train": 3})
    assert len(lacking.test) == 10
    every = [found, lacking, *alike.values()]
    assert len({each.digest for each in every}) == 5
    assert data.source("affnist").images(variants={"train": 32, "test": 1}) == {
        "train": 1_600_000, "validation": 10_000, "test": 10_000,
    }  # fmt: skip


def test_of_several_who_ask_at_once_one_makes_it(official, tmp_path, monkeypatch):
    root = lay_out(official, tmp_path / "root", True)
    made, write = [], stored.write

    def slowly(folder, *rest):
        made.append(folder)
        time.sleep(0.5)
        write(folder, *rest)

    monkeypatch.setattr(stored, "write", slowly)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: data.load("affnist", root, variants=2), range(3)))
    assert len(made) == 1
    assert len({one.digest for one in found}) == 1


def test_a_damaged_kept_set_is_noticed_and_made_again(official, tmp_path):
    root = lay_out(official, tmp_path / "root", True)
    folder = data.fetch("affnist", root)
    images = folder / "test" / "images.npy"
    content = bytearray(images.read_bytes())
    content[-1] ^= 1
    images.write_bytes(content)
    with pytest.raises(CorruptData, match=f"{images} has changed: expected SHA-256"):
        data.available("affnist", root)
    images.write_bytes(content[:-500])
    with pytest.raises(CorruptData, match=str(images)):
        data.load("affnist", root)
    assert data.fetch("affnist", root) == folder
    stored.verify(folder)


def test_what_names_the_content_is_the_same_before_it_is_made_and_after(official, tmp_path):
    """Keys of trials hold it: a study that made the set would find none of its trials again."""
    root = lay_out(official, tmp_path / "root", True)
    before = data.available("affnist", root, variants=2)
    data.load("affnist", root, variants=2)
    assert data.available("affnist", root, variants=2) == before
    assert data.available("affnist", variants=2) == before  # kept, without its originals
    assert data.available("affnist", root, variants=3) != before
