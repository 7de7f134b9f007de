"""The contract of `tvae.testing` for each model that the registry finds.

A model that is added is tested by being there; options worth testing are added here.
"""

from __future__ import annotations

import pytest

from tvae.registry import models
from tvae.testing import ModelContract

PARTS = {"latent_transform": "additive", "coherence": "mmd_joint", "prior": "mmd", "hidden": 8}
OTHER = {"network": {"name": "mlp", "hidden": 20}, "likelihood": "discretised_logistic"}
OPTIONS = {
    "autoencoder": (
        {},
        {"prior": "kl"},
        {"prior": "mmd", "views": True},
        {"prior": "kl", "views": True, "prior_views": False},
        OTHER,
        {"likelihood": {"name": "gaussian", "learned": True}},
    ),
    "tvae": (
        PARTS,
        {**PARTS, "latent_transform": "matrix", "coherence": "kl", "w_prior_T": 1.0},
        {**PARTS, "latent_transform": "mlp", "view_reconstruction": True},
        {**PARTS, "latent_transform": "matrix", "T_dim": 2},
        {**PARTS, "latent_transform": "coupling", "T_dim": 3},
        {**PARTS, **OTHER},
    ),
}

for _name in models.names():
    _title = f"Test{_name.title().replace('_', '')}"
    _own = {"plugin": _name, "options": OPTIONS.get(_name, ({},)), "__module__": __name__}
    globals()[_title] = type(_title, (ModelContract,), _own)


def test_the_specified_models_are_found():
    assert {"tvae", "autoencoder", "pixels", "pca"} <= set(models.names())


def test_parts_are_declared():
    """What a training key must know the source of."""
    shared = ["network", "likelihood"]
    assert list(models.get("tvae").parts) == [*shared, "latent_transform", "coherence", "prior"]
    assert list(models.get("autoencoder").parts) == [*shared, "prior"]
    assert not models.get("pixels").parts


def test_an_unknown_option_is_refused():
    for name in models.names():
        with pytest.raises(ValueError, match="unknown option of the model"):
            models.make(name, latentdim=3)


def test_a_part_that_is_not_declared_is_found(monkeypatch):
    """Its source would not be in the training key."""
    model = models.get("autoencoder")
    contract = type("Contract", (ModelContract,), {"plugin": model})()
    contract.test_its_parts_are_options_that_name_a_kind()
    monkeypatch.setattr(model, "parts", {})
    with pytest.raises(AssertionError, match="prior names a plugin that parts leaves out"):
        contract.test_its_parts_are_options_that_name_a_kind()
    monkeypatch.setattr(model, "parts", {"prior": "divergence"})
    with pytest.raises(AssertionError, match="no kind of plugin"):
        contract.test_its_parts_are_options_that_name_a_kind()
