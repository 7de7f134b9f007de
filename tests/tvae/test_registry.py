"""Plugins are found by scanning and by entry points, one broken one disables only itself.

Whoever adds a form adds a file, or a package of their own; nothing else is edited. So the registry
is tried with a real installed distribution: a folder with metadata, as pip leaves it.
"""

from __future__ import annotations

import sys
import textwrap
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import tvae
from tvae import registry
from tvae.registry import BrokenPlugin, DuplicateName, Registry, UnknownName

KINDS = {
    "latent_transforms": (registry.latent_transforms, "LatentTransform"),
    "divergences": (registry.divergences, "Divergence"),
    "families": (registry.families, "TransformationFamily"),
    "networks": (registry.networks, "Network"),
    "likelihoods": (registry.likelihoods, "Likelihood"),
    "models": (registry.models, "Model"),
    "evaluation": (registry.metrics, "Metric"),
}


def fresh() -> Registry:
    """A registry that has not looked yet."""
    return Registry("latent transform", "tvae.latent_transforms", "LatentTransform")


@pytest.fixture
def install(monkeypatch, tmp_path):
    """A maker of installed distributions, each with one module and one entry point."""
    monkeypatch.syspath_prepend(str(tmp_path))
    installed = []

    def install(package: str, source: str, entry: str) -> None:
        module = package.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
        metadata = tmp_path / f"{module}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
        )
        (metadata / "entry_points.txt").write_text(f"[tvae.latent_transforms]\n{entry}\n")
        installed.append(module)

    yield install
    for module in installed:
        sys.modules.pop(module, None)


SCALING = """
    from tvae.latent_transforms.base import LatentTransform

    class Scaling(LatentTransform):
        '''Scales z.'''

        parameter_shape = (1,)

        def forward(self, z, t):
            return z * t.exp()

        def inverse(self, z, t):
            return z / t.exp()
    """


@pytest.mark.parametrize("folder", KINDS)
def test_a_file_is_a_plugin(folder):
    """Every public module of the folder is found, and holds one class of the folder's kind."""
    plugins, base = KINDS[folder]
    path = Path(tvae.__file__).parent / folder
    files = {file.stem for file in path.glob("[!_]*.py")} - {"base", "compose"}
    ours = {name for name in plugins.names() if plugins.origin(name).ours}
    assert ours == files
    assert plugins.names() == sorted(plugins.names())
    for name in plugins.names():
        assert base in [ancestor.__name__ for ancestor in plugins.get(name).__mro__]
        assert plugins.summary(name).strip(), f"{name} has no summary"


def test_a_third_party_form_is_found_and_used(install):
    install("tvae-scaling", SCALING, "scaling = tvae_scaling:Scaling")
    plugins = fresh()
    assert "scaling" in plugins.names()
    assert plugins.make("scaling", 3).parameter_size == 1
    assert plugins.summary("scaling") == "Scales z."
    assert str(plugins.origin("scaling")) == "tvae_scaling:Scaling (tvae-scaling)"
    assert str(plugins.origin("additive")) == "tvae.latent_transforms.additive"


def test_names_import_nothing(install):
    install("tvae-loud", "raise RuntimeError('imported')", "loud = tvae_loud:Loud")
    assert "loud" in fresh().names()
    assert "tvae_loud" not in sys.modules


@pytest.mark.parametrize(
    ("source", "entry", "cause"),
    [
        ("raise RuntimeError('no GPU')", "broken = tvae_broken:Form", RuntimeError),
        ("import nonexistent_package", "broken = tvae_broken:Form", ModuleNotFoundError),
        ("x = 1", "broken = tvae_broken:Form", AttributeError),
        ("Form = 3", "broken = tvae_broken:Form", type(None)),
        ("class Form: pass", "broken = tvae_broken:Form", type(None)),
    ],
)
def test_a_broken_plugin_disables_only_itself(install, source, entry, cause):
    install("tvae-broken", source, entry)
    plugins = fresh()
    with pytest.raises(
        BrokenPlugin, match=r"'broken' \(tvae_broken:Form \(tvae-broken\)\)"
    ) as info:
        plugins.get("broken")
    assert isinstance(info.value.__cause__, cause)
    assert plugins.make("additive", 3).latent_dim == 3


def test_one_name_twice_is_refused_with_both_origins(install):
    install("tvae-other", SCALING, "additive = tvae_other:Scaling")
    plugins = fresh()
    with pytest.raises(DuplicateName) as info:
        plugins.get("additive")
    assert plugins.make("matrix", 3).latent_dim == 3, "nobody else's affair"
    for origin in ("tvae.latent_transforms.additive", "tvae_other:Scaling (tvae-other)", "rename"):
        assert origin in str(info.value)


