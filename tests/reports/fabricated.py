"""Studies made up in a folder, whole or broken, and what a browser would make of their page.

Only the measurements, curves and pictures are made up. The study is resolved and planned, its
results are stored and replayed, and manifest and rows are collected by the harness itself, so that
the report is tested on what the harness writes.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import yaml

from bench import collect
from bench.plan.progress import Progress
from bench.plan.trials import World, plan
from bench.store import Result, Store
from bench.study.resolve import resolve
from reports import build, rows
from reports import manifest as manifests

ATTACK = "$\\bad{$<script>alert(1)</script>\" onload='x' {{ 7 * 7 }}"
ARMS = {"new": "arm", "old": "arm", "plain": "baseline", "pixels": "reference"}
METRICS = (
    ("knn/affnist", "knn", "accuracy", "higher"),
    ("knn/fashion_mnist", "knn", "accuracy", "higher"),
    ("nll", "likelihood", "nats", "lower"),
    ("T/r2", "probe", "R^2", "higher"),
)
"""Of each value its name, the metric that gives it, its unit and direction."""
WORLD = World({name: name[0] * 16 for name in ("affnist", "fashion_mnist", "mnist")}, "2.0", "cpu")
MODELS = {
    "new": {"name": "tvae", "latent_transform": "matrix", "coherence": "kl"},
    "old": {"name": "tvae", "latent_transform": "additive", "coherence": "kl"},
    "plain": {"name": "autoencoder", "views": True, "prior": "kl"},
    "pixels": {"name": "pixels"},
}
PUBLISHED = {"old": "T_VAE", "plain": "VAE+"}
SHARED = {
    "question": "Is the new form better?",
    "budget": "quick",
    "budget_warning": "Undertrained: decides nothing",
    "data": {"train": "fashion_mnist", "transfer": ["affnist"]},
    "family": "rotation_crop",
    "model": {"name": "tvae", "latent_dim": 10, "prior": "mmd"},
    "trainer": {"steps": 200},
    "metrics": {"knn": {"k": 5}, "likelihood": {}, "probe": {}, "cost": {}},
}
"""What the studies of the tests have in common, as a study's file says it."""


