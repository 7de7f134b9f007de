"""The objective of T_VAE, term by term, against Eq. 3 written down a second time.

The second writing shares nothing with the first but the weights and the noise: likelihoods are
spelt out pixel by pixel, divergences come from torch.distributions or from plain sums, and exp(A)
is built as a matrix. Everything runs in float64, so any other weight, sign, pairing or reduction
shows. (KL holds its scale in float32: hence 7 digits.)
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import logsigmoid

import tvae
from tvae.models.base import Views
from tvae.streams import Streams

B, D, SEED = 5, 4, 11


def images(seed: int) -> Tensor:
    """Grey images in [0, 1], B 1 28 28."""
    return torch.rand(
        B, 1, 28, 28, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


X, X_1, X_2 = images(0), images(1), images(2)


def model(latent_transform="additive", coherence="kl", prior="mmd", **options):
    """A small T_VAE whose T is large enough to matter."""
    built = tvae.build(
        {
            "name": "tvae",
            "latent_dim": D,
            "latent_transform": latent_transform,
            "coherence": coherence,
            "prior": prior,
            "hidden": 8,
            **options,
        },
        seed=3,
    ).double()
    with torch.no_grad():
        built.h_xi.layers[-1].weight.mul_(100)
    return built


# --- Eq. 3 a second time ------------------------------------------------------------------------


def nll(model, z: Tensor, x: Tensor) -> Tensor:
    """-sum over pixels of x log p + (1 - x) log(1 - p), mean over the batch."""
    logits = model.decoder(z)
    per_pixel = x * logsigmoid(logits) + (1 - x) * logsigmoid(-logits)
    return -per_pixel.sum(dim=(1, 2, 3)).mean()


def posterior(model, x: Tensor, stream: str) -> tuple[Normal, Tensor]:
    mean, logvar = model.encoder.layers(x)[:, :, 0, 0].split(D, dim=1)
    law = Normal(mean, logvar.exp().sqrt())
    return law, law.mean + law.stddev * noise(stream, D)


def noise(stream: str, size: int) -> Tensor:
    return torch.randn(B, size, generator=Streams(SEED)(stream), dtype=torch.float64)


def imq(u: Tensor, v: Tensor, size: int | None = None) -> float:
    total = 0.0
    for scale in (0.1, 0.2, 0.5, 1, 2, 5, 10):
        c = 2 * (size or len(u)) * scale
        total = total + c / (c + ((u - v) ** 2).sum())
    return total


def mmd(u: Tensor, v: Tensor) -> Tensor:
    """Within-terms without the diagonal, cross-term with it."""
    pairs = list(itertools.product(range(B), repeat=2))
    within = sum(imq(u[i], u[j]) + imq(v[i], v[j]) for i, j in pairs if i != j) / (B * (B - 1))
    return within - 2 * sum(imq(u[i], v[j]) for i, j in pairs) / B**2


def mmd_joint(u: Tensor, v: Tensor, *given: Tensor) -> Tensor:
    """Everything; what is given is constant and weighs as D dimensions, also for the kernel."""
    beside = [(x * (D / x.var(0, correction=0).sum()).sqrt()).detach() for x in given]
    pooled = torch.cat([torch.cat([*beside, side], 1) for side in (u, v)])
    size = D * (1 + len(given))
    total = 0.0
    for i, j in itertools.product(range(2 * B), repeat=2):
        sign = 1 if (i < B) == (j < B) else -1
        total = total + sign * imq(pooled[i], pooled[j], size) / B**2
    return total


def coherence(name: str, law: Normal, z_i: Tensor, r_i: Tensor, z: Tensor, t: Tensor) -> Tensor:
    if name == "kl":
        return kl_divergence(law, Normal(r_i, 0.3)).sum(1).mean()
    if name == "mmd":
        return mmd(z_i, r_i)
    return mmd_joint(z_i, r_i, z, t)


def matrix(t: Tensor, sign: int) -> Tensor:
    return torch.stack([torch.linalg.matrix_exp(sign * row.reshape(D, D)) for row in t])


def kronecker(t: Tensor, sign: int) -> Tensor:
    """exp(A) Z exp(C) on the rows of Z, 2 x 2 each."""
    exps = [torch.linalg.matrix_exp(sign * row.reshape(2, 2, 2)) for row in t]
    return torch.stack([torch.kron(left, right.T.contiguous()) for left, right in exps])


def r(form: str, z: Tensor, t: Tensor, sign: int) -> Tensor:
    """The transformed z: by T for sign 1, by its inverse for sign -1."""
    if form == "additive":
        return z + sign * t
    if form == "matrix_free":
        free = torch.eye(D) + t.reshape(B, D, D)
        free = free if sign == 1 else torch.linalg.inv(free)
        return (free @ z[:, :, None])[:, :, 0]
    exponential = {"matrix": matrix, "matrix_z": kronecker}[form](t, sign)
    return (exponential @ z[:, :, None])[:, :, 0]


def reference(model, form: str, divergence: str, prior: str, weights: dict, invertible: bool):
    """The terms of Eq. 3, without regard to speed."""
    q_0, z_0 = posterior(model, X, "posterior/0")
    q_1, z_1 = posterior(model, X_1, "posterior/1")
    q_2, z_2 = posterior(model, X_2, "posterior/2")
    mean, logvar = model.q_psi.layers(torch.cat([z_1, z_2], 1)).split(D, dim=1)
    q_z = Normal(mean, logvar.exp().sqrt())
    z = q_z.mean + q_z.stddev * noise("latent", D)
    t_1 = t_2 = model.h_xi.layers(torch.cat([z_1, z_2], 1))
    r_1, r_2 = r(form, z, t_1, 1), r(form, z, t_1, -1)
    if not invertible:
        t_2 = model.h_xi.layers(torch.cat([z_2, z_1], 1))
        r_2 = r(form, z, t_2, 1)
    pi = Normal(torch.zeros(D, dtype=z.dtype), 1.0)
    against_pi = {
        "kl": lambda: kl_divergence(q_z, pi).sum(1).mean(),
        "mmd": lambda: mmd(z, noise("prior", D)),
        "mmd_joint": lambda: mmd_joint(z, noise("prior", D)),
    }[prior]()
    terms = {
        "reconstruction": nll(model, z_0, X) + nll(model, z_1, X_1) + nll(model, z_2, X_2),
        "coherence": weights["w_coherence"]
        * (
            coherence(divergence, q_1, z_1, r_1, z, t_1)
            + coherence(divergence, q_2, z_2, r_2, z, t_2)
        ),
        "prior": weights["w_prior"] * against_pi,
        "indirect": nll(model, z, X),
        "kl": weights["beta"] * kl_divergence(q_0, pi).sum(1).mean(),
    }
    if weights.get("view_reconstruction"):
        terms["view_reconstruction"] = nll(model, r_1, X_1) + nll(model, r_2, X_2)
    if weights.get("w_prior_T"):
        terms["prior_T"] = weights["w_prior_T"] * mmd(t_1, noise("prior/T", t_1.shape[1]))
    return terms


# where a unit shift costs 0.5 nats in D and, joint, in 3 D dimensions; see test_default_weights.py
UNITS = {"mmd": 1.9132332057773453, "mmd_joint": 5.432002522352216, "kl": 1.0}
PLAIN = {"w_coherence": 0.7, "w_prior": 2.5, "beta": 1.3}
EXTRA = {**PLAIN, "view_reconstruction": True, "w_prior_T": 1.7}


@pytest.mark.parametrize(
    ("form", "divergence", "prior", "weights", "invertible"),
    [
        ("additive", "kl", "mmd", PLAIN, True),
        ("additive", "mmd", "kl", PLAIN, False),
        ("additive", "mmd_joint", "mmd", EXTRA, True),
        ("matrix", "kl", "kl", EXTRA, False),
        ("matrix", "mmd_joint", "mmd", PLAIN, False),
        ("matrix", "mmd", "mmd", EXTRA, True),
        ("matrix_z", "kl", "mmd", EXTRA, True),
        ("matrix_free", "mmd_joint", "kl", PLAIN, True),
    ],
)
def test_every_term_and_every_gradient(form, divergence, prior, weights, invertible):
    built = model(form, divergence, prior, **weights)
    found = built.objective(X, Views(X_1, X_2, invertible), Streams(SEED))
    units = {"w_coherence": UNITS[divergence], "w_prior": UNITS[prior]}
    in_force = {**weights, **{name: weights[name] * unit for name, unit in units.items()}}
    expected = reference(built, form, divergence, prior, in_force, invertible)
    assert list(found) == ["loss", *expected]
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-7, atol=0, msg=name)
        assert abs(value) > 1e-4, f"{name} is too small to be tested"
    torch.testing.assert_close(found["loss"], sum(expected.values()), rtol=1e-7, atol=0)

    parameters = dict(built.named_parameters())
    ours = torch.autograd.grad(found["loss"], parameters.values())
    theirs = torch.autograd.grad(sum(expected.values()), parameters.values())
    for name, one, other in zip(parameters, ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8, msg=name)
        assert one.abs().max() > 0, f"{name} is not trained"


@pytest.mark.parametrize("divergence", UNITS)
@pytest.mark.parametrize("factor", [1.0, 0.0, 3.0])
def test_weights_are_in_units_of_the_divergences_own(divergence, factor):
    """Of coherence and prior alike; beta is 1 and the optional terms are left out."""
    options = {} if factor == 1 else {"w_coherence": factor, "w_prior": factor}
    built = model("additive", divergence, divergence, **options)
    weight = factor * UNITS[divergence]
    assert built.weights == pytest.approx({"coherence": weight, "prior": weight}, rel=1e-7)
    weights = {"w_coherence": weight, "w_prior": weight, "beta": 1.0}
    found = built.objective(X, Views(X_1, X_2), Streams(SEED))
    expected = reference(built, "additive", divergence, divergence, weights, True)
    torch.testing.assert_close(found["loss"], sum(expected.values()), rtol=1e-7, atol=0)


def test_a_part_that_is_not_there_has_no_weight():
    built = tvae.build({"name": "autoencoder", "latent_dim": D})
    assert built.weights == {}
    assert tvae.build({"name": "pixels"}).weights == {}
    built = tvae.build({"name": "autoencoder", "latent_dim": D, "prior": "kl", "w_prior": 0.3})
    assert built.weights == {"prior": 0.3}


@pytest.mark.parametrize("beta", [1.0, 0.25])
def test_without_views_it_is_the_vae(beta):
    """Fig. 1c: loss and gradients to the last bit, in float32, on the same noise."""
    vae = tvae.build({"name": "autoencoder", "latent_dim": D, "prior": "kl", "w_prior": beta}, 3)
    t_vae = model("matrix", "mmd_joint", "mmd", beta=beta).float()
    x = X.float()
    terms = [built.objective(x, None, Streams(SEED)) for built in (t_vae, vae)]
    assert terms[0]["loss"] == terms[1]["loss"]
    assert terms[0]["reconstruction"] == terms[1]["reconstruction"]
    assert terms[0]["kl"] == terms[1]["prior"]
    for term in terms:
        term["loss"].backward()
    for part in ("encoder", "decoder"):
        ours, theirs = (dict(getattr(built, part).named_parameters()) for built in (t_vae, vae))
        for name, parameter in ours.items():
            assert torch.equal(parameter.grad, theirs[name].grad), name
            assert parameter.grad.abs().max() > 0
    rest = [t_vae.q_psi, t_vae.h_xi]
    assert all(parameter.grad is None for part in rest for parameter in part.parameters())


def test_the_vaes_loss_is_the_elbo():
    """-log p(x|z) + KL, also where the prior is another divergence or none."""
    q, z = None, None
    for prior, weight in (("kl", 1.0), ("kl", 0.5), ("mmd", 3.0), (None, 1.0)):
        vae = tvae.build(
            {"name": "autoencoder", "latent_dim": D, "prior": prior, "w_prior": weight}, 3
        ).double()
        q, z = posterior(vae, X, "posterior/0")
        expected = {"reconstruction": nll(vae, z, X)}
        if prior == "kl":
            expected["prior"] = weight * kl_divergence(q, Normal(0.0, 1.0)).sum(1).mean()
        elif prior == "mmd":
            expected["prior"] = weight * UNITS["mmd"] * mmd(z, noise("prior", D))
        for views in (None, Views(X_1, X_2)):
            found = vae.objective(X, views, Streams(SEED))
            assert list(found) == ["loss", *expected]
            for name, value in expected.items():
                torch.testing.assert_close(found[name], value, rtol=1e-9, atol=0)
            torch.testing.assert_close(found["loss"], sum(expected.values()), rtol=1e-9, atol=0)


@pytest.mark.parametrize("prior", ["kl", "mmd", None])
def test_with_views_the_autoencoder_sums_over_the_three_images(prior):
    """VAE+ of Sec. 3: the same three likelihoods as T_VAE's, and a prior term for each."""
    plus = tvae.build(
        {"name": "autoencoder", "latent_dim": D, "prior": prior, "views": True}, 3
    ).double()
    laws, samples = zip(
        *(posterior(plus, x, f"posterior/{i}") for i, x in enumerate((X, X_1, X_2))), strict=True
    )
    found = plus.objective(X, Views(X_1, X_2, invertible=False), Streams(SEED))
    likelihoods = sum(nll(plus, z, x) for z, x in zip(samples, (X, X_1, X_2), strict=True))
    torch.testing.assert_close(found["reconstruction"], likelihoods, rtol=1e-9, atol=0)
    if prior == "kl":
        expected = sum(kl_divergence(law, Normal(0.0, 1.0)).sum(1).mean() for law in laws)
        torch.testing.assert_close(found["prior"], expected, rtol=1e-9, atol=0)
    elif prior == "mmd":
        generator = Streams(SEED)("prior")
        draws = [torch.randn(B, D, generator=generator, dtype=torch.float64) for _ in range(3)]
        expected = UNITS["mmd"] * sum(mmd(z, pi) for z, pi in zip(samples, draws, strict=True))
        torch.testing.assert_close(found["prior"], expected, rtol=1e-9, atol=1e-12)
    else:
        assert "prior" not in found
    # the view's likelihood is the one that T_VAE has of the same seed
    t_vae = model().objective(X, Views(X_1, X_2), Streams(SEED))
    torch.testing.assert_close(found["reconstruction"], t_vae["reconstruction"])


