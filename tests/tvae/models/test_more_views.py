"""More than two views of an image, against a second writing and against what K = 2 is."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from test_objective import SEED, X_1, X_2, B, D, X, images, mmd, model, nll, noise, posterior
from torch import Tensor
from torch.distributions import Normal, kl_divergence

import tvae
from tvae import registry
from tvae.models.base import Views
from tvae.streams import Streams
from tvae.trainer import State, Training, batch, fit

VIEWS = [X_1, X_2, images(3), images(4)]
BYTES = torch.randint(
    0, 256, (40, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


def deep_set(network, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """rho(mean phi(pair)), matrix by matrix."""
    (one, two, three) = (network.layers[i] for i in (0, 2, 4))
    hidden = torch.zeros(B, one.out_features, dtype=torch.float64)
    for pair in pairs:
        hidden = hidden + (torch.cat(pair, 1) @ one.weight.T + one.bias).clamp_min(0) / len(pairs)
    return (hidden @ two.weight.T + two.bias).clamp_min(0) @ three.weight.T + three.bias


@pytest.mark.parametrize("k", [3, 4])
def test_every_term_and_every_gradient(k):
    built = model("additive", "kl", "mmd", view_reconstruction=True)
    seen = VIEWS[:k]
    views = Views(*seen[:2], invertible=False, more=tuple(seen[2:]))
    found = built.objective(X, views, Streams(SEED))

    q_0, z_0 = posterior(built, X, "posterior/0")
    q, latents = zip(
        *(posterior(built, x, f"posterior/{i + 1}") for i, x in enumerate(seen)), strict=True
    )
    mean, logvar = deep_set(built.q_psi, list(permutations(latents, 2))).split(D, dim=1)
    q_z = Normal(mean, logvar.exp().sqrt())
    z = q_z.mean + q_z.stddev * noise("latent", D)
    r = [
        z + deep_set(built.h_xi, [(latents[i], latents[j]) for j in range(k) if j != i])
        for i in range(k)
    ]
    pi = Normal(torch.zeros(D, dtype=z.dtype), 1.0)
    expected = {
        "reconstruction": nll(built, z_0, X)
        + sum(nll(built, z_i, x) for z_i, x in zip(latents, seen, strict=True)),
        "coherence": sum(
            kl_divergence(q_i, Normal(r_i, 0.3)).sum(1).mean()
            for q_i, r_i in zip(q, r, strict=True)
        ),
        "prior": built.w_prior * mmd(z, noise("prior", D)),
        "indirect": nll(built, z, X),
        "kl": kl_divergence(q_0, pi).sum(1).mean(),
        "view_reconstruction": sum(nll(built, r_i, x) for r_i, x in zip(r, seen, strict=True)),
    }
    assert list(found) == ["loss", *expected]
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-7, atol=0, msg=name)
    parameters = dict(built.named_parameters())
    ours = torch.autograd.grad(found["loss"], parameters.values())
    theirs = torch.autograd.grad(sum(expected.values()), parameters.values())
    for name, one, other in zip(parameters, ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8, msg=name)


@pytest.mark.parametrize("T_dim", [None, 2])
def test_the_order_of_the_others_does_not_matter(T_dim):  # the paper's symbol
    built = model(T_dim=T_dim)
    z = torch.randn(4, B, D, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    t, (mean, logvar) = built.infer_T(*z), built.infer_z(*z)
    for order in permutations(range(1, 4)):
        torch.testing.assert_close(built.infer_T(z[0], *z[list(order)]), t)
    for order in permutations(range(4)):
        found = built.infer_z(*z[list(order)])
        torch.testing.assert_close(found, (mean, logvar))
    assert not torch.allclose(built.infer_T(z[1], z[0], *z[2:]), t), "T is blind for its own view"
    assert not torch.allclose(built.infer_T(z[0], z[1], z[2], 2 * z[3]), t), "blind for another"


def test_two_views_are_told_apart_as_ever():
    """The pair with an inverse: the networks see (z_1, z_2), in this order, and nothing else."""
    built = model()
    z_1, z_2 = torch.randn(2, B, D, dtype=torch.float64)
    pair = torch.cat([z_1, z_2], 1)
    assert torch.equal(built.infer_T(z_1, z_2), built.h_xi.layers(pair))
    assert torch.equal(torch.cat(built.infer_z(z_1, z_2), 1), built.q_psi.layers(pair))


@pytest.mark.parametrize("family", ["rotation", "superpixel"])
def test_as_many_views_as_asked_for_each_by_its_own_transformation(family):
    family = registry.families.make(family)
    x, views = batch(BYTES, torch.arange(6), family, True, Streams(0), 4)
    assert len(views.images) == 4
    assert not views.invertible
    noise = Streams(0)("views")
    for seen in views.images:
        assert torch.equal(seen, family.apply(x, family.draw(6, noise)))
    assert not torch.equal(*views.images[:2])


def test_both_models_train_on_the_same_views():
    received = []
    for name, options in (
        ("tvae", {"latent_transform": "additive", "coherence": "kl"}),
        ("autoencoder", {"views": True}),
    ):
        built = tvae.build({"name": name, "latent_dim": D, "prior": "kl", **options}, SEED)
        state, objective = State.start(built, SEED), built.objective

        def spy(x, views, streams, objective=objective):
            received.append([x, *views.images])
            return objective(x, views, streams)

        built.objective = spy
        training = Training(steps=2, batch_size=B, views=3)
        (record,) = fit(state, BYTES, registry.families.make("rotation"), training)
        assert record["train/loss"] > 0
    ours, theirs = received[:2], received[2:]
    for step, other in zip(ours, theirs, strict=True):
        assert len(step) == 4
        assert all(torch.equal(a, b) for a, b in zip(step, other, strict=True))


@pytest.mark.parametrize("T_dim", [None, 2])
def test_a_drawn_T_is_of_its_prior(T_dim):
    """N(0, I): T itself, or the k numbers behind it, which U spreads over P."""
    built = model(T_dim=T_dim, w_prior_T=1.0)
    assert built.draws_T
    assert not model().draws_T
    t = built.draw_T(20_000, torch.Generator().manual_seed(0)).double()
    spread = torch.eye(D, dtype=torch.float64)
    if T_dim is not None:
        spread = built.unit**2 * built.U.detach() @ built.U.detach().T
    torch.testing.assert_close(t.T.cov(), spread, rtol=0.1, atol=0.05 * float(spread.diag().max()))
    assert t.mean(0).abs().max() < 0.05 * float(spread.diag().max().sqrt())
