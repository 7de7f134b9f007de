"""The example of a package of plugins: installed as pip installs it, checked, and in a study.

What works for plugins inside this repository may not work outside of it; this is the outside.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "tvae-spiral"


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> dict[str, str]:
    """The environment of processes that find the package as pip left it, in a folder alone."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps",
               "--no-build-isolation", "--disable-pip-version-check", "--target", str(site),
               str(EXAMPLE)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}", "COLUMNS": "300"}


def run(environment: dict[str, str], folder: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_plugins_are_listed_with_their_package(installed, tmp_path):
    said = run(installed, tmp_path, "bench.plugins", "list")
    for value in ("spiral:Spiral", "gaussian_wasserstein:GaussianWasserstein", "wave:Wave"):
        assert f"tvae_spiral.{value} (tvae-spiral)" in said


def test_they_keep_their_contracts(installed, tmp_path):
    """One as its user checks it, all by the package's own tests, which are these contracts."""
    said = run(installed, tmp_path, "bench.plugins", "check", "spiral")
    assert "tests passed" in said
    said = run(installed, EXAMPLE, "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert "passed" in said


def test_a_study_compares_them(installed, tmp_path):
    """Keys name the package's sources; the report says what the form is."""
    study = f"study={EXAMPLE / 'spiral.yaml'}"
    small = ["trainer.steps=6", "seeds=2", "tracking.enabled=false", "metrics.algebra.images=20"]
    run(installed, tmp_path, "bench.run", study, *small)
    folder = tmp_path / "runs" / "spiral"
    html = (folder / "report.html").read_text()
    assert "r(z, T) = exp(a + ib) z, z as D/2 complex numbers" in html
    assert "tvae_spiral.spiral:Spiral (tvae-spiral)" in html
    manifest = json.loads((folder / "manifest.json").read_text())
    parts = {part["name"]: part for part in manifest["study"]["parts"]}
    assert parts["spiral"]["arms"] == ["spiral"]
    assert parts["wave"]["arms"] == ["additive", "spiral"]
    said = run(installed, tmp_path, "bench.status", study, *small)
    assert "done" in said


def imports(path: Path) -> list[tuple[str, str]]:
    """(module, name) of every import from this project."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.module or "", alias.name) for alias in node.names]
    return [(m, n) for m, n in found if m.split(".")[0] in {"tvae", "bench", "reports"}]


def test_it_imports_public_names_alone():
    seen = [found for path in EXAMPLE.rglob("*.py") for found in imports(path)]
    assert len(seen) > 6
    for module, name in seen:
        assert name, f"import {module}: name what is needed"
        assert "._" not in module
        assert not module.endswith(".base")
        public = import_module(module)
        if module != "tvae.space":
            assert name in public.__all__, f"{module}.{name}"
        assert not name.startswith("_")
