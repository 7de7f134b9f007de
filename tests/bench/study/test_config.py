"""From a study file and a command line to a resolved study, or to every mistake at once.

This is what a user meets first. Hydra's users must find their grammar; whoever mistypes must learn
of all mistakes in one go, each with its path and a name that is near, and never see a traceback.
"""

from __future__ import annotations

import gzip
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from harness import REPOSITORY, TINY, bench, installed, study, trials, write
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.arguments import parse
from bench.plan.trials import World
from bench.run import main
from bench.study.files import study_names
from bench.study.problems import ConfigError
from bench.study.resolve import resolve
from bench.study.schema import StudyFile
from bench.study.setup import Study, settle
from bench.study.tree import merge
from bench.study.wording import WORDING
from tvae import registry


def parsed(*arguments: str) -> dict:
    problems: list = []
    tree, deletions = parse(arguments, problems)
    assert not problems
    assert not deletions
    return tree


def smoke(*arguments: str) -> Study:
    return resolve(["study=smoke", *arguments])[0]


# --- the grammar --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "tree"),
    [
        ("a=1", {"a": 1}),
        ("a=1e-3", {"a": 1e-3}),
        ("a=true", {"a": True}),
        ("a=null", {"a": None}),
        ("a=", {"a": None}),
        ("a=word", {"a": "word"}),
        ("a='1'", {"a": "1"}),
        ('a="x, y: z"', {"a": "x, y: z"}),
        ("a=[1,b,'c d']", {"a": [1, "b", "c d"]}),
        ("a=[[x,y],[x,z]]", {"a": [["x", "y"], ["x", "z"]]}),
        ("a={b: 1, c: {d: x}}", {"a": {"b": 1, "c": {"d": "x"}}}),
        ("a.b.c=1", {"a": {"b": {"c": 1}}}),
        ("a=b=c", {"a": "b=c"}),
        ("+a.b=1", {"a": {"b": 1}}),
        ("++a.b=1", {"a": {"b": 1}}),
        ("a=ü", {"a": "ü"}),
    ],
)
def test_values_are_read_as_hydra_reads_them(argument, tree):
    assert parsed(argument) == tree


def test_later_arguments_win_and_nest():
    assert parsed("a.b=1", "a.c=2", "a.b=3") == {"a": {"b": 3, "c": 2}}
    assert parsed("a=1", "a.b=2") == {"a": {"b": 2}}


def test_environment_variables_are_filled_in(monkeypatch):
    monkeypatch.setenv("DIGITS", "/data/mnist")
    assert parsed("data.root=${oc.env:DIGITS}") == {"data": {"root": "/data/mnist"}}


def test_a_tilde_deletes():
    assert parse(["~a.b", "c=1"], []) == ({"c": 1}, ["a.b"])
    without = smoke("~metrics.cost", "~secondary")
    assert "cost" not in without.metrics
    assert without.secondary.contrasts == []


# --- merging ------------------------------------------------------------------------------------


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
    assert smoke("budget=quick").trainer.steps == 160
    assert len(smoke("budget=quick").seeds) == 3


def test_a_budget_adds_no_metric(tmp_path):
    path = write(tmp_path, family="none", metrics={"likelihood": {"k": 3}})
    resolved = resolve([f"study={path}"])[0]
    assert resolved.metrics == {"likelihood": {"k": 3, "images": 20}}


def test_extends_takes_the_rest_from_another_study(tmp_path):
    """By name, or by a path that starts from the file that says it."""
    write(tmp_path, family="none")
    (tmp_path / "child.yaml").write_text("extends: tiny.yaml\ntrainer: {steps: 3}\n")
    child = resolve([f"study={tmp_path / 'child.yaml'}"])[0]
    assert (child.name, child.trainer.steps, child.trainer.batch_size) == ("child", 3, 20)
    assert smoke().arms == resolve(["study=additive_vs_matrix"])[0].arms
    assert smoke().name == "smoke"


def test_a_plugin_of_another_name_brings_its_own_options_only():
    base = {"latent_transform": {"name": "matrix_z", "sides": "left"}, "latent_dim": 10}
    assert merge(base, {"latent_transform": "additive"})["latent_transform"] == {"name": "additive"}
    other = {"latent_transform": {"name": "matrix", "block_size": 5}}
    assert merge(base, other)["latent_transform"] == {"name": "matrix", "block_size": 5}
    for same in ({"name": "matrix_z", "shape": [5, 2]}, {"shape": [5, 2]}):
        assert merge(base, {"latent_transform": same})["latent_transform"] == {
            "name": "matrix_z",
            "sides": "left",
            "shape": [5, 2],
        }
    family = smoke("family=rotation", "family.max_angle=10.0").family
    assert family == {"name": "rotation", "max_angle": 10.0}
    assert base["latent_transform"]["sides"] == "left", "merging must not change what it merges"