def test_the_fixture_leaves_nothing_behind():
    assert {point.name for point in entry_points(group="tvae.latent_transforms")} == set()
    assert fresh().names() == registry.latent_transforms.names()


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(UnknownName, match=r"'aditive'; did you mean 'additive'\? \(known: add"):
        registry.latent_transforms.get("aditive")
    with pytest.raises(UnknownName) as info:
        registry.divergences.get("zzzzzz")
    assert "did you mean" not in str(info.value)


@pytest.mark.parametrize(
    ("plugins", "name", "args", "option", "known"),
    [
        (registry.latent_transforms, "matrix", (4,), "blok", "block, skew"),
        (registry.latent_transforms, "additive", (4,), "latent_dim", "nothing"),
        (registry.families, "none", (), "args", "nothing"),
        (registry.families, "none", (), "max_angle", "nothing"),
        (registry.metrics, "cost", (), "k", "nothing"),
    ],
)
def test_an_unknown_option_is_answered_with_the_known_ones(plugins, name, args, option, known):
    with pytest.raises(UnknownName, match=f"unknown option of the .*'{option}'.*known: {known}"):
        plugins.make(name, *args, **{option: 1})


def test_an_option_that_is_missing_is_named():
    with pytest.raises(ValueError, match="the model 'tvae' is missing a required argument"):
        tvae.build({"name": "tvae", "latent_dim": 4})


def test_a_reference_is_a_name_or_a_mapping():
    build = registry.latent_transforms.build
    assert build("matrix", 4).block == 4
    options = {"name": "matrix", "block": 2, "skew": True}
    assert build(options, 4).claims >= {"closed", "norm"}
    assert options == {"name": "matrix", "block": 2, "skew": True}, "the reference is left alone"


@pytest.mark.parametrize("reference", [{}, {"block": 2}])
def test_a_reference_without_a_name_is_refused(reference):
    with pytest.raises(ValueError, match="the latent transform has no name"):
        registry.latent_transforms.build(reference, 4)
    with pytest.raises(ValueError, match="the model has no name"):
        tvae.build(reference)


# --- one file, without packaging -----------------------------------------------------------------


@pytest.fixture
def add(tmp_path):
    """A maker of plugin files that are added, and forgotten afterwards."""

    def add(name: str, source: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(textwrap.dedent(source))
        registry.add_file(path)
        return path

    before = dict(registry._FILES)
    yield add
    for module in registry._FILES.values():
        sys.modules.pop(module.__name__, None)
    registry._FILES.clear()
    registry._FILES.update(before)


def test_a_file_is_known_by_its_name(add):
    assert "scaling" not in registry.latent_transforms.names()
    path = add("scaling.py", SCALING)
    assert "scaling" in registry.latent_transforms.names()
    assert "scaling" not in registry.divergences.names()
    assert str(registry.latent_transforms.origin("scaling")) == str(path)
    assert registry.latent_transforms.make("scaling", 3).parameter_size == 1
    assert registry.files() == [path]
    registry.add_file(path)  # again: nothing happens
    assert registry.files() == [path]


def test_a_file_does_not_take_the_place_of_a_module(add):
    add("random.py", SCALING)
    import random

    assert random.random() < 1
    assert "random" in registry.latent_transforms.names()


def test_a_file_may_hold_one_plugin_of_each_kind_and_private_helpers(add):
    add(
        "several.py",
        SCALING
        + """
    from tvae.families.rotation import Rotation

    class _Helper(LatentTransform):
        parameter_shape = (1,)

    class Turned(Rotation):
        '''Rotation, in a file.'''
    """,
    )
    assert registry.families.make("several").max_angle == 45
    assert registry.latent_transforms.get("several").__name__ == "Scaling"


def test_a_file_of_the_name_of_another_plugin_is_refused_with_both_origins(add):
    path = add("additive.py", SCALING)
    with pytest.raises(DuplicateName) as info:
        registry.latent_transforms.get("additive")
    assert str(path) in str(info.value)
    assert "tvae.latent_transforms.additive" in str(info.value)
    with pytest.raises(DuplicateName, match=r"two plugin files are called additive\.py"):
        add("elsewhere/additive.py", SCALING)


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("broken.py", "import nonexistent_package", "cannot be imported"),
        ("broken.py", "import sys; sys.exit(0)", "cannot be imported"),
        ("broken.py", "raise SystemExit('usage: ...')", "cannot be imported"),
        ("Broken.py", "", "small letters"),
        ("my-form.py", "", "small letters"),
        ("form.txt", "", r"small letters, digits and _, then \.py"),
    ],
)
def test_files_that_are_no_plugins(add, name, source, message):
    with pytest.raises(BrokenPlugin, match=message):
        add(name, source)
    assert registry.files() == []
    assert "plugin_broken" not in sys.modules


def test_a_file_that_is_not_there():
    with pytest.raises(BrokenPlugin, match=r"nowhere\.py is no file; give the path"):
        registry.add_file("nowhere.py")
