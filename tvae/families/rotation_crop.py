"""Rotation, then crops."""

from __future__ import annotations

from tvae.families.base import Inverse
from tvae.families.compose import Composition
from tvae.families.crop import Crop
from tvae.families.rotation import Rotation


class RotationCrop(Composition):
    """Rotation, then a crop of its own for each view: the setting of the paper's Fig. 3.

    x_1 = crop_1(rot(a)(x)), x_2 = crop_2(rot(-a)(x)): the rotation is what T can learn to invert,
    the crops are what the model is told to take for an inverse.

    Args:
        max_angle: see `Rotation`.
        min_scale: see `Crop`.

    Raises:
        ValueError: an option that `Rotation` or `Crop` refuses.
    """

    inverse: Inverse = "assumed"
    choices = (
        "Rotations of up to {max_angle:g} degrees, crops of at least {min_scale:g} of a side; that "
        "each view is cropped by itself is read off Fig. 3.",
    )

    def __init__(self, max_angle: float = 45.0, min_scale: float = 0.7) -> None:
        super().__init__([Rotation(max_angle), Crop(min_scale)])