def test_seeds_are_a_number_or_a_list():
    assert smoke("seeds=4").seeds == [0, 1, 2, 3]
    assert smoke("seeds=[7,3]").seeds == [7, 3]


def test_a_study_is_found_by_name_and_by_path(tmp_path, monkeypatch):
    by_name = smoke()
    assert by_name == resolve([f"study={REPOSITORY / 'studies/smoke.yaml'}"])[0]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    write(tmp_path / "studies", family="none")
    assert "tiny" in study_names()
    assert resolve(["study=tiny"])[0].question == TINY["question"]


# --- selections ---------------------------------------------------------------------------------


def test_selected_arms_keep_the_contrasts_among_them():
    chosen = smoke("arms=[matrix,additive]", "baselines=[vae_plus]")
    assert list(chosen.arms) == ["matrix", "additive"]
    assert list(chosen.baselines) == ["vae_plus"]
    assert chosen.secondary.contrasts == [("additive", "vae_plus"), ("matrix", "vae_plus")]
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


# --- crossings ----------------------------------------------------------------------------------

FACTORS = {
    "form": {
        "shift": {"summary": "z + T", "model": {"latent_transform": "additive"}},
        "matrix": {
            "summary": "exp(A) z",
            "model": {"latent_transform": {"name": "matrix", "block": 2}, "beta": 2.0},
        },
    },
    "family": {
        "turn": {"summary": "rotations", "family": {"name": "rotation", "max_angle": 30.0}},
        "crop": {"family": "crop", "model": {"beta": 3.0}, "trainer": {"learning_rate": 0.01}},
    },
    "data": {"digits": {}, "clothes": {"data": {"train": "fashion_mnist"}}},
}
CROSSED = {
    "model": {
        "name": "tvae",
        "latent_dim": 4,
        "latent_transform": "additive",
        "coherence": "kl",
        "prior": "mmd",
    },
    "family": "rotation",
    "arms": {},
    "factors": FACTORS,
    "primary": {**TINY["primary"], "treatment": "matrix-turn-digits",
                "control": "shift-turn-digits"},
}  # fmt: skip
NAMES = [
    f"{form}-{family}-{data}"
    for form in ("shift", "matrix")
    for family in ("turn", "crop")
    for data in ("digits", "clothes")
]


def crossed(folder: Path, *arguments: str, **changes) -> Study:
    return study(*arguments, folder=folder, **{**CROSSED, **changes})


def test_a_crossing_has_an_arm_for_every_combination(tmp_path):
    given = crossed(tmp_path)
    assert list(given.arms) == NAMES
    for name, arm in given.arms.items():
        assert arm.levels == dict(zip(("form", "family", "data"), name.split("-"), strict=True))
    assert given.arms["shift-turn-clothes"].summary == "z + T; rotations; clothes"
    assert given.arms["matrix-crop-digits"].summary == "exp(A) z; crop; digits"
    assert all("factors" not in trial.config for trial in trials(given, BOTH))


BOTH = World({"mnist": "0" * 16, "fashion_mnist": "1" * 16}, "2.0", "cpu")


def test_levels_are_merged_in_their_order(tmp_path):
    """As if the arm had said all of them; of two that say the same, the later factor's counts."""
    given = crossed(tmp_path)
    setup = given.setups["matrix-crop-clothes"]
    expanded = setup.config
    assert expanded["model"]["latent_transform"] == {
        "name": "matrix",
        "block": 2,
        "skew": False,
    }
    assert expanded["model"]["beta"] == 3.0
    assert expanded["family"]["name"] == "crop"
    assert expanded["trainer"]["learning_rate"] == 0.01
    assert setup.data.train == "fashion_mnist"
    plain = given.setups["shift-turn-digits"].config
    assert plain["model"]["latent_transform"]["name"] == "additive"
    assert plain["model"]["beta"] == 1.0
    assert plain["family"]["max_angle"] == 30.0
    assert given.setups["shift-turn-digits"].data.train == "mnist"
    assert given.labels == ["mnist", "fashion_mnist"]


def test_arms_that_are_spelled_out_are_merged_over_the_crossing_s(tmp_path):
    arms = {
        "matrix-turn-digits": {"summary": "by hand", "model": {"beta": 7.0}},
        "plain": {"model": {"beta": 5.0}},
    }
    given = crossed(tmp_path, arms=arms)
    assert list(given.arms) == [*NAMES, "plain"]
    mine = given.arms["matrix-turn-digits"]
    assert mine.summary == "by hand"
    assert mine.model["beta"] == 7.0
    assert mine.model["latent_transform"] == {"name": "matrix", "block": 2}
    assert given.arms["plain"].levels == {}


def test_an_override_of_a_level_reaches_its_arms(tmp_path):
    given = crossed(tmp_path, "factors.form.matrix.model.beta=9.0")
    betas = {name: setup.config["model"]["beta"] for name, setup in given.setups.items()}
    assert betas["matrix-turn-digits"] == 9.0
    assert betas["matrix-crop-digits"] == 3.0, "a later factor says otherwise"
    assert betas["shift-turn-digits"] == 1.0


