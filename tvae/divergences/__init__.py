"""Divergences, one file each; what a divergence of one's own derives from is here."""

from tvae.divergences.base import Divergence, Side, gaussian_kl

__all__ = ["Divergence", "Side", "gaussian_kl"]
