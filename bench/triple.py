"""``python -m bench.triple FORM-DIVERGENCE-FAMILY``: do three plugins work together?

A real, short training on embedded data: the held-out reconstruction loss must fall by at least a
third from its start, r and h_xi must receive gradients, and the contracts of the three parts must
hold. Leaves FORM-DIVERGENCE-FAMILY.json in the folder `out`, of which ``python -m reports.triples``
makes one page.

key=value arguments:
  out=DIR           where the result is left (triples)
  steps=N           optimiser steps (60)
  data=NAME         the data set (the first of the embedded ones)
  plugins=FILE.py   a plugin that is in no package (a list: [a.py,b.py])

Exit status: 0 they do; 1 they do not, and what is wrong is said; 2 bad input.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.console import console
from tvae import registry
from tvae.data import catalogue
from tvae.files import expanded

FALL = 1 / 3
"""By how much the held-out reconstruction loss must fall, as a share of its start."""

LATENT_DIM = 10
BATCH = 100
HELD_OUT = 200
"""Validation images on which the loss is measured."""

WIDE_RATE = 0.1
"""As in the budgets of studies: at the full rate h_xi can run T out of the range of exp(A)."""

EVERY = 10
"""Steps between two measurements."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one triple; returns the exit status."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or "--help" in arguments or "-h" in arguments:
        console().print(__doc__)
        return 0 if arguments else 2
    try:
        names, out, steps, data = _request(arguments)
    except ValueError as error:
        console(stderr=True).print(f"bench.triple: {error}")
        return 2
    result = run(names, steps, data)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{'-'.join(names)}.json"
    path.write_text(json.dumps(result, indent=1))
    start, end = result["curve"][0]["nats"], result["curve"][-1]["nats"]
    console().print(f"held-out reconstruction {start:.1f} -> {end:.1f} nats: -{result['fall']:.0%}")
    for what, norm in result["gradients"].items():
        console().print(f"gradient of {what}: {norm:.3g}")
    for kind, found in result["contracts"].items():
        console().print(f"contract of the {kind} {found['name']}: {found['passed']} tests passed")
    for problem in result["problems"]:
        console(stderr=True).print(f"FAILED: {problem}")
    console().print(f"{path}, {result['seconds']:.0f} s")
    return 1 if result["problems"] else 0


def _request(arguments: Sequence[str]) -> tuple[tuple[str, str, str], Path, int, str]:
    from bench.plugins import read

    words, given = read(arguments)
    out, steps = expanded(str(given.pop("out", "triples"))), given.pop("steps", 60)
    data = str(given.pop("data", catalogue.names()[0]))
    catalogue.source(data)
    if given:
        known = ["out", "steps", "data", "plugins"]
        raise registry.unknown_name("argument", next(iter(given)), known)
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps must be a whole number of at least 1, got {steps!r}")
    # tox calls it by the environment's name
    parts = [part for word in words for part in word.split("-")]
    parts = parts[1:] if len(parts) == 4 else parts
    if len(parts) != 3:
        raise ValueError(f"name FORM-DIVERGENCE-FAMILY, got {' '.join(words) or 'nothing'}")
    kinds = (registry.latent_transforms, registry.divergences, registry.families)
    for plugins, name in zip(kinds, parts, strict=True):
        plugins.get(name)
    form, divergence, family = parts
    return (form, divergence, family), out, steps, data


def run(names: tuple[str, str, str], steps: int, data: str) -> dict[str, Any]:
    """Train the triple and run the contracts of its parts; everything found, as plain data."""
    import torch

    from bench.plug.check import run as contract
    from tvae.data import load
    from tvae.data.inputs import as_input, with_channels
    from tvae.models.base import build
    from tvae.trainer import Diverged, State, Training, fit

    began = time.perf_counter()
    form, divergence, name = names
    options = {"name": "tvae", "latent_dim": LATENT_DIM, "latent_transform": form}
    # the divergence in both its places
    dataset = load(data)
    config = {**options, "coherence": divergence, "prior": divergence}
    model: Any = build(config, seed=0, shape=dataset.shape)
    family = registry.families.make(name)
    images = with_channels(dataset.train.images)
    held_out = as_input(dataset.validation.images[:HELD_OUT], dataset.shape)
    problems: list[str] = []

    def loss(model: Any) -> dict[str, float]:
        mean, _ = model.encode(held_out)
        return {"nats": -float(model.log_likelihood(mean, held_out).mean())}

    model.eval()
    with torch.no_grad():
        curve = [{"step": 0, **loss(model)}]
    model.train()
    state = State.start(model, 0)
    training = Training(steps=steps, batch_size=BATCH, record_every=EVERY, wide_rate=WIDE_RATE)
    received = Gradients(model)
    try:
        for record in fit(state, images, family, training, validate=loss):
            measured = record["validation/nats"]
            curve.append({"step": int(record["step"]), "nats": measured})
    except Diverged as error:
        problems.append(f"the training diverged: {error}")
    gradients = received.norms()
    for what, norm in gradients.items():
        if not 0 < norm < float("inf"):
            problems.append(f"{what} received no finite gradient (norm {norm:.3g})")
    start, end = curve[0]["nats"], curve[-1]["nats"]
    fall = (start - end) / start
    if not fall >= FALL:
        message = f"from {start:.1f} to {end:.1f}, {fall:.0%} in {state.step} steps"
        problems.append(f"the held-out reconstruction loss fell too little: {message}")

    contracts = {}
    parts = {"latent_transform": form, "divergence": divergence, "family": name}
    for kind, part in parts.items():
        found = contract(kind, part, {})
        contracts[kind] = {
            "name": part,
            "passed": sum(found.passed.values()),
            "laws": [
                {"name": law.name, "error": law.error, "limit": law.limit, "lower": law.lower}
                for law, _ in found.worst().values()
            ],
        }
        problems += [
            f"contract of the {kind} {part}: {test}[{case}]: {why.strip().splitlines()[0]}"
            for (test, case), why in found.failed.items()
        ]
        if not found.passed:
            problems.append(f"contract of the {kind} {part}: no test ran")
    return {
        "form": form,
        "divergence": divergence,
        "family": name,
        "data": data,
        "latent_dim": LATENT_DIM,
        "batch": BATCH,
        "fall": fall,
        "required": FALL,
        "curve": curve,
        "gradients": gradients,
        "contracts": contracts,
        "problems": problems,
        "seconds": time.perf_counter() - began,
    }


class Gradients:
    """The gradients that r and h_xi receive in training: norms of the last step.

    ``T`` is what r hands on to h_xi; ``r`` its own weights, where it has any.

    Args:
        model: a T_VAE.
    """

    def __init__(self, model: Any) -> None:
        self.model, self.at_T = model, float("nan")
        model.r.register_forward_pre_hook(self._watch)

    def _watch(self, module: Any, inputs: tuple[Any, Any]) -> None:
        _, t = inputs
        if t.requires_grad:
            t.register_hook(self._keep)

    def _keep(self, gradient: Any) -> None:
        self.at_T = float(gradient.norm())

    def norms(self) -> dict[str, float]:
        """Name -> Euclidean norm; NaN where there is no gradient."""
        found = {"T": self.at_T, "h_xi": _norm(self.model.h_xi)}
        if any(True for _ in self.model.r.parameters()):
            found["r"] = _norm(self.model.r)
        return found


def _norm(module: Any) -> float:
    squares = [
        float("nan") if p.grad is None else float(p.grad.square().sum())
        for p in module.parameters()
    ]
    return float(sum(squares) ** 0.5)


if __name__ == "__main__":
    sys.exit(main())