def test_an_arm_s_own_data_decide_on_its_keys_alone(tmp_path):
    found = {t.arm: t for t in trials(crossed(tmp_path), BOTH) if t.seed == 0}
    for name, trial in found.items():
        label = "fashion_mnist" if name.endswith("clothes") else "mnist"
        assert trial.data["train"] == label
        assert trial.training["data"] == {"train": label, "digest": BOTH.data[label]}


def test_the_resolved_study_of_a_selection_is_the_same_study(tmp_path):
    """Written down without its factors, as ``runs/STUDY/study.yaml`` is."""
    chosen = "arms=[matrix-turn-digits,shift-turn-digits,shift-crop-clothes]"
    given = crossed(tmp_path, chosen, secondary={"contrasts": [
        ["shift-crop-clothes", "shift-turn-digits"], ["matrix-crop-digits", "shift-turn-digits"],
    ]})  # fmt: skip
    assert list(given.arms) == [
        "matrix-turn-digits",
        "shift-turn-digits",
        "shift-crop-clothes",
    ]
    assert given.secondary.contrasts == [("shift-crop-clothes", "shift-turn-digits")]
    path = tmp_path / "resolved.yaml"
    path.write_text(yaml.safe_dump(given.model_dump(mode="json"), sort_keys=False))
    again = resolve([f"study={path}"])[0]
    assert again == given
    assert trials(again, BOTH) == trials(given, BOTH)


def problems_of(folder: Path, *arguments: str, **changes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        crossed(folder, *arguments, **changes)
    return list(map(str, caught.value.problems))


def test_combinations_of_one_name(tmp_path):
    """a-b x c and a x b-c."""
    empty: dict = {}
    factors = {"one": {"a-b": empty, "a": empty}, "two": {"c": empty, "b-c": empty}}
    primary = {**TINY["primary"], "treatment": "a-b-c", "control": "a-c"}
    (message, *_) = problems_of(tmp_path, factors=factors, primary=primary)
    assert message == "factors: two combinations of levels make arms of one name"


def test_an_arm_of_a_crossing_that_is_left_out_or_misspelt(tmp_path):
    (message,) = problems_of(tmp_path, "arms=[matrix-turn-digits,shift-crop-digits]")
    assert message.startswith("primary.control: the arm 'shift-turn-digits' is left out; ")
    (message,) = problems_of(tmp_path, "primary.control=shift-turn-digit")
    assert "unknown arm 'shift-turn-digit'; did you mean 'shift-turn-digits'?" in message


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            "factors.form.shift.modle={beta: 1.0}",
            "factors.form.shift.modle: unknown key 'modle'; did you mean 'model'?",
        ),
        ("factors.form=[a,b]", "factors.form: must be a mapping of names to values"),
        (
            "factors.form.shift.model.latent_transform=aditive",
            "model.latent_transform: unknown latent transform 'aditive'; did you mean 'additive'?",
        ),
        ("factors.data.clothes.data.train=fashion", "data.train: unknown data set 'fashion'"),
        ("factors.form.shift.model.betta=1.0", "model.betta: unknown option of "),
    ],
)
def test_what_a_level_says_is_checked(tmp_path, argument, message):
    found = problems_of(tmp_path, argument)
    assert any(message in problem for problem in found), found


# --- tuning -------------------------------------------------------------------------------------


def test_tuning_seeds_are_counted_from_beyond_the_confirmation_seeds():
    assert smoke("tune.seeds=2").tune.seeds == [1_000_000, 1_000_001]
    assert smoke("tune.seeds=[50,40]").tune.seeds == [50, 40]
    assert smoke().tune.trials == 0


def test_a_primary_metric_without_a_direction_cannot_be_tuned_for(tmp_path, capsys):
    """It may be reported; to optimise something, the study names another metric."""
    primary = {**TINY["primary"], "metric": "nll/ess"}
    path = write(tmp_path, family="rotation", primary=primary)
    assert resolve([f"study={path}"])
    assert main([f"study={path}", "tune.trials=2"]) == 2
    assert capsys.readouterr().err == (
        "error: tune.metric: nll/ess is better neither higher nor lower, so it cannot be "
        "optimised\n"
    )
    assert resolve([f"study={path}", "tune.trials=2", "tune.metric=nll"])


# --- mistakes -----------------------------------------------------------------------------------

