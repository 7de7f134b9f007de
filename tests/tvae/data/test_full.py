"""The full sets are found where they usually lie, verified, split as published, safely downloaded.

What is trained on must be the official images whatever folder they come from; a download that
breaks or lies must be noticed and must leave nothing that a later load would take for data.
"""

import gzip
import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torchvision
from idx_files import lay_out

from tvae import data
from tvae.data.full import MNIST
from tvae.data.idx import DIGESTS
from tvae.data.source import CorruptData, MissingData, cache_folder

FILES = list(DIGESTS["mnist"])


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("layout", [".", "mnist", "MNIST/raw"])
def test_found_in_every_usual_layout(official, tmp_path, layout, packed):
    folder = lay_out(official, tmp_path / "root" / layout, packed)
    found = data.load("mnist", tmp_path / "root")
    assert MNIST.locate(tmp_path / "root") == folder
    train_images = np.frombuffer(official[FILES[0]][16:], np.uint8).reshape(60, 28, 28)
    train_labels = np.frombuffer(official[FILES[1]][8:], np.uint8)
    np.testing.assert_array_equal(found.train.images, train_images[:50])
    np.testing.assert_array_equal(found.train.labels, train_labels[:50])
    np.testing.assert_array_equal(found.validation.images, train_images[50:])
    np.testing.assert_array_equal(found.validation.source, range(50, 60))
    np.testing.assert_array_equal(found.test.source, range(10))
    assert found.train.labels.dtype == np.int64


def test_the_digest_is_of_the_content_not_of_the_place(official, tmp_path):
    lay_out(official, tmp_path / "a", True)
    lay_out(official, tmp_path / "b" / "MNIST" / "raw", False)
    assert data.load("mnist", tmp_path / "a").digest == data.load("mnist", tmp_path / "b").digest


def test_found_in_the_cache_without_a_root(official):
    lay_out(official, cache_folder() / "mnist", True)
    assert len(data.load("mnist").test) == 10


def test_missing_data_name_every_place_and_the_ways_out(official, tmp_path):
    root = lay_out({FILES[0]: official[FILES[0]]}, tmp_path / "root", True)
    with pytest.raises(MissingData) as caught:
        data.load("mnist", root)
    message = str(caught.value)
    places = [root / "mnist", root / "MNIST" / "raw", root, cache_folder() / "mnist"]
    for expected in (*places, "/usr/share/datasets/mnist", f"without {FILES[1]}"):
        assert str(expected) in message
    assert "data.root=FOLDER" in message
    assert "train-images-idx3-ubyte.gz" in message
    assert "python -m bench.data fetch mnist" in message


def test_files_of_another_set_in_the_same_folder_are_not_mistaken(official, tmp_path):
    root = lay_out(official, tmp_path / "root", True)
    with pytest.raises(MissingData, match=re.escape(f"{root} (is mnist's)")):
        data.load("fashion_mnist", root)


@pytest.mark.parametrize("damage", ["packed", "content"])
def test_a_damaged_file_is_reported_by_load(official, tmp_path, damage):
    root = lay_out(official, tmp_path / "root", True)
    path = root / f"{FILES[3]}.gz"
    path.write_bytes(path.read_bytes()[:-3] if damage == "packed" else gzip.compress(b"other"))
    assert MNIST.locate(root) == root
    with pytest.raises(CorruptData, match=str(path)):
        data.load("mnist", root)


@pytest.mark.parametrize("file", FILES)
def test_one_flipped_bit_is_noticed(official, tmp_path, file):
    content = bytearray(official[file])
    content[-1] ^= 1
    root = lay_out(official | {file: bytes(content)}, tmp_path, True)
    for check in (data.load, data.available):
        with pytest.raises(CorruptData, match=f"{file}.gz is not mnist's {file}"):
            check("mnist", root)


def test_available_returns_the_digests_of_what_it_read(official, tmp_path):
    root = lay_out(official, tmp_path, False)
    assert data.available("mnist", root) == {
        str(root / file): hashlib.sha256(official[file]).hexdigest() for file in FILES
    }


@pytest.fixture
def server(official, monkeypatch):
    """A mirror on this machine; `server.files` is what it serves, `server.asked` what it was."""
    packed = {f"{name}.gz": gzip.compress(content) for name, content in official.items()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = mirror.files.get(self.path[1:])
            mirror.asked.append(self.path)
            if content is None:
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content) + mirror.cut))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words):
            pass

    mirror = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    mirror.files, mirror.asked, mirror.cut = packed, [], 0
    thread = threading.Thread(target=mirror.serve_forever, args=(0.01,))
    thread.start()
    torch_mnist = torchvision.datasets.MNIST
    monkeypatch.setattr(torch_mnist, "mirrors", [f"http://127.0.0.1:{mirror.server_port}/"])
    known = [(name, hashlib.md5(content).hexdigest()) for name, content in packed.items()]
    monkeypatch.setattr(torch_mnist, "resources", known)
    yield mirror
    mirror.shutdown()
    mirror.server_close()
    thread.join()


def test_nothing_is_downloaded_unasked(server):
    with pytest.raises(MissingData):
        data.load("mnist")
    assert server.asked == []


def test_download_on_request_then_from_the_cache(server, official, tmp_path):
    first = data.load("mnist", download=True)
    lay_out(official, tmp_path / "root", False)
    assert first.digest == data.load("mnist", tmp_path / "root").digest
    asked = len(server.asked)
    assert asked > 0
    assert data.load("mnist", download=True).digest == first.digest
    assert data.fetch("mnist") == cache_folder() / "mnist"
    assert len(server.asked) == asked


def leave_nothing_behind():
    left = [path for path in cache_folder().rglob("*") if path.is_file()]
    assert left == []
    with pytest.raises(MissingData):
        data.load("mnist")


def test_an_incomplete_mirror_leaves_nothing(server):
    del server.files[f"{FILES[-1]}.gz"]
    with pytest.raises(MissingData, match="could not be downloaded"):
        data.fetch("mnist")
    leave_nothing_behind()


def test_the_next_mirror_is_tried(server, monkeypatch):
    mirrors = torchvision.datasets.MNIST.mirrors
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [f"{mirrors[0]}no/", *mirrors])
    assert len(data.load("mnist", download=True).test) == 10


def test_a_broken_off_download_leaves_nothing(server):
    server.cut = 10
    server.files = {name: content[:-10] for name, content in server.files.items()}
    with pytest.raises(MissingData, match="could not be downloaded"):
        data.fetch("mnist")
    leave_nothing_behind()


def test_a_download_that_torchvision_trusts_is_still_verified(server, monkeypatch):
    other = gzip.compress(b"\0\0\x08\x01" + bytes(20))
    server.files[f"{FILES[1]}.gz"] = other
    known = [(name, hashlib.md5(c).hexdigest()) for name, c in server.files.items()]
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", known)
    with pytest.raises(CorruptData, match=f"is not mnist's {FILES[1]}"):
        data.fetch("mnist")
    leave_nothing_behind()


@pytest.mark.parametrize("packed", [True, False])
def test_fetch_replaces_a_corrupt_cache(server, official, packed):
    lay_out(official | {FILES[2]: b"damaged"}, cache_folder() / "mnist", packed)
    with pytest.raises(CorruptData):
        data.load("mnist", download=True)
    data.fetch("mnist")
    assert len(data.load("mnist").train) == 50
