"""Data: real images by name, verified by digest; nothing is downloaded unless asked for."""

from tvae.data.catalogue import available, datasets, fetch, load, names, source
from tvae.data.records import Dataset, Split
from tvae.data.source import CorruptData, MissingData, Option, Source
from tvae.shapes import ImageShape

__all__ = [
    "CorruptData",
    "Dataset",
    "ImageShape",
    "MissingData",
    "Option",
    "Source",
    "Split",
    "available",
    "datasets",
    "fetch",
    "load",
    "names",
    "source",
]