NEAR = [
    ("study=smok", "study: unknown study 'smok'; did you mean 'smoke'?"),
    ("budget=quik", "budget: unknown budget 'quik'; did you mean 'quick'?"),
    ("seedz=3", "seedz: unknown key 'seedz'; did you mean 'seeds'?"),
    ("trainer.stepz=3", "trainer.stepz: unknown key 'stepz'; did you mean 'steps'?"),
    ("tracking.enable=no", "tracking.enable: unknown key 'enable'; did you mean 'enabled'?"),
    (
        "arms.additive.sumary=x",
        "arms.additive.sumary: unknown key 'sumary'; did you mean 'summary'",
    ),
    (
        "arms.additive.trainer.stepz=3",
        "arms.additive.trainer.stepz: unknown key 'stepz'; did you mean 'steps'?",
    ),
    (
        "arms.additive.model.latent_transform=aditive",
        "arms.additive.model.latent_transform: unknown latent transform 'aditive'; "
        "did you mean 'additive'?",
    ),
    (
        "arms.additive.model.coherence=mdm",
        "arms.additive.model.coherence: unknown divergence 'mdm'; did you mean 'mmd'?",
    ),
    ("baselines.vae.model.prior=kll", "baselines.vae.model.prior: unknown divergence 'kll'"),
    (
        "family=rotatoin",
        "family: unknown transformation family 'rotatoin'; did you mean 'rotation'",
    ),
    (
        "arms.additive.family=crpo",
        "arms.additive.family: unknown transformation family 'crpo'; did you mean 'crop'?",
    ),
    (
        "arms.additive.model.name=tvea",
        "arms.additive.model: unknown model 'tvea'; did you mean 'tvae",
    ),
    ("metrics.knm.k=3", "metrics.knm: unknown metric 'knm'; did you mean 'knn'?"),
    ("primary.metric=knn/afnist", "unknown metric 'knn/afnist'; did you mean 'knn/affnist'?"),
    (
        "secondary.metrics={nl: 1.0}",
        "secondary.metrics.nl: unknown metric 'nl'; did you mean 'nll'?",
    ),
    ("primary.treatment=matrx", "primary.treatment: unknown arm 'matrx'; did you mean 'matrix_z'?"),
    ("secondary.contrasts=[[vea,matrix_z]]", "secondary.contrasts.0: unknown arm 'vea'"),
    ("arms=[aditive]", "arms: unknown arm 'aditive'; did you mean 'additive'?"),
    ("baselines=[vea]", "baselines: unknown baseline 'vea'; did you mean 'vae'?"),
    ("data.train=mnits", "data.train: unknown data set 'mnits'; did you mean 'mnist'?"),
    ("data.transfer=[mnits]", "data.transfer.0: unknown data set 'mnits'; did you mean 'mnist'?"),
    ("tune.trialz=3", "tune.trialz: unknown key 'trialz'; did you mean 'trials'?"),
    ("tune.metric=nl", "tune.metric: unknown metric 'nl'; did you mean 'nll'?"),
    (
        "tune.metrics.knm.k=3",
        "tune.metrics.knm: unknown metric of this study 'knm'; did you mean 'knn'?",
    ),
    (
        "tune.metrics.likelihood.kk=3",
        "tune.metrics.likelihood.kk: unknown option of the metric 'likelihood': 'kk'",
    ),
    (
        "factors.form.a.modl=x",
        "factors.form.a.modl: unknown key 'modl'; did you mean 'model'?",
    ),
    (
        "arms.additive.data.train=mnits",
        "arms.additive.data.train: unknown data set 'mnits'; did you mean 'mnist'?",
    ),
    (
        "arms.additive.data.transfer=[mnits]",
        "arms.additive.data.transfer.0: unknown data set 'mnits'; did you mean 'mnist'?",
    ),
    ("~metrics.knm", "~metrics.knm: unknown key 'knm'; did you mean 'knn'?"),
    (
        "metrics.knn.kk=3",
        "metrics.knn.kk: unknown option of the metric 'knn': 'kk'; did you mean 'k'",
    ),
    (
        "family.max_angel=3",
        "family.max_angel: unknown option of the transformation family 'rotation_crop': "
        "'max_angel'; did you mean 'max_angle'?",
    ),
    (
        "model.latent_dimm=3",
        "model.latent_dimm: unknown option of every model here: 'latent_dimm'; "
        "did you mean 'latent_dim'?",
    ),
    (
        "arms.matrix_z.model.latent_transform.side=left",
        "arms.matrix_z.model.latent_transform.side: unknown option of the latent transform "
        "'matrix_z': 'side'; did you mean 'sides'?",
    ),
]

