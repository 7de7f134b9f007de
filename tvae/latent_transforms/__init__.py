"""Forms of r(z, T), one file each; what a form of one's own derives from is here."""

from tvae.latent_transforms.base import CLAIMS, LatentTransform

__all__ = ["CLAIMS", "LatentTransform"]
