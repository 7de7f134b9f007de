"""The project as a newcomer meets it.

Checked: continuous integration runs the very command that the README gives for the tests; what the
README names is there; a built wheel carries what the code reads at run time besides itself
(studies, images, the page's template). A package that works only from its repository is found out
by the first user, not by the other tests.
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_ci_runs_the_test_command_of_the_readme():
    commands = [line.strip() for line in README.splitlines() if line.startswith("    ")]
    (test,) = [line for line in commands if "tox" in line]

    def words(text: str) -> str:
        return text.replace("pip install -q", "pip install")

    assert test in words((ROOT / ".ci" / "run").read_text())


def named(tree: str) -> dict[str, set[str]]:
    """Folder -> the files (.py) and folders (/) that the tree names in it, by its indentation.

    On a line names stand before the text; deeper than a folder stands what is in it.
    """
    found: dict[str, set[str]] = {}
    above: list[tuple[int, str]] = [(-1, "")]
    for line in tree.splitlines():
        indent = len(line) - len(line.lstrip())
        while above[-1][0] >= indent:
            above.pop()
        folder = above[-1][1]
        for name in re.match(r"(\s*[\w.]+(?:\.py|/)(?=\s|$))*", line)[0].split():
            found.setdefault(folder, set()).add(name)
            if name.endswith("/"):
                above.append((indent, f"{folder}{name}"))
    return found


def test_the_reader_of_trees_reads_them():
    tree = "a/   text of b.py\n  c.py d/  more\n    e.py\n    f.py g.py\n  h.py\ni/ text"
    assert named(tree) == {"": {"a/", "i/"}, "a/": {"c.py", "d/", "h.py"},
                           "a/d/": {"e.py", "f.py", "g.py"}}  # fmt: skip


def test_the_tree_in_the_readme_is_the_tree():
    (tree,) = re.findall(r"```\n(tvae/ .*?)```", README, re.DOTALL)
    told = named(tree)
    for folder, names in told.items():
        for name in names:
            assert (ROOT / folder / name).exists(), f"{folder}{name} is not there"
    # of the rooms that are told in detail, everything is told
    for folder in (f for f in told if f.startswith(("bench/", "reports/"))):
        there = {path.name for path in (ROOT / folder).glob("*.py")} - {"__init__.py"}
        there |= {f"{p.name}/" for p in (ROOT / folder).iterdir() if p.is_dir()} - {"__pycache__/"}
        assert there == told[folder], folder


def test_budgets_in_the_readme_are_the_budgets():
    import yaml

    rows = re.findall(r"^\| `(\w+)`[^|]*\|[^|]*\| ([\d,]+) \| (\d+) \|", README, re.MULTILINE)
    said = {name: (int(steps.replace(",", "")), int(seeds)) for name, steps, seeds in rows}
    files = {
        path.stem: yaml.safe_load(path.read_text())
        for path in (ROOT / "studies" / "budgets").glob("*.yaml")
    }
    assert said == {name: (b["trainer"]["steps"], b["seeds"]) for name, b in files.items()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_a_wheel_holds_what_is_read_at_run_time(wheel: zipfile.ZipFile):
    names = set(wheel.namelist())
    for study in (ROOT / "studies").rglob("*.yaml"):
        assert f"bench/studies/{study.relative_to(ROOT / 'studies').as_posix()}" in names
    for package in ("tvae", "reports", "bench"):
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and not {"__pycache__", "reference"} & {*path.parts}:
                assert path.relative_to(ROOT).as_posix() in names
    assert not any(name.startswith("reports/reference/") for name in names), "megabytes of results"


def test_a_wheel_runs_away_from_the_repository(wheel: zipfile.ZipFile, tmp_path: Path):
    wheel.extractall(tmp_path / "site")
    shown = subprocess.run(
        [sys.executable, "-m", "bench.run", "study=smoke", "dry_run=true"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": "", "COLUMNS": "200"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert "12 trials, 12 to run" in shown.stdout