WRONG = [
    ("model.latent_dim=ten", 'model.latent_dim: must be a whole number, got "ten"'),
    ("model.latent_dim=true", "model.latent_dim: must be a whole number, got true"),
    ("model.latent_dim=2.5", "model.latent_dim: must be a whole number, got 2.5"),
    ("model.latent_dim=0", "model.latent_dim: must be at least 1, got 0"),
    ("model.latent_dim=-3", "model.latent_dim: must be at least 1, got -3"),
    ("trainer.steps=many", 'trainer.steps: must be a whole number, got "many"'),
    ("trainer.steps=true", "trainer.steps: must be a whole number, got true"),
    ("trainer.steps=2.5", "trainer.steps: must be a whole number, got 2.5"),
    ("trainer.steps=0", "trainer.steps: must be at least 1, got 0"),
    ("trainer.steps=-1", "trainer.steps: must be at least 1, got -1"),
    ("trainer.batch_size=1", "trainer.batch_size: must be at least 2, got 1"),
    ("trainer.learning_rate=-1", "trainer.learning_rate: must be more than 0, got -1"),
    ("trainer.learning_rate=.inf", "trainer.learning_rate: must be a finite number, got Infinity"),
    ("trainer.learning_rate=.nan", "trainer.learning_rate: must be a finite number, got NaN"),
    (
        "trainer.schedule=cosin",
        "trainer.schedule: must be 'halving', 'cosine' or 'constant', got \"cosin\"",
    ),
    ("arms.additive.trainer.steps=many", "arms.additive.trainer.steps: must be a whole number"),
    ("model.w_prior=-1", "model.w_prior: must be at least 0, got -1"),
    ("arms.additive.model.hidden=-5", "hidden layers must be at least 1, got -5"),
    ("metrics.likelihood.k=0", "metrics.likelihood.k: must be at least 1, got 0"),
    ("metrics.likelihood.k=x", 'metrics.likelihood.k: must be a whole number, got "x"'),
    ("seeds=0", "seeds: must be a list of seeds, or how many, 1 to 10000, got 0"),
    ("seeds=-2", "seeds: must be a list of seeds, or how many, 1 to 10000, got -2"),
    ("seeds=99999999", "seeds: must be a list of seeds, or how many, 1 to 10000, got 99999999"),
    ("seeds=[]", "seeds: must have 1 or more entries, got []"),
    ("seeds=[1,1]", "seeds: must differ, got [1, 1]"),
    ("seeds=[0,-1]", "seeds.1: must be at least 0, got -1"),
    ("seeds=[0,1.5]", "seeds.1: must be a whole number, got 1.5"),
    ("threads=0", "threads: must be at least 1, got 0"),
    ("workers=0", "workers: must be at least 1, got 0"),
    ("workers=-1", "workers: must be at least 1, got -1"),
    ("level=1", "level: must be less than 1, got 1"),
    ("primary.equivalence=-1", "primary.equivalence: must be at least 0, got -1"),
    ("device=gpu", "device: must be 'auto', 'cpu', 'cuda' or 'mps', got \"gpu\""),
    ("keep=lst", "keep: must be 'last', 'none' or 'all', got \"lst\""),
    ("dry_run=maybe", 'dry_run: must be true or false, got "maybe"'),
    ("data.variants=0", "data.variants: must be at least 1, got 0"),
    ("data.variants=2", "data.variants: none of fashion_mnist_small, affnist_small comes in"),
    ("data=3", "data: must be a mapping of names to values, got 3"),
    ("arms=3", "arms: must be a mapping of names to values, got 3"),
    ("arms=[]", "arms: must have 1 or more entries, got {}"),
    ("arms=[[1]]", "arms: unknown arm '[1]'"),
    ("arms.additive=3", "arms.additive: must be a mapping of names to values, got 3"),
    ("arms.additive.model=x", 'arms.additive.model: must be a mapping of names to values, got "x"'),
    ("arms.additive.family=3", "arms.additive.family: must be a mapping of names to values, got 3"),
    (
        "arms.additive.model.prior=3",
        "arms.additive.model.prior: must be text or must be a mapping",
    ),
    ("family=null", "family: must be a mapping of names to values, got null"),
    ("metrics=3", "metrics: must be a mapping of names to values, got 3"),
    ("metrics.knn=3", "metrics.knn: must be a mapping of names to values, got 3"),
    ("trainer=null", "trainer: must be a mapping of names to values, got null"),
    ("secondary.contrasts=[[a,b,c]]", "secondary.contrasts.0: must have 2 or fewer entries"),
    ("name=", "name: must be text, got null"),
    ("name=''", "name: must not be empty"),
    ("budget=3", "budget: must be text, got 3"),
    ("primary.control=matrix_z", "primary: treatment and control are the same arm"),
    ("arms.vae.model.name=autoencoder", "baselines.vae: is also the name of an arm"),
    (
        "arms.matrix_z.model.latent_transform.shape=[3,4]",
        "arms.matrix_z.model.latent_transform.shape: must be two factors of latent_dim=10",
    ),
    ("tune.trials=-1", "tune.trials: must be at least 0, got -1"),
    ("tune.trials=x", 'tune.trials: must be a whole number, got "x"'),
    ("tune.steps=0", "tune.steps: must be at least 1, got 0"),
    ("tune.generation=0", "tune.generation: must be at least 1, got 0"),
    ("tune.seed=-1", "tune.seed: must be at least 0, got -1"),
    ("tune.sampler=tp", "tune.sampler: must be 'tpe', 'random', 'cmaes' or 'gp', got \"tp\""),
    ("tune.pruner=mean", "tune.pruner: must be 'none', 'median' or 'hyperband', got \"mean\""),
    ("tune.seeds=0", "tune.seeds: must be a list of seeds, or how many, 1 to 10000, got 0"),
    ("tune.seeds=[]", "tune.seeds: must have 1 or more entries, got []"),
    ("tune.seeds=[7,7]", "tune.seeds: must differ, got [7, 7]"),
    ("tune.seeds=[1,7]", "tune.seeds: [1] are confirmation seeds, which tuning must not see"),
    ("tune.metrics.likelihood.k=0", "tune.metrics.likelihood.k: must be at least 1, got 0"),
    ("tune.metrics.likelihood=3", "tune.metrics.likelihood: must be a mapping"),
    (
        "tune.metric=nll/ess",
        "tune.metric: nll/ess is better neither higher nor lower, so it cannot be optimised",
    ),
    ("tune=3", "tune: must be a mapping of names to values, got 3"),
    ("max_hours=0", "max_hours: must be more than 0, got 0"),
    ("trial_hours=-1", "trial_hours: must be more than 0, got -1"),
    ("max_trials=0", "max_trials: must be at least 1, got 0"),
    ("max_trials=3", "max_trials: the matrix has 6 trials, more than 3; max_trials=6 runs it"),
    ("factors=3", "factors: must be a mapping of names to values, got 3"),
    ("factors.form={}", "factors.form: must have 1 or more entries, got {}"),
    ("factors.form.a=3", "factors.form.a: must be a mapping of names to values, got 3"),
    ("arms.additive.data=x", 'arms.additive.data: must be a mapping of names to values, got "x"'),
    (
        "arms.additive.data.train=affnist",
        "arms.additive.data.train: its images have 40 pixels a side, the models take 28",
    ),
    ("steps", "steps: is not of the form key=value"),
    ("=3", "=3: is not of the form key=value"),
    ("a..b=3", "a..b=3: is not of the form key=value"),
    ("seeds=[1", "seeds: cannot read the value '[1': did not find expected ',' or ']'"),
    ("question=${x}", "question: cannot read the value '${x}': Interpolation key 'x' not found"),
    ("seeds=!!binary aGk=", "seeds: cannot read the value '!!binary aGk='"),
    ("~data.nothing.there", "~data.nothing.there: there is no such key to delete"),
]


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A study of two forms and a baseline."""
    form = {"name": "tvae", "coherence": "kl", "prior": "mmd"}
    return write(
        tmp_path_factory.mktemp("small"),
        data={"train": "fashion_mnist", "transfer": ["affnist"]},
        family="rotation_crop",
        model={"latent_dim": 10},
        arms={
            "additive": {"model": {**form, "latent_transform": "additive"}},
            "matrix_z": {"model": {**form, "latent_transform": {"name": "matrix_z"}}},
        },
        baselines=["vae"],
        metrics={"knn": {"k": 5}, "likelihood": {}},
        primary={
            "treatment": "matrix_z",
            "control": "additive",
            "metric": "knn/affnist",
            "equivalence": 0.01,
        },
    )


@pytest.mark.parametrize(("argument", "message"), NEAR + WRONG)
def test_a_mistake_is_named_with_its_path(capsys, small, argument, message):
    assert main([f"study={small}", "dry_run=true", argument]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert "pydantic" not in captured.err
    assert "input should" not in captured.err.lower()
    # one mistake, one line: no error that only follows from another
    lines = captured.err.splitlines()
    assert len(lines) == 1 or len({line.split(": ")[1] for line in lines}) == 1


def test_the_shared_option_is_blamed_once_not_every_arm(capsys):
    main(["study=smoke", "model.latent_dim=ten"])
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_all_mistakes_at_once(capsys, small):
    """Of the command line, of types, of names and of plugins' options together."""
    arguments = {
        "oops": "oops",
        "seedz=1": "seedz",
        "~metrics.nothing": "~metrics.nothing",
        "budget=quik": "budget",
        "trainer.steps=many": "trainer.steps",
        "data.train=mnits": "data.train",
        "family.max_angle=-1": "family.max_angle",
        "metrics.likelihood.k=0": "metrics.likelihood.k",
        "arms.additive.model.coherence=kll": "arms.additive.model.coherence",
        "arms.matrix_z.model.latent_transform.side=left": (
            "arms.matrix_z.model.latent_transform.side"
        ),
        "primary.control=aditive": "primary.control",
        "workers=0": "workers",
    }
    assert main([f"study={small}", *arguments]) == 2
    found = [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()]
    assert sorted(found) == sorted(arguments.values())


