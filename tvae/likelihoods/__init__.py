"""Likelihoods of pixels, one file each; what a likelihood of one's own derives from is here."""

from tvae.likelihoods.base import Likelihood

__all__ = ["Likelihood"]
