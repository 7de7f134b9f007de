"""The page as a document: headings, contrast, policy, and the same bytes from the same folder.

What a screen reader, a printer or a suspicious browser makes of a page cannot be seen on a screen,
so it is checked on the text: one h1 and no jumps, words in colours that can be read in both themes,
one script whose hash the policy names.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fabricated import enrich, page_of

import reports
from reports import build, figures

STYLE = (Path(reports.__file__).parent / "style.css").read_text(encoding="utf-8")


def headings(page):
    return [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]


@pytest.mark.parametrize("kind", ["study", "crossed"])
def test_headings_begin_with_one_h1_and_never_jump(request, kind):
    folder = request.getfixturevalue(kind)(budget_warning="Undertrained")
    levels = headings(page_of(enrich(folder) if kind == "study" else folder))
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_everything_that_scrolls_can_be_reached_and_has_a_name(study):
    page = page_of(enrich(study()))
    regions = [attrs for _, attrs in page.elements if attrs.get("role") == "region"]
    assert regions
    assert all(attrs["tabindex"] == "0" and attrs["aria-label"] for attrs in regions)
    assert all(table["aria-label"] for table in page.all("table"))
    assert all(cell.get("scope") for cell in page.all("th"))


def test_the_contents_lead_to_every_section(study):
    page = page_of(enrich(study()))
    sections = [attrs["id"] for tag, attrs in page.elements if tag == "section"]
    links = [link["href"][1:] for link in page.all("a") if link["href"].startswith("#")]
    assert links[: len(sections)] == sections


def test_the_policy_lets_one_script_run_and_nothing_load(study):
    folder = study()
    html = build.build(folder).read_text(encoding="utf-8")
    policy = page_of(folder).all("meta")[1]["content"]
    script = html[html.rindex("<script>") + 8 : html.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy.replace("style-src 'unsafe-inline'", "")
    assert "http" not in re.sub(r"http-equiv|xmlns[^\s]*", "", html)


def palette(block):
    return dict(re.findall(r"--([\w-]+): *(#[0-9a-f]{3,6})", block))


def luminance(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


LIGHT = palette(STYLE.split("@media (prefers-color-scheme: dark)")[0])
DARK = LIGHT | palette(STYLE.split("@media (prefers-color-scheme: dark)")[1].split("* {")[0])
PRINT = LIGHT | palette(STYLE.split("@media print")[1])


@pytest.mark.parametrize("theme", [LIGHT, DARK, PRINT], ids=["light", "dark", "print"])
def test_words_can_be_read_in_every_theme(theme):
    """WCAG 2.1: 4.5 for text, 3 for the edges of what can be operated."""
    assert contrast("#fff", "#000") == pytest.approx(21)
    for ground in ("paper", "card"):
        for ink in ("ink", "faint", "accent", "good", "bad"):
            assert contrast(theme[ink], theme[ground]) >= 4.5, (ink, ground)
        assert contrast(theme["edge"], theme[ground]) >= 3
    assert contrast(theme["warn-ink"], theme["warn"]) >= 4.5


def test_marks_of_figures_stand_out_in_both_themes():
    marks = {*figures.EVERY_COLOUR, *figures.COLOURS.values(), *figures.VERDICTS.values()}
    for colour in marks:
        for theme in (LIGHT, DARK):
            assert contrast(colour, theme["paper"]) >= 3, colour


def test_the_same_folder_gives_the_same_bytes_in_another_process(study):
    folder, pages = enrich(study()), []
    for seed in ("0", "1"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "TZ": "UTC" if seed == "0" else "EST5"}
        command = [sys.executable, "-m", "reports.build", f"study={folder}"]
        subprocess.run(command, check=True, env=environment, cwd=Path(reports.__file__).parents[1])
        pages.append((folder / build.REPORT).read_bytes())
    assert pages[0] == pages[1]


def test_the_templates_and_their_company_are_part_of_the_package():
    here = Path(reports.__file__).parent
    shipped = {path.name for path in here.iterdir() if path.suffix in (".j2", ".css", ".js")}
    assert shipped == {
        "base.html.j2", "compare.html.j2", "macros.html.j2", "template.html.j2",
        "triples.html.j2", "style.css",
        "script.js",
    }  # fmt: skip
