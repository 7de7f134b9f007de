"""Exact nearest neighbours in tiles: as many points as there are, in little memory.

Legend: `N` train points y, `M` test points x, `D` dimensions, `k` neighbours, `c` candidates.

**What exact means.** The distance of two points is sum_d (w_d (x_d - y_d))^2 in float64, of the
coordinates as they are given; of equal distances the smaller index is nearer. The k nearest by
that order are found, as a set, whatever the sizes of the tiles.

**How.** Matrix products in float32 give every pair the score ||y||^2 - 2 x y = d^2 - ||x||^2, of
points moved to the mean of the train points and scaled to at most 1 in length. They are wrong by
at most a margin that the rounding errors of a product bound (Higham, "Accuracy and Stability of
Numerical Algorithms", 2nd ed., Sec. 3.1). Of every test point the c > k smallest scores are kept.
Where the k-th and the next lie further apart than twice the margin, the set is certain. Where not,
the candidates are ranked by their distances, which is certain if the k-th is nearer, by the margin,
than what was no candidate. What is still open, because clusters lie far apart or points coincide,
goes the same way in float64, and then by all its distances.

No array is larger than M c or a tile; the points themselves are read where they lie.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Event, Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, Any]

Progress = Callable[[int, int], None]
"""Is told how much is done, and of how much."""

ROWS, COLUMNS = 128, 65536
"""Test and train points of a tile at most: its scores take 32 MB."""

COORDINATES = 2**24
"""Of a tile's train points, and of its test points, at most: in float64 they take 128 MB."""

ROWS_AT_MOST = 8192
"""Test points of a tile that has few train points."""

GROUP = 64
"""Scores that are searched through their minimum first."""

SPARE = 8
"""Candidates besides the k, so that near ties seldom need more than their distances."""

BLOCK = 2**22
"""Differences that are held at once where all distances are computed, and points of a pass."""


def nothing(*progress: object) -> None:
    """Take no notice of progress."""


@torch.no_grad()
def nearest(
    train: Tensor,
    test: Tensor,
    k: int,
    sizes: Sequence[int] | None = None,
    weights: Tensor | None = None,
    progress: Progress = nothing,
    tile: tuple[int, int] = (ROWS, COLUMNS),
) -> list[Tensor]:
    """The k nearest among the first n train points of every test point, for each n of `sizes`.

    Scores are computed once for all sizes.

    Args:
        train: N D floats, on any device.
        test: M D floats, on the same device.
        k: at least 1, at most the smallest size.
        sizes: ascending; None: N alone.
        weights: w, D factors; None: ones.
        progress: called with (done, total) pairs of points after every tile, by one thread at a
            time.
        tile: test and train points of a tile; changes nothing.

    Returns:
        For each size M k indices, ascending in each row.

    Raises:
        ValueError: shapes that do not agree, coordinates that are not finite, k or sizes that
            there are not as many points for.
    """
    sizes = [len(train)] if sizes is None else list(sizes)
    _check(train, test, k, sizes)
    if weights is None:
        weights = torch.ones(train.shape[1], dtype=torch.float64)
    weights = weights.to(train.device, torch.float64)
    if not len(test):
        return [torch.empty(0, k, dtype=torch.long, device=test.device) for _ in sizes]
    lock, done, total = Lock(), 0, len(test) * sizes[-1]

    def advance(pairs: int) -> None:
        nonlocal done
        with lock:
            done += pairs
            progress(done, total)

    with _full_precision():
        scores = Scores.of(train, test, weights, torch.float32)
        return _in_threads(scores, k, sizes, advance, tile)


def accuracy(neighbours: Tensor, y_train: Array, y_test: Array) -> float:
    """Share of the test points whose neighbours vote for their label, in [0, 1]; see `correct`."""
    return float(np.mean(correct(neighbours, y_train, y_test)))


