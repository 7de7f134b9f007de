"""Every trial on the page: its files, and a command that repeats it and nothing else."""

from __future__ import annotations

import shlex

from reports import manifest as manifests
from reports import rows
from reports.sections import trials as trials_of
from tests.reports.fabricated import kept_of, trial_of


def test_the_command_of_a_trial_keeps_it_and_the_primary_contrast(study):
    manifest = manifests.load(study(names={"plain": "plain; rm -rf ~", "pixels": "yes"}))
    found = manifest["study"]
    words = shlex.split(trials_of.command(found, trial_of(manifest, "plain; rm -rf ~", 2)))
    assert words == [
        "python", "-m", "bench.run", "study=study", "arms=[new,old]",
        'baselines=["plain; rm -rf ~"]', "seeds=[2]", "runs=again",
    ]  # fmt: skip
    words = shlex.split(trials_of.command(found, trial_of(manifest, "yes", 3)))
    assert words[5:7] == ['baselines=["yes"]', "seeds=[3]"]
    tune = trial_of(manifest, "new", 2) | {"stage": "tune", "seed": 1000}
    assert "seeds=[1]" in shlex.split(trials_of.command(found, tune))


def test_every_trial_has_a_row_with_links_to_what_is_there(study):
    folder = study(fail=[("old", 2)])
    manifest = manifests.load(folder)
    kept = kept_of(folder, "new", 1).relative_to(folder).as_posix()
    stopped = kept_of(folder, "old", 2).relative_to(folder).as_posix()
    manifest["trials"][1]["trial"] = "../../etc"
    table = trials_of.trials(folder, manifest, rows.load(folder))
    assert len(table.rows) == 12
    assert table.rows[0][6].links == (
        ("result", f"{kept}/result.json"),
        ("curve", f"{kept}/curve.jsonl"),
        ("pictures", f"{kept}/pictures.npz"),
    )
    assert {word for word, _ in table.rows[1][6].links} == {"curve", "pictures"}
    failed = next(line for line in table.rows if line[3].text == "diverged")
    assert failed[5].text == "n/a"
    assert failed[6].links == (("result", f"{stopped}/result.json"),)


def test_addresses_are_encoded(study):
    folder = study()
    manifest = manifests.load(folder)
    odd = folder / "trials" / 'a b"<&'
    kept_of(folder, "new", 1).rename(odd)
    manifest["trials"][0] |= {"trial": odd.name, "curve": None, "pictures": None}
    table = trials_of.trials(folder, manifest, rows.load(folder))
    assert table.rows[0][6].links == (("result", "trials/a%20b%22%3C%26/result.json"),)
