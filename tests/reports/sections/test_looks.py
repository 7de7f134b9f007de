"""The looks on the page, against scipy's intervals of the rows themselves."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from scipy import stats

from reports import manifest as manifests
from reports import rows as schema
from reports.report import read
from reports.sections import looks as section
from reports.statistics.looks import per_look
from reports.statistics.verdicts import compare
from tests.reports.fabricated import page_of
from tests.reports.written import STUDY

PLANNED = [3, 5, 8]


def entry(reached, decided):
    return {"planned": PLANNED, "reached": reached, "level": 0.05, "decided": decided}


def test_every_look_has_the_interval_of_its_seeds_alone(study):
    at = per_look(PLANNED, 0.05)
    folder = study(seeds=range(8), level=at, looks=entry(3, False))
    report = read(folder)
    primary, frame = report.study["primary"], schema.load(folder)
    values = frame[frame.metric == primary["metric"]].pivot(
        index="seed", columns="arm", values="value"
    )
    d = values[primary["treatment"]] - values[primary["control"]]
    for found, n in zip(
        section.passed_looks(report.study, report.study["looks"], frame), PLANNED, strict=True
    ):
        some = d[d.index < n].to_numpy()
        low, high = stats.t.interval(1 - at, n - 1, some.mean(), stats.sem(some))
        assert (found.interval.low, found.interval.high) == pytest.approx((low, high))
        assert found.seeds == len(some) == n
        inside = np.abs([low, high]).max() <= primary["equivalence"]
        assert (found.verdict == "equivalent") == inside
    text = page_of(folder).text
    assert "Undecided after all 3 looks (8 seeds)." in text
    assert f"Each of 3 looks at {100 * (1 - at):.3g}%, together 95%" in text


def test_looks_that_did_not_come_to_pass_say_so(study):
    at = per_look(PLANNED, 0.05)
    decided = page_of(study(seeds=range(3), level=at, looks=entry(1, True))).text
    assert "Decided at look 1 of 3 (3 seeds)." in decided
    assert len(re.findall("not needed", decided)) == 2
    assert "to come" not in decided


def test_how_many_seeds_a_new_study_would_need_is_at_the_level_of_all_looks(study):
    """A new study without looks reads its one interval at that level."""
    at, folder = per_look(PLANNED, 0.05), study(seeds=range(8))
    frame, manifest = schema.load(folder), json.loads((folder / "manifest.json").read_text())
    seen = read(folder).answer.primary
    assert seen.interval is not None
    near = abs(seen.mean) - seen.interval.half / 2
    manifest["study"] |= {"level": at, "looks": entry(3, False)}
    manifest["study"]["primary"]["equivalence"] = near
    (folder / "manifest.json").write_text(json.dumps(manifest))
    found = read(folder).answer.primary
    assert found.adjusted.half == pytest.approx(compare(frame, found.contrast, at).adjusted.half)
    assert found.verdict == "inconclusive"
    assert found.needed == compare(frame, found.contrast, 0.05).needed
    assert found.needed != compare(frame, found.contrast, at).needed


def test_a_study_without_looks_says_nothing_of_them(study):
    assert section.section(read(study())) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"planned": [4, 3]}, "study.looks.planned: [4, 3]; must ascend"),
        ({"planned": [1, 3]}, "study.looks.planned: [1, 3]; must ascend from 2"),
        ({"reached": 4}, "study.looks.reached: 4; must be one of the 3 looks"),
        ({"reached": 0, "decided": True}, "study.looks.decided: no look was reached"),
        ({"level": 0.01}, "study.looks.level: 0.01; must be below 1 and 0.05 or more"),
        ({"planned": "many"}, "study.looks.planned"),
    ],
)
def test_looks_that_cannot_be_are_refused(write, change, message):
    runs = write(
        study={"looks": entry(1, False) | change, "seeds": [1, 2, 3], "arms": STUDY["arms"]}
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        manifests.load("forms", runs)
