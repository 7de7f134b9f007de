"""T_VAE with pluggable latent transforms, divergences and transformation families.

::

    model = tvae.load("runs/additive_vs_matrix/trials/0a1b2c")  # a trained model back
    z = model.embed(images)                                     # N x C x H x W -> N x D
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tvae.checkpoint import load
    from tvae.models.base import build

__all__ = ["build", "load"]


def __getattr__(name: str) -> object:
    # torch takes over a second to import, and listing plugins needs none of it
    if name == "load":
        from tvae.checkpoint import load

        return load
    if name == "build":
        from tvae.models.base import build

        return build
    raise AttributeError(f"module 'tvae' has no attribute {name!r}")
