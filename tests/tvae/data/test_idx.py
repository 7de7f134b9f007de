"""IDX files are read as the format defines them, and nothing else passes for one.

All full data sets enter through this reader: a misread header would shift every pixel, and a
damaged file that passes would spoil every number of a study.
"""

import gzip
import hashlib
import re
import struct

import numpy as np
import pytest
from torchvision.datasets.mnist import read_image_file, read_label_file

from tvae.data.idx import DIGESTS, parse, read_bytes, read_verified
from tvae.data.source import CorruptData


def write_idx(path, array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.tobytes())
    return path


@pytest.fixture
def images(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    return array, write_idx(tmp_path / "images", array)


def test_reads_what_torchvision_reads(images, tmp_path):
    array, path = images
    ours = parse(path.read_bytes(), 3, "images")
    np.testing.assert_array_equal(ours, array)
    np.testing.assert_array_equal(ours, read_image_file(str(path)).numpy())
    labels = write_idx(tmp_path / "labels", np.arange(7, dtype=np.uint8))
    ours = parse(labels.read_bytes(), 1, "labels")
    np.testing.assert_array_equal(ours, read_label_file(str(labels)).numpy())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda c: c[:-1], "75 bytes; its header says (5, 4, 3), which makes 76"),
        (lambda c: c + b"\0", "77 bytes"),
        (lambda c: c[:10], "ends in its header"),
        (lambda c: b"", "begins with"),
        (lambda c: b"\0\0\x0d" + c[3:], "begins with the bytes 00000d03"),
        (lambda c: b"\0\0\x08\x01" + c[4:], "with 3 dimensions begins with 00000803"),
        (lambda c: c[:4] + struct.pack("<3I", 5, 4, 3) + c[16:], "header says"),
    ],
)
def test_refuses_everything_else(images, damage, message):
    with pytest.raises(CorruptData, match=re.escape(message)):
        parse(damage(images[1].read_bytes()), 3, "some file")


def test_gzip_damage_names_the_file(images, tmp_path):
    packed = tmp_path / "images.gz"
    whole = gzip.compress(images[1].read_bytes())
    packed.write_bytes(whole)
    assert read_bytes(packed) == images[1].read_bytes()
    flipped = bytearray(whole)
    flipped[-6] ^= 1  # in the checksum
    for content in (whole[:-9], whole[: len(whole) // 2], bytes(flipped), b"no gzip"):
        packed.write_bytes(content)
        with pytest.raises(CorruptData, match=re.escape(str(packed))):
            read_bytes(packed)


def test_a_wrong_file_is_named_with_both_digests(images):
    _, path = images
    with pytest.raises(CorruptData) as caught:
        read_verified("mnist", "t10k-images-idx3-ubyte", path)
    expected = DIGESTS["mnist"]["t10k-images-idx3-ubyte"]
    assert str(path) in str(caught.value)
    assert expected in str(caught.value)
    assert re.search(r"found [0-9a-f]{64} in 76 bytes$", str(caught.value))


def test_a_file_of_the_other_set_is_recognised(monkeypatch, images):
    array, path = images
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(DIGESTS["fashion_mnist"], "t10k-images-idx3-ubyte", digest)
    np.testing.assert_array_equal(
        read_verified("fashion_mnist", "t10k-images-idx3-ubyte", path), array
    )
    with pytest.raises(CorruptData, match="these are the bytes of fashion_mnist's t10k-images"):
        read_verified("mnist", "t10k-images-idx3-ubyte", path)
