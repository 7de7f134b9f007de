"""Every mistake in one go, each with its path and a name that is near, and never a traceback.

This is what a user meets first.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from harness import TINY, smoke, write
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.run import main
from bench.study.problems import ConfigError
from bench.study.resolve import resolve
from tvae import registry

SEEDS = "must be a list of seeds, or how many, 1 to 10000, or {looks: [4, 8, 12]}, or until_decided"
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
    ("seeds=0", f"seeds: {SEEDS}, got 0"),
    ("seeds=-2", f"seeds: {SEEDS}, got -2"),
    ("seeds=99999999", f"seeds: {SEEDS}, got 99999999"),
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
    ("data.variants={train: 0}", "data.variants.train: must be at least 1, got 0"),
    ("data.variants={tset: 2}", "data.variants.tset: unknown key 'tset'; did you mean 'test'?"),
    ("data.variants=x", 'one for train and one for test, got "x"'),
    ("data.variants=true", "data.variants: must be a whole number, or one for train and one"),
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
    (
        "arms.flat={model: {name: pca, latent_dim: 10}}",
        "arms.flat.model: pca is not trained, so it is a baseline and no arm",
    ),
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
        "arms.additive.model: network takes grey images of 28 x 28 alone, got 40 x 40; name one "
        "that can (there are conv, mlp, paper, resnet)",
    ),
    ("steps", "steps: is not of the form key=value"),
    ("=3", "=3: is not of the form key=value"),
    ("a..b=3", "a..b=3: is not of the form key=value"),
    ("seeds=[1", "seeds: cannot read the value '[1': expected ',' or ']'"),
    ("question=${x}", "question: cannot read the value '${x}': Interpolation key 'x' not found"),
    ("seeds=[!!binary aGk=]", "seeds: cannot read the value '[!!binary aGk=]'"),
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