def correct(neighbours: Tensor, y_train: Array, y_test: Array) -> Array:
    """Whether the neighbours of each test point vote for its label, M of bool.

    Every neighbour has one vote; of labels with equally many the smallest wins, as in
    scikit-learn's ``KNeighborsClassifier``.

    Args:
        neighbours: M k indices of train points, M at least 1.
        y_train: N labels.
        y_test: M labels.

    Raises:
        ValueError: there is no test point.
    """
    if not len(y_test):
        raise ValueError("there is no test point, so no share of them")
    classes, codes = np.unique(y_train, return_inverse=True)
    votes = codes[neighbours.cpu().numpy()]
    cells = votes + len(classes) * np.arange(len(votes))[:, None]
    counts = np.bincount(cells.ravel(), minlength=len(votes) * len(classes))
    winners = classes[counts.reshape(len(votes), -1).argmax(1)]
    right: Array = winners == y_test
    return right


def finite(points: Tensor) -> bool:
    """Whether all coordinates are."""
    return all(bool(part.isfinite().all()) for part in _parts(points))


@dataclass(frozen=True)
class Scores:
    """||y||^2 - 2 x y of points in one precision, and how wrong they can be.

    Attributes:
        train: N D, as given.
        test: M D, as given.
        weights: w, D, float64.
        centre: D, float64, what coordinates are relative to.
        unit: a power of two that no ||x|| or ||y|| exceeds.
        radius: the largest ||y||, in units.
        dtype: of the products.
    """

    train: Tensor
    test: Tensor
    weights: Tensor
    centre: Tensor
    unit: float
    radius: float
    dtype: torch.dtype

    @staticmethod
    def of(train: Tensor, test: Tensor, weights: Tensor, dtype: torch.dtype) -> Scores:
        """Those of `test` against `train`; one pass over both."""
        total = sum(part.double().sum(0) for part in _parts(train))
        centre = torch.as_tensor(total / len(train))

        def longest(points: Tensor) -> float:
            moved = (torch.sub(part, centre).mul_(weights) for part in _parts(points))
            return max(float(part.norm(dim=1).max()) for part in moved)

        radius = longest(train)
        largest = max(radius, longest(test))
        unit = 2.0 ** math.ceil(math.log2(largest)) if 0 < largest < math.inf else 1.0
        return Scores(train, test, weights, centre, unit, radius / unit, dtype)

    def _coordinates(self, points: Tensor) -> Tensor:
        """Float64, in units, relative to the centre."""
        return torch.sub(points, self.centre).mul_(self.weights / self.unit)

    def left(self, rows: slice) -> Tensor:
        """(-2 x, 1) of test points, one row each."""
        x = self._coordinates(self.test[rows]).mul_(-2)
        return torch.cat([x, torch.ones_like(x[:, :1])], 1).to(self.dtype)

    def right(self, columns: slice) -> Tensor:
        """(y, ||y||^2) of train points, one column each."""
        y = self._coordinates(self.train[columns])
        found: Tensor = torch.cat([y, y.square().sum(1, keepdim=True)], 1).to(self.dtype)
        return found.T.contiguous()

    def lengths(self) -> Tensor:
        """||x|| of the test points, M, float64, in units."""
        return torch.cat([self._coordinates(part).norm(dim=1) for part in _parts(self.test)])

    def margin(self, lengths: Tensor) -> Tensor:
        """How far a score can be from that of the distances, by ||x||; float64.

        A product of n terms is off by n u times that of the absolute values, u half the precision;
        the second term is what float64 itself rounds off in coordinates and distances.
        """
        n, finfo = self.train.shape[1] + 8, torch.finfo(self.dtype)
        products = 2 * lengths * self.radius + self.radius**2
        rounding = 1.1 * n * finfo.eps / 2 * products + 4 * n * finfo.tiny
        return rounding + n * 2.0**-50 * (lengths + self.radius).square()

    def distances(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Squared, of pairs of test and train points, in float64, as the module says.

        Args:
            rows: B indices.
            columns: B m of them.
        """
        x, y = self.test[rows].double(), self.train[columns].double()
        return ((x[:, None] - y) * self.weights).square().sum(2)


def _check(train: Tensor, test: Tensor, k: int, sizes: Sequence[int]) -> None:
    if train.ndim != 2 or test.ndim != 2 or not train.shape[1] == test.shape[1] > 0:
        raise ValueError(
            f"train and test points must be N D and M D, got {tuple(train.shape)} and "
            f"{tuple(test.shape)}"
        )
    if not sizes or sorted(set(sizes)) != sizes or sizes[-1] > len(train):
        raise ValueError(f"sizes must ascend to at most {len(train)} train points, got {sizes}")
    if not 1 <= k <= sizes[0]:
        raise ValueError(f"{k} neighbours of {sizes[0]} train points: there must be 1 to that many")
    for name, points in (("train", train), ("test", test)):
        if not finite(points):
            raise ValueError(f"the {name} points have coordinates that are not finite")


def _parts(points: Tensor) -> Iterator[Tensor]:
    """The points in blocks that may be copied, at least one."""
    return iter(points.split(max(1, BLOCK // points.shape[1])))


@contextmanager
def _full_precision() -> Iterator[None]:
    """Within: float32 products are float32 products, not TF32's or bfloat16's."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _in_threads(
    scores: Scores,
    k: int,
    sizes: Sequence[int],
    advance: Callable[[int], None],
    tile: tuple[int, int],
) -> list[Tensor]:
    """M k indices for each size, a share of the test points for each of torch's threads.

    Threads that share every single operation wait for each other thousands of times, which on a
    busy machine takes longer than the work.
    """
    threads = torch.get_num_threads() if scores.test.device.type == "cpu" else 1
    shares = scores.test.chunk(threads)

    given_up = Event()

    def unless_given_up(pairs: int) -> None:
        if given_up.is_set():
            raise CancelledError
        advance(pairs)

    @torch.no_grad()
    def search(share: Tensor) -> list[Tensor]:
        return list(_tiled(replace(scores, test=share), k, sizes, unless_given_up, tile))

    if len(shares) == 1:
        return search(scores.test)
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(len(shares), "neighbours", torch.set_num_threads, (1,)) as pool:
            try:
                found = list(pool.map(search, shares))
            except BaseException:  # such as a signal's: without this it would wait for the rest
                given_up.set()
                raise
    finally:
        torch.set_num_threads(threads)
    return [torch.cat(each) for each in zip(*found, strict=True)]


