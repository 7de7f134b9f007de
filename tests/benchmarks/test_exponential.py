"""The action exp(A) z by Taylor products against torch's matrix exponential, forward and backward.

At D = 100 the exponential of every sample's matrix would dominate a training step; the action is
why the matrix form can be trained at all. Both are timed on the same A, which is as large as T
grows in training, and their gradients agree.
"""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor

from tvae.latent_transforms._exponential import exponential_action

BATCH = 100


def matrix_exponential(a: Tensor, z: Tensor) -> Tensor:
    return torch.linalg.matrix_exp(a) @ z


def gradients(action, a: Tensor, z: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(action(a, z).square().sum(), (a, z))


@pytest.fixture(params=[10, 100], ids="D={}".format)
def operands(request) -> tuple[Tensor, Tensor]:
    """(A, z) with |A| about 1."""
    torch.set_num_threads(1)
    d = request.param
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(BATCH, d, d, generator=generator) / d
    z = torch.randn(BATCH, d, 1, generator=generator)
    return a.requires_grad_(), z.requires_grad_()


@pytest.mark.parametrize("action", [exponential_action, matrix_exponential])
def test_forward_and_backward(benchmark, operands, action):
    benchmark.pedantic(gradients, (action, *operands), rounds=5, warmup_rounds=1)
    expected = gradients(matrix_exponential, *operands)
    for got, wanted in zip(gradients(action, *operands), expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-4)


def test_the_action_is_faster_where_it_matters(benchmark):
    """At D = 100, by a factor, within one run."""
    a = (torch.randn(BATCH, 100, 100) / 100).requires_grad_()
    z = torch.randn(BATCH, 100, 1).requires_grad_()
    slow = []

    def setup() -> None:
        started = time.perf_counter()
        gradients(matrix_exponential, a, z)
        slow.append(time.perf_counter() - started)

    benchmark.pedantic(gradients, (exponential_action, a, z), setup=setup, rounds=5)
    ratio = min(slow) / benchmark.stats.stats.min
    benchmark.extra_info["times faster"] = round(ratio, 1)
    print(f"\nD = 100: {ratio:.1f} times as fast as torch.linalg.matrix_exp")
    assert ratio > 3
