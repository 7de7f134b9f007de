"""The algebra of the forms as a figure: what is claimed, and what was measured otherwise."""

from __future__ import annotations

import pandas as pd
import pytest

from reports import manifest as manifests
from reports import rows
from reports.sections import transformations
from tests.reports.fabricated import enrich


def loaded(folder):
    return manifests.load(folder)["study"], rows.load(folder)


def test_values_measured_otherwise_are_left_out_of_a_figure(study):
    folder = enrich(study())
    found, frame = loaded(folder)
    frame.loc[(frame.metric == "equivariance") & (frame.arm == "old"), "fingerprint"] = "few"
    frame = frame[~((frame.arm == "old") & (frame.seed == 1) & (frame.metric == "equivariance"))]
    assert "old: algebra/inverse" in (alt := transformations.algebra(found, frame).alt)
    assert "equivariance" in alt.split("old:")[0]
    assert "equivariance" not in alt.split("old:")[1]


def test_the_algebra_marks_what_is_claimed_and_leaves_out_arms_without(study):
    alt = transformations.algebra(*loaded(enrich(study()))).alt
    assert "new: algebra/inverse 2.09e-07 (claimed)" in alt
    assert alt.count("(claimed)") == 2  # of two claims only one is measured
    assert "algebra/identity 0.2" in alt
    assert "plain" not in alt


def test_whether_T_acts_is_told_beside_chance(study):
    """The means of the rows, for arms that have a T; what no row gives a chance has 0."""
    folder = enrich(study())
    found, frame = loaded(folder)
    assert not transformations.acts(found, frame).rows
    one = frame[(frame.metric == "nll") & (frame.arm != "plain")]
    more = [
        one.assign(metric="act/mrr", value=[0.3 + 0.01 * i for i in range(len(one))],
                   unit="reciprocal rank", direction="higher"),
        one.assign(metric="act/skill", value=0.2, unit="skill", direction="higher"),
        one.assign(metric="act/mrr/chance", value=0.18, unit="reciprocal rank", direction="none"),
    ]  # fmt: skip
    frame = pd.concat([frame, *more], ignore_index=True)
    told = transformations.acts(found, frame)
    header, *lines = ([cell.text for cell in line] for line in (told.header, *told.rows))
    by_name = {name: [line[i] for line in lines] for i, name in enumerate(header)}
    assert by_name["arm"] == [*(arm for arm in found["arms"] if arm in set(one.arm)), "chance"]
    assert by_name["act/mrr \u2191"][-1] == "0.180"
    assert by_name["act/skill \u2191"][-1] == "0"
    for arm, told_mean in zip(by_name["arm"][:-1], by_name["act/mrr \u2191"], strict=False):
        values = frame[(frame.metric == "act/mrr") & (frame.arm == arm)].value
        assert float(told_mean) == pytest.approx(values.mean(), abs=0.01)
