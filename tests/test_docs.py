"""The pages say what is so: generated ones are fresh, code in them runs, links lead somewhere.

Checked in README.md and docs/*.md, by the language of each block:

- ``python``: run, in order, one namespace a page, in a folder in which a small study has been
  trained; KEY stands for one of its trials, and `images` are bytes;
- ``yaml``: parsed; a whole study (a question, and arms or factors) is resolved, of another the keys
  that a study has are checked;
- indented blocks, ``sh`` and ``console``: each ``python -m bench.run`` is resolved, and commands of
  `CHEAP` are run; what has a placeholder in capitals for a study or a plugin is left out;
- ``docs/plugins.md`` is carried out from top to bottom: ``sh`` blocks by bash, and ``python`` and
  ``yaml`` blocks whose first line is ``# NAME.py`` or ``# NAME.yaml`` are written to that file.

Other languages are not looked into, and a block without one is prose.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml

from bench.study.looks import spelled_out
from bench.study.problems import Problem
from bench.study.resolve import resolve
from bench.study.schema import Execution, Factors, StudyFile
from bench.study.wording import validate

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CARRIED_OUT = ROOT / "docs" / "plugins.md"
SHELL = {"sh", "console", "indented"}
CHEAP = {
    ("reports.build",): "study=smoke",
    ("bench.data", "list"): "",
    ("bench.plugins", "list"): "",
    ("bench.plugins", "describe"): "",
}
"""Commands that are run, and the argument that they must have; empty: none."""

STUDY = """\
question: Does the code of the pages run?
budget: smoke
data: {train: fashion_mnist}
family: rotation
model: {name: tvae, latent_dim: 10, coherence: kl, prior: mmd}
arms:
  additive: {model: {latent_transform: additive}}
  matrix: {model: {latent_transform: matrix}}
metrics: {knn: {}, cost: {}}
seeds: 1
trainer: {steps: 2}
primary: {treatment: matrix, control: additive, metric: knn/fashion_mnist, equivalence: 0.01}
"""

name_of = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)


# --- readers ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """Code in a page: its language (``indented`` of a block without fences), text, first line."""

    language: str
    text: str
    line: int

    @property
    def file(self) -> str:
        """What the first line names, if that is a file."""
        found = re.match(r"# (\w+\.(?:py|ya?ml))\n", self.text)
        return found[1] if found else ""


def blocks(page: str) -> list[Block]:
    """The code of a page, from top to bottom."""
    found: list[Block] = []
    lines = page.split("\n")
    i = 0
    while i < len(lines):
        fence = re.match(r"( *)(`{3,}|~{3,})\s*([\w-]*)", lines[i])
        start = i + 1
        if fence:
            end = next((j for j in range(start, len(lines)) if lines[j].strip() == fence[2]), None)
            assert end is not None, f"line {start}: a block without an end"
            text = textwrap.dedent("\n".join(lines[start:end]) + "\n")
            found.append(Block(fence[3], text, start + 1))
            i = end + 1
        elif lines[i].startswith("    ") and (i == 0 or not lines[i - 1].strip()):
            while i < len(lines) and (lines[i].startswith("    ") or not lines[i].strip()):
                i += 1
            text = textwrap.dedent("\n".join(lines[start - 1 : i])).strip("\n") + "\n"
            found.append(Block("indented", text, start))
        else:
            i += 1
    return found


def prose(page: str) -> str:
    """A page without its blocks of code and its code spans."""
    without = re.sub(r"^ *(`{3,}|~{3,}).*?^ *\1\s*$", "", page, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "`code`", without)


def commands(text: str) -> Iterator[list[str]]:
    """The words after ``python -m`` of each command in a block of them, or in a code span."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        for part in re.split(r"&&|;|\|", line.removeprefix("$ ")):
            found = re.search(r"(?:^|\s|/)python3? -m (.*)", part)
            if found:
                # two columns: what is said of a command stands after three blanks
                yield shlex.split(re.split(r" {3,}", found[1])[0], comments=True)


def said(page: str) -> list[list[str]]:
    """Every command of a page, in blocks and in code spans."""
    found = [words for b in blocks(page) if b.language in SHELL for words in commands(b.text)]
    without = re.sub(r"^ *(`{3,}|~{3,}).*?^ *\1\s*$", "", page, flags=re.DOTALL | re.MULTILINE)
    for span in re.findall(r"`(python -m [^`]+)`", without):
        found += commands(" ".join(span.split()))
    return found


def placeholder(words: list[str]) -> bool:
    """Whether a study, a plugin or a word is left to the reader, such as ``study=NAME``."""
    values = [word.partition("=") for word in words]
    return any(
        re.search(r"\b[A-Z]+\b|\.\.\.", value if equals else key)
        for key, equals, value in values
        if key in ("study", "plugins") or not equals
    )


def names_plugins(words: list[str]) -> bool:
    """Whether a command adds plugin files, which this process must not."""
    return any(word.startswith("plugins=") for word in words)


