"""The exact neighbour search against all distances in float64, one test point after the other.

A search in float32 that is nearly right would move accuracies by a little, in favour of whatever
embedding happens to suit its rounding: so the points here are such that rounding decides, and the
neighbours must still be the same, to the last one. scikit-learn is a second, independent witness.
"""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from tvae.evaluation import _neighbours
from tvae.evaluation._neighbours import accuracy, nearest

rng = np.random.default_rng(0)


def normal(n: int, d: int) -> np.ndarray:
    return rng.standard_normal((n, d)).astype(np.float32)


def brute_force(train, test, k: int, weights=None) -> np.ndarray:
    """Distances in float64; of equal ones the smaller index; indices ascending."""
    weights = np.ones(train.shape[1]) if weights is None else weights
    out = []
    for x in test.astype(np.float64):
        distances = np.square((x - train.astype(np.float64)) * weights).sum(1)
        out.append(np.sort(np.argsort(distances, kind="stable")[:k]))
    return np.array(out).reshape(len(test), k)


def search(train, test, k: int, **options) -> np.ndarray:
    (found,) = nearest(torch.from_numpy(train), torch.from_numpy(test), k, **options)
    return found.numpy()


def repeated(n: int) -> np.ndarray:
    """Every point many times."""
    return normal(40, 5)[rng.integers(0, 40, n)]


def lattice(n: int) -> np.ndarray:
    """Few distances, each many times."""
    return rng.integers(0, 3, (n, 4)).astype(np.float32)


def far_apart(n: int) -> np.ndarray:
    """Two clusters: their distance is 10 million times that within them."""
    return (normal(n, 6) * 1e-3 + 1e4 * rng.integers(0, 2, (n, 1))).astype(np.float64)


POINTS = {
    "normal": lambda n: normal(n, 8),
    "one dimension": lambda n: normal(n, 1),
    "many dimensions": lambda n: normal(n, 200),
    "pixels": lambda n: (rng.integers(0, 256, (n, 49)) / np.float32(255)).astype(np.float32),
    "black and white": lambda n: rng.integers(0, 2, (n, 9)).astype(np.float32),
    "huge offset": lambda n: (normal(n, 8) + 1e4).astype(np.float32),
    "small spread": lambda n: (1 + normal(n, 8) * 1e-6).astype(np.float32),
    "float64 needed": lambda n: 1e4 + 1e-6 * rng.standard_normal((n, 8)),
    "repeated": repeated,
    "lattice": lattice,
    "far apart": far_apart,
    "one point": lambda n: np.full((n, 5), 3.3, np.float32),
    "huge": lambda n: normal(n, 6) * np.float32(1e30),
    "tiny": lambda n: normal(n, 6) * np.float32(1e-35),
    "outlier": lambda n: np.concatenate([normal(n - 1, 4), np.full((1, 4), 1e8, np.float32)]),
}


@pytest.mark.parametrize("k", [1, 5, 40])
@pytest.mark.parametrize("points", POINTS.values(), ids=POINTS)
@pytest.mark.parametrize("group", [4, _neighbours.GROUP])
def test_the_neighbours_are_those_of_float64(points, k, group, monkeypatch):
    """Some test points are train points, too. With small groups the minima decide, even here."""
    monkeypatch.setattr(_neighbours, "GROUP", group)
    everything = points(1400)
    train, test = everything[:1300], everything[1240:]
    np.testing.assert_array_equal(search(train, test, k), brute_force(train, test, k))


@pytest.mark.parametrize("tile", [(3, 5), (7, 33), (64, 1000), (1000, 3), (5000, 5000)])
@pytest.mark.parametrize("points", [normal(700, 8), lattice(700), far_apart(700)])
def test_tiles_change_nothing(points, tile):
    """Those that do not divide the points, and those with fewer points than neighbours."""
    train, test = points[:640], points[600:]
    found = search(train, test, 12, tile=tile)
    np.testing.assert_array_equal(found, brute_force(train, test, 12))


