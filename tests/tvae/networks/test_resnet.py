"""Halving is torch's adaptive pooling to the last bit, whose CUDA gradient has no fixed order."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tvae.networks.resnet import _Halving


@pytest.mark.parametrize("shape", [(28, 28), (7, 7), (14, 9), (11, 40), (5, 9)])
def test_halving_is_adaptive_pooling(shape):
    x = torch.rand(5, 4, *shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    ours = _Halving()(x)
    theirs = functional.adaptive_avg_pool2d(x, [side // 2 for side in shape])
    assert torch.equal(ours, theirs)
    weight = torch.rand(ours.shape, generator=torch.Generator().manual_seed(1))
    gradients = [torch.autograd.grad((y * weight).sum(), x)[0] for y in (ours, theirs)]
    assert torch.equal(*gradients)
