"""The official AffNIST files are read as published, upright, batch by batch, or refused.

The published numbers are about these files; a transposed digit or a shifted label would still
train, and quietly give other numbers.
"""

import re
import shutil

import numpy as np
import pytest
from scipy.io import savemat

from tvae import data
from tvae.data import affnist, affnist_files
from tvae.data.source import CorruptData, MissingData


@pytest.fixture(scope="module")
def digits():
    """Sixty digits on 40 x 40 pixels, some ones among them."""
    small = data.load("affnist_small").test
    return small.images[:60], small.labels[:60]


def struct(images, labels, order="C", **other):
    """The published struct, as scipy reads it from the published files."""
    n = len(images)
    columns = np.stack([image.ravel(order) for image in images], 1)
    return {
        "image": columns,
        "label_int": labels.astype(np.uint8)[None],
        "label_one_of_n": np.eye(10, dtype=np.uint8)[:, labels],
        "human_readable_transform": np.arange(6 * n, dtype=float).reshape(6, n),
    } | other


def save(path, content, name="affNISTdata"):
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {name: content}, do_compression=True)
    return path


@pytest.mark.parametrize("order", ["C", "F"])
def test_reads_images_upright_in_either_order_of_pixels(digits, tmp_path, order):
    images, labels = digits
    found = affnist_files.read(save(tmp_path / "1.mat", struct(images, labels, order)))
    np.testing.assert_array_equal(found.images, images)
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_array_equal(found.source, range(60))
    assert list(found.parameters) == [f"transform_{i}" for i in range(1, 7)]
    np.testing.assert_array_equal(found.parameters["transform_2"], range(60, 120))


def test_reads_nested_structs(digits, tmp_path):
    rng = np.random.default_rng(0)
    transform = {"rotation": rng.normal(size=60), "shear": rng.normal(size=(1, 60))}
    content = struct(*digits, human_readable_transform=transform, original={"image": np.ones(3)})
    found = affnist_files.read(save(tmp_path / "1.mat", content))
    np.testing.assert_array_equal(found.parameters["rotation"], transform["rotation"])
    np.testing.assert_array_equal(found.parameters["shear"], transform["shear"][0])
    np.testing.assert_array_equal(found.images, digits[0])


def test_reads_a_single_image(digits, tmp_path):
    images, labels = digits
    one = np.flatnonzero(labels == 1)[:1]
    found = affnist_files.read(save(tmp_path / "1.mat", struct(images[one], labels[one])))
    np.testing.assert_array_equal(found.images, images[one])
    assert len(found.parameters["transform_6"]) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((1599, 60), np.uint8)}, "image is (1599, 60) of uint8; it must be"),
        ({"image": np.zeros((1600, 60))}, "of float64"),
        ({"label_int": np.zeros(59, np.uint8)}, "must be 60 digits from 0 to 9"),
        ({"label_int": np.full(60, 10)}, "must be 60 digits from 0 to 9"),
        ({"label_int": "seven"}, "no array 'label_int'"),
        ({"human_readable_transform": np.zeros((6, 59))}, "must have 60 numbers in each row"),
        ({"human_readable_transform": {"a": "b"}}, "must have 60 numbers in each row"),
    ],
)
def test_wrong_fields_are_named(digits, tmp_path, change, message):
    path = save(tmp_path / "1.mat", struct(*digits, **change))
    with pytest.raises(CorruptData, match=re.escape(message)) as caught:
        affnist_files.read(path)
    assert str(path) in str(caught.value)


def test_other_files_are_refused(digits, tmp_path):
    path = save(tmp_path / "1.mat", struct(*digits), name="something")
    with pytest.raises(CorruptData, match="no struct affNISTdata"):
        affnist_files.read(path)
    path = save(tmp_path / "2.mat", np.zeros(3))
    with pytest.raises(CorruptData, match="no struct affNISTdata"):
        affnist_files.read(path)
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    path.write_bytes(header + b"\x89HDF\r\n\x1a\n" + bytes(500))
    with pytest.raises(CorruptData, match=r"MATLAB 7\.3 \(HDF5\)"):
        affnist_files.read(path)


