"""Images for the families' tests: real ones, and smooth ones of which rendering loses little."""

from __future__ import annotations

import pytest
from torch import Tensor

from tvae.testing import real_images, smooth_images


@pytest.fixture(scope="session")
def real() -> Tensor:
    """200 real test images, B 1 28 28."""
    return real_images()


@pytest.fixture(scope="session")
def smooth() -> Tensor:
    """16 images B 1 48 48 in float64, each three wide Gaussian blobs away from the border."""
    return smooth_images()
