"""A crossed study on the page: its effects, its maps, and what it says where there are none."""

from __future__ import annotations

from reports import build, pen
from tests.reports.fabricated import ATTACK, charts, page_of, tuning_of


def test_a_crossed_study_has_its_factors_on_the_page(crossed):
    page = page_of(crossed())
    for part in (
        "shape (s0, s1, s2); size (b0, b1, b2); hue (h0, h1, h2)",
        "How to read it: a main effect is",
        "treatment coding on marginal means: level − reference",
        "one declared family of 18",
        "Main effects", "s1 − s0", "Two-way interactions", "s2 − s0, at b1 − at b0", "shape × size",
        "takes 10 seeds: the verdict rests on the t distribution alone: shape",
    ):  # fmt: skip
        assert part in page.text
    maps = [alt for alt in page.alts if alt.startswith("Marginal means")]
    assert len(maps) == 3
    assert maps[0].startswith("Marginal means of knn/mnist by shape and size: s0 with b0 0.")
    assert "#factors" in {link["href"] for link in page.all("a")}
    assert "77.0" not in page.text  # what tuning measured


def test_heat_maps_are_the_same_every_time_and_take_the_readers_colour(crossed):
    folder = crossed()
    first = build.build(folder).path.read_bytes()
    assert build.build(folder).path.read_bytes() == first
    maps = [drawn for drawn in charts(first.decode()) if "Marginal means" in drawn]
    assert len(maps) == 3
    for drawn in maps:
        assert "currentColor" in drawn
        assert pen.INK not in drawn


def test_an_incomplete_crossing_is_said_and_the_rest_is_shown(crossed):
    page = page_of(crossed(lacks=["s1-b1-h1"]))
    assert "No effects: no seed has a value of knn/mnist in every cell" in page.text
    assert "seed 2: no value of s1-b1-h1" in page.text
    assert "Main effects" not in page.text
    assert "81 of 84 done (3 failed)" in page.text


def test_factors_and_levels_are_text(crossed):
    factors = {ATTACK: ["a", ATTACK], "size": [ATTACK + "1", "b"]}
    arm = f"a-{ATTACK}1"
    tuned = tuning_of([arm], sampler=ATTACK, pruner=ATTACK, notes=[ATTACK])
    tuned["candidates"][arm][0] |= {"values": {ATTACK: ATTACK}, "reason": ATTACK}
    page = page_of(crossed(factors=factors, tuning=tuned))
    assert page.text.count("<script>alert(1)</script>") > 20
    assert page.all("script") == [{}]
    assert not [attrs for _, attrs in page.elements if any(name[:2] == "on" for name in attrs)]
