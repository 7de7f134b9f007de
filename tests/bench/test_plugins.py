"""The plugin kit as a user meets it: what is there, a new plugin, its check, and mistakes.

A skeleton that does not pass its own check, or a check that passes a form that breaks its claims,
would send a researcher's first ten minutes the wrong way.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench import plugins
from bench.plug import check as contracts
from bench.plug import kinds
from tvae import data, registry
from tvae.testing import LatentTransformContract

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _forget_files():
    before = dict(registry._FILES)
    yield
    for path in registry._FILES.keys() - before.keys():
        sys.modules.pop(f"plugin_{path.stem}", None)
    registry._FILES.clear()
    registry._FILES.update(before)


def say(capsys, *arguments: str, status: int = 0) -> str:
    """What the command prints, on both streams, its lines unwrapped."""
    assert plugins.main(list(arguments)) == status
    out, err = capsys.readouterr()
    return out + err


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")


@pytest.mark.usefixtures("wide")
def test_list_has_every_name_with_summary_claims_and_origin(capsys):
    said = say(capsys, "list")
    for names in kinds.KINDS.values():
        for name in names.names():
            assert f" {name} " in said
    rows = {row.split("│")[1].strip(): row for row in said.splitlines() if row.startswith("│")}
    assert "z + T" in rows["additive"]
    assert "abelian, closed, identity, inverse" in rows["additive"]
    assert "tvae-bench" in rows["additive"]


@pytest.mark.usefixtures("wide")
def test_list_shows_the_traceback_of_what_is_broken(capsys, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "their_form.py").write_text("raise RuntimeError('no such GPU')\n")
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    points = "[tvae.latent_transforms]\ntheirs = their_form:Form\nadditive = their_form:Form\n"
    (info / "entry_points.txt").write_text(points)
    fresh = registry.Registry("latent transform", "tvae.latent_transforms", "LatentTransform")
    monkeypatch.setattr(registry, "latent_transforms", fresh)
    monkeypatch.setattr("bench.plug.list.KINDS", {"latent_transform": fresh})
    said = say(capsys, "list")
    assert "NOT AVAILABLE: no such GPU" in said
    assert "the latent transform 'theirs' (their_form:Form (theirs)) cannot be imported" in said
    assert "RuntimeError: no such GPU" in said
    assert 'their_form.py", line 1' in said
    assert "two plugins claim the latent transform 'additive'" in said
    assert "tvae.latent_transforms.additive and their_form:Form (theirs)" in said
    assert "exp(A) z" in said, "the others are there"


def test_describe_tells_costs_of_the_form_at_both_sizes(capsys):
    said = say(capsys, "describe", "matrix", "block=5")
    assert "r(z, T) = exp(A) z" in said
    assert "block: int | None = None" in said
    for dim, size in ((10, 50), (100, 500)):
        hidden = 1000
        by_hand = (2 * dim + 1) * hidden + (hidden + 1) * hidden + (hidden + 1) * size
        assert f"D = {dim}: P = {size}; parameters of r 0, of h_xi {by_hand:,}" in said


def test_describe_of_every_kind(capsys):
    assert "scale: " in say(capsys, "describe", "kl")
    assert "D = 100: default weight 1; one estimate" in say(capsys, "describe", "kl")
    assert "two views of 100 images" in say(capsys, "describe", "crop")
    assert "images: int = 1000" in say(capsys, "describe", "algebra")
    asked = "K = 2: a pixel and channel asks a decoder for so many numbers; own parameters 0"
    assert asked in say(capsys, "describe", "discretised_logistic")
    assert "own parameters 1;" in say(capsys, "describe", "gaussian", "learned=true")
    sizes = " / ".join(f"{size:,}" for size in data.source("mnist_small").sizes)
    assert f"train / validation / test  {sizes}" in say(capsys, "describe", "mnist_small")
    both = say(capsys, "describe", "affine")
    assert "a latent transform" in both
    assert "a transformation family" in both
    assert "a latent transform" not in say(capsys, "describe", "affine", "kind=family")


def test_describe_tells_both_halves_of_a_network_and_what_it_refuses(capsys):
    said = say(capsys, "describe", "paper", "kind=network")
    for dim, encoder, decoder in ((10, "221,972", "182,273"), (100, "590,792", "193,793")):
        both = f"parameters of the encoder {encoder}, of the decoder {decoder}; 100 images encoded"
        assert f"28 x 28, D = {dim}: {both}" in said
    assert "3 x 32 x 32, D" not in said
    assert "refused: takes grey images of 28 x 28 alone, got 3 x 32 x 32" in said
    said = say(capsys, "describe", "conv", "width=2")
    assert "3 x 32 x 32, D = 100: parameters of the encoder" in said
    refused = [line.strip() for line in said.splitlines() if "refused" in line]
    assert refused == ["refused: takes images of at least 8 x 8, got 5 x 7"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["describe", "aditive"], "did you mean 'additive'?"),
        (["describe"], "describe takes the NAME of one plugin; given: none"),
        (["describe", "kl", "kind=famly"], "unknown kind 'famly'; did you mean 'family'?"),
        (["describe", "matrix", "blok=2"], "unknown option of the latent transform 'matrix'"),
        (["describe", "matrix", "block=x"], 'block: must be a whole number, got "x"'),
        (["check", "matrix", "block=x"], 'block: must be a whole number, got "x"'),
        (["check", "kl", "scale=-1"], "scale must be above 0"),
        (["check", "conv", "width=0"], "width must be at least 1, got 0"),
        (["check", "gaussian", "scale=wide"], 'scale: must be a number, got "wide"'),
        (["describe", "convv"], "did you mean 'conv'?"),
        (["new", "likelihood", "gaussian"], "there is a likelihood 'gaussian' already"),
        (["check", "mnist_small", "root=x"], "root: the data set 'mnist_small' takes none here"),
        (["list", "plugins=3"], "plugins: must be a file or a list of files, got 3"),
        (["list", "~plugins"], "~plugins: there is nothing to delete here"),
        (["check", "nothing"], "unknown plugin 'nothing'"),
        (["list", "nam=1"], "unknown argument of list: 'nam'"),
        (["list", "plugins=no.py"], "no.py is no file"),
        (["new", "form", "mine"], "unknown kind 'form'"),
        (["new", "family", "Mine"], "'Mine' is no plugin's name"),
        (["new", "family", "rotation"], "there is a transformation family 'rotation' already"),
        (["new", "family", "mine", "folder=/nowhere"], "folder=/nowhere is no folder"),
        (["new", "family"], "new takes a KIND and a NAME; given: family"),
    ],
)
def test_mistakes_are_answered(capsys, arguments, message):
    assert message in say(capsys, *arguments, status=2)


def test_new_overwrites_nothing(capsys, tmp_path):
    (tmp_path / "mine.py").write_text("precious")
    said = say(capsys, "new", "family", "mine", f"folder={tmp_path}", status=2)
    assert "is there already; nothing was written" in said
    assert (tmp_path / "mine.py").read_text() == "precious"
    assert not (tmp_path / "test_mine.py").exists()


def test_every_skeleton_passes_its_check_and_its_test(capsys, tmp_path):
    """Its test in a process of its own, as its author will run it."""
    for kind in kinds.KINDS:
        name = f"my_{kind}"
        said = say(capsys, "new", kind, name, f"folder={tmp_path}")
        assert f"wrote {tmp_path / name}.py" in said
        said = say(capsys, "check", name, f"plugins={tmp_path / name}.py")
        assert "FAILED" not in said
        assert "tests passed" in said
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    style = [sys.executable, "-m", "ruff"]
    if subprocess.run([*style, "--version"], capture_output=True, check=False).returncode == 0:
        config = ["--config", str(ROOT / "pyproject.toml"), "--config", "lint.ignore=['D','I']"]
        for command in (["check", *config], ["format", "--check", *config[:2]]):
            done = subprocess.run(
                [*style, *command, str(tmp_path)], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout


MIXING = '''
from torch import nn

from tvae.networks import Network

class Mixing(Network):
    """A linear layer a half, behind a normalisation over the batch."""

    def encoder(self, shape, latent_dim):
        return Encoder(nn.BatchNorm2d(shape.channels), nn.Flatten(),
                       nn.Linear(shape.numbers, 2 * latent_dim))

    def decoder(self, shape, latent_dim, outputs):
        size = outputs, shape.height, shape.width
        return nn.Sequential(nn.Linear(latent_dim, size[0] * size[1] * size[2]),
                             nn.Unflatten(1, size))

class Encoder(nn.Sequential):
    def forward(self, x):
        return super().forward(x).chunk(2, dim=1)
'''


@pytest.mark.usefixtures("wide")
def test_a_network_that_mixes_images_fails_its_check(capsys, tmp_path):
    (tmp_path / "mixing.py").write_text(MIXING)
    said = say(capsys, "check", "mixing", f"plugins={tmp_path / 'mixing.py'}", status=1)
    rows = {row.split("│")[1].strip(): row for row in said.splitlines() if row.startswith("│")}
    assert "NO" in rows["encoded one by one"]
    assert "yes" in rows["decoded one by one"]
    assert "FAILED: no image of a batch sees another [28x28,default]" in said


WRONG = '''
from tvae.latent_transforms import LatentTransform

class Wrong(LatentTransform):
    """r(z, T) = z + T, and an inverse that forgets half of it."""

    claims = frozenset({"inverse", "identity", "norm"})
    parameter_shape = property(lambda self: (self.latent_dim,))

    def __init__(self, latent_dim: int):
        super().__init__(latent_dim)

    def forward(self, z, t):
        return z + t

    def inverse(self, z, t):
        return z - t / 2
'''


@pytest.mark.usefixtures("wide")
def test_a_form_that_breaks_its_claims_fails_its_check(capsys, tmp_path):
    (tmp_path / "wrong.py").write_text(WRONG)
    said = say(capsys, "check", "wrong", f"plugins={tmp_path / 'wrong.py'}", status=1)
    rows = {row.split("│")[1].strip(): row for row in said.splitlines() if row.startswith("│")}
    assert "NO" in rows["inverse"]
    assert "NO" in rows["norm"]
    assert "NO" in rows["no abelian"], "it commutes and does not say so"
    assert "yes" in rows["identity"]
    assert "FAILED: claimed laws hold [D=4,default]" in said
    # |T/2| / |z| at D = 4: |T| is about |z|/4
    (measured,) = (float(rows["inverse"].split("│")[2]),)
    assert 0.05 < measured < 0.3


def test_the_worst_of_each_law_is_shown():
    form = contracts.run("latent_transform", "matrix", {"skew": True})
    shown = form.worst()
    for law, _ in form.laws:
        worst, _ = shown[f"{law.name} {law.lower}"]
        assert worst.error <= law.error if law.lower else worst.error >= law.error
    assert not form.failed
    assert len(form.laws) > 40


def test_a_number_that_is_not_finite_never_holds():
    from tvae.testing import Law

    assert not Law("x", float("nan"), 1.0).holds
    assert not Law("x", float("nan"), 1.0, lower=True).holds
    assert Law("x", 1.0, 1.0).holds


def test_a_contract_must_be_told_which_plugin():
    class Nothing(LatentTransformContract):
        pass

    class Other(LatentTransformContract):
        plugin = dict

    with pytest.raises(TypeError, match="must say which plugin"):
        Nothing.owner()
    with pytest.raises(TypeError, match="dict does not derive from LatentTransform"):
        Other.owner()


@pytest.mark.usefixtures("wide")
def test_an_absent_library_is_a_line_of_the_list_and_nothing_else(capsys, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "needy_form.py").write_text("import no_such_library\n")
    info = tmp_path / "needy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: needy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tvae.latent_transforms]\nneedy = needy_form:Form\n")
    fresh = registry.Registry("latent transform", "tvae.latent_transforms", "LatentTransform")
    monkeypatch.setattr(registry, "latent_transforms", fresh)
    monkeypatch.setattr("bench.plug.list.KINDS", {"latent_transform": fresh})
    assert plugins.main(["list"]) == 0
    said = capsys.readouterr()
    assert "NOT AVAILABLE: No module named 'no_such_library'" in said.out
    assert said.err == ""