def _tiled(
    scores: Scores,
    k: int,
    sizes: Sequence[int],
    advance: Callable[[int], None],
    tile: tuple[int, int],
) -> Iterator[Tensor]:
    """M k indices for each size; `advance` is told how many pairs of points a tile had."""
    count, device = len(scores.test), scores.test.device
    values = torch.empty(count, min(k + SPARE, sizes[-1]), dtype=scores.dtype, device=device)
    indices = torch.empty(values.shape, dtype=torch.long, device=device)
    # one piece of memory for all tiles: a fresh one costs as much as the product in it
    memory = torch.empty(tile[0] * tile[1], dtype=scores.dtype, device=device)
    width = min(tile[1], max(1, COORDINATES // scores.train.shape[1]))
    for columns in _column_tiles(sizes, width):
        right = scores.right(columns)
        step = min(_rows_of(tile, right.shape[1]), max(1, COORDINATES // len(right)))
        before, kept = (min(values.shape[1], n) for n in (columns.start, columns.stop))
        for row in range(0, count, step):
            rows = slice(row, row + step)
            left = scores.left(rows)
            product = memory[: len(left) * right.shape[1]].view(len(left), -1)
            found, at = _smallest(torch.mm(left, right, out=product), values.shape[1])
            found = torch.cat([values[rows, :before], found], 1)
            at = torch.cat([indices[rows, :before], at + columns.start], 1)
            values[rows, :kept], order = found.topk(kept, largest=False)
            indices[rows, :kept] = at.gather(1, order)
            advance(product.numel())
        if columns.stop in sizes:
            yield _settled(scores, values[:, :kept], indices[:, :kept], k, columns.stop)


def _column_tiles(sizes: Sequence[int], most: int) -> Iterator[slice]:
    """All train points in order, with an end at every size."""
    for begin, end in zip([0, *sizes], sizes, strict=False):
        for start in range(begin, end, most):
            yield slice(start, min(start + most, end))


def _rows_of(tile: tuple[int, int], width: int) -> int:
    """Test points of a tile with `width` train points: the fewer of these, the more of those."""
    return max(tile[0], min(ROWS_AT_MOST, tile[0] * tile[1] // width))


def _smallest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` smallest of each row and their columns, or all where there are fewer.

    The smallest lie in the groups with the smallest minima, so that few have to be sorted.
    """
    n = scores.shape[1]
    groups = n // GROUP
    if groups <= 2 * count:
        smallest = scores.topk(min(count, n), largest=False)
        return smallest.values, smallest.indices
    body, rest = scores[:, : groups * GROUP].unflatten(1, (groups, GROUP)), groups * GROUP
    chosen = body.amin(2).topk(count, largest=False, sorted=False).indices.unsqueeze(2)
    inside = body.gather(1, chosen.expand(-1, -1, GROUP)).flatten(1)
    columns = (chosen * GROUP + torch.arange(GROUP, device=scores.device)).flatten(1)
    left_over = torch.arange(rest, n, device=scores.device).expand(len(scores), -1)
    values, at = torch.cat([inside, scores[:, rest:]], 1).topk(count, largest=False)
    return values, torch.cat([columns, left_over], 1).gather(1, at)


def _settled(scores: Scores, values: Tensor, indices: Tensor, k: int, size: int) -> Tensor:
    """M k indices among the first `size` train points, from candidates ascending by score."""
    out = indices[:, :k].clone()
    lengths = scores.lengths()
    margin = scores.margin(lengths)
    everything = values.shape[1] == size
    if values.shape[1] > k:
        gap = values[:, k].double() - values[:, k - 1].double()
        (open_,) = torch.nonzero(gap <= 2 * margin, as_tuple=True)
    else:
        open_ = out.new_empty(0)  # there are no others
    left = []
    for rows in open_.split(max(1, BLOCK // (values.shape[1] * scores.train.shape[1]))):
        # ascending indices and a stable sort: of equal distances the smaller index
        columns = indices[rows].sort(1).values
        distances, order = scores.distances(rows, columns).sort(dim=1, stable=True)
        out[rows] = columns.gather(1, order[:, :k])
        if not everything:
            kth = distances[:, k - 1] / scores.unit**2 - lengths[rows].square()
            others = values[rows, -1].double() - 2 * margin[rows]
            left.append(rows[~(kth < others)])  # of what overflows nothing is known
    rest = torch.cat(left) if left else open_[:0]
    if len(rest):
        out[rest] = _again(scores, rest, k, size)
    return out.sort(1).values


def _again(scores: Scores, rows: Tensor, k: int, size: int) -> Tensor:
    """The k nearest of the test points `rows`, with more digits than before."""
    # a collapsed encoder gives all images one point
    points, back = torch.unique(scores.test[rows], dim=0, return_inverse=True)
    train = scores.train[:size]
    if scores.dtype == torch.float32:
        finer = Scores.of(train, points, scores.weights, torch.float64)
        (found,) = _tiled(finer, k, [size], nothing, (ROWS, COLUMNS))
        return found[back]
    return _by_all_distances(Scores.of(train, points, scores.weights, scores.dtype), k)[back]


def _by_all_distances(scores: Scores, k: int) -> Tensor:
    """The k nearest by N M distances."""
    n, dims = scores.train.shape
    out = []
    for rows in torch.arange(len(scores.test), device=scores.test.device).split(max(1, BLOCK // n)):
        step = max(1, BLOCK // (len(rows) * dims))
        columns = torch.arange(n, device=rows.device)
        distances = torch.cat(
            [scores.distances(rows, part.expand(len(rows), -1)) for part in columns.split(step)], 1
        )
        kth = distances.topk(k, largest=False).values[:, -1:]
        nearer, equal = distances < kth, distances == kth
        chosen = nearer | (equal & (equal.cumsum(1) <= k - nearer.sum(1, keepdim=True)))
        out.append(chosen.nonzero()[:, 1].reshape(len(rows), k))
    return torch.cat(out)
