"""Data sets of which torchvision knows the files: found, verified, read, split, safely downloaded.

The real files are not here. Small ones in the same formats stand for them, with torchvision told of
their digests; what is read must be what torchvision's own classes read of them, where they can.
"""

import bz2
import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torchvision
from idx_files import idx_bytes
from scipy.io import savemat
from sklearn.datasets import load_digits

from tvae import data
from tvae.data import official
from tvae.data.source import CorruptData, MissingData, cache_folder
from tvae.testing.datasets import DatasetContract

rng = np.random.default_rng(0)
TRAIN, TEST, HELD = 25, 10, 5
SHAPES = {
    "kmnist": (28, 28), "emnist": (28, 28), "usps": (16, 16), "cifar10": (3, 32, 32),
    "svhn": (3, 32, 32),
}  # fmt: skip
NAMES = list(SHAPES)


def made(name):
    """Images and labels, of training and of test."""
    parts = []
    for n in (TRAIN, TEST):
        images = rng.integers(0, 256, (n, *SHAPES[name]), dtype=np.uint8)
        parts.append((images, np.arange(n) % 10))
    return parts


def md5(content):
    return hashlib.md5(content).hexdigest()


def kmnist(parts, patch):
    files = {}
    for part, (images, labels) in zip(("train", "t10k"), parts, strict=True):
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(idx_bytes(images))
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx_bytes(labels.astype(np.uint8)))
    patch(resources=[(file, md5(content)) for file, content in files.items()])
    return files


def emnist(parts, patch):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for part, (images, labels) in zip(("train", "test"), parts, strict=True):
            lying = np.ascontiguousarray(images.transpose(0, 2, 1))
            for what, array in (("images-idx3", lying), ("labels-idx1", labels.astype(np.uint8))):
                member = f"gzip/emnist-balanced-{part}-{what}-ubyte.gz"
                archive.writestr(member, gzip.compress(idx_bytes(array)))
    patch(md5=md5(buffer.getvalue()))
    return {"gzip.zip": buffer.getvalue()}


def usps(parts, patch):
    files, known = {}, {}
    for (part, file), (images, labels) in zip(
        {"train": "usps.bz2", "test": "usps.t.bz2"}.items(), parts, strict=True
    ):
        lines = [
            f"{label + 1} " + " ".join(f"{i}:{v / 127.5 - 1:.6f}" for i, v in enumerate(pixels, 1))
            for label, pixels in zip(labels, images.reshape(len(images), -1), strict=True)
        ]
        files[file] = bz2.compress("\n".join(lines).encode() + b"\n")
        known[part] = ["", file, md5(files[file])]
    patch(split_list=known)
    return files


