"""Digests of source code: the code that can change a number, that code only, and not its prose.

Tried on a small package and on a copy of the library, whose files are edited.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import textwrap

import pytest
from harness import PLUGIN, REPOSITORY, write
from hypothesis import given
from hypothesis import strategies as st

from bench.plan import keys


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A function that writes modules of a package ``toy`` and forgets what was known of them."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(**files: str) -> None:
        folder = tmp_path / "toy"
        folder.mkdir(exist_ok=True)
        for name, text in {"__init__": "", **files}.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(text))
        for name in [name for name in sys.modules if name.partition(".")[0] == "toy"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        keys._parsed.cache_clear()
        keys._source.cache_clear()

    yield write
    write()


TOY = {
    "form": "from toy import helper\nimport os\n\ndef r(z, t):\n    return helper.shift(z, t)\n",
    "helper": "def shift(z, t):\n    return z + t\n",
    "other": "x = 1\n",
}


def test_a_module_s_own_imports_are_followed(package):
    package(**TOY)
    assert set(keys.source_digests(["toy.form"])) == {"toy", "toy.form", "toy.helper"}


@pytest.mark.parametrize(
    "text",
    [
        "from toy.helper import shift\n",
        "import toy.helper\n",
        "import toy.helper as h\n",
        "from . import helper\n",
        "from .helper import shift\n",
        "def f():\n    from toy import helper\n    return helper\n",
    ],
)
def test_however_it_is_imported(package, text):
    package(**{**TOY, "form": text})
    assert "toy.helper" in keys.source_digests(["toy.form"])


def test_code_counts_prose_does_not(package):
    package(**TOY)
    before = keys.source_digests(["toy.form"])

    package(**{**TOY, "helper": "def shift(z, t):\n    return z - t\n"})
    after = keys.source_digests(["toy.form"])
    assert after["toy.helper"] != before["toy.helper"]
    assert after["toy.form"] == before["toy.form"]

    prose = '''
        """A module."""
        # a comment
        def shift(z, t):
            """Shift z."""

            return (z
                    + t)  # the paper's form
    '''
    package(**{**TOY, "helper": prose})
    assert keys.source_digests(["toy.form"]) == before

    package(**{**TOY, "other": "x = 2\n"})
    assert keys.source_digests(["toy.form"]) == before


SCRIPT = """
import json, sys
from pathlib import Path
import tvae
from bench.plan import keys
from bench.plan.trials import World, plan
from bench.study.resolve import resolve

tree = Path(sys.argv[1])
assert Path(tvae.__file__).is_relative_to(tree), tvae.__file__
study, _ = resolve(["study=tiny.yaml"])

def planned():
    keys._parsed.cache_clear()
    found = plan(study, World({"mnist": "0"}, "2.0", "cpu"))
    return {t.arm: (t.training_key, t.evaluation_key) for t in found}

def edited(path, old, new):
    file = tree / path
    text = file.read_text()
    assert old in text, (path, old)
    file.write_text(text.replace(old, new, 1))
    after = planned()
    file.write_text(text)
    return sorted(a for a in before if before[a][0] != after[a][0]), sorted(
        a for a in before if before[a][1] != after[a][1]
    )

before = planned()
print(json.dumps({name: edited(*edit) for name, edit in json.loads(sys.argv[2]).items()}))
"""

EVERY = ["additive", "joint", "literal", "vae"]
EDITS = {
    "a divergence": ("tvae/divergences/mmd_joint.py", "class", "SHARPER = 2\n\n\nclass"),
    "a latent transform": ("tvae/latent_transforms/matrix.py", "class", "SHARPER = 2\n\n\nclass"),
    "an imported helper": (
        "tvae/latent_transforms/_exponential.py",
        "NORM_LIMIT = 500.0",
        "NORM_LIMIT = 400.0",
    ),
    "the loop": ("tvae/trainer.py", "if len(bad):", "if len(bad) > 1:"),
    "the family": ("tvae/families/rotation.py", "class", "SHARPER = 2\n\n\nclass"),
    "another family": ("tvae/families/superpixel.py", "class", "SHARPER = 2\n\n\nclass"),
    "a metric": ("tvae/evaluation/likelihood.py", "class", "SHARPER = 2\n\n\nclass"),
    "another metric": ("tvae/evaluation/knn.py", "class", "SHARPER = 2\n\n\nclass"),
    "a comment": (
        "tvae/trainer.py",
        "if len(bad):",
        "# sic\n        if len(bad):",
    ),
    "a docstring": ("tvae/trainer.py", '"""The one training loop.', '"""The only training loop.'),
    "a choice's words": ("tvae/networks/paper.py", "The paddings of", "The padding of"),
    "the report": ("reports/statistics/verdicts.py", "import", "import abc\nimport"),
    "the harness": ("bench/watch/display.py", "import time", "import time, abc"),
}
EXPECTED = {
    "a divergence": (["joint"], ["joint"]),
    "a latent transform": (["joint"], ["joint"]),
    "an imported helper": (["joint"], ["joint"]),
    "the loop": (EVERY, EVERY),
    "the family": (EVERY, EVERY),
    "another family": ([], []),
    "a metric": ([], EVERY),
    "another metric": ([], []),
    "a comment": ([], []),
    "a docstring": ([], []),
    "a choice's words": ([], []),
    "the report": ([], []),
    "the harness": ([], []),
}


@pytest.fixture(scope="module")
def edits(tmp_path_factory) -> dict[str, list[list[str]]]:
    """Edit -> [arms whose training key changed, arms whose evaluation key changed]."""
    tree = tmp_path_factory.mktemp("copy")
    skip = shutil.ignore_patterns("__pycache__", "embedded")
    for name in ("tvae", "reports", "bench", "studies"):
        shutil.copytree(REPOSITORY / name, tree / name, ignore=skip)
    form = {"name": "tvae", "prior": "kl", "hidden": 16}
    shift, matrix = {"latent_transform": "additive"}, {"latent_transform": "matrix"}
    write(
        tree,
        family="rotation",
        seeds=1,
        arms={
            "vae": {"model": {"name": "autoencoder", "prior": "kl"}},
            "additive": {"model": {**form, **shift, "coherence": "kl"}},
            "literal": {"model": {**form, **shift, "coherence": "mmd"}},
            "joint": {"model": {**form, **matrix, "coherence": "mmd_joint"}},
        },
    )
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tree), json.dumps(EDITS)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": f"{PLUGIN}{os.pathsep}{tree}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("edit", EDITS)
def test_which_keys_an_edit_changes(edits, edit):
    assert tuple(edits[edit]) == EXPECTED[edit]


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), PLAIN, max_size=4))
def test_a_digest_does_not_depend_on_the_order_of_keys(content):
    turned = dict(reversed(content.items()))
    assert keys.digest(turned) == keys.digest(content)
    assert keys.digest(json.loads(json.dumps(content))) == keys.digest(content)


@given(PLAIN, PLAIN)
def test_digests_tell_contents_apart(a, b):
    assert (keys.digest(a) == keys.digest(b)) == (
        json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
    )
    assert len(keys.digest(a, 8)) == 8
