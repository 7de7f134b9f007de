"""``python -m bench.data`` tells people what they have, gets what they lack, and checks it.

It is the first thing a user meets when data are missing: every mistake ends with status 2 and a
sentence that helps, never a traceback.
"""

import gzip
import hashlib
import os
import struct
import subprocess
import sys
import time

import numpy as np
import pytest

from bench.data import main
from tvae import data
from tvae.data import full, idx


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tvae-bench"


@pytest.fixture
def root(monkeypatch, tmp_path):
    """A folder with a stand-in for MNIST that the code takes for the official one."""
    digits = data.load("mnist_small")
    folder = tmp_path / "root"
    folder.mkdir()
    digests = {}
    for part, split, n in (("train", digits.train, 12), ("t10k", digits.test, 5)):
        arrays = {
            f"{part}-images-idx3-ubyte": split.images[:n],
            f"{part}-labels-idx1-ubyte": split.labels[:n].astype(np.uint8),
        }
        for name, array in arrays.items():
            header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
            content = header + array.tobytes()
            digests[name] = hashlib.sha256(content).hexdigest()
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    monkeypatch.setitem(idx.DIGESTS, "mnist", digests)
    monkeypatch.setattr(full, "TRAIN", 10)
    return folder


def test_list(capsys, monkeypatch, root):
    monkeypatch.setenv("COLUMNS", "250")
    assert main(["list", f"root={root}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in data.names():
        assert any(f" {name} " in line for line in lines)
    (mnist,) = [line for line in lines if " mnist " in line]
    assert str(root) in mnist
    assert "50,000 / 10,000 / 10,000" in mnist
    (colour,) = [line for line in lines if " sprites_colour " in line]
    assert "8,000 / 2,000 / 2,000" in colour
    assert "3 x 64 x 64" in colour
    assert "transformed(NAME)" in lines[-1]
    (fashion,) = [line for line in lines if " fashion_mnist " in line]
    where = "python -m bench.data fetch fashion_mnist", "/usr/share/datasets/fashion-mnist"
    assert any(place in fashion for place in where)


def test_verify_prints_the_digests(capsys, root):
    assert main(["verify", "mnist", f"root={root}"]) == 0
    out = capsys.readouterr().out
    for name, digest in idx.DIGESTS["mnist"].items():
        assert f"{digest}  {root / name}.gz\n" in out
    digest = data.load("mnist", root).digest
    assert f"mnist is intact: 10 / 2 / 5 images, digest {digest}\n" in out


def test_fetch_generates_affnist_and_verify_finds_it(capsys, root, cache):
    assert main(["fetch", "affnist", "variants=3", f"root={root}"]) == 0
    assert str(cache) in capsys.readouterr().out
    assert main(["verify", "affnist", "variants=3"]) == 0
    out = capsys.readouterr().out
    assert "affnist is intact: 30 / 6 / 15 images" in out
    (images,) = cache.glob("affnist-*/train/images.npy")
    content = images.read_bytes()
    digest = data.load("affnist", variants=3).digest
    assert f"{digest}  affnist\n" in out
    images.write_bytes(content[:-1] + b"\1")
    assert main(["verify", "affnist", "variants=3"]) == 2
    assert f"{images} has changed" in capsys.readouterr().err


def test_images_of_ones_own_by_their_path(capsys, tmp_path, monkeypatch, cache):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 9, 7, 3), np.uint8)
    np.savez(tmp_path / "faces.npz", images=images, labels=np.arange(40) % 4)
    monkeypatch.chdir(tmp_path)
    assert main(["verify", "faces.npz"]) == 0
    out = capsys.readouterr().out
    digest = data.load("faces.npz").digest
    assert f"{digest}  faces\n" in out
    assert f"faces.npz is intact: 28 / 4 / 8 images, digest {digest}\n" in out
    words = ["./faces.npz", "size=[8, 8]", "fit=crop", "channels=1", "test=0.4", "seed=3"]
    assert main(["fetch", *words]) == 0
    assert f"./faces.npz is in {cache}" in " ".join(capsys.readouterr().out.split())
    assert main(["verify", *words]) == 0
    assert "is intact: 20 / 4 / 16 images" in capsys.readouterr().out
    assert main(["verify", f"transformed({tmp_path}/faces.npz)", "variants=2"]) == 0
    assert "is intact: 56 / 8 / 16 images" in capsys.readouterr().out


def test_fit_and_test_images_may_have_variants_of_their_own(capsys, root):
    """In the grammar of a study's file, or dotted."""
    assert main(["fetch", "affnist", "variants={train: 3, test: 2}", f"root={root}"]) == 0
    assert main(["verify", "affnist", "variants.train=3", "variants.test=2"]) == 0
    assert "affnist is intact: 30 / 4 / 10 images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("verify mnits", "did you mean 'mnist'"),
        ("verify", "takes the name of one data set"),
        ("verify mnist mnist_small", "given: mnist mnist_small"),
        ("list mnist", "list takes no name"),
        ("list rot=3", "did you mean 'root'"),
        ("fetch affnist variant=2", "did you mean 'variants'"),
        ("fetch mnist variants=2", "unknown argument of fetch mnist: 'variants'"),
        ("fetch affnist variants=two", "variants=two must be a whole number"),
        ("fetch affnist variants=0", "variants=0 must be at least 1"),
        ("fetch affnist variants=true", "variants=True must be a whole number"),
        ("fetch affnist variants.test=0", "variants.test=0 must be at least 1"),
        ("fetch affnist variants.tset=2", "did you mean 'test'"),
        ("fetch affnist ~variants", "unknown argument of fetch affnist: '~variants'"),
        ("fetch affnist variants=[1", "variants: cannot read the value '[1'"),
        ("verify mnist root=/no/such/folder", "/no/such/folder is no folder"),
        ("list root=/no/such/folder", "/no/such/folder is no folder"),
        ("verify mnist", "mnist was not found; looked in"),
        ("verify ./nowhere", "nowhere does not exist; there should be a folder with a folder of"),
        ("fetch ./nowhere sise=3", "did you mean 'size'"),
        ("fetch ./nowhere digest=3", "unknown argument of fetch ./nowhere: 'digest'"),
        ("fetch ./nowhere fit=crop", "fit=crop needs a size"),
        ("verify transformed(mnits)", "did you mean 'mnist'"),
        ("fetch transformed(mnist) size=3", "unknown argument of fetch transformed(mnist): 'size'"),
        ("verify transformed(affnist)", "affnist is transformed already; take its originals"),
        ("verify kmnist", "kmnist was not found; looked in"),
    ],
)
def test_mistakes_end_with_status_2_and_help(capsys, words, message):
    assert main(words.split()) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_corrupt_data_end_with_status_2(capsys, root):
    path = root / "train-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-5])
    assert main(["verify", "mnist", f"root={root}"]) == 2
    assert f"{path} is damaged" in capsys.readouterr().err


def test_as_a_command():
    """A process of its own: an unknown command, and help without a wait for heavy imports."""
    command = [sys.executable, "-m", "bench.data"]
    wrong = subprocess.run([*command, "lst"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "invalid choice" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        shown = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - start)
    assert "fetch NAME" in shown.stdout
    assert min(seconds) < 1


def test_help_imports_nothing_heavy():
    code = (
        "import sys, bench.data\n"
        "try: bench.data.main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'scipy', 'pandas', 'mlflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=os.environ)


def test_a_user_without_a_home(capsys, monkeypatch):
    """As in a container that runs under a number nobody knows."""
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert main(["list"]) == 0
    assert "mnist_small" in capsys.readouterr().out
