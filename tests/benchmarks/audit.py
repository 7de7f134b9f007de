"""What measures reward, measured: ``python -m tests.benchmarks.audit [steps]``.

A VAE+ is trained on rotations with crops (500 steps of 100 images take about two minutes on one
core). On it, two ways to carry a transformation over that have no T: the latent difference, and a
linear map of E(x') that never sees f. Then what a probe finds among noise, how far a step of the
optimiser moves each form, and what inflating T or shuffling pairs costs by each divergence.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

import tvae
from tvae import data, registry
from tvae.divergences.base import Side
from tvae.evaluation._ridge import Ridge
from tvae.evaluation.act import Act, chances
from tvae.evaluation.base import Context
from tvae.evaluation.probe import ProbeT
from tvae.evaluation.transfer import generated
from tvae.streams import Streams
from tvae.trainer import State, Training, fit


def told(title: str, **numbers: float) -> None:
    print(f"{title:46s}", "  ".join(f"{name} {value:.3g}" for name, value in numbers.items()))


def trained(steps: int) -> Context:
    """VAE+ on embedded Fashion-MNIST, and what it is measured on."""
    dataset, family = data.load("fashion_mnist_small"), registry.families.make("rotation_crop")
    config = {"name": "autoencoder", "latent_dim": 10, "views": True, "prior": "kl"}
    state = State.start(tvae.build(config, 0), 0)
    images = torch.tensor(dataset.train.images).unsqueeze(1)
    plan = Training(steps=steps, learning_rate=1e-3)
    quiet: Callable[..., bool] = lambda *_: False  # noqa: E731
    for _ in fit(state, images, family, plan, validate=lambda _: {}, save=quiet, stop=quiet):
        pass
    return Context(state.model.eval(), family, {"fashion": dataset}, "test", seed=0)


@torch.no_grad()
def without_T(context: Context) -> None:
    """The old ratios and the new measures, of what has no T."""
    model, family, n = context.model, context.family, 1000
    drawn = Streams(0)("audit")
    images = context.sample(2000)
    x, rest = images[:n], images[n:]
    f, g, more = (family.draw(len(part), drawn) for part in (x, x, x.repeat(19, 1, 1, 1)))
    known = family.draw(len(rest), drawn)

    def embed(images: Tensor) -> Tensor:
        return model.embed(images)

    e, e_1, to = embed(x), embed(family.apply(x, f)), x.roll(-1, 0)
    e_to, true = embed(to), family.apply(to, f)
    e_true, e_rest = embed(true), embed(rest)
    mapped = embed(family.apply(rest, known))
    both, e_g = embed(family.apply(true, g)), embed(family.apply(x, g))

    def blind(z: Tensor) -> Tensor:
        return Ridge(e_rest)(mapped, z).float()

    others = embed(family.apply(to.repeat_interleave(19, 0), more)).unflatten(0, (n, 19))
    candidates = torch.cat([e_true[:, None], others], 1)

    def pixels(z: Tensor) -> float:
        return float((generated(model, z) - true).square().flatten(1).sum(1).mean())

    def length(v: Tensor) -> float:
        return float(torch.linalg.vector_norm(v, dim=1).mean())

    for name, moved, own, twice in (
        ("a linear map that never sees f", blind(e_to), blind(e), blind(blind(e_to))),
        ("the latent difference", e_to + e_1 - e, e_1, e_to + e_1 - e + e_g - e),
    ):
        mrr, hit1 = chances(moved, candidates)
        told(
            name,
            ratio=pixels(moved) / pixels(e_to),
            equivariance=float((own - e_1).square().sum() / (e_1 - e).square().sum()),
            composition=length(twice - both) / length(both - e_to),
            hit1=float(hit1.mean()),
            mrr=float(mrr.mean()),
        )
    for found in Act()(context):
        if found.name.startswith("act_difference") or found.name.endswith("chance"):
            told(f"  {found.name}", value=found.value)


def probes() -> None:
    """Ten numbers that tell, among noise of the same size: plain regression, and the metric."""
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import KFold, cross_val_predict

    rng = np.random.default_rng(0)
    truth = rng.standard_normal((2000, 2))
    telling = truth @ rng.standard_normal((2, 10)) + 2 * rng.standard_normal((2000, 10))
    folds = KFold(5, shuffle=True, random_state=0)
    for size in (10, 100, 1000, 1500):
        inputs = np.hstack([telling, rng.standard_normal((2000, size - 10))])
        predicted = cross_val_predict(LinearRegression(), inputs, truth, cv=folds)
        plain = 1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean(0)) ** 2).sum()
        told(f"R^2, P = {size}", plain=plain, probe=float(ProbeT().r2(inputs, truth).mean()))


def forms() -> None:
    """|r(z, T) - z| / |z| at the start, and how far one step of Adam moves it."""
    z_1, z_2, z = torch.randn(3, 100, 100, generator=torch.Generator().manual_seed(0))
    for T_dim in (None, 8):
        for form in ("additive", "matrix", "matrix_z"):
            model: tvae.models.tvae.TVAE = tvae.build(
                {"name": "tvae", "latent_dim": 100, "latent_transform": form, "coherence": "kl",
                 "prior": "kl", "T_dim": T_dim}
            )  # fmt: skip
            own = [*model.h_xi.parameters(), *([model.U] if model.U is not None else [])]
            adam = torch.optim.Adam(own, lr=1e-3)
            before = model.r(z, model.infer_T(z_1, z_2))
            (before - 2 * z).square().sum().backward()
            adam.step()
            with torch.no_grad():
                after = model.r(z, model.infer_T(z_1, z_2))
                start, step = before - z, after - before
            told(
                f"{form}, D = 100, T_dim = {T_dim}",
                start=float(start.detach().norm() / z.norm()),
                step=float(step.detach().norm() / z.norm()),
            )


def coherences() -> None:
    """Exact pairs, T inflated, pairs shuffled: the weighted values, D = 10, B = 100."""
    generator = torch.Generator().manual_seed(0)
    z, t = torch.randn(2, 100, 10, generator=generator)
    for name, options in (
        ("mmd_joint", {"estimator": "wae"}),
        ("mmd_joint", {"estimator": "unbiased"}),
        ("mmd_joint", {}),
        ("energy", {"estimator": "unbiased"}),
        ("energy", {}),
    ):
        divergence = registry.divergences.build({"name": name, **options})
        weight = divergence.default_weight(10)
        for size in (0.1, 1.0, 10.0, 100.0):
            r = z + size * t
            given = {"z": z, "T": size * t}
            exact = Side(r)
            shuffled = replace(exact, sample=r.roll(1, 0))
            told(
                f"{name} {options or 'default'}, T x {size:g}",
                exact=float(weight * divergence(exact, Side(r), given)),
                shuffled=float(weight * divergence(shuffled, Side(r), given)),
            )


if __name__ == "__main__":
    torch.set_num_threads(1)
    probes()
    forms()
    coherences()
    without_T(trained(int(sys.argv[1]) if len(sys.argv) > 1 else 500))