def wrong_keys(tree: dict[str, object]) -> list[Problem]:
    """What is wrong with the keys of a part of a study, as far as it can be told."""
    known = {**StudyFile.model_fields, **Factors.model_fields, "extends": None}
    problems = [Problem(key, "is no key of a study") for key in tree if key not in known]
    tree = spelled_out(tree, problems)
    for key, value in tree.items():
        if key == "factors":
            validate(Factors, {key: value}, problems)
        elif key in StudyFile.model_fields:
            # of the whole study only what is wrong below this key counts
            found: list[Problem] = []
            validate(StudyFile, {key: value}, found)
            problems += [p for p in found if p.path.split(".")[0] == key]
    return problems


def check_yaml(text: str, folder: Path) -> None:
    """Fail unless the text is a study, or a part of one."""
    tree = yaml.safe_load(text)
    assert isinstance(tree, dict), "no mapping"
    if "question" in tree and {"arms", "factors"} & {*tree}:
        (folder / "study_of_a_page.yaml").write_text(text)
        resolve([f"study={folder / 'study_of_a_page.yaml'}"])
    else:
        assert not wrong_keys(tree), wrong_keys(tree)


def anchors(page: str) -> set[str]:
    """The addresses of a page's headings, as GitHub makes them."""
    found: list[str] = []
    without = re.sub(r"^ *(`{3,}|~{3,}).*?^ *\1\s*$", "", page, flags=re.DOTALL | re.MULTILINE)
    for title in re.findall(r"^#+ (.*)$", without, flags=re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        taken = sum(
            re.fullmatch(re.escape(slug) + r"(-\d+)?", other) is not None for other in found
        )
        found.append(f"{slug}-{taken}" if taken else slug)
    return set(found)


def dead_links(path: Path) -> list[str]:
    """Relative links of a page that lead to no file, or to no heading."""
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        missing = not there.exists()
        if not missing and anchor and there.suffix == ".md":
            missing = anchor not in anchors(there.read_text(encoding="utf-8"))
        if missing:
            dead.append(target)
    return dead


def carry_out(page: str, folder: Path, environment: dict[str, str], seconds: float = 300) -> None:
    """Do what a page says, from top to bottom.

    Args:
        page: its text.
        folder: where.
        environment: of bash.
        seconds: that any one block may take.
    """
    for block in blocks(page):
        if block.language in ("python", "yaml") and block.file:
            (folder / block.file).write_text(block.text)
        elif block.language == "sh":
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block.text],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
            where = f"line {block.line}:\n{block.text}"
            assert done.returncode == 0, f"{where}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


def run_python(page: str, key: str) -> None:
    """Run a page's Python in the current folder."""
    space: dict[str, object] = {
        "__name__": "page",
        "images": np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8),
    }
    for block in blocks(page):
        if block.language == "python" and not block.file:
            text = "\n" * (block.line - 1) + re.sub(r"\bKEY\b", key, block.text)
            exec(compile(text, "page", "exec"), space)


# --- what they run in ---------------------------------------------------------------------------


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Of processes: this Python first, this repository importable from any folder."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **os.environ,
        "PATH": path,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
        "COLUMNS": "200",
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory, environment) -> tuple[Path, str]:
    """A folder in which the studies that pages name have run, and the key of a trial."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "studies").mkdir()
    (folder / "studies" / "smoke.yaml").write_text(STUDY)
    subprocess.run(
        [sys.executable, "-m", "bench.run", "study=smoke", "tracking.enabled=false"],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
    )
    shutil.rmtree(folder / "studies")
    shutil.copytree(folder / "runs" / "smoke", folder / "runs" / "additive_vs_matrix")
    return folder, next((folder / "runs" / "smoke" / "trials").iterdir()).name


def generator() -> ModuleType:
    """``scripts/make_docs.py`` as a module."""
    path = ROOT / "scripts" / "make_docs.py"
    spec = importlib.util.spec_from_file_location("make_docs", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_docs"] = module
    spec.loader.exec_module(module)
    return module


# --- the pages ----------------------------------------------------------------------------------


def test_generated_pages_are_fresh():
    pytest.importorskip("geomloss")
    stale = generator().stale(ROOT)
    assert not stale, "run `python scripts/make_docs.py`\n" + "\n".join(stale)


def test_a_stale_page_is_found(tmp_path, capsys, monkeypatch):
    pytest.importorskip("geomloss")
    module = generator()
    for path, text in module.pages().items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text.replace("r(z, T) = z + T", "r(z, T) = z - T"))
    stale = module.stale(tmp_path)
    assert any(line.startswith("-") and "r(z, T) = z - T" in line for line in stale)
    assert any(line.startswith("+") and "r(z, T) = z + T" in line for line in stale)
    for lines, status in ((stale, 1), ([], 0)):
        monkeypatch.setattr(module, "stale", lambda lines=lines: lines)
        assert module.main(["--check"]) == status
    assert "r(z, T) = z - T" in capsys.readouterr().out


@name_of
def test_links_lead_somewhere(path):
    assert dead_links(path) == []


@name_of
def test_yaml_is_that_of_studies(path, tmp_path):
    for block in blocks(path.read_text(encoding="utf-8")):
        if block.language == "yaml":
            if path == CARRIED_OUT and block.file:
                assert isinstance(yaml.safe_load(block.text), dict)
            else:
                check_yaml(block.text, tmp_path)


@name_of
def test_python_runs(path, trained, monkeypatch):
    folder, key = trained
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    run_python(path.read_text(encoding="utf-8"), key)


@name_of
def test_studies_of_commands_resolve(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for module, *arguments in said(path.read_text(encoding="utf-8")):
        resolvable = not (placeholder(arguments) or names_plugins(arguments))
        if module == "bench.run" and resolvable and arguments != ["--help"]:
            resolve(arguments)


@name_of
def test_cheap_commands_run(path, trained, monkeypatch, capsys):
    folder, _ = trained
    monkeypatch.chdir(folder)
    for module, *arguments in said(path.read_text(encoding="utf-8")):
        if is_cheap(module, arguments):
            main = importlib.import_module(module).main
            assert main(arguments) == 0, (module, arguments, capsys.readouterr())


def is_cheap(module: str, arguments: list[str]) -> bool:
    """Whether a command is one of `CHEAP` and has all that it needs."""
    if placeholder(arguments) or names_plugins(arguments):
        return False
    needs = CHEAP.get((module,), CHEAP.get((module, *arguments[:1])))
    return needs is not None and (not needs or needs in arguments)


@pytest.mark.soak
@pytest.mark.skipif(not CARRIED_OUT.exists(), reason="docs/plugins.md is not there")
def test_the_page_about_plugins_can_be_carried_out(tmp_path, environment):
    carry_out(CARRIED_OUT.read_text(encoding="utf-8"), tmp_path, environment)


# --- the readers can fail -----------------------------------------------------------------------

BAD = """\
# A page

