"""The page is the same whatever matplotlib is told by the surroundings, and in every script."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from reports import build
from reports.page.page import REPORT
from reports.words import short, two_lines, width
from tests.reports.fabricated import Page, charts, enrich

ROOT = Path(__file__).parents[2]
PREFERENCES = """\
text.usetex: True
font.size: 30
font.family: serif
axes.grid: True
axes.prop_cycle: cycler('color', ['r', 'g'])
savefig.facecolor: red
savefig.bbox: tight
savefig.dpi: 30
figure.dpi: 300
figure.autolayout: True
svg.fonttype: path
lines.linewidth: 9
xtick.direction: in
axes.unicode_minus: False
path.simplify: False
backend: nonsense
"""


def built(folder, **environment):
    """The page of a study in ``study`` of a folder, by the command, and what that said."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MPL", "MATPLOTLIB"))}
    done = subprocess.run(
        [sys.executable, "-m", "reports.build", f"study={folder.name}", "runs=~"],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(ROOT), "HOME": str(folder.parent), **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return (folder / REPORT).read_bytes()


def test_a_users_settings_of_matplotlib_change_no_byte(study, tmp_path):
    folder = enrich(study())
    here = build.build(folder).path.read_bytes()
    (tmp_path / "preferences").write_text(PREFERENCES)
    notebook = "module://matplotlib_inline.backend_inline"
    assert built(folder, MPLBACKEND=notebook) == here
    (folder / "matplotlibrc").write_text(PREFERENCES)  # of the current folder
    assert built(folder, MPLBACKEND="nonsense") == here
    (folder / "matplotlibrc").unlink()
    assert built(folder, MATPLOTLIBRC=str(tmp_path / "preferences"), MPLBACKEND="tkagg") == here


CHINESE = {"new": "旋转矩阵甲", "old": "旋转矩阵乙", "plain": "自動符号化器", "pixels": "画素"}


def test_names_in_any_script_are_text_and_stay_apart(study, caplog, capfd):
    folder = enrich(study(names=CHINESE), arms=(CHINESE["new"], CHINESE["old"]))
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        html = build.build(folder).path.read_text(encoding="utf-8")
    assert not caplog.records
    assert "Glyph" not in "".join(capfd.readouterr())
    page = Page(html)
    drawn = "\n".join(charts(html))
    for name in CHINESE.values():
        assert name in page.text
        assert f">{name}</text>" in drawn
    assert len({short(name) for name in CHINESE.values()}) == 4


@pytest.mark.parametrize("name", ["中文", "日本語", "한국어", "عربي", "Ελληνικά", "é", "🙂"])
def test_a_name_is_kept_as_it_is(name):
    assert short(name) == name


def test_signs_that_are_twice_as_wide_take_twice_the_room():
    assert two_lines("旋转矩阵甲变换自动编码器", 12) == "旋转矩阵甲变\n换自动编码器"
    assert [width(line) for line in two_lines("画" * 20, 12).split("\n")] == [12, 11]
    assert two_lines("画素-基準", 8) == "画素-\n基準"
