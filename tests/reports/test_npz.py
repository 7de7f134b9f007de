"""A trial's arrays, hit by flipped bits and made by ill will: read whole, or refused by name.

A disk flips a bit sooner or later, and what NumPy, zipfile and zlib then raise fills a page of the
manual. A report must come out all the same, without what stood in the file and with its name.
"""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile

import numpy as np
import pytest

from reports import npz
from reports.files import load_curves, load_one_seed
from reports.manifest import load
from tests.reports.fabricated import kept_of, page_of

SAVE = {"stored": np.savez, "deflated": np.savez_compressed}
METRIC = "knn/affnist"


def flips(whole, step):
    """Copies of a file with one bit flipped, at every `step`-th byte, each time another bit."""
    for place in range(0, len(whole), step):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place // step) % 8
        yield bytes(damaged)


def refusal(path):
    """What the loader says of a file that it refuses, without the words that it begins with."""
    try:
        npz.load(path)
    except ValueError as error:
        begin, _, why = str(error).partition("cannot be read: ")
        return why if not begin else ""
    return None


@pytest.mark.parametrize("save", SAVE.values(), ids=SAVE)
def test_a_flipped_bit_is_refused_or_does_not_matter(tmp_path, save):
    path, rng = tmp_path / "a.npz", np.random.default_rng(0)
    arrays = {
        "pixels": rng.integers(0, 9, (3, 5, 5), dtype=np.uint8), "floats": rng.random(9),
        "text": np.array("T, turned"),
    }  # fmt: skip
    save(path, **arrays)
    refused = 0
    for damaged in flips(path.read_bytes(), 1):
        path.write_bytes(damaged)
        why = refusal(path)
        assert why != ""
        refused += why is not None
        if why is None:  # a date, say; what the arrays hold has a checksum
            found = npz.load(path)
            assert found.keys() == arrays.keys()
            assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    assert refused > 300


def kept_by_original(folder):
    """Give every trial of the study outcomes by original, that average to its row's value."""
    from reports import rows

    frame, path = rows.load(folder), folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for trial in manifest["trials"]:
        own = frame[(frame.trial == trial["trial"]) & (frame.metric == METRIC)]
        wobble = np.tile([0.1, -0.1], 20)
        trial["clusters"] = f"trials/{trial['trial']}/clusters.npz"
        values = {METRIC: float(own.value.iloc[0]) + wobble}
        np.savez_compressed(folder / trial["clusters"], **values)
    path.write_text(json.dumps(manifest))
    return folder


def deflate(path):
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    np.savez_compressed(path, **arrays)
    return path.read_bytes()


def test_bits_flipped_in_pictures_cost_no_more_than_them(study):
    folder = study()
    manifest, path = load(folder), kept_of(folder, "new", 1) / "pictures.npz"
    named = 0
    for damaged in flips(deflate(path), 41):
        path.write_bytes(damaged)
        seed, pictures, problems = load_one_seed(folder, manifest)
        assert seed == 1
        assert pictures.keys() | ({"new"} if problems else set()) == {"new", "old", "plain"}
        assert all(one.startswith("pictures of new, seed 1: ") for one in problems)
        named += len(problems)
    assert named > 20


def test_bits_flipped_in_a_curve_cost_no_more_than_its_rest(study):
    folder = study()
    manifest, path = load(folder), kept_of(folder, "new", 1) / "curve.jsonl"
    others = len(load_curves(folder, manifest)[0].query("arm != 'new'"))
    for damaged in flips(path.read_bytes(), 1):
        path.write_bytes(damaged)
        curves, problems = load_curves(folder, manifest)
        assert len(curves.query("arm != 'new'")) == others
        assert np.isfinite(curves.value).all()
        assert all(one.startswith("curve of new, seed 1: ") for one in problems)


@pytest.mark.parametrize(
    "line", ['{"step": ' + "9" * 400 + "}", "[" * 100_000, "\0", '{"step": "1"}']
)
def test_a_hostile_line_of_a_curve_is_left_out(study, line):
    folder = study()
    with (kept_of(folder, "new", 1) / "curve.jsonl").open("a") as file:
        file.write(f"\n{line}\n")
    curves, _ = load_curves(folder, load(folder))
    assert set(curves.query("arm == 'new' and seed == 1").step) == {1, 2, 3, 4, 5}


def flip(path, place):
    """Flip a bit near a place, given as a share of the file, so that the file is damaged by it."""
    whole = deflate(path) if path.suffix == ".npz" else path.read_bytes()
    for at in range(int(place * len(whole)), len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 128
        path.write_bytes(damaged)
        if path.suffix != ".npz" or refusal(path):
            return


@pytest.mark.parametrize("place", [0.1, 0.5])
def test_the_page_is_built_and_names_what_is_damaged(study, place):
    folder = kept_by_original(study())
    assert "over seeds and originals" in page_of(folder).text
    kept = kept_of(folder, "new", 1)
    for name in ("pictures.npz", "clusters.npz", "curve.jsonl"):
        flip(kept / name, place)
    text = page_of(folder).text
    assert "pictures of new, seed 1: cannot be read" in text
    assert "curve of new, seed 1: cannot be read" in text  # no text any more
    assert "the bootstrap draws seeds alone" in text
    assert f"{kept.name}/clusters.npz: cannot be read" in text


def member(head, content=b""):
    """An archive with one array under a head of its own."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        text = head.encode().ljust(117) + b"\n"
        magic = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little")
        archive.writestr("m.npy", magic + text + content)
    return file.getvalue()


def head(shape, kind="<f8"):
    return f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"


@pytest.mark.parametrize(
    "content",
    [
        member(head("(1000000000000000,)")),
        member(head("(4000000000,)")),
        member(head("(-5,)")),
        member(head("(2, 2)"), b"\0" * 8),
        member(head("(2,)", "O"), b"\0" * 16),
        member(head("(2,)", "V0")),
        member("{" * 100),
        member("__import__('os').abort()"),
        b"",
        b"PK\x05\x06" + b"\0" * 18,
        b"\x80\x04N.",
    ],
    ids=["petabytes", "gigabytes", "negative", "short", "objects", "nothing", "nested", "code",
         "empty", "no member", "pickle"],
)  # fmt: skip
def test_a_hostile_file_takes_neither_memory_nor_control(tmp_path, content):
    path = tmp_path / "clusters.npz"
    path.write_bytes(content)
    assert refusal(path) or sum(array.nbytes for array in npz.load(path).values()) == 0


def test_what_unpacks_to_more_than_ours_ever_does_is_refused_before(tmp_path, monkeypatch):
    path = tmp_path / "pictures.npz"
    np.savez_compressed(path, samples=np.zeros((512, 128, 128), np.uint8))
    monkeypatch.setattr(npz, "MOST_BYTES", 2**20)
    tracemalloc.start()
    assert "bytes of memory; at most 1,048,576" in refusal(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_member_that_is_no_array_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("notes.txt", "not an array")
    with pytest.raises(ValueError, match=r"notes\.txt is no array"):
        npz.load(tmp_path / "a.npz")
