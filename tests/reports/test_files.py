"""What trials leave is read as data that anybody may have made: what does not fit is refused.

A damaged file costs what stood in it, is named on the page, and never ends a build.
"""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from reports import files


def test_pickled_pictures_are_never_read(study, tmp_path):
    path = tmp_path / "evil.npz"
    np.savez(path, samples=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="pickle"):
        files.load_pictures(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"samples": np.zeros((0, 4, 4), np.uint8)}, "must be uint8, N H W"),
        (
            {"samples": np.zeros((1, 4, 4), np.uint8), "transfer_input": np.ones((1, 5, 5), "u1")},
            "not all of one size",
        ),
        ({"transfer_source": np.zeros((2, 4, 4), np.uint8)}, "must hold 3 pictures"),
    ],
)
def test_pictures_of_impossible_shape_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        files.load_pictures(tmp_path / "p.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"T_map": np.zeros((3, 2)), "T_map_target": np.zeros(4)}, "for each of T_map_target's"),
        ({"T_map": np.full((3, 2), np.nan)}, "T_map is float64 .* must be finite numbers of 2 dim"),
        ({"T_map": np.zeros((3, 3))}, "must hold two numbers"),
        ({"path_steps": np.zeros((2, 2))}, "must be finite numbers of 1 dimension"),
        ({"path_output": np.zeros((2, 4, 4), np.uint8)}, "must be uint8, K N H W"),
        ({"interpolation_input": np.zeros((2, 1, 4, 4), np.uint8)}, "must hold 3 pictures"),
    ],
)
def test_arrays_of_impossible_shape_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        files.load_pictures(tmp_path / "p.npz")


METRIC = "knn/affnist"


class Trap:
    """What a pickle would run."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


@pytest.mark.parametrize(
    ("save", "message"),
    [
        (lambda path: None, "cannot be read"),
        (lambda path: path.write_bytes(pickle.dumps(Trap())), "cannot be read"),
        (lambda path: np.savez(path, m=np.array([Trap()], dtype=object)), "cannot be read"),
        (lambda path: np.save(path.open("wb"), np.zeros(3)), "cannot be read"),
        (lambda path: np.savez(path, m=np.zeros((2, 2))), r"must be float64 \(N,\)"),
        (lambda path: np.savez(path, m=np.zeros(0)), r"must be float64 \(N,\)"),
        (lambda path: np.savez(path, m=np.array(["a"])), r"must be float64 \(N,\)"),
        (lambda path: np.savez(path, m=np.array([0, np.nan])), "not finite"),
    ],
)
def test_files_that_hold_anything_else_are_refused(tmp_path, save, message):
    path = tmp_path / "clusters.npz"
    save(path)
    with pytest.raises(ValueError, match=message):
        files.load_clusters(path, "m")


def test_random_damage_to_a_file_raises_nothing_but_value_errors(tmp_path):
    path, rng = tmp_path / "clusters.npz", np.random.default_rng(0)
    np.savez(path, **{METRIC: rng.random(20)})
    whole = path.read_bytes()
    for cut in range(400):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged[: len(whole) - cut // 2 if cut % 2 else None])
        try:
            found = files.load_clusters(path, METRIC)
        except ValueError:
            continue
        assert found is None or found.dtype == np.float64
