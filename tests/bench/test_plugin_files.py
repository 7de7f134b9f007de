"""A plugin in one file, outside of the repository: a study with it, from resolving to the report.

The file is not installed anywhere, so every process has to be told of it, and a change of it has to
train its own trials again and nobody else's.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from harness import TINY, bench

from bench import status
from bench.plan import keys
from bench.plan.keys import source_digests
from bench.plan.trials import training_modules
from bench.study.problems import ConfigError
from bench.study.resolve import resolve
from tvae import registry

FORM = '''
"""A form of somebody's own."""

from helper_of_doubling import factor

from tvae.latent_transforms import LatentTransform


class Doubling(LatentTransform):
    """r(z, T) = z + 2 T <b>&</b>, which is told in the report."""

    claims = frozenset({"inverse", "identity", "abelian"})
    parameter_shape = property(lambda self: (self.latent_dim,))

    def __init__(self, latent_dim: int) -> None:
        super().__init__(latent_dim)

    def forward(self, z, t):
        return z + factor() * t

    def inverse(self, z, t):
        return z - factor() * t
'''
HELPER = "def factor():\n    return 2\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A user's folder with the form, a module beside it, and a study."""
    (tmp_path / "doubling.py").write_text(FORM)
    (tmp_path / "helper_of_doubling.py").write_text(HELPER)
    doubled = {**TINY["arms"]["additive"]["model"], "latent_transform": "doubling"}
    study = {
        **TINY,
        "family": "rotation",
        "arms": {**TINY["arms"], "doubling": {"summary": "twice", "model": doubled}},
        "seeds": 1,
        "primary": {**TINY["primary"], "treatment": "doubling", "control": "additive"},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))  # as `python -m` does with the current folder
    keys._source.cache_clear()  # which remembers where the file of another test lay
    before = dict(registry._FILES)
    yield tmp_path
    for module in [*(m.__name__ for m in registry._FILES.values()), "helper_of_doubling"]:
        sys.modules.pop(module, None)
    registry._FILES.clear()
    registry._FILES.update(before)


ARGUMENTS = ("study=tiny.yaml", "plugins=doubling.py", "tracking.enabled=false")


def test_a_study_with_a_form_in_a_file(folder, capsys):
    ran = bench(folder, *ARGUMENTS)
    assert ran.status == 0, ran.err
    html = (folder / "runs" / "tiny" / "report.html").read_text()
    assert "r(z, T) = z + 2 T &lt;b&gt;&amp;&lt;/b&gt;, which is told in the report." in html
    assert str(folder / "doubling.py") in html
    assert "plugins=doubling.py" in html, "what repeats it names the file"
    assert status.main([*ARGUMENTS]) == 0
    assert "done" in capsys.readouterr().out
    again = bench(folder, *ARGUMENTS)
    assert again.status == 0
    assert len(list((folder / "runs" / "tiny" / "trials").iterdir())) == 3


def test_its_source_and_that_of_modules_beside_it_are_in_its_trials_keys(folder):
    study, execution = resolve(ARGUMENTS)
    assert execution.plugins == ["doubling.py"]
    modules = {
        name: set(source_digests(training_modules(setup.config)))
        for name, setup in study.setups.items()
    }
    assert {"plugin_doubling", "helper_of_doubling"} <= modules["doubling"]
    assert not {"plugin_doubling", "helper_of_doubling"} & modules["additive"]


DIGESTS = """
import sys
sys.path.insert(0, ".")
from bench.plan.keys import source_digests
from bench.plan.trials import training_modules
from bench.study.resolve import resolve
study, _ = resolve(sys.argv[1:])
print(source_digests(training_modules(study.setups["doubling"].config)))
"""


def test_a_changed_file_has_another_key(folder):
    def digests() -> str:
        command = [sys.executable, "-c", DIGESTS, *ARGUMENTS]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    first = digests()
    (folder / "doubling.py").write_text(FORM + "\n# a comment\n")
    assert digests() == first
    (folder / "helper_of_doubling.py").write_text(HELPER.replace("2", "3"))
    second = digests()
    assert second != first
    (folder / "doubling.py").write_text(FORM.replace("z - factor()", "z - 1.0 * factor()"))
    assert digests() not in (first, second)


def test_a_file_that_is_none_is_told_with_all_that_is_wrong(folder):
    (folder / "broken.py").write_text("import nothing_of_that_name\n")
    (folder / "empty.py").write_text("x = 1\n")
    files = "plugins=[doubling.py,broken.py,empty.py,nowhere.py]"
    with pytest.raises(ConfigError) as info:
        resolve([ARGUMENTS[0], files, "trainer.step=3"])
    said = str(info.value)
    assert "plugins: the plugin file broken.py cannot be imported (ModuleNotFoundError: " in said
    assert "plugins: empty.py holds no plugin: no public class derived from LatentTransform" in said
    assert "plugins: nowhere.py is no file" in said
    assert "trainer.step" in said


def test_without_the_file_its_name_is_unknown(folder):
    with pytest.raises(ConfigError, match=r"unknown latent transform 'doubling'"):
        resolve(["study=tiny.yaml"])


def test_a_number_is_no_file(folder):
    with pytest.raises(ConfigError, match="plugins"):
        resolve(["study=tiny.yaml", "plugins=3"])
