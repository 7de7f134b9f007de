"""The page as a document: headings, contrast, policy, and a file that is whole or the old one.

What a screen reader, a printer or a suspicious browser makes of a page cannot be seen on a screen,
so it is checked on the text: one h1 and no jumps, words in colours that can be read in both themes,
one script whose hash the policy names.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import math
import re
from pathlib import Path

import pytest

import reports
from reports import build, pen, rows
from reports.page import page as pages
from tests.reports.fabricated import ATTACK, charts, enrich, headings, page_of

STYLE = (Path(reports.__file__).parent / "page" / "style.css").read_text(encoding="utf-8")


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
    start = links.index(sections[0])  # after the head's own links, to its contrasts
    assert links[start : start + len(sections)] == sections


def test_the_policy_lets_one_script_run_and_nothing_load(study):
    folder = study()
    html = build.build(folder).path.read_text(encoding="utf-8")
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
    marks = {pen.NEUTRAL, *pen.COLOURS.values(), *pen.VERDICTS.values()}
    for colour in marks:
        for theme in (LIGHT, DARK):
            assert contrast(colour, theme["paper"]) >= 3, colour


def test_every_id_is_given_once_and_every_reference_has_one(study):
    """Charts stand side by side in one document, where an id of one would serve another."""
    html = build.build(enrich(study())).path.read_text(encoding="utf-8")
    drawn = "".join(charts(html))
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    referred = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', drawn)
    assert len(referred) > 100
    assert {a or b for a, b in referred} <= set(re.findall(r'\bid="([^"]*)"', drawn))


def test_wide_tables_label_every_cell_for_paper(study):
    folder = study(names={"new": ATTACK})
    page = page_of(folder)
    labels = {attrs["data-label"] for tag, attrs in page.elements if "data-label" in attrs}
    assert {"verdict", "detectable"} <= labels


def test_raw_numbers_are_in_the_page_in_full(study):
    folder = study()
    raw = [attrs["data-raw"] for tag, attrs in page_of(folder).elements if "data-raw" in attrs]
    frame = rows.load(folder)
    mean = frame[(frame.arm == "new") & (frame.metric == "nll")].value.to_numpy().mean()
    assert str(float(mean)) in raw
    assert all(math.isfinite(float(value)) for line in raw for value in line.split(","))


def test_a_failed_write_leaves_the_old_report(study, monkeypatch):
    folder = study()
    old = build.build(folder).path.read_bytes()

    def full(_):
        raise OSError("disk full")

    monkeypatch.setattr(pages.os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        pages.replace(folder / "report.html", b"half")
    assert (folder / "report.html").read_bytes() == old
    assert not list(folder.glob(".report*"))
