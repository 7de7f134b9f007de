"""The tables: what is bold and why, what was published, the numbers behind the text, the ledger.

A table is what gets copied into a paper, so bold has to mean something: it is checked against a
plain reading of Holm's procedure, and on noise it must stay rare.
"""

from __future__ import annotations

import math
import shlex

import numpy as np
import pytest
from fabricated import ATTACK, enrich, page_of
from scipy import stats

from reports import build, rows, statistics, tables
from reports.statistics import number


def holm_by_hand(values, level):
    """Row 0 against every other row, in the order of p, until one is not below its level."""
    p = sorted(stats.ttest_1samp(values[0] - other, 0).pvalue for other in values[1:])
    return all(one <= level / (len(p) - i) for i, one in enumerate(p))


@pytest.mark.parametrize("gap", [0.0, 0.5, 1.0, 1.5, 2.0, 4.0])
def test_bold_is_what_holms_procedure_supports(gap):
    for seed in range(20):
        values = np.random.default_rng(seed).normal(0, 1, (5, 6))
        values[0] += gap
        best = tables.supported_best(values, "higher", 0.05)
        if values.mean(axis=1).argmax() == 0:
            assert best == (0 if holm_by_hand(values, 0.05) else None)
        turned = tables.supported_best(-values, "lower", 0.05)
        assert turned == best


def test_bold_is_rare_where_all_arms_are_alike():
    rng = np.random.default_rng(1)
    bold = [
        tables.supported_best(rng.normal(0, 1, (4, 6)), "higher", 0.05) is not None
        for _ in range(400)
    ]
    assert np.mean(bold) < 0.05


@pytest.mark.parametrize(
    ("values", "direction"),
    [
        ([[2.0], [1.0]], "higher"),  # one seed
        ([[2.0, 2.1, 2.0]], "higher"),  # nobody to be better than
        ([[2.0, 2.1, 2.0], [0.0, 0.1, 0.3]], "none"),  # no better side
        ([[2.0, math.nan, 2.0], [0.0, 0.1, math.nan]], "higher"),  # one pair
        ([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], "higher"),  # no difference
        ([[math.nan] * 3, [math.nan] * 3], "higher"),
    ],
)
def test_nothing_is_bold_where_nothing_can_be_said(values, direction):
    assert tables.supported_best(np.array(values), direction, 0.05) is None


def test_a_difference_without_spread_is_supported():
    assert tables.supported_best(np.array([[1.0, 2.0], [2.0, 3.0]]), "lower", 0.05) == 0


def cells(table, column):
    at = [cell.text for cell in table.header].index(column)
    return {line[0].text: line[at] for line in table.rows}


def test_bold_and_the_numbers_behind_a_cell(study):
    folder = study(seeds=range(8))
    found, frame = rows.load_manifest(folder)["study"], rows.load(folder)
    table = tables.metrics(found, frame, details=False)
    own = cells(table, "knn/affnist ↑")
    assert [name for name, cell in own.items() if cell.kind == "best"] == ["new"]
    values = frame[(frame.arm == "new") & (frame.metric == "knn/affnist")].value
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    half = np.median([cell.half for cell in own.values()])  # decides on the digits of a column
    assert own["new"].raw == pytest.approx((values.mean(),))
    assert own["new"].half == pytest.approx((interval.high - interval.low) / 2)
    assert own["new"].note == f"±{number(own['new'].half, half)}"
    # by construction nll is lower, and so better, the later an arm comes; the last is a reference
    assert cells(table, "nll ↓")["plain"].kind == "best"


def test_a_reference_neither_wins_nor_stands_in_the_way(study):
    folder = study(seeds=range(8))
    found, frame = rows.load_manifest(folder)["study"], rows.load(folder)
    frame.loc[frame.arm == "pixels", "value"] = 5.0
    own = cells(tables.metrics(found, frame, details=False), "knn/affnist ↑")
    assert [name for name, cell in own.items() if cell.kind == "best"] == ["new"]


def test_roles_and_sides_stand_under_the_arms(study):
    folder = study()
    found = rows.load_manifest(folder)["study"]
    table = tables.metrics(found, rows.load(folder), details=False)
    assert [line[0].note for line in table.rows] == [
        "arm, treatment", "arm, control", "baseline", "reference",
    ]  # fmt: skip


def test_what_was_published_has_its_own_column_beside_ours(study):
    folder = study()
    found = rows.load_manifest(folder)["study"]
    table = tables.metrics(found, rows.load(folder), details=False)
    heads = [cell.text for cell in table.header]
    assert heads[:3] == ["arm", "knn/affnist ↑", "published"]
    assert table.header[2].links == (("what differs", "#published"),)
    told = {line[0].text: (line[2].text, line[2].note, line[2].raw) for line in table.rows}
    assert told["old"] == ("0.551", "T_VAE, Table 1, column F-Aff, z_dim 10", (0.551,))
    assert told["plain"][0] == "0.363"
    assert told["new"] == ("—", "", ())
    assert heads.count("published") == 2  # knn/fashion_mnist too; nothing for nll and T/r2


