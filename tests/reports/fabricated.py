"""Studies made up in a folder, whole or broken, and what a browser would make of their page."""

from __future__ import annotations

import itertools
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from reports import build, rows

ATTACK = "$\\bad{$<script>alert(1)</script>\" onload='x' {{ 7 * 7 }}"
ARMS = {"new": "arm", "old": "arm", "plain": "baseline", "pixels": "reference"}
METRICS = (
    ("knn/affnist", "accuracy", "higher"),
    ("knn/fashion_mnist", "accuracy", "higher"),
    ("nll", "nats", "lower"),
    ("T/r2", "R^2", "higher"),
)


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


@pytest.fixture
def study(tmp_path):
    """Makes a whole study; `names` renames arms, `fail` takes (arm, seed) pairs or every trial."""

    def make(seeds=(1, 2, 3), fail=(), names=None, pictured=True, **changes):
        names = {arm: arm for arm in ARMS} | (names or {})
        folder = tmp_path / "study"
        records, trials = [], []
        for rank, (arm, role) in enumerate(ARMS.items()):
            for seed in seeds:
                rng, key = np.random.default_rng([rank, seed]), f"{arm}-{seed}"
                failed = fail == "all" or (arm, seed) in fail
                trial = folder / "trials" / key
                trial.mkdir(parents=True)
                lines = [
                    {"step": s, "epoch": s, "train/loss": 300 / s, "validation/elbo": 250 / s}
                    for s in range(1, 6)
                ]
                (trial / "curve.jsonl").write_text("\n".join(map(json.dumps, lines)))
                np.savez(trial / "pictures.npz", **pictures(rng, "T" if rank < 2 else "difference"))
                kept = pictured and not failed and role != "reference"
                trials.append(
                    {
                        "trial": key, "arm": names[arm], "role": role, "seed": seed,
                        "stage": "confirm", "status": "diverged" if failed else "done",
                        "reason": "loss is nan" if failed else "", "steps": 5,
                        "curve": f"trials/{key}/curve.jsonl" if kept else None,
                        "pictures": f"trials/{key}/pictures.npz" if kept else None,
                    }
                )  # fmt: skip
                for metric, unit, direction in METRICS:
                    lacks = metric == "T/r2" and role != "arm"
                    value = 0.5 - 0.1 * rank + 0.02 * seed + rng.normal(0, 0.005)
                    records.append(
                        (
                            "study", names[arm], role, seed, "confirm", "done", key, f"e{key}",
                            metric, np.nan if lacks else value, unit, direction, f"f-{metric}",
                            "test",
                        )
                    )  # fmt: skip
                    if failed:
                        records.pop()
        manifest = {
            "study": {
                "name": "study", "question": "Is the new form better?", "budget": "quick",
                "budget_summary": "200 steps", "budget_warning": "Undertrained: decides nothing",
                "level": 0.05,
                "arms": {
                    names[arm]: {
                        "role": role, "summary": f"the {arm} one", "differs": {"model.form": arm},
                        "parameters": 1000 + 500 * rank,
                        "published": {"old": "T_VAE", "plain": "VAE+"}.get(arm, ""),
                    }
                    for rank, (arm, role) in enumerate(ARMS.items())
                },
                "primary": contrast(names["new"], names["old"], "knn/affnist"),
                "secondary": [
                    contrast(names["new"], names["plain"], "nll"),
                    contrast(names["new"], names["plain"], "T/r2"),
                ],
                "seeds": list(seeds),
                "config": {
                    "data": {"train": "fashion_mnist", "transfer": ["affnist"], "size": "small"},
                    "model": {"latent_dim": 10}, "trainer": {"steps": 200},
                },
                "choices": ["k = 5"], "command": "python -m bench.run study=study",
            } | changes,
            "trials": trials,
            "environment": {"python": "3.11", "torch": {"version": "2"}},
        }  # fmt: skip
        frame = pd.DataFrame(records, columns=list(rows.COLUMNS)).astype(rows.COLUMNS)
        frame.to_parquet(folder / "rows.parquet")
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return make


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


@pytest.fixture
def crossed(study):
    """A study crossed from `factors` with one baseline; `lacks` holds arms without values."""

    def make(factors=FACTORS, seeds=(1, 2, 3), lacks=(), **changes):
        rng, records, trials = np.random.default_rng(3), [], []
        arms = {
            "-".join(cell): {
                "role": "arm", "summary": " ".join(cell), "differs": {"model.form": cell[0]},
                "levels": dict(zip(factors, cell, strict=True)),
            }
            for cell in itertools.product(*factors.values())
        }  # fmt: skip
        first, *_, last = arms
        arms["plain"] = {"role": "baseline", "summary": "", "differs": {}}
        own = {seed: rng.normal(0, 0.1) for seed in seeds}
        for rank, (name, arm) in enumerate(arms.items()):
            for seed in seeds:
                key = f"{rank}-{seed}"
                value = 0.5 + 0.01 * rank + own[seed] + rng.normal(0, 0.001)
                trials.append(
                    {
                        "trial": key, "arm": name, "role": arm["role"], "seed": seed,
                        "stage": "confirm", "status": "failed" if name in lacks else "done",
                        "reason": "", "steps": 5, "curve": None, "pictures": None,
                    }
                )  # fmt: skip
                trials.append(trials[-1] | {"stage": "tune", "seed": 1000, "status": "pruned"})
                for stage, split in (("confirm", "test"), ("tune", "validation")):
                    records.append(
                        ("study", name, arm["role"], seed, stage, "done", key, f"e{key}",
                         "knn/mnist", value if stage == "confirm" else 77.0, "accuracy", "higher",
                         "f", split)
                    )  # fmt: skip
                if name in lacks:
                    del records[-2]
        folder = study(
            arms=arms, factors=factors, seeds=list(seeds), secondary=[],
            primary=contrast(last, first, "knn/mnist"), **changes,
        )  # fmt: skip
        manifest = json.loads((folder / "manifest.json").read_text()) | {"trials": trials}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        frame = pd.DataFrame(records, columns=list(rows.COLUMNS)).astype(rows.COLUMNS)
        frame.to_parquet(folder / "rows.parquet")
        return folder

    return make


LAWS = ("algebra/inverse", "algebra/identity", "algebra/composition", "equivariance")


def enrich(folder, arms=("new", "old")):
    """Add what only some studies have: more metrics, claims, tuning, pictures along T, notes."""
    path = folder / "manifest.json"
    manifest, frame = json.loads(path.read_text()), rows.load(folder)
    found, rng, records = manifest["study"], np.random.default_rng(5), []
    for name in arms:
        found["arms"][name]["claims"] = ["inverse", "abelian"]
    for trial in manifest["trials"]:
        told = {f"label_efficiency/affnist/{n}": 0.1 * np.log10(n) for n in (10, 100, 1000)}
        told |= {"cost/seconds": 3.0, "cost/parameters": 1e6}
        told |= dict.fromkeys(LAWS, 0.25 if trial["arm"] in arms else np.nan)
        told["algebra/inverse"] = 2e-7 if trial["arm"] in arms else np.nan
        first = frame[(frame.trial == trial["trial"])].iloc[:1]
        for metric, value in told.items():
            value *= 1 + 0.1 * rng.random()
            records.append(first.assign(metric=metric, value=value, unit="share", fingerprint="g"))
        if trial["arm"] in arms:
            file = folder / "trials" / trial["trial"] / "pictures.npz"
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
