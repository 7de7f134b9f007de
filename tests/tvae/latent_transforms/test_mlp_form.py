"""The negative control: its algebra is bad, its range is not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tvae.latent_transforms.mlp import MLP

B = 50


def randn(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def make(*arguments, seed: int = 0, **options) -> MLP:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MLP(*arguments, **options).double()


def laws(form: MLP, scale: float) -> dict[str, float]:
    """Relative residuals of the laws it does not claim."""
    dim, p = form.latent_dim, form.parameter_size
    z, s, t = randn(B, dim), randn(B, p, seed=1, scale=scale), randn(B, p, seed=2, scale=scale)
    with torch.no_grad():
        there = form(z, t)
        residuals = {
            "inverse": form.inverse(there, t) - z,
            "identity": form(z, form.identity().double().expand(B, -1)) - z,
            "norm": there.norm(dim=1) - z.norm(dim=1),
        }
        found = {law: float(residual.norm() / z.norm()) for law, residual in residuals.items()}
        one, other = form(form(z, s), t), form(there, s)
        found["abelian"] = float((one - other).norm() / one.norm())
    return found


@pytest.mark.parametrize("dim", [1, 4, 10, 100])
def test_no_law_holds(dim):
    form = make(dim)
    assert form.claims == frozenset()
    assert all(residual > 0.1 for residual in laws(form, 1.0).values()), laws(form, 1.0)
    with pytest.raises(NotImplementedError, match="MLP is not closed"):
        form.compose(*randn(2, B, dim))


def test_the_inverse_is_the_one_of_the_base_class():
    form, z, t = make(4), randn(B, 4), randn(B, 4, seed=1)
    assert torch.equal(form.inverse(z, t), form(z, -t))
    assert torch.equal(form.identity(), torch.zeros(4))


def test_it_is_the_network_of_its_weights():
    form, z, t = make(3, hidden=8, parameters=2), randn(B, 3), randn(B, 2, seed=1)
    w = [weight.detach().numpy() for weight in form.parameters()]
    x = torch.cat([z, t], dim=1).numpy()
    for matrix, bias in ((w[0], w[1]), (w[2], w[3])):
        x = (x @ matrix.T + bias).clip(min=0)
    torch.testing.assert_close(form(z, t).detach(), torch.tensor(x @ w[4].T + w[5]))


def test_it_learns_a_rotation_by_a_given_T_and_still_keeps_no_law():
    """What it lacks is structure, not range: it fits what `so2` is made for, where it has data."""
    form = make(2, hidden=64, parameters=1).float()
    optimiser = torch.optim.Adam(form.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(1)
    z, t = randn(2000, 2).float(), 2 * torch.rand(2000, 1, generator=generator) - 1
    turned = torch.view_as_real(torch.view_as_complex(z) * torch.exp(1j * t[:, 0]))
    seen, new = slice(1500), slice(1500, None)
    for _ in range(300):
        optimiser.zero_grad()
        (form(z[seen], t[seen]) - turned[seen]).square().mean().backward()
        optimiser.step()
    error = (form(z[new], t[new]) - turned[new]).norm() / turned[new].norm()
    assert error < 0.1, "the function is in its range"
    assert (z[new] - turned[new]).norm() / turned[new].norm() > 0.4, "and is not the identity"
    with torch.no_grad():
        outside = torch.full_like(t[new], 4.0)
        back = form.inverse(form(z[new], outside), outside)
    assert (back - z[new]).norm() / z[new].norm() > 0.1, "beyond the data there is no group"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 0}, "^hidden must be at least 1, got 0"),
        ({"parameters": -1}, "^parameters must be at least 1, got -1"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MLP(4, **options)
