"""The contract of `tvae.testing` for each family that the registry finds, and for compositions.

A family that is added is tested by being there; options worth testing are added here.
"""

from __future__ import annotations

from math import log

import pytest

from tvae.families.affine import Affine
from tvae.families.compose import Composition
from tvae.families.crop import Crop
from tvae.families.rotation import Rotation
from tvae.families.superpixel import Superpixel
from tvae.registry import families
from tvae.testing import FamilyContract

SPECIFIED = {
    "none": "exact",
    "rotation": "exact",
    "crop": "assumed",
    "rotation_crop": "assumed",
    "affine": "exact",
    "superpixel": "none",
    "translation": "exact",
    "scale": "exact",
    "shear": "exact",
    "perspective": "exact",
    "elastic": "exact",
    "affnist": "assumed",
    "erase": "none",
    "composed": "none",
}
RANGES = {
    "translation": {"x": (-0.15, 0.15), "y": (-0.15, 0.15)},
    "scale": {"log_scale": (-log(1.4), log(1.4))},
    "shear": {"shear": (-0.5, 0.5)},
    "affnist": {
        "angle": (-20, 20),
        "shear": (-0.2, 0.2),
        "scale_x": (0.8, 1.2),
        "scale_y": (0.8, 1.2),
        "place_x": (0, 1),
        "place_y": (0, 1),
    },
    "rotation": {"angle": (-45, 45)},
    "crop": {"scale_1": (0.7, 1), "scale_2": (0.7, 1)},
    "affine": {
        "angle": (-20, 20),
        "shear": (-0.2, 0.2),
        "scale_x": (0.8, 1.25),
        "scale_y": (0.8, 1.25),
        "x": (-0.1, 0.1),
        "y": (-0.1, 0.1),
    },
}

for _name in families.names():
    _title = f"Test{_name.title().replace('_', '')}"
    _own = {"plugin": _name, "ranges": RANGES.get(_name, {}), "__module__": __name__}
    globals()[_title] = type(_title, (FamilyContract,), _own)


class TestCompositions(FamilyContract):
    plugin = Composition
    options = (
        {"parts": [Rotation(), Affine()]},
        {"parts": [Crop(), Affine()]},
        {"parts": [Rotation(), Superpixel(), Crop()]},
        {"parts": [Composition([Affine(), Rotation()]), Rotation()]},
    )


def test_the_specified_families_are_found_and_declare_their_inverse():
    assert {name: families.get(name).inverse for name in SPECIFIED} == SPECIFIED
    assert [name for name in SPECIFIED if not families.get(name).has_views] == ["none"]


def test_an_unknown_option_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="max_angle"):
        families.make("rotation", max_angel=30)