@pytest.mark.parametrize("coordinates", [1, 20, 1000])
def test_wide_points_come_in_narrower_tiles(coordinates, monkeypatch):
    """Of train and of test points: neither may take what the other saves."""
    asked = []
    for side in ("left", "right"):
        whole = getattr(_neighbours.Scores, side)
        monkeypatch.setattr(
            _neighbours.Scores,
            side,
            lambda self, part, whole=whole: (
                asked.append(part.stop - part.start),
                whole(self, part),
            )[1],
        )
    monkeypatch.setattr(_neighbours, "COORDINATES", coordinates)
    train, test = normal(300, 40), normal(50, 40)
    np.testing.assert_array_equal(search(train, test, 12), brute_force(train, test, 12))
    assert max(asked) <= max(1, coordinates // 40)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_nothing(threads):
    train, test = lattice(900), lattice(100)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        np.testing.assert_array_equal(search(train, test, 5), brute_force(train, test, 5))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_an_interruption_ends_all_threads():
    """A trial that is asked to stop must not search on for minutes."""
    told: list[tuple[int, int]] = []

    def interrupt(done: int, total: int) -> None:
        told.append((done, total))
        if len(told) == 1:
            os.kill(os.getpid(), signal.SIGINT)  # to the main thread, which waits

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    # whoever started the tests may have left SIGINT ignored, as a shell does in the background
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            search(normal(4000, 8), normal(4000, 8), 5, tile=(1, 100), progress=interrupt)
        assert told[-1][0] < told[-1][1]
        assert torch.get_num_threads() == 2
    finally:
        signal.signal(signal.SIGINT, handler)
        torch.set_num_threads(before)


@pytest.mark.parametrize("d", [2, 10, 100])
def test_scikit_learn_finds_the_same(d):
    train, test = normal(3000, d), normal(200, d)
    theirs = NearestNeighbors(n_neighbors=7, algorithm="brute").fit(train)
    expected = np.sort(theirs.kneighbors(test, return_distance=False), axis=1)
    np.testing.assert_array_equal(search(train, test, 7), expected)


def test_the_tests_reach_every_stage(monkeypatch):
    """Float32 decides nearly always, then float64, then all distances: each is needed here."""
    reached = []
    again, last = _neighbours._again, _neighbours._by_all_distances

    def counted_again(scores, rows, k, size):
        reached.append("float64")
        return again(scores, rows, k, size)

    def counted_last(scores, k):
        reached.append(f"all distances of {len(scores.test)}")
        return last(scores, k)

    monkeypatch.setattr(_neighbours, "_again", counted_again)
    monkeypatch.setattr(_neighbours, "_by_all_distances", counted_last)
    points = normal(1000, 10)
    search(points, points[:300], 5)
    assert reached == []
    search(points, points[:300] + np.float32(1e4), 5)
    near = normal(1000, 3).astype(np.float64) * 1e-5
    near[500:] += 1
    search(near, near[::10], 5)
    assert {*reached} == {"float64"}
    search(np.full((1000, 3), 0.1), np.full((300, 3), 0.1), 5)
    assert reached[-1] == "all distances of 1", "points that coincide are searched once"


def test_weights_are_factors_of_the_coordinates():
    train, test = normal(500, 4), normal(60, 4)
    weights = np.array([1, 1e-3, 0, 1e6])
    found = search(train, test, 5, weights=torch.from_numpy(weights))
    np.testing.assert_array_equal(found, brute_force(train, test, 5, weights))


@pytest.mark.parametrize("points", [normal(400, 6), lattice(400), far_apart(400)])
def test_sizes_are_searches_among_the_first(points):
    train, test, sizes = points[:360], points[340:], [10, 11, 50, 200, 360]
    found = nearest(*map(torch.from_numpy, (train, test)), 7, sizes, tile=(16, 64))
    for n, neighbours in zip(sizes, found, strict=True):
        np.testing.assert_array_equal(neighbours, brute_force(train[:n], test, 7))


def test_k_is_all_points():
    assert (search(normal(9, 3), normal(4, 3), 9) == np.arange(9)).all()


def test_progress_counts_pairs_of_points():
    told = []
    search(normal(300, 3), normal(50, 3), 2, progress=lambda *p: told.append(p), tile=(16, 100))
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1] == (15_000, 15_000)
    assert {total for _, total in told} == {15_000}
    assert len(told) > 3


