"""The algebra of the forms as a figure: what is claimed, and what was measured otherwise."""

from __future__ import annotations

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
