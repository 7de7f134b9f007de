"""Encoders and decoders, one file each; what a network of one's own derives from is here."""

from tvae.networks.base import Network
from tvae.shapes import ImageShape

__all__ = ["ImageShape", "Network"]