class Page(HTMLParser):
    """What a browser would make of the page: elements with attributes, and the text."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def alts(self):
        """What charts and pictures show, in words."""
        charts = [attrs["aria-label"] for attrs in self.all("svg")]
        return charts + [attrs["alt"] for attrs in self.all("img")]


def charts(html):
    """The charts of a page, as SVG."""
    return re.findall("<svg .*?</svg>", html, re.DOTALL)


def headings(page):
    return [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]


def pictures(rng, kind):
    def some(n):
        return rng.integers(0, 256, (n, 12, 12), dtype=np.uint8)

    shared = np.random.default_rng(0).integers(0, 256, (13, 12, 12), dtype=np.uint8)
    return {
        "reconstruction_input": shared[:4],
        "reconstruction_output": some(4),
        "samples": some(5),
        "transfer_source": shared[4:7],
        "transfer_input": shared[7:10],
        "transfer_truth": shared[10:],
        "transfer_reconstruction": some(3),
        "transfer_forward": some(3),
        "transfer_inverse": some(3),
        "transfer_kind": np.array(kind),
    }


def contrast(treatment, control, metric, equivalence=0.01):
    return {
        "treatment": treatment,
        "control": control,
        "metric": metric,
        "equivalence": equivalence,
    }


_resolved = {}


def resolved(folder, declared):
    """The study that `declared` says, resolved from a file in `folder`, once in a session."""
    text = yaml.safe_dump(declared, sort_keys=False)
    if text not in _resolved:
        path = folder / "study.yaml"
        path.write_text(text)
        _resolved[text] = resolve([f"study={path}"])[0]
    return _resolved[text]


def ran(given, runs, end):
    """What the harness leaves in its store, and the rows and manifest that it collects of that.

    Args:
        given: resolved.
        runs: the folder of all studies.
        end: trial and its folder -> how it ended; may leave files in the folder.
    """
    store = Store(runs, given.name)
    for trial in plan(given, WORLD):
        left = store.trial(trial.training_key)
        left.path.mkdir(parents=True)  # two trials of one key would be one
        result = end(trial, left)
        left.write_result(replace(result, evaluation=trial.evaluation_key))
    progress = Progress(given, WORLD, store)
    assert not progress.advance(), "a stored result is not found again"
    environment = {"python": "3.11", "torch": {"version": "2"}}
    manifest = collect.manifest(progress, environment, f"python -m bench.run study={given.name}")
    return store, collect.rows(progress), manifest


def measured(name, value, source, unit, direction):
    value = None if value is None else float(value)
    return {"name": name, "value": value, "unit": unit, "direction": direction, "source": source}


@pytest.fixture
def study(tmp_path):
    """Makes a whole study; `names` renames arms, `fail` takes (arm, seed) pairs or every trial.

    `declared` replaces sections of the study's file, `arms` adds to what its arms change, `models`
    are theirs. Of what the harness collects, `changes` replaces entries of the manifest's study.
    """

    def make(
        seeds=(1, 2, 3), fail=(), names=None, pictured=True, declared=None, arms=None,
        models=MODELS, **changes,
    ):  # fmt: skip
        names = {arm: arm for arm in ARMS} | (names or {})
        known = {names[arm]: arm for arm in ARMS}
        sections = {"arms": {}, "baselines": {}}
        for arm, role in ARMS.items():
            sections["arms" if role == "arm" else "baselines"][names[arm]] = {
                "summary": f"the {arm} one",
                "published": PUBLISHED.get(arm, ""),
                "model": models[arm],
                **(arms or {}).get(arm, {}),
            }
        given = resolved(
            tmp_path,
            SHARED | sections | {
                "seeds": list(seeds),
                "primary": contrast(names["new"], names["old"], "knn/affnist"),
                "secondary": {
                    "contrasts": [[names["new"], names["plain"]]],
                    "metrics": {"nll": 0.01, "T/r2": 0.01},
                },
            } | (declared or {}),
        )  # fmt: skip

        def end(trial, left):
            arm, rank = known[trial.arm], list(ARMS).index(known[trial.arm])
            rng = np.random.default_rng([rank, trial.seed])
            drawn = pictures(rng, "T" if rank < 2 else "difference")
            found = [measured("cost/parameters", 1000 + 500 * rank, "cost", "count", "none")]
            for metric, *how in METRICS:
                value = 0.5 - 0.1 * rank + 0.02 * trial.seed + rng.normal(0, 0.005)
                lacks = metric == "T/r2" and trial.role != "arm"
                found.append(measured(metric, None if lacks else value, *how))
            if fail == "all" or (arm, trial.seed) in fail:
                return Result("diverged", "loss is nan")
            if pictured and trial.role != "reference":
                left.write_records(
                    [
                        {"step": s, "epoch": s, "train/loss": 300 / s, "validation/elbo": 250 / s}
                        for s in range(1, 6)
                    ]
                )
                np.savez(left.pictures, **drawn)
            return Result("done", measurements=found)

        store, found, manifest = ran(given, tmp_path, end)
        manifest["study"] |= changes
        # what is drawn and tabled of costs is for `enrich` to add
        found = [row for row in found if not row["metric"].startswith("cost/")]
        collect.write(store, found, manifest)
        return store.path

    return make


def trial_of(manifest, arm, seed):
    return next(t for t in manifest["trials"] if (t["arm"], t["seed"]) == (arm, seed))


def kept_of(folder, arm, seed):
    """The folder of a trial in a study's folder."""
    return folder / "trials" / trial_of(manifests.load(folder), arm, seed)["trial"]


def page_of(folder):
    return Page(build.build(folder).path.read_text(encoding="utf-8"))


FACTORS = {"shape": ["s0", "s1", "s2"], "size": ["b0", "b1", "b2"], "hue": ["h0", "h1", "h2"]}


def tuning_of(arms, **changes):
    """Three candidates each: the defaults, a better one and one that diverged."""
    tried = [
        {"number": 0, "values": {"model.rate": 1.0}, "objective": 0.500, "status": "done"},
        {"number": 1, "values": {"model.rate": 0.25}, "objective": 0.625, "status": "done"},
        {"number": 2, "values": {"model.rate": 64.0}, "objective": None, "status": "diverged",
         "reason": "loss became nan"},
    ]  # fmt: skip
    return {
        "metric": "knn/mnist", "direction": "higher", "sampler": "random", "pruner": "median",
        "trials": 3, "seeds": [1000, 1001], "generation": 2,
        "candidates": {arm: [{"reason": ""} | one for one in tried] for arm in arms},
        "chosen": dict.fromkeys(arms, 1), "notes": ["one candidate was proposed twice"],
    } | changes  # fmt: skip


SETTINGS = (("model", "hidden"), ("trainer", "batch_size"), ("trainer", "halve_every"))
"""What the factors of a crossing change, in their order: section and option."""