def test_a_latent_size_without_factors_for_matrix_z(capsys):
    """7 = 7 x 1 is a shape; an explicit 5 x 2 is not one of 12."""
    assert smoke("model.latent_dim=7").model["latent_dim"] == 7
    shape = "arms.matrix_z.model.latent_transform.shape=[5,2]"
    assert main(["study=smoke", "model.latent_dim=12", shape]) == 2
    assert "must be two factors of latent_dim=12, got (5, 2)" in capsys.readouterr().err


def test_a_model_too_large_for_memory_is_checked_without_it():
    assert smoke("model.latent_dim=1000000", "arms=[additive,matrix_z]",
                 "primary.treatment=matrix_z", "baselines=[]")  # fmt: skip


FILES = {
    "malformed.yaml": (b"a: [1,\nb: }", "malformed.yaml: cannot be read: did not find expected"),
    "list.yaml": (b"- a\n- b\n", "list.yaml: must be a mapping of names to values"),
    "number.yaml": (b"5\n", "number.yaml: cannot be read: "),
    "garbage.yaml": (bytes(range(256)), "garbage.yaml: cannot be read: "),
    "nul.yaml": (b"question: a\0b\n", "nul.yaml: cannot be read: "),
    "twice.yaml": (b"question: a\nquestion: b\n", "twice.yaml: cannot be read: "),
    "empty.yaml": (b"", "question: is missing"),
    "date.yaml": (b"question: 2020-13-45\n", "arms: is missing"),
    "deep.yaml": (b"a: " + b"[" * 5000, "deep.yaml: cannot be read: "),
    "circle.yaml": (b"extends: circle.yaml\n", "extends: runs in a circle: "),
    "orphan.yaml": (b"extends: smok\n", "extends: unknown study 'smok'; did you mean 'smoke'?"),
    "odd.yaml": (b"extends: [smoke]\n", "extends: must be the name or path of a study"),
    "keys.yaml": (b"extends: smoke\n3: 4\n", "3: unknown key '3'"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_study_file_that_is_none(tmp_path, capsys, name):
    content, message = FILES[name]
    (tmp_path / name).write_bytes(content)
    assert main([f"study={tmp_path / name}"]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


def test_everything_missing_is_listed(tmp_path, capsys):
    (tmp_path / "empty.yaml").write_text("")
    assert main([f"study={tmp_path / 'empty.yaml'}"]) == 2
    missing = ["question", "data.train", "family", "arms", "primary"]
    assert capsys.readouterr().err.splitlines() == [f"error: {key}: is missing" for key in missing]


def test_a_path_that_cannot_be_read(tmp_path, capsys):
    folder = tmp_path / "folder.yaml"
    folder.mkdir()
    assert main([f"study={folder}"]) == 2
    assert f"{folder}: cannot be read: Is a directory" in capsys.readouterr().err
    assert main([f"study={tmp_path / 'nowhere.yaml'}"]) == 2
    assert "nowhere.yaml: cannot be read: No such file or directory" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path, capsys):
    path = write(tmp_path)
    path.chmod(0)
    assert main([f"study={path}"]) == 2
    assert "cannot be read: Permission denied" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["study="], ["study=3"], ["seeds=3"]])