def old_pickle(images, labels):
    """A batch as Python 2 pickled it for CIFAR-10, instruction by instruction."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    pixels = images.tobytes()
    return b"".join([
        b"\x80\x02}q\x01(", text(b"batch_label"), b"q\x02", text(b"training batch 1 of 5"),
        b"q\x03", text(b"labels"), b"q\x04]q\x05(", *(b"K" + bytes([label]) for label in labels),
        b"e", text(b"data"), b"q\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\n"
        b"q\x08K\x00\x85q\tU\x01b\x87Rq\n(K\x01K" + bytes([len(labels)]) + b"M\x00\x0c\x86"
        b"cnumpy\ndtype\nq\x0bU\x02u1K\x00K\x01\x87Rq\x0c(K\x03U\x01|NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89T" + struct.pack("<I", len(pixels)) + pixels + b"tb",
        text(b"filenames"), b"q\x0d]q\x0e(", *(text(b"a_%d.png" % i) for i in labels), b"eu.",
    ])  # fmt: skip


def cifar10(parts, patch):
    (images, labels), test = parts
    batches = {
        f"data_batch_{i + 1}": old_pickle(images[5 * i : 5 * i + 5], labels[5 * i : 5 * i + 5])
        for i in range(5)
    }
    batches["test_batch"] = old_pickle(*test)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in batches.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    known = [[name, md5(content)] for name, content in batches.items()]
    patch(train_list=known[:-1], test_list=known[-1:], tgz_md5=md5(buffer.getvalue()))
    return {"cifar-10-python.tar.gz": buffer.getvalue()}


def svhn(parts, patch):
    files, known = {}, dict(torchvision.datasets.SVHN.split_list)
    for part, (images, labels) in zip(("train", "test"), parts, strict=True):
        buffer, ten = io.BytesIO(), np.where(labels == 0, 10, labels).astype(np.uint8)
        savemat(buffer, {"X": images.transpose(2, 3, 1, 0), "y": ten[:, None]})
        files[f"{part}_32x32.mat"] = buffer.getvalue()
        known[part] = ["", f"{part}_32x32.mat", md5(buffer.getvalue())]
    patch(split_list=known)
    return files


MAKERS = {"kmnist": kmnist, "emnist": emnist, "usps": usps, "cifar10": cifar10, "svhn": svhn}


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Case:
    """A stand-in that the code takes for the official set."""

    def __init__(self, name, monkeypatch):
        self.name, self.parts = name, made(name)
        self.source = data.source(name)
        self.torchvision = getattr(torchvision.datasets, self.source.torchvision)
        monkeypatch.setattr(type(self.source), "sizes", (TRAIN - HELD, HELD, TEST))
        monkeypatch.setattr(type(self.source), "held", HELD)

        def patch(**values):
            for key, value in values.items():
                monkeypatch.setattr(self.torchvision, key, value)

        self.patch = patch
        self.files = MAKERS[name](self.parts, patch)

    def lay_out(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in self.files.items():
            (folder / file).write_bytes(content)
        return folder

    def assert_is(self, found):
        (images, labels), (test, test_labels) = self.parts
        first = TRAIN - HELD
        expected = {
            "train": (images[:first], labels[:first], range(first)),
            "validation": (images[first:], labels[first:], range(first, TRAIN)),
            "test": (test, test_labels, range(TEST)),
        }
        for split, (pixels, classes, source) in expected.items():
            mine = getattr(found, split)
            off = np.abs(mine.images.astype(int) - pixels).max()
            assert off <= (self.name == "usps")  # whose files hold rounded numbers
            np.testing.assert_array_equal(mine.labels, classes)
            np.testing.assert_array_equal(mine.source, source)
            assert mine.labels.dtype == np.int64


@pytest.fixture(params=NAMES)
def case(request, monkeypatch):
    return Case(request.param, monkeypatch)


def test_found_where_torchvision_leaves_it_and_kept(case, tmp_path):
    folders = [case.name, *case.source.folders[-1:], "."]
    digests = set()
    for i, folder in enumerate(folders):
        root = tmp_path / str(i)
        case.lay_out(root / folder)
        assert case.source.locate(root) == root / folder
        found = data.load(case.name, root)
        case.assert_is(found)
        digests |= {found.digest, *data.available(case.name, root).values()}
        assert isinstance(found.train.images, np.memmap)
        case.assert_is(data.load(case.name))  # without its files: it is kept
        (kept,) = cache_folder().glob(f"{case.name}-*")
        kept.rename(tmp_path / f"kept{i}")
        assert data.available(case.name, root) == {case.name: found.digest}
    assert len(digests) == 1


def test_torchvision_reads_the_same_of_a_pickle(monkeypatch, tmp_path):
    """Which it unpickles, and we do not; from the archive and from what is unpacked of it."""
    case = Case("cifar10", monkeypatch)
    with tarfile.open(fileobj=io.BytesIO(case.files["cifar-10-python.tar.gz"])) as archive:
        archive.extractall(tmp_path, filter="data")
    meta = pickle.dumps({"label_names": list("abcdefghij")}, 2)
    (tmp_path / "cifar-10-batches-py" / "batches.meta").write_bytes(meta)
    case.patch(meta={**case.torchvision.meta, "md5": md5(meta)})
    for train, (images, labels) in zip((True, False), case.parts, strict=True):
        theirs = torchvision.datasets.CIFAR10(tmp_path, train=train)
        np.testing.assert_array_equal(theirs.data.transpose(0, 3, 1, 2), images)
        np.testing.assert_array_equal(theirs.targets, labels)
    for root in (tmp_path, tmp_path / "cifar-10-batches-py"):
        case.assert_is(data.load("cifar10", root))
        (kept,) = cache_folder().glob("cifar10-*")
        kept.rename(tmp_path / f"kept of {root.name}")


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle was opened')",)


def test_no_pickle_is_opened_whatever_its_digest():
    for content in (
        pickle.dumps(Trap()),
        pickle.dumps({"labels": [1], "data": b"short"}),
        b"",
        b"x",
    ):
        with pytest.raises(CorruptData, match="data_batch_1"):
            official._batch(content, "data_batch_1")


def test_one_flipped_bit_is_noticed(case, tmp_path):
    folder = case.lay_out(tmp_path / case.name)
    file = list(case.files)[-1]
    content = case.files[file]
    (folder / file).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    message = f"{folder / file} is not {case.name}'s {file}: expected MD5 {md5(content)}, found"
    for ask in (data.load, data.available, data.fetch):
        with pytest.raises(CorruptData, match=message):
            ask(case.name, tmp_path)
    assert not [*cache_folder().glob(f"{case.name}-*")]


def test_other_numbers_of_images_are_noticed(case, monkeypatch, tmp_path):
    monkeypatch.setattr(type(case.source), "sizes", (TRAIN - HELD, HELD, TEST + 1))
    case.lay_out(tmp_path / case.name)
    with pytest.raises(CorruptData, match=f"has {TEST} images in test, not {TEST + 1}"):
        data.load(case.name, tmp_path)


def test_what_is_missing_is_said_with_the_ways_out(case, tmp_path):
    with pytest.raises(MissingData) as caught:
        data.load(case.name, tmp_path)
    ways = [f"python -m bench.data fetch {case.name}", "data.root=FOLDER", *case.files]
    for expected in (tmp_path / case.name, cache_folder() / case.name, *ways):
        assert str(expected) in str(caught.value)


@pytest.fixture
def server(case):
    """What publishes the files, on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = here.files.get(self.path[1:])
            here.asked.append(self.path)
            if content is None:
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content) + here.cut))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words):
            pass

    here = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here.files, here.asked, here.cut = dict(case.files), [], 0
    thread = threading.Thread(target=here.serve_forever, args=(0.01,))
    thread.start()
    address = f"http://127.0.0.1:{here.server_port}/"
    if case.name == "kmnist":
        case.patch(mirrors=[f"{address}no/", address])
    elif case.name in ("emnist", "cifar10"):
        case.patch(url=address + next(iter(case.files)))
    else:
        known = case.torchvision.split_list
        case.patch(split_list={k: [address + f, f, m] for k, (_, f, m) in known.items()})
    yield here
    here.shutdown()
    here.server_close()
    thread.join()


