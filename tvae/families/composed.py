"""Families one after the other, named where a study names its family."""

from __future__ import annotations

from collections.abc import Sequence

from tvae import registry
from tvae.families.base import Inverse
from tvae.families.compose import Composition


class Composed(Composition):
    """Any families one after the other: f = f_n o ... o f_1, invertible or not.

    ::

        family: {name: composed, parts: [{name: rotation, max_angle: 30}, erase]}

    Args:
        parts: f_1, ..., f_n, at least one: names, or mappings of ``name`` and options.

    Raises:
        ValueError: no parts, an unknown one, or an option that one refuses.
    """

    inverse: Inverse = "none"

    def __init__(self, parts: Sequence[registry.Reference] = ("rotation", "erase")) -> None:
        super().__init__([registry.families.build(part) for part in parts])