def test_no_test_points():
    assert search(normal(9, 3), normal(0, 3), 2).shape == (0, 2)


def test_products_have_full_precision_whatever_was_allowed():
    """bfloat16 has 8 bits."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        train, test = normal(500, 30), normal(50, 30)
        np.testing.assert_array_equal(search(train, test, 5), brute_force(train, test, 5))
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("points", [normal(2000, 20), lattice(2000), far_apart(2000)])
def test_a_gpu_finds_the_same(points):
    train, test = points[:1900], points[1850:]
    (found,) = nearest(*(torch.from_numpy(p).cuda() for p in (train, test)), 5)
    np.testing.assert_array_equal(found.cpu(), brute_force(train, test, 5))


@pytest.mark.parametrize(
    ("train", "test", "k", "sizes", "message"),
    [
        (normal(9, 3), normal(4, 2), 1, None, r"N D and M D, got \(9, 3\) and \(4, 2\)"),
        (normal(9, 3)[0], normal(4, 3), 1, None, r"got \(3,\)"),
        (normal(9, 0), normal(4, 0), 1, None, r"got \(9, 0\) and \(4, 0\)"),
        (normal(9, 3), normal(4, 3), 10, None, "10 neighbours of 9 train points"),
        (normal(9, 3), normal(4, 3), 0, None, "0 neighbours of 9 train points"),
        (normal(0, 3), normal(4, 3), 1, None, "1 neighbours of 0 train points"),
        (normal(9, 3), normal(4, 3), 3, [2, 5], "3 neighbours of 2 train points"),
        (normal(9, 3), normal(4, 3), 3, [5, 4], r"must ascend to at most 9 .* got \[5, 4\]"),
        (normal(9, 3), normal(4, 3), 3, [5, 10], r"must ascend to at most 9 .* got \[5, 10\]"),
        (normal(9, 3), normal(4, 3), 3, [], r"got \[\]"),
        (normal(9, 3) * np.float32(np.nan), normal(4, 3), 1, None, "the train points have"),
        (normal(9, 3), normal(4, 3) + np.float32(np.inf), 1, None, "the test points have"),
    ],
)
def test_what_cannot_be_searched_is_refused(train, test, k, sizes, message):
    with pytest.raises(ValueError, match=message):
        nearest(torch.from_numpy(train), torch.from_numpy(test), k, sizes)


# --- votes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 4, 5])
def test_votes_are_scikit_learns(k):
    """With many ties, labels with gaps and below 0."""
    train, test = normal(300, 3), normal(200, 3)
    y_train, y_test = (rng.choice([-3, 0, 7, 8, 1000], n) for n in (300, 200))
    theirs = KNeighborsClassifier(k, algorithm="brute").fit(train, y_train)
    (found,) = nearest(torch.from_numpy(train), torch.from_numpy(test), k)
    assert accuracy(found, y_train, y_test) == theirs.score(test, y_test)


def test_a_tie_goes_to_the_smallest_label():
    neighbours = torch.tensor([[0, 1, 2, 3]])
    assert accuracy(neighbours, np.array([9, 9, 4, 4]), np.array([4])) == 1
    assert accuracy(neighbours, np.array([9, 9, 4, 5]), np.array([9])) == 1
    with pytest.raises(ValueError, match="no test point"):
        accuracy(neighbours[:0], np.array([9, 9, 4, 5]), np.array([]))
