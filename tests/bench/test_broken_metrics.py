"""A metric that breaks costs itself alone; one that is infinite says that a trial diverged."""

from __future__ import annotations

import sys

import pytest
from harness import TINY, bench, write

from bench import status
from reports import manifest as manifests
from reports import rows
from tests.reports.fabricated import Page
from tvae import registry

METRIC = '''
"""A metric that does what a file tells it to."""

import sys
from pathlib import Path

from tvae.evaluation.base import Measurement, Metric


class Moody(Metric):
    """Breaks in the way that a file says."""

    def directions(self, labels):
        return {"moody": "lower", "aside": "none"}

    def __call__(self, context):
        mood = "fine"
        if Path("broken").exists():
            mood = ("raises", "exits", "twice", "odd")[context.seed]
        if mood == "raises":
            raise KeyError("no such thing")
        if mood == "exits":
            sys.exit("enough")
        bad = float("inf") if context.seed == 1 else 1.0
        found = [Measurement("moody", bad, "nats", "sideways" if mood == "odd" else "lower")]
        found.append(Measurement("aside", float("inf"), "nats", "none"))
        return found * 2 if mood == "twice" else found
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A user's folder with a study that measures with the metric."""
    (tmp_path / "moody.py").write_text(METRIC)
    write(tmp_path, metrics={**TINY["metrics"], "moody": {}}, family="rotation", seeds=4)
    monkeypatch.chdir(tmp_path)
    before = dict(registry._FILES)
    yield tmp_path
    for module in registry._FILES.values():
        if module.__name__ in ("plugin_moody", "plugin_exploding"):
            sys.modules.pop(module.__name__, None)
    registry._FILES.clear()
    registry._FILES.update(before)


WHY = (
    "KeyError: 'no such thing'",
    "SystemExit: enough",
    "ValueError: the name moody comes twice",
    "ValueError: the direction of moody is 'sideways'",
)
ARGUMENTS = ("study=tiny.yaml", "plugins=moody.py", "tracking.enabled=false", "keep=none")


def test_a_metric_that_breaks_costs_itself_alone(folder, capsys):
    (folder / "broken").touch()
    ran = bench(folder, *ARGUMENTS)
    assert ran.status == 1
    last = " ".join(ran.out[-4000:].split())
    page = Page((ran.store / "report.html").read_text()).text
    for arm in ("vae", "additive"):
        for seed, why in enumerate(WHY):
            assert f"not measured: {arm} seed {seed}: moody: {why}" in last
            assert f"moody measured nothing: {why}" in page
    assert {t["status"] for t in manifests.load(ran.store)["trials"]} == {"done"}
    found = rows.load(ran.store)
    assert len(found[found.metric == "nll"]) == 8
    assert not set(found.metric) & {"moody", "aside"}

    (folder / "broken").unlink()
    times = {p: p.stat().st_mtime_ns for p in ran.store.glob("trials/*/facts.json")}
    assert len(times) == 8, "without weights it would have to be trained again"
    again = bench(folder, *ARGUMENTS)
    assert again.status == 1, "not without being asked to"
    assert f"not measured: vae seed 0: moody: {WHY[0]}" in " ".join(again.out.split())
    assert status.main([*ARGUMENTS]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"not measured: vae seed 0: moody: {WHY[0]}" in said


def test_what_broke_is_measured_again_and_what_is_infinite_diverged(folder):
    (folder / "broken").touch()
    seeds = "seeds=2"
    ran = bench(folder, *ARGUMENTS[:-1], seeds)
    weights = {p: p.stat().st_mtime_ns for p in ran.store.glob("trials/*/weights.safetensors")}
    assert len(weights) == 4
    (folder / "broken").unlink()
    ran = bench(folder, *ARGUMENTS[:-1], seeds, "retry=failed", "primary.metric=moody")
    assert {p: p.stat().st_mtime_ns for p in weights} == weights, "trained again"
    assert (ran.status, "not measured" in ran.out) == (1, False)
    ended = {(t["seed"], t["status"], t["reason"]) for t in manifests.load(ran.store)["trials"]}
    assert ended == {(0, "done", ""), (1, "diverged", "moody is inf")}
    assert "2 diverged" in ran.out
    assert "equivalent to" not in ran.out
    found = rows.load(ran.store).set_index(["metric", "arm"]).value
    assert found["moody"].to_dict() == {"vae": 1.0, "additive": 1.0}
    assert found["aside"].isna().all(), "infinite, but neither side of it is better: n/a"


EXPLODING = '''
"""A model that trains, and of which no embedding is a number."""

import torch

from tvae.models.autoencoder import Autoencoder


class Exploding(Autoencoder):
    """Its loss is finite, its encoder has exploded."""

    def embed(self, images, batch_size=1000):
        return super().embed(images, batch_size) / 0
'''


def test_an_exploded_encoder_diverged_and_has_no_accuracy(folder):
    """Not an accuracy of 0, which would be averaged with others."""
    (folder / "exploding.py").write_text(EXPLODING)
    arm = {"summary": "explodes", "model": {"name": "exploding", "prior": "kl"}}
    write(folder, metrics={"knn": {"k": 1}, "likelihood": {"k": 2, "images": 4}}, seeds=1,
          family="rotation", arms={**TINY["arms"], "exploding": arm})  # fmt: skip
    ran = bench(folder, "study=tiny.yaml", "plugins=exploding.py", "tracking.enabled=false")
    (entry,) = (t for t in manifests.load(ran.store)["trials"] if t["arm"] == "exploding")
    assert (entry["status"], entry["reason"]) == ("diverged", "E of x is not finite")
    assert "exploding" not in set(rows.load(ran.store).arm)
    assert "1 diverged" in ran.out
