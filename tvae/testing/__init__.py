"""The contracts that plugins keep, as pytest classes: what a third party tests a plugin with.

::

    from tvae.testing import LatentTransformContract

    class TestSpiral(LatentTransformContract):
        plugin = Spiral                       # the class, or the name it is registered under
        options = ({}, {"turns": 2})          # each is tested

Every law is measured, in float64 unless its name says otherwise, and recorded as a pytest property:
``python -m bench.plugins check NAME`` shows the largest of each beside its limit.
"""

import pytest

_CONTRACTS = (
    "latent_transforms",
    "divergences",
    "families",
    "networks",
    "likelihoods",
    "models",
    "metrics",
    "datasets",
)
for _module in ("contract", *_CONTRACTS):
    pytest.register_assert_rewrite(f"{__name__}.{_module}")

from tvae.testing.contract import Contract, Law  # noqa: E402
from tvae.testing.datasets import DatasetContract  # noqa: E402
from tvae.testing.divergences import DivergenceContract  # noqa: E402
from tvae.testing.families import FamilyContract, real_images, smooth_images  # noqa: E402
from tvae.testing.latent_transforms import LatentTransformContract  # noqa: E402
from tvae.testing.likelihoods import LikelihoodContract  # noqa: E402
from tvae.testing.metrics import MetricContract  # noqa: E402
from tvae.testing.models import ModelContract  # noqa: E402
from tvae.testing.networks import NetworkContract  # noqa: E402

__all__ = [
    "Contract",
    "DatasetContract",
    "DivergenceContract",
    "FamilyContract",
    "LatentTransformContract",
    "Law",
    "LikelihoodContract",
    "MetricContract",
    "ModelContract",
    "NetworkContract",
    "real_images",
    "smooth_images",
]
