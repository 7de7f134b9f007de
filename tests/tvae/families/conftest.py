"""Images for the families' tests: real ones, and smooth ones of which rendering loses little."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tvae.data import load


def _real(n: int) -> Tensor:
    """2 n test images, half digits, half clothes, in [0, 1]: B 1 28 28."""
    parts = [load(name).test.images[:n] for name in ("mnist_small", "fashion_mnist_small")]
    return torch.cat([torch.tensor(part) for part in parts])[:, None].float() / 255


@pytest.fixture(scope="session")
def real() -> Tensor:
    """200 real test images, B 1 28 28."""
    return _real(100)


@pytest.fixture(scope="session")
def smooth() -> Tensor:
    """16 images B 1 48 48 in float64, each three wide Gaussian blobs away from the border."""
    generator = torch.Generator().manual_seed(3)
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    centres = 18 + 12 * torch.rand(16, 3, 2, 1, 1, generator=generator)
    squares = (y - centres[:, :, 0]) ** 2 + (x - centres[:, :, 1]) ** 2
    return (torch.exp(-squares / (2 * 3.0**2)).sum(1, keepdim=True) / 3).double()
