"""The galleries: laid out as in the paper, with the pixels of the files in their places."""

from __future__ import annotations

import base64

import numpy as np

from reports import files, panels
from reports import manifest as manifests
from reports.sections import pictures as galleries_of
from tests.reports.fabricated import enrich, kept_of


def test_the_transfer_panel_holds_the_triplet_and_the_guide(study):
    folder = study()
    manifest = manifests.load(folder)
    _, pictures, problems = files.load_one_seed(folder, manifest)
    assert not problems
    transfer = galleries_of.galleries(manifest["study"], pictures)[-1]
    assert [strip.label for strip in transfer.strips] == ["new", "old", "plain"]
    assert [strip.note for strip in transfer.strips] == ["by T", "by T", "by difference"]
    from io import BytesIO

    from matplotlib.image import imread

    png = base64.b64decode(transfer.strips[0].picture.uri.split(",")[1])
    panel = np.round(imread(BytesIO(png))[..., :3] * 255).astype(int)
    with np.load(kept_of(folder, "new", 1) / "pictures.npz") as kept:
        source, forward = kept["transfer_source"], kept["transfer_forward"]
    # pictures are enlarged threefold within a border of 2 pixels, so 12 pixels take 40
    assert panel[2 : 2 + 36 : 3, 2 : 2 + 36 : 3, 0][:, :6].tolist() == source[0][:, :6].tolist()
    assert (panel[2 : 2 + 36, 2 + 18] == panels.GUIDE).all()
    second = 2 + 36 + 12 + 2
    middle = panel[40 + 2 : 40 + 38 : 3, second : second + 18 : 3, 0]
    assert middle.tolist() == forward[0][:, :6].tolist()


def test_interpolations_have_the_papers_layout(study):
    folder = enrich(study())
    manifest = manifests.load(folder)
    _, pictures, _ = files.load_one_seed(folder, manifest)
    galleries = {one.title: one for one in galleries_of.galleries(manifest["study"], pictures)}
    gallery = galleries["Interpolation"]
    assert gallery.shared.label == "x, x_1, x_2"
    assert [strip.label for strip in gallery.strips] == ["new", "old", "plain"]
    assert gallery.strips[2].picture is None
    assert gallery.strips[2].note == "no pictures"
    path = galleries["Along T"].strips[0]
    assert path.note.startswith("a = 0, ")
    assert path.note.endswith(", 1")  # of twelve steps ten are shown, the last among them
    assert path.note.count(",") == 9


def test_places_are_spread_out_with_both_ends():
    assert galleries_of._spread_out(4, 10) == [0, 1, 2, 3]
    assert galleries_of._spread_out(12, 4) == [0, 4, 7, 11]
    assert galleries_of._spread_out(1, 4) == [0]