def test_damage_anywhere_is_a_clear_error(digits, tmp_path):
    whole = save(tmp_path / "1.mat", struct(*digits)).read_bytes()
    path = tmp_path / "damaged.mat"
    rng = np.random.default_rng(0)
    flips = [bytearray(whole) for _ in range(40)]
    for place, content in zip(rng.integers(0, len(whole), len(flips)), flips, strict=True):
        content[place] ^= 255
    cuts = [whole[: int(len(whole) * part)] for part in np.linspace(0, 0.99, 25)]
    refused = []
    for content in [*map(bytes, flips), *cuts]:
        path.write_bytes(content)
        try:
            affnist_files.read(path)
        except CorruptData as error:
            refused.append(str(error))
    assert len(refused) >= len(cuts)
    assert all(str(path) in message for message in refused)


def official_folder(root, digits, variants, together):
    """The published folders: each batch has one variant of each original."""
    images, labels = digits
    for batch in range(1, variants + 1):
        here = np.roll(images, batch, 2)
        parts = {"test": slice(0, 12)}
        if together:
            parts["training_and_validation"] = slice(0, 60)
        else:
            parts |= {"training": slice(0, 50), "validation": slice(50, 60)}
        for name, part in parts.items():
            save(root / f"{name}_batches" / f"{batch}.mat", struct(here[part], labels[part]))
    return root


@pytest.mark.parametrize("together", [True, False])
def test_load_prefers_the_official_files(digits, tmp_path, monkeypatch, together):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    images, labels = digits
    root = official_folder(tmp_path / "root" / "affNIST", digits, 11, together).parent
    found = data.load("affnist", root, variants=11)
    assert isinstance(found.train.images, np.memmap)
    for batch in (0, 1, 10):  # 10.mat comes after 9.mat, not after 1.mat
        here = np.roll(images, batch + 1, 2)
        train = found.train.images[50 * batch : 50 * (batch + 1)]
        np.testing.assert_array_equal(train, here[:50])
        validation = found.validation.images[10 * batch : 10 * (batch + 1)]
        np.testing.assert_array_equal(validation, here[50:])
    np.testing.assert_array_equal(found.train.labels, np.tile(labels[:50], 11))
    np.testing.assert_array_equal(found.train.source, np.tile(np.arange(50), 11))
    assert len(found.test) == 12 * 11
    one = data.load("affnist", root)
    assert len(one.train) == 50
    assert one.digest != found.digest
    apart = data.load("affnist", root, variants={"train": 11, "test": 2})
    assert [len(s) for s in (apart.train, apart.validation, apart.test)] == [550, 20, 24]
    np.testing.assert_array_equal(apart.train.images, found.train.images)
    np.testing.assert_array_equal(apart.validation.images, found.validation.images[:20])
    assert apart.digest not in (one.digest, found.digest)
    with pytest.raises(MissingData, match="variants=12 needs as many batches"):
        data.load("affnist", root, variants=12)


def test_single_files_and_their_verification(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("training", "validation", "test"):
        path = save(tmp_path / "root" / f"{name}.mat", struct(*digits))
    before = data.available("affnist", tmp_path / "root")
    data.load("affnist", tmp_path / "root")
    assert data.available("affnist", tmp_path / "root") == before
    shutil.rmtree(tmp_path / "cache")
    path.write_bytes(path.read_bytes()[:-1000])
    for use in (data.available, data.load):
        with pytest.raises(CorruptData, match=str(path)):
            use("affnist", tmp_path / "root")
    left = (tmp_path / "cache" / "tvae-bench").glob("*")
    assert [path for path in left if path.suffix != ".lock"] == []


def test_batches_of_different_originals_are_refused(digits, tmp_path):
    images, labels = digits
    files = {name: [save(tmp_path / f"{name}.mat", struct(*digits))] for name in ("a", "b", "c")}
    other = save(tmp_path / "2.mat", struct(images, labels[::-1]))
    splits = affnist_files.read_splits(
        {"train": [*files["a"], other], "validation": files["b"], "test": files["c"]}
    )
    with pytest.raises(CorruptData, match="has other labels than"):
        list(splits["train"])


def test_one_file_at_a_time(digits, tmp_path):
    here = save(tmp_path / "1.mat", struct(*digits))
    missing = tmp_path / "2.mat"
    splits = affnist_files.read_splits({"train": [here, missing], "validation": [], "test": []})
    assert len(next(splits["train"])) == 60
    with pytest.raises(CorruptData, match=str(missing)):
        next(splits["train"])
    assert affnist_files.SIZE == affnist.SIZE
