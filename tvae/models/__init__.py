"""Models: the transformation-aware VAE and the autoencoders that it is compared with.

What a model of one's own derives from is here.
"""

from tvae.models.base import Model, Parts, Terms, Transforming, Views, build, summed, weight_of

__all__ = ["Model", "Parts", "Terms", "Transforming", "Views", "build", "summed", "weight_of"]