def test_no_study_named(capsys, arguments):
    assert main(arguments) == 2
    names = sorted(p.stem for p in (REPOSITORY / "studies").glob("*.yaml"))
    named = "|".join(name for name in names if name != "baselines")
    assert "smoke" in named
    assert f"error: study: name one: study={named}, or a file's path" in capsys.readouterr().err


def test_runs_that_is_a_file(tmp_path, capsys):
    (tmp_path / "taken").touch()
    assert main(["study=smoke", f"runs={tmp_path / 'taken'}"]) == 2
    assert capsys.readouterr().err == (
        f"error: runs: {tmp_path / 'taken' / 'smoke'} cannot be written: Not a directory\n"
    )


def test_missing_data(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    study = ["study=smoke", "budget=standard", "data.train=mnist", "data.transfer=[affnist]"]
    assert main(study) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["data (mnist)", "data (affnist)"]
    assert str(tmp_path) in lines[0]
    assert "data.root=FOLDER" in lines[0]
    assert main([*study, f"data.root={tmp_path / 'nowhere'}"]) == 2
    assert "nowhere is no folder" in capsys.readouterr().err


def test_corrupt_data(tmp_path, capsys):
    """An IDX file that ends too early."""
    for part in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            content = gzip.compress(bytes(1000))
            (tmp_path / f"{part}-{kind}-ubyte.gz").write_bytes(content[: len(content) // 2])
    assert (
        main(["study=smoke", "budget=standard", "data.train=mnist", f"data.root={tmp_path}"]) == 2
    )
    err = capsys.readouterr().err
    assert "error: data (mnist): " in err
    assert "is damaged" in err
    assert "Traceback" not in err


def test_a_device_that_is_not_there(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["study=smoke", "device=cuda"]) == 2
    assert capsys.readouterr().err == ("error: device: cuda is not available here (there is cpu)\n")


def test_a_broken_plugin_is_reported_with_its_cause(tmp_path, capsys, monkeypatch):
    (tmp_path / "broken.py").write_text("import nothing_of_that_name\n")
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tvae.divergences]\nbroken = broken:Broken\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.divergences.refresh()
    try:
        assert main(["study=smoke", "arms.additive.model.coherence=broken"]) == 2
        assert smoke(), "a broken plugin that nobody names disables nothing"
    finally:
        registry.divergences.refresh()
    err = capsys.readouterr().err
    assert "arms.additive.model.coherence: the divergence 'broken' (broken:Broken (broken))" in err
    assert "No module named 'nothing_of_that_name'" in err


# --- anything at all ----------------------------------------------------------------------------

KEYS = st.sampled_from(
    [
        "budget", "name", "seeds", "arms", "baselines", "metrics", "family", "model",
        "data.train", "data.transfer", "data", "trainer", "trainer.steps", "model.latent_dim",
        "model.hidden", "arms.additive", "arms.additive.model", "arms.additive.family",
        "arms.additive.model.latent_transform", "arms.matrix_z.model.latent_transform.shape",
        "primary", "primary.metric", "tune", "tune.seeds", "tune.metric", "tune.metrics", "factors",
        "factors.a", "factors.a.b", "arms.additive.data", "max_trials", "secondary",
        "secondary.contrasts", "metrics.likelihood",
        "metrics.likelihood.k", "workers", "tracking", "family.name", "level", "threads", "extends",
    ]
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        ["", "null", "[]", "{}", "[[]]", "{a: b}", "true", "1e999", ".nan", "[1", "0b_", "!!int x",
         "2020-99-99", "${a}", "&a [*a]", "*a", "!!python/none", "{? [a] : b}", "0", "-1", "[null]",
         "1" * 400, "smoke", "additive", "kl", "{name: kl}", "{name: [x]}", "{1: 2, a: 3}", "mnist"]
    ),
    st.integers().map(str),
    st.text(max_size=12),
)  # fmt: skip
ARGUMENTS = st.one_of(
    st.tuples(KEYS, VALUES).map("=".join),
    st.tuples(st.sampled_from(["~", "+", "++"]), KEYS).map("".join),
    st.text(max_size=20),
)


@settings(max_examples=60, deadline=None)
@given(arguments=st.lists(ARGUMENTS, max_size=4))
@example(["study=" + "a" * 5000])
@example(["study=a\0b.yaml"])
@example(["budget=" + "/" * 300])
@example(["seeds=!!set {a}"])
@example(["arms.additive.model.latent_transform.foo=1", "arms=[]"])
def test_any_text_gives_a_study_or_says_what_is_wrong(small, arguments):
    try:
        resolved, execution = resolve([f"study={small}", *arguments])
    except ConfigError as error:
        problems = error.problems
    else:
        problems = []
        assert resolved.arms
        assert execution.runs
        assert not any(math.isnan(x) for x in [resolved.level, resolved.trainer.learning_rate])
    assert all(problem.message for problem in problems)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
@example(b"a: !!python/object/apply:os.system [x]\n")
@example(b"\xff\xfe\x00")
def test_any_file_gives_a_study_or_says_what_is_wrong(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        resolve([f"study={path}"])
    assert caught.value.problems


def test_the_wording_fills_in_what_pydantic_knows():
    for text in WORDING.values():
        text.format(expected="", ge=0, gt=0, le=0, lt=0, min_length=0, max_length=0, error="")


# --- the help -----------------------------------------------------------------------------------


def test_help_lists_all_that_can_be_named_and_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from bench.run import main\n"
        "status = main(['--help'])\n"
        "heavy = {'torch', 'pandas', 'scipy', 'sklearn', 'mlflow', 'optuna', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "sys.exit(status)"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert shown.returncode == 0, shown.stderr
    for name in ("smoke", "quick", "matrix_z", "mmd_joint", "rotation_crop", "tvae", "likelihood"):
        assert name in shown.stdout


def test_no_arguments_show_the_help_with_status_2(capsys):
    assert main([]) == 2
    assert "usage: python -m bench.run" in capsys.readouterr().out


def test_arms_of_one_training_measured_on_different_data(tmp_path, capsys):
    """They would share a folder, and one would get the other's numbers."""
    twin = {**TINY["arms"]["vae"], "data": {"transfer": ["affnist"]}}
    path = write(tmp_path, family="rotation", arms={**TINY["arms"], "twin": twin})
    assert main([f"study={path}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: arms.twin.data.transfer: is the same training as 'vae'")


def test_what_is_fixed_must_be_something_that_is_tuned(tmp_path, capsys):
    path = write(tmp_path, family="rotation")
    arguments = [f"study={path}", "tune.trials=2", "dry_run=true"]
    assert main([*arguments, "tune.fixed=[model.beta,model.w_pror]"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: tune.fixed.1: unknown value that is tuned 'model.w_pror'; did ")
    assert "did you mean 'model.w_prior'?" in line