def test_the_prior_of_x_alone():
    """As T_VAE asks it: the views are reconstructed and may say what they like."""
    one = tvae.build(
        {"name": "autoencoder", "latent_dim": D, "prior": "kl", "views": True,
         "prior_views": False}, 3
    ).double()  # fmt: skip
    found = one.objective(X, Views(X_1, X_2), Streams(SEED))
    laws, samples = zip(
        *(posterior(one, x, f"posterior/{i}") for i, x in enumerate((X, X_1, X_2))), strict=True
    )
    expected = kl_divergence(laws[0], Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(found["prior"], expected, rtol=1e-9, atol=0)
    likelihoods = sum(nll(one, z, x) for z, x in zip(samples, (X, X_1, X_2), strict=True))
    torch.testing.assert_close(found["reconstruction"], likelihoods, rtol=1e-9, atol=0)


@pytest.mark.parametrize(("views", "wanted"), [(False, False), (True, True)])
def test_who_wants_views(views, wanted):
    built = tvae.build({"name": "autoencoder", "latent_dim": D, "views": views})
    assert built.uses_views is wanted
    assert not built.has_T
    assert model().uses_views
    assert model().has_T


def test_T_starts_near_the_identity():
    """With h_xi as it is initialised, r(z, T) is near z for every form."""
    z_1, z_2 = torch.randn(2, B, D, generator=torch.Generator().manual_seed(0))
    for form in ("additive", "matrix", "matrix_z", "matrix_free"):
        built = tvae.build(
            {"name": "tvae", "latent_dim": D, "latent_transform": form, "coherence": "kl",
             "prior": "kl"}
        )  # fmt: skip
        moved = built.r(z_1, built.infer_T(z_1, z_2))
        assert (moved - z_1).norm() < 0.02 * z_1.norm()
        assert not torch.equal(moved, z_1)


def test_T_is_relative_to_the_forms_identity():
    built = model()
    shift = torch.arange(D) + 1.0
    z_1, z_2 = torch.randn(2, B, D, generator=torch.Generator().manual_seed(0)).double()
    before = built.infer_T(z_1, z_2)
    built.r.identity = lambda: shift
    torch.testing.assert_close(built.infer_T(z_1, z_2), before + shift)


@pytest.mark.parametrize("form", ["additive", "matrix", "matrix_z", "coupling"])
def test_the_room_of_T(form):
    """T = T_id + unit U h of k numbers: rank k, h_xi the same for every form, U standard normal.

    At equal h every form then starts by moving z as far, |h| times its length.
    """
    built = model(form, T_dim=2, hidden=16)
    z_1, z_2 = torch.randn(2, 400, D, generator=torch.Generator().manual_seed(0)).double()
    t = built.infer_T(z_1, z_2).detach() - built.r.identity()
    assert torch.linalg.matrix_rank(t, rtol=1e-9) == 2
    h = built.h_xi(z_1, z_2).detach()
    torch.testing.assert_close(t, float(built.unit) * h @ built.U.detach().T)
    other = model("additive", T_dim=2, hidden=16)
    torch.testing.assert_close(h, other.h_xi(z_1, z_2).detach())
    wide = tvae.build({"name": "tvae", "latent_dim": 100, "latent_transform": form,
                       "coherence": "kl", "prior": "kl", "hidden": 8, "T_dim": 30})  # fmt: skip
    assert float(wide.U.detach().std()) == pytest.approx(1, abs=0.05)
    small = 1e-3 * torch.randn(400, 30, generator=torch.Generator().manual_seed(1))
    z = torch.randn(400, 100, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        moved = wide.r(z, wide.unit * small @ wide.U.T)
        far = float((moved - z).norm() / z.norm() / small.norm(dim=1).square().mean().sqrt())
    assert far == pytest.approx(1, abs=0.15)


def test_the_gradient_of_U_is_not_its_form_s():
    """It gets one, and T_dim: null has neither U nor unit, as the paper."""
    limited = model("matrix", T_dim=2)
    limited.objective(X, Views(X_1, X_2), Streams(SEED))["loss"].backward()
    assert limited.U.grad.abs().sum() > 0
    free = model("matrix")
    assert free.U is None
    assert not {"U", "unit"} & set(free.state_dict())
    with pytest.raises(ValueError, match="T_dim must be at least 1, got 0"):
        model(T_dim=0)


@pytest.mark.parametrize("option", ["w_coherence", "w_prior", "w_prior_T", "beta"])
@pytest.mark.parametrize("value", [-0.1, float("nan")])
def test_an_impossible_weight_is_refused(option, value):
    with pytest.raises(ValueError, match=f"{option} must be at least 0"):
        model(**{option: value})


@pytest.mark.parametrize("option", ["hidden", "hidden_T"])
@pytest.mark.parametrize("value", [0, -2])
def test_an_impossible_width_is_refused(option, value):
    with pytest.raises(ValueError, match="hidden layers must be at least 1"):
        model(**{option: value})


def test_widths_are_those_asked_for():
    built = model(hidden_T=6)
    assert [layer.out_features for layer in built.q_psi.layers[::2]] == [8, 8, 2 * D]
    assert [layer.out_features for layer in built.h_xi.layers[::2]] == [6, 6, D]
    np.testing.assert_equal(model().h_xi.layers[0].out_features, 8)


def test_a_form_without_inverse_is_trained_in_the_relaxed_form():
    """Whatever the family: r(z, -T) stands in for an inverse in metrics, never in the loss."""
    built = model("mlp", "kl", "mmd")
    exact, relaxed = (
        built.objective(X, Views(X_1, X_2, invertible), Streams(SEED))
        for invertible in (True, False)
    )
    assert exact.keys() == relaxed.keys()
    assert all(torch.equal(exact[name], relaxed[name]) for name in exact)
    control = model("additive", "kl", "mmd")
    exact, relaxed = (
        control.objective(X, Views(X_1, X_2, invertible), Streams(SEED))["coherence"]
        for invertible in (True, False)
    )
    assert not torch.equal(exact, relaxed)


@pytest.mark.parametrize(
    ("options", "drawn"),
    [
        (
            {"name": "tvae", "latent_transform": "additive", "coherence": "sliced_wasserstein"},
            {"coherence/divergence", "prior/divergence"},
        ),
        ({"name": "autoencoder"}, {"prior/divergence"}),
    ],
)
def test_random_divergences_draw_from_the_trial_s_own_streams(options, drawn):
    """A generator that is not handed on would give the same directions at every step."""
    built = tvae.build({**options, "latent_dim": D, "prior": "sliced_wasserstein"}).double()
    streams, untouched = Streams(SEED), Streams(SEED)
    built.objective(X, Views(X_1, X_2), streams)
    state = streams.state()
    for name in drawn:
        assert not torch.equal(state[name], untouched(name).get_state()), name
