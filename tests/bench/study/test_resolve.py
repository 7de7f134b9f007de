"""From a study file and a command line to a resolved study: what is merged, what is left out."""

from __future__ import annotations

import pytest
import yaml
from harness import REPOSITORY, TINY, bench, installed, smoke, study, trials, write

from bench.arguments import parse
from bench.run import main
from bench.study.problems import ConfigError
from bench.study.resolve import resolve
from bench.study.schema import StudyFile
from bench.study.setup import settle


def test_a_tilde_deletes():
    assert parse(["~a.b", "c=1"], []) == ({"c": 1}, ["a.b"])
    without = smoke("~metrics.cost", "~secondary")
    assert "cost" not in without.metrics
    assert without.secondary.contrasts == []


def test_budget_then_study_then_command_line(tmp_path):
    """The smoke budget says 20 steps and a record every 10; the file 8 and every 2."""
    budgets = yaml.safe_load((REPOSITORY / "studies/budgets/smoke.yaml").read_text())
    assert budgets["trainer"]["steps"] == 20
    path = write(tmp_path, family="none", trainer={"steps": 8, "record_every": 2})
    resolved = resolve([f"study={path}", "trainer.record_every=4"])[0]
    assert resolved.trainer.record_every == 4
    assert resolved.trainer.steps == 8
    assert resolved.trainer.learning_rate == budgets["trainer"]["learning_rate"]
    assert resolved.budget_warning == budgets["warning"]


def test_the_budget_of_the_command_line_replaces_the_file_s():
    assert smoke().trainer.steps == 20
    assert smoke("budget=quick").trainer.steps == 750
    assert len(smoke("budget=quick").seeds) == 4


def test_a_budget_adds_no_metric(tmp_path):
    path = write(tmp_path, family="none", metrics={"likelihood": {"k": 3}})
    resolved = resolve([f"study={path}"])[0]
    assert resolved.metrics == {"likelihood": {"k": 3, "images": 20}}


def test_a_small_budget_of_a_study_with_variants_has_none(tmp_path):
    """The file says what its full data have; to ask for them of small data is a mistake."""
    data = {"train": "mnist", "transfer": ["affnist"], "variants": {"train": 32, "test": 1}}
    path = write(tmp_path, family="none", data=data)
    small, full = (resolve([f"study={path}", f"data.size={size}"])[0] for size in ("small", "full"))
    assert small.data.variants.train == 1
    assert small.data.images("affnist")["train"] == 8_000
    assert full.data.source("affnist")["variants"] == {"train": 32, "test": 1}
    assert full.data.images("affnist")["train"] == 1_600_000
    with pytest.raises(ConfigError, match=r"data\.variants: none of mnist_small, affnist_small"):
        resolve([f"study={path}", "data.size=small", "data.variants.train=2"])
    path = write(tmp_path, family="none", data={**data, "transfer": []})
    with pytest.raises(ConfigError, match=r"data\.variants: none of mnist comes in variants"):
        resolve([f"study={path}", "data.size=full"])


def test_selected_arms_keep_the_contrasts_among_them():
    chosen = smoke("arms=[matrix,additive,untied]", "baselines=[vae_plus]")
    assert list(chosen.arms) == ["matrix", "additive", "untied"]
    assert list(chosen.baselines) == ["vae_plus"]
    assert chosen.secondary.contrasts == [("additive", "untied"), ("matrix", "untied")]
    assert chosen.secondary.metrics == smoke().secondary.metrics


def test_a_baseline_that_the_study_does_not_name_can_be_selected(tmp_path):
    path = write(tmp_path, family="none", arms={"additive": TINY["arms"]["additive"]})
    chosen = resolve([f"study={path}", "baselines=[ae_plus,vae]"])[0]
    assert list(chosen.baselines) == ["ae_plus", "vae"]


def test_no_baselines():
    assert smoke("baselines=[]").baselines == {}


def test_a_selection_without_the_primary_contrast_says_so(capsys):
    assert main(["study=smoke", "arms=[matrix_z,additive]", "baselines=[]"]) == 2
    assert capsys.readouterr().err == (
        "error: primary.treatment: the arm 'matrix' is left out; keep it, or name one of "
        "matrix_z, additive\n"
    )


def test_the_resolved_study_runs_again(finished):
    """``runs/STUDY/study.yaml`` is a study file, and gives the same plan."""
    again = study(folder=finished.folder)
    with_path = bench(finished.folder, "study=runs/tiny/study.yaml", "dry_run=true")
    assert with_path.status == 0
    assert "4 trials, 0 to run" in with_path.out
    told = yaml.safe_load((finished.store / "study.yaml").read_text())
    with installed():
        saved = settle(StudyFile.model_validate(told, strict=False))
    assert trials(saved) == trials(again)


@pytest.mark.parametrize("arguments", [["study="], ["study=[3]"], ["seeds=3"]])
def test_no_study_named(capsys, arguments):
    assert main(arguments) == 2
    names = sorted(p.stem for p in (REPOSITORY / "studies").glob("*.yaml"))
    named = "|".join(name for name in names if name != "baselines")
    assert "smoke" in named
    assert f"error: study: name one: study={named}, or a file's path" in capsys.readouterr().err
