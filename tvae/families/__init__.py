"""Families of transformations, one file each; what a family of one's own derives from is here."""

from tvae.families.base import Inverse, Parameters, TransformationFamily, uniform

__all__ = ["Inverse", "Parameters", "TransformationFamily", "uniform"]
