"""How long each family of transformations takes to make the two views of a batch.

The views are made while training waits: a family that takes longer than the step itself halves the
speed of every arm of a study.
"""

from __future__ import annotations

import pytest
import torch

from tvae import data
from tvae.registry import families


@pytest.fixture(scope="module")
def batch() -> torch.Tensor:
    """100 real images, B 1 28 28."""
    torch.set_num_threads(1)
    images = data.load("mnist_small").train.images[:100]
    return torch.as_tensor(images).unsqueeze(1).float() / 255


@pytest.mark.parametrize("name", [n for n in families.names() if families.get(n).has_views])
def test_views_of_a_batch(benchmark, batch, name):
    family = families.make(name)
    generator = torch.Generator().manual_seed(0)
    arguments = (batch, generator)
    x_1, x_2, _ = benchmark.pedantic(family.views, arguments, rounds=10, warmup_rounds=1)
    assert x_1.shape == x_2.shape == batch.shape