@pytest.fixture
def crossed(tmp_path):
    """A study crossed from `factors` with one baseline; `lacks` holds arms without values.

    Of what the harness collects, `changes` replaces entries of the manifest's study; trials of
    tuning are added whose numbers belong nowhere on the page.
    """

    def make(factors=FACTORS, seeds=(1, 2, 3), lacks=(), **changes):
        first, *_, last = map("-".join, itertools.product(*factors.values()))
        declared = {
            "data": {"train": "fashion_mnist", "transfer": ["mnist"]},
            "model": SHARED["model"] | {"latent_transform": "additive", "coherence": "kl"},
            "factors": {
                factor: {level: {section: {option: 10 + i}} for i, level in enumerate(levels)}
                for (factor, levels), (section, option) in zip(
                    factors.items(), SETTINGS, strict=False
                )
            },
            "baselines": {"plain": {"model": MODELS["plain"]}},
            "seeds": list(seeds),
            "primary": contrast(last, first, "knn/mnist"),
        }
        given = resolved(tmp_path, SHARED | declared)
        rng = np.random.default_rng(3)
        own = {seed: rng.normal(0, 0.1) for seed in seeds}
        values = {
            (name, seed): 0.5 + 0.01 * rank + own[seed] + rng.normal(0, 0.001)
            for rank, name in enumerate(given.setups)
            for seed in seeds
        }

        def end(trial, left):
            if trial.arm in lacks:
                return Result("failed", "it broke")
            value = values[trial.arm, trial.seed]
            return Result(
                "done", measurements=[measured("knn/mnist", value, "knn", "accuracy", "higher")]
            )

        store, found, manifest = ran(given, tmp_path, end)
        manifest["study"] |= changes
        tune = {"stage": "tune", "seed": 1000, "status": "pruned"}
        manifest["trials"] += [trial | tune for trial in manifest["trials"]]
        tune = {"stage": "tune", "value": 77.0, "split": "validation"}
        collect.write(store, [*found, *(row | tune for row in found)], manifest)
        return store.path

    return make


LAWS = ("algebra/inverse", "algebra/identity", "algebra/composition", "equivariance")


def enrich(folder, arms=("new", "old")):
    """Add what only some studies have: more metrics, claims, tuning, pictures along T, notes."""
    path = folder / "manifest.json"
    manifest, frame = json.loads(path.read_text()), rows.load(folder)
    found, rng, records = manifest["study"], np.random.default_rng(5), []
    for name in arms:
        found["arms"][name]["claims"] = ["inverse", "abelian"]
    order = list(found["arms"])
    for trial in sorted(manifest["trials"], key=lambda trial: order.index(trial["arm"])):
        told = {f"label_efficiency/affnist/{n}": 0.1 * np.log10(n) for n in (10, 100, 1000)}
        told |= {"cost/seconds": 3.0, "cost/parameters": 1e6}
        told |= dict.fromkeys(LAWS, 0.25 if trial["arm"] in arms else np.nan)
        told["algebra/inverse"] = 2e-7 if trial["arm"] in arms else np.nan
        first = frame[(frame.trial == trial["trial"])].iloc[:1]
        for metric, value in told.items():
            value *= 1 + 0.1 * rng.random()
            records.append(first.assign(metric=metric, value=value, unit="share", fingerprint="g"))
        if trial["arm"] in arms and trial["pictures"]:
            file = folder / trial["pictures"]
            kept = dict(np.load(file))
            some = rng.integers(0, 256, (24, 12, 12), dtype=np.uint8)
            shared = kept["reconstruction_input"]
            np.savez(
                file, **kept, interpolation_input=np.stack([shared[:2]] * 3),
                interpolation_output=some[:2], path_output=some.reshape(2, 12, 12, 12),
                path_steps=np.linspace(0, 1, 12), T_map=rng.normal(size=(30, 2)),
                T_map_target=np.arange(30.0), T_map_name=np.array("angle"),
            )  # fmt: skip
    manifest["trials"][0]["notes"] = ["its process was killed once"]
    found["tuning"] = tuning_of(found["arms"])
    for name, tried in found["tuning"]["candidates"].items():
        found["tuning"]["candidates"][name] = tried + [
            tried[0] | {"number": n, "values": {"model.rate": 1.0 / n, "model.kind": "a"},
                        "objective": 0.5 + 0.01 * n}
            for n in range(3, 7)
        ]  # fmt: skip
    path.write_text(json.dumps(manifest))
    pd.concat([frame, *records]).astype(rows.COLUMNS).to_parquet(folder / "rows.parquet")
    return folder