See [there](nowhere.md), [here](#a-page), [below](#nothing) and `[code](no.md)`.

    python -m bench.run study=smoke budget=smok \\
        seeds=2        # a remark
    python -m bench.status study=NAME   what is done

```python
x = 1
```

- a list

    indented, since a blank line stands before it

```python
raise KeyError(x)
```

```yaml
# part.yaml
tune: {trails: 8}
```

```sh
echo first > out.txt
```

```python
# made.py
value = "made"
```

```sh
python made.py && cat out.txt && exit 3
```

Say `python -m bench.run
study=smokey` or `python -m bench.run study=NAME`.
"""


def test_blocks_are_read_with_their_lines():
    found = blocks(BAD)
    kinds = ["indented", "python", "indented", "python", "yaml", "sh", "python", "sh"]
    assert [block.language for block in found] == kinds
    assert [block.file for block in found if block.file] == ["part.yaml", "made.py"]
    assert all(BAD.split("\n")[b.line - 1].strip() == b.text.split("\n")[0] for b in found)
    with pytest.raises(AssertionError, match="without an end"):
        blocks("```python\nx = 1\n")


def test_commands_are_read_and_mistakes_in_them_found():
    run = [words[1:] for words in said(BAD) if words[0] == "bench.run"]
    assert run == [["study=smoke", "budget=smok", "seeds=2"], ["study=smokey"], ["study=NAME"]]
    assert [placeholder(words) for words in run] == [False, False, True]
    for words, message in zip(run, ("did you mean 'smoke'", "did you mean 'smoke'"), strict=False):
        with pytest.raises(ValueError, match=message):
            resolve(words)
    assert not placeholder(["study=smoke", "data.root=DIR"])
    assert placeholder(["new", "KIND", "NAME"])
    assert is_cheap("bench.data", ["list"])
    assert not is_cheap("bench.data", ["fetch", "mnist"])


def test_mistakes_in_yaml_are_found(tmp_path):
    (part,) = [block.text for block in blocks(BAD) if block.language == "yaml"]
    with pytest.raises(AssertionError, match="trails"):
        check_yaml(part, tmp_path)
    with pytest.raises(AssertionError, match="no key of a study"):
        check_yaml("armss: {}", tmp_path)
    with pytest.raises(ValueError, match="matrx"):
        check_yaml(STUDY.replace("latent_transform: matrix", "latent_transform: matrx"), tmp_path)
    check_yaml(STUDY, tmp_path)


def test_mistakes_in_python_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyError, match="1"):  # what the block before it has set
        run_python(BAD, "key")


def test_dead_links_are_found(tmp_path):
    (tmp_path / "page.md").write_text(BAD)
    assert dead_links(tmp_path / "page.md") == ["nowhere.md", "#nothing"]
    assert anchors("# A `b_c`, d\n\n## A\n\n## A\n") == {"a-b_c-d", "a", "a-1"}


def test_a_page_that_fails_half_way_is_found(tmp_path, environment):
    with pytest.raises(AssertionError, match=r"exit 3\s+first"):
        carry_out(BAD, tmp_path, environment)
    assert (tmp_path / "part.yaml").read_text().startswith("# part.yaml\n")


def test_every_option_is_told():
    assert set(Execution.model_fields) <= set(re.findall(r"^\| `(\w+)`", study_file(), re.M))


def study_file() -> str:
    return (ROOT / "docs" / "study_file.md").read_text(encoding="utf-8")