def test_downloaded_when_asked_for_and_only_then(case, server):
    with pytest.raises(MissingData):
        data.load(case.name)
    assert server.asked == []
    case.assert_is(data.load(case.name, download=True))
    asked = len(server.asked)
    assert asked >= len(case.files)
    folder = data.fetch(case.name)
    case.assert_is(data.load(case.name, download=True))
    assert len(server.asked) == asked
    images = folder / "train" / "images.npy"
    images.write_bytes(images.read_bytes()[:-1])
    data.fetch(case.name)
    case.assert_is(data.load(case.name))


def test_a_download_that_breaks_or_lies_leaves_nothing(case, server):
    file, content = next(reversed(case.files.items()))
    for wrong, cut in ((content[:-10], 10), (b"other", 0), (None, 0)):
        server.files[file], server.cut = wrong, cut
        with pytest.raises(
            MissingData, match=f"{case.name} could not be downloaded .* another way"
        ):
            data.fetch(case.name)
        assert not [path for path in cache_folder().rglob("*") if path.is_file()]


def test_digits_are_those_of_scikit_learn():
    found, theirs = data.load("digits"), load_digits()
    seen = []
    for split in (found.train, found.validation, found.test):
        np.testing.assert_allclose(split.images, theirs.images[split.source] * 255 / 16, atol=0.5)
        np.testing.assert_array_equal(split.labels, theirs.target[split.source])
        seen += [*split.source]
    assert sorted(seen) == list(range(1_797))
    assert {*np.bincount(found.test.labels)} == {36}
    assert {*np.bincount(found.validation.labels)} == {18}


def test_changed_digits_are_noticed(monkeypatch):
    from tvae.data import digits

    monkeypatch.setattr(digits, "DIGEST", "0" * 64)
    with pytest.raises(CorruptData, match=r"digits\.csv\.gz is not what scikit-learn ships"):
        data.load("digits")


class TestDigits(DatasetContract):
    """What every data set promises."""

    plugin = "digits"