def test_columns_that_nobody_declared_are_minor(study):
    folder = enrich(study())
    found = rows.load_manifest(folder)["study"]
    table = tables.metrics(found, rows.load(folder), details=False)
    minor = {table.header[i].text for i in table.minor}
    assert "cost/seconds ↑" in minor
    assert not minor & {"knn/affnist ↑", "nll ↓", "T/r2 ↑", "published", "arm"}


def test_values_measured_otherwise_have_a_column_of_their_own(study):
    folder = study()
    frame = rows.load(folder)
    frame.loc[(frame.metric == "nll") & (frame.arm == "old"), "fingerprint"] = "other"
    table = tables.metrics(rows.load_manifest(folder)["study"], frame, details=False)
    notes = [cell.note for cell in table.header if cell.text == "nll ↓"]
    assert notes == ["nats, measured as f-nll", "nats, measured as other"]


def trial_of(manifest, arm, seed):
    return next(t for t in manifest["trials"] if (t["arm"], t["seed"]) == (arm, seed))


def test_the_command_of_a_trial_keeps_it_and_the_primary_contrast(study):
    manifest = rows.load_manifest(study(names={"plain": "plain; rm -rf ~", "pixels": "yes"}))
    found = manifest["study"]
    words = shlex.split(tables.command(found, trial_of(manifest, "plain; rm -rf ~", 2)))
    assert words == [
        "python", "-m", "bench.run", "study=study", "arms=[new,old]",
        'baselines=["plain; rm -rf ~"]', "seeds=[2]", "runs=again",
    ]  # fmt: skip
    words = shlex.split(tables.command(found, trial_of(manifest, "yes", 3)))
    assert words[5:7] == ['baselines=["yes"]', "seeds=[3]"]
    tune = trial_of(manifest, "new", 2) | {"stage": "tune", "seed": 1000}
    assert "seeds=[1]" in shlex.split(tables.command(found, tune))


def test_every_trial_has_a_row_with_links_to_what_is_there(study):
    folder = study(fail=[("old", 2)])
    manifest = rows.load_manifest(folder)
    (folder / "trials/new-1/result.json").write_text("{}")
    manifest["trials"][1]["trial"] = "../../etc"
    table = tables.trials(folder, manifest, rows.load(folder))
    assert len(table.rows) == 12
    assert table.rows[0][6].links == (
        ("result", "trials/new-1/result.json"),
        ("curve", "trials/new-1/curve.jsonl"),
        ("pictures", "trials/new-1/pictures.npz"),
    )
    assert {word for word, _ in table.rows[1][6].links} == {"curve", "pictures"}
    failed = next(line for line in table.rows if line[3].text == "diverged")
    assert (failed[5].text, failed[6].links) == ("n/a", ())


def test_addresses_are_encoded(study):
    folder = study()
    manifest = rows.load_manifest(folder)
    odd = folder / "trials" / 'a b"<&'
    (folder / "trials/new-1").rename(odd)
    (odd / "result.json").write_text("{}")
    manifest["trials"][0] |= {"trial": odd.name, "curve": None, "pictures": None}
    table = tables.trials(folder, manifest, rows.load(folder))
    assert table.rows[0][6].links == (("result", "trials/a%20b%22%3C%26/result.json"),)


def test_the_ledger_counts_and_tells_what_happened_on_the_way(study):
    folder = enrich(study(fail=[("old", 2), ("plain", 1)]))
    manifest = rows.load_manifest(folder)
    assert tables.outcome_counts(manifest) == [("confirmation trials", "10 of 12 done; 2 diverged")]
    ledger = {line[0].text: line for line in tables.failures(manifest).rows}
    assert set(ledger) == {"new", "old", "plain"}
    assert (ledger["new"][3].text, ledger["new"][6].text) == ("done", "its process was killed once")
    assert ledger["old"][5].text == "loss is nan"
    text = page_of(folder).text
    assert "10 of 12 done; 2 diverged" in text
    assert "its process was killed once" in text


def test_raw_numbers_are_in_the_page_in_full(study):
    folder = study()
    raw = [attrs["data-raw"] for tag, attrs in page_of(folder).elements if "data-raw" in attrs]
    frame = rows.load(folder)
    mean = frame[(frame.arm == "new") & (frame.metric == "nll")].value.to_numpy().mean()
    assert str(float(mean)) in raw
    assert all(math.isfinite(float(value)) for line in raw for value in line.split(","))


def test_p_values_stand_by_the_answer(study):
    folder = study()
    text = page_of(folder).text
    assert "n = 3 paired seeds. Against no difference at all: paired t test p " in text
    assert "exact sign-flip test p = 0.250" in text


def test_one_seed_has_no_p_values(study):
    manifest, frame = build.load(study(seeds=(1,)))
    assert build.tests(statistics.answer(manifest["study"], frame).primary) == ""


def test_wide_tables_label_every_cell_for_paper(study):
    folder = study(names={"new": ATTACK})
    page = page_of(folder)
    labels = {attrs["data-label"] for tag, attrs in page.elements if "data-label" in attrs}
    assert {"verdict", "detectable"} <= labels
