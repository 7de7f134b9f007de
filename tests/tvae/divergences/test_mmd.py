"""The squared maximum mean discrepancy against two nested Python loops, and against its theory.

The estimators differ in a few diagonal terms. Those decide bias, sign and what a permutation of one
side does, none of which a training curve shows.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tvae.divergences._kernels import KERNELS, mmd_squared
from tvae.divergences.base import Side
from tvae.divergences.mmd import MMD
from tvae.divergences.mmd_joint import MMDJoint

B, N = 9, 3
ESTIMATORS = ("wae", "unbiased", "biased")
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)
every_kernel = pytest.mark.parametrize("kernel", KERNELS)


def randn(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def squared_distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def naive_kernel(kernel: str, pooled: np.ndarray, dim: int | None = None):
    """k(a, b) as written in the papers; the median heuristic looks at the pooled sample."""
    dim = dim or pooled.shape[1]
    if kernel == "imq":
        scales = [2 * dim * s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10)]
        return lambda a, b: sum(c / (c + squared_distance(a, b)) for c in scales)
    bandwidth = dim
    if kernel == "rbf_median":
        n = len(pooled)
        distances = sorted(
            squared_distance(pooled[i], pooled[j]) for i in range(n) for j in range(n) if i != j
        )
        bandwidth = distances[(len(distances) - 1) // 2]
    return lambda a, b: math.exp(-squared_distance(a, b) / (2 * bandwidth))


def naive_mmd(
    u: np.ndarray, v: np.ndarray, kernel: str, estimator: str, dim: int | None = None
) -> float:
    n = len(u)
    k = naive_kernel(kernel, np.concatenate([u, v]), dim)
    within, cross, within_count, cross_count = 0.0, 0.0, 0, 0
    for i in range(n):
        for j in range(n):
            if i != j or estimator == "biased":
                within += k(u[i], u[j]) + k(v[i], v[j])
                within_count += 1
            if i != j or estimator != "unbiased":
                cross += k(u[i], v[j])
                cross_count += 1
    return within / within_count - 2 * cross / cross_count


@every_kernel
@every_estimator
@pytest.mark.parametrize("n", [2, B])
def test_mmd_is_the_naive_double_loop(kernel, estimator, n):
    u, v = randn(n, N), 0.7 * randn(n, N, seed=1) + 0.5
    expected = naive_mmd(u.numpy(), v.numpy(), kernel, estimator)
    found = float(MMD(kernel, estimator)(Side(u), Side(v)))
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-13)


@every_kernel
@every_estimator
def test_float32_keeps_its_digits_far_from_the_origin(kernel, estimator):
    """|u|^2 + |v|^2 - 2uv at an offset of 1000 would leave nothing of distances near 1."""
    u, v = randn(B, N), randn(B, N, seed=1) + 0.5
    u, v = ((x + 1000).float() for x in (u, v))
    expected = naive_mmd(u.double().numpy(), v.double().numpy(), kernel, estimator)
    assert float(mmd_squared(u, v, KERNELS[kernel], estimator)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_expectation_under_equal_laws(kernel):
    """0 for `wae` and `unbiased`; `biased` is off by its diagonals, and the test would see it."""
    repetitions, n = 1000, 6
    u, v = randn(2, repetitions, n, 2, seed=7)
    z_score = {}
    for estimator in ESTIMATORS:
        values = np.array(
            [
                float(mmd_squared(a, b, KERNELS[kernel], estimator))
                for a, b in zip(u, v, strict=True)
            ]
        )
        z_score[estimator] = values.mean() / (values.std(ddof=1) / repetitions**0.5)
    assert abs(z_score["wae"]) < 3
    assert abs(z_score["unbiased"]) < 3
    assert z_score["biased"] > 30


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
def test_the_bias_of_biased_is_that_of_its_diagonals(kernel):
    """E = 2 (k(0) - E k(u, u')) / n under equal laws: Gretton et al. 2012, Sec. 2."""
    repetitions, n = 1000, 6
    u, v, w = randn(3, repetitions, n, 2, seed=8)
    values = [
        float(mmd_squared(a, b, KERNELS[kernel], "biased")) for a, b in zip(u, v, strict=True)
    ]
    distances = (u - w).square().sum(2).flatten()
    at_zero = float(KERNELS[kernel](torch.zeros(1), 2))
    gap = at_zero - KERNELS[kernel](distances, 2).mean().item()
    error = np.std(values, ddof=1) / repetitions**0.5
    assert np.mean(values) == pytest.approx(2 * gap / n, abs=4 * error)


@every_kernel
def test_biased_is_never_negative_and_zero_only_for_equal_samples(kernel):
    draws = [(randn(5, N, seed=2 * i), randn(5, N, seed=2 * i + 1)) for i in range(100)]
    assert min(float(mmd_squared(u, v, KERNELS[kernel], "biased")) for u, v in draws) > 0
    u, _ = draws[0]
    assert float(mmd_squared(u, u.clone(), KERNELS[kernel], "biased")) == pytest.approx(
        0, abs=1e-12
    )
    signs = {float(mmd_squared(u, v, KERNELS[kernel], "unbiased")) > 0 for u, v in draws}
    assert signs == {True, False}, "an unbiased estimate of 0 must take both signs"


@every_kernel
@every_estimator
def test_permuting_one_side(kernel, estimator):
    """Only `unbiased` leaves out cross terms, the diagonal: its change is that of the diagonal."""
    u = randn(B, N)
    v = u + 0.2 * randn(B, N, seed=1)
    order = torch.roll(torch.arange(B), 2)
    before, after = (mmd_squared(u, w, KERNELS[kernel], estimator).item() for w in (v, v[order]))
    if estimator != "unbiased":
        assert after == pytest.approx(before, abs=1e-13)
        return
    k = naive_kernel(kernel, np.concatenate([u, v]))
    pairs = [sum(k(a, b) for a, b in zip(u.numpy(), w.numpy(), strict=True)) for w in (v, v[order])]
    assert after - before == pytest.approx(2 * (pairs[1] - pairs[0]) / (B * (B - 1)), abs=1e-13)
    assert after < before - 1e-3, "pairs that were near each other were left out, now they count"


@every_kernel
@every_estimator
def test_permuting_both_sides_alike_changes_nothing(kernel, estimator):
    u, v = randn(B, N), randn(B, N, seed=1)
    order = torch.randperm(B, generator=torch.Generator().manual_seed(0))
    one, other = (
        mmd_squared(a, b, KERNELS[kernel], estimator) for a, b in ((u, v), (u[order], v[order]))
    )
    assert float(one) == pytest.approx(float(other), abs=1e-13)


@pytest.mark.parametrize("kernel", ["imq", "rbf"])
@every_estimator
def test_gradients(kernel, estimator):
    u, v = randn(4, 2).requires_grad_(), randn(4, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda u, v: mmd_squared(u, v, KERNELS[kernel], estimator), (u, v)
    )


@every_estimator
def test_gradients_of_the_median_kernel_hold_the_median_constant(estimator):
    """The bandwidth is a choice of scale; it must not be something to be optimised."""
    u, v = randn(4, 2).requires_grad_(), randn(4, 2, seed=1).requires_grad_()
    pooled = torch.cat([u, v]).detach()
    squares = (pooled[:, None] - pooled).square().sum(2)
    h = squares[~torch.eye(8, dtype=torch.bool)].median()

    def constant(squared_distances: Tensor, dim: int) -> Tensor:
        return torch.exp(-squared_distances / (2 * h))

    found, expected = (
        torch.autograd.grad(mmd_squared(u, v, kernel, estimator), (u, v))
        for kernel in (KERNELS["rbf_median"], constant)
    )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


@every_kernel
@every_estimator
def test_equal_samples_have_finite_gradients(kernel, estimator):
    """A collapsed encoder puts all samples in one place."""
    u = torch.ones(B, N, requires_grad=True)
    mmd_squared(u, torch.ones(B, N), KERNELS[kernel], estimator).backward()
    assert u.grad.isfinite().all()


@every_kernel
@every_estimator
@pytest.mark.parametrize("given", [("z",), ("T",), ("z", "T")])
def test_joint_is_the_mmd_of_the_concatenation(kernel, estimator, given):
    """Of blocks whose variances sum to N, as many dimensions as the kernel is told."""
    z, t, q, p = randn(B, N), 3 + randn(B, 5, seed=1), randn(B, N, seed=2), randn(B, N, seed=3)
    shared = {"z": z, "T": t}
    joint = MMDJoint(kernel, estimator, given)(Side(q), Side(p), shared)
    blocks = [shared[name].numpy() for name in given]
    beside = [block * (N / block.var(axis=0).sum()) ** 0.5 for block in blocks]
    u, v = (np.concatenate([*beside, side], axis=1) for side in (q, p))
    expected = naive_mmd(u, v, kernel, estimator, N * (1 + len(given)))
    assert float(joint) == pytest.approx(expected, rel=1e-11, abs=1e-13)


@every_kernel
def test_a_shift_of_z_1_costs_the_same_whatever_the_size_of_T(kernel):
    """The closed form's 0.5 nats, from P = D to 50 times that, and for T of low rank."""
    dim, n = 10, 500
    z, q, p = randn(3, n, dim)
    joint = MMDJoint(kernel)
    for t in (
        *(randn(n, size, seed=1) for size in (10, 100, 500)),
        randn(n, 3, seed=1) @ randn(3, 100, seed=2),
        torch.cat([randn(n, 3, seed=1), 0.02 * randn(n, 97, seed=2)], 1),
    ):
        costs = [
            float(joint(Side(q + shift), Side(p), {"z": z, "T": t})) for shift in unit_shifts(dim)
        ]
        cost = np.mean(costs) - float(joint(Side(q), Side(p), {"z": z, "T": t}))
        assert joint.default_weight(dim) * cost == pytest.approx(0.5, rel=0.08)


def unit_shifts(dim: int) -> list[Tensor]:
    """Along every axis, both ways."""
    axes = torch.eye(dim, dtype=torch.float64)
    return [*axes, *-axes]


@every_kernel
@every_estimator
def test_a_larger_T_neither_lowers_the_joint_nor_is_asked_for(kernel, estimator):
    """With r(z, T) held fixed: what is given is a condition, no way to a lower loss."""
    z, t, r, error = randn(4, B, N)
    joint = MMDJoint(kernel, estimator)

    def value(size: float) -> Tensor:
        given = {"z": z.requires_grad_(), "T": (size * t).requires_grad_()}
        return joint(Side(r + error), Side(r), given)

    for size in (0.1, 10.0, 1000.0):
        torch.testing.assert_close(value(size), value(1.0), rtol=1e-9, atol=1e-12)
    assert not value(1.0).requires_grad


@pytest.mark.parametrize("n", [2, B])
@pytest.mark.parametrize("spread", [0.0, 1e-8])
def test_a_T_that_says_nothing_counts_for_nothing(n, spread):
    """Dead, or constant up to rounding, which must not be blown up into a T; z still ties."""
    z, q, p = (x.float().requires_grad_() for x in randn(3, n, N))
    t = (0.3 + spread * randn(n, 5, seed=1)).float()
    value = MMDJoint()(Side(q), Side(p), {"z": z, "T": t})
    value.backward()
    assert q.grad.isfinite().all()
    assert p.grad.isfinite().all()
    constant = MMDJoint()(Side(q), Side(p), {"z": z, "T": torch.full_like(t, 0.3)})
    torch.testing.assert_close(value, constant, rtol=1e-4, atol=1e-6)
    assert value > 0


def test_what_other_estimators_than_biased_pay_for():
    """No claim of pairs: `wae` is lower for larger latents, `unbiased` for other pairs."""
    z, t = randn(2, 64, 10)
    order = torch.roll(torch.arange(64), 1)

    def value(estimator: str, size: float = 1.0, shuffled: bool = False) -> float:
        r = z + size * t
        q = r[order] if shuffled else r
        return float(MMDJoint(estimator=estimator)(Side(q), Side(r), {"z": z, "T": size * t}))

    assert value("wae", size=100) < value("wae") - 0.01
    assert value("unbiased", size=0.1, shuffled=True) < value("unbiased", size=0.1) - 0.001
    assert value("biased", size=100) == pytest.approx(value("biased"), abs=1e-12)
    assert value("biased", size=0.1, shuffled=True) > value("biased", size=0.1) + 0.01


@every_kernel
@every_estimator
def test_joint_with_nothing_given_is_marginal(kernel, estimator):
    q, p = Side(randn(B, N)), Side(randn(B, N, seed=1))
    assert torch.equal(MMDJoint(kernel, estimator)(q, p), MMD(kernel, estimator)(q, p))


@every_kernel
@pytest.mark.parametrize("given", [("z",), ("T",), ("z", "T")])
def test_joint_sees_broken_pairs_that_the_marginal_cannot(kernel, given):
    """Equal marginals, wrong partners: z_1 is a permutation of r(z, T) over the batch."""
    z, t = randn(2, 200, 2)
    r = z + t
    broken = r[torch.roll(torch.arange(200), 1)]
    shared = {"z": z, "T": t}
    marginal = float(MMD(kernel, "biased")(Side(broken), Side(r), shared))
    joint = MMDJoint(kernel, "biased", given)
    assert marginal == pytest.approx(0, abs=1e-12)
    assert float(joint(Side(r), Side(r), shared)) == pytest.approx(0, abs=1e-12)
    assert float(joint(Side(broken), Side(r), shared)) > 0.005


@pytest.mark.parametrize("make", [MMD, MMDJoint])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "imk"}, "kernel must be one of imq, rbf, rbf_median, got 'imk'"),
        ({"estimator": "v"}, "estimator must be one of wae, unbiased, biased, got 'v'"),
    ],
)
def test_unknown_options_are_refused(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


@pytest.mark.parametrize("given", [(), ("t",), ("z", "x")])
def test_an_unknown_condition_is_refused(given):
    with pytest.raises(ValueError, match="given must name z, T or both"):
        MMDJoint(given=given)


@pytest.mark.parametrize(("u", "v"), [((1, 2), (1, 2)), ((3, 2), (4, 2)), ((3, 2), (3, 3))])
def test_impossible_samples_are_refused(u, v):
    with pytest.raises(ValueError, match="two samples of one shape and B >= 2"):
        MMD()(Side(torch.zeros(u)), Side(torch.zeros(v)))
