"""Superpixels: segments of an image painted with their mean, coarse in one view, fine in the other.

Legend: `B` images, `H`, `W` height and width, `K` clusters, `S` the grid step; for the search, the
image is cut into `N` square cells of `P` = S * S pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from tvae.families.base import Inverse, Parameters, TransformationFamily

NEIGHBOURS = 9
GRAIN = 32  # of a pixel: see `slic`


class Superpixel(TransformationFamily):
    r"""Superpixels: SLIC segments painted with their mean, coarse in one view, fine in the other.

    .. math:: f(x)_p = \frac{1}{|s(p)|} \sum_{q \in s(p)} x_q

    with s(p) the segment of pixel p. One view has the coarse count of segments, the other the fine
    one; which comes first is drawn per image. Detail that is gone cannot come back: there is no
    inverse, and `invert` gives the other view. The counts are of the initial grid, hence near
    those asked for (28 x 28: 16 and 49 exactly).

    Args:
        segments: the coarse and the fine count.
        compactness: weight of distance against grey value, see `slic`. At 0.3 segments follow every
            stroke and hardly anything changes, at 1 the coarse ones no longer show digits.
        iterations: of `slic`.

    Raises:
        ValueError: the counts are not two ascending positive integers, or another option of `slic`
            is not positive.
    """

    inverse: Inverse = "none"

    def __init__(
        self,
        segments: Sequence[int] = (16, 49),
        compactness: float = 0.7,
        iterations: int = 5,
    ) -> None:
        if len(segments) != 2 or not 0 < segments[0] < segments[1]:
            raise ValueError(
                f"segments of superpixel must be a coarse and a fine count, such as [16, 49]; "
                f"got {list(segments)}"
            )
        _check(compactness, iterations)
        self.segments = (int(segments[0]), int(segments[1]))
        self.compactness, self.iterations = compactness, iterations

    def draw(self, n: int, generator: torch.Generator) -> Parameters:
        """Counts of both views: ``segments_1``, ``segments_2``."""
        coarse, fine = self.segments
        first = torch.rand(n, generator=generator) < 0.5
        return {
            "segments_1": torch.where(first, float(coarse), float(fine)),
            "segments_2": torch.where(first, float(fine), float(coarse)),
        }

    def apply(self, x: Tensor, parameters: Parameters) -> Tensor:
        """Images painted with ``segments_1`` segments, found on the mean of their channels."""
        painted = torch.empty_like(x)
        counts = parameters["segments_1"].cpu()
        for count in sorted(set(counts.tolist())):
            rows = (counts == count).nonzero().flatten().to(x.device, non_blocking=True)
            images = x[rows]
            labels = slic(images.mean(1), round(count), self.compactness, self.iterations)
            painted[rows] = paint(images, labels, x.shape[2:].numel())
        return painted

    def invert(self, parameters: Parameters) -> Parameters:
        """The other view: the two counts swapped."""
        return {"segments_1": parameters["segments_2"], "segments_2": parameters["segments_1"]}

    def views(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Parameters]:
        """As the base's; both views in one call, so that each count is run once, not twice."""
        parameters = self.draw(len(x), generator)
        other = self.invert(parameters)
        both = {name: torch.cat([parameters[name], other[name]]) for name in parameters}
        x_1, x_2 = self.apply(torch.cat([x, x]), both).chunk(2)
        return x_1, x_2, parameters


def paint(x: Tensor, labels: Tensor, segments: int | None = None) -> Tensor:
    """Images x (B C H W) with each segment of `labels` (B H W) replaced by its mean.

    Args:
        x: the images.
        labels: from 0 on.
        segments: more than the largest label; None: one more, which has to be read first.
    """
    segments = int(labels.max()) + 1 if segments is None else segments
    index = labels.flatten(1)[:, None].expand(-1, x.shape[1], -1)
    pixels = x.flatten(2)
    empty = x.new_zeros(*x.shape[:2], segments)
    sums = empty.scatter_add(2, index, pixels)
    counts = empty.scatter_add(2, index, torch.ones_like(pixels))
    means = (sums / counts.clamp_min(1)).clamp_(0, 1)  # a sum of many ones may round above 1
    return means.gather(2, index).view_as(x)


def slic(images: Tensor, n_segments: int, compactness: float, iterations: int) -> Tensor:
    r"""Simple linear iterative clustering of grey images, all of a batch at once.

    K-means of the pixels under the distance between pixel p and cluster k

    .. math:: d^2 = (g_p - g_k)^2 + m^2 \, \lVert p - k \rVert^2 / S^2

    with g the grey value, each image's own range stretched to [0, 1], S the step of the grid on
    which the clusters start, and m the compactness. A pixel chooses among the nine clusters that
    started nearest to it.

    As scikit-image's ``slic`` of a grey image with ``enforce_connectivity=False``, but for that
    search window (theirs reaches 2 S around the moving centre). A segment may consist of several
    pieces: joining them is a walk through each image, and the agreement that the tests ask for,
    with scikit-image's joined segments, is reached without.

    Centres are rounded to 1/32 of a pixel (and of the grey value that weighs as much). All sums and
    products below are then whole numbers within float32, so exact for images up to some 60 pixels:
    ties, which a black background is full of, are broken alike in any batch and on any device.

    Args:
        images: grey images, shape (B, H, W), any range.
        n_segments: of the initial grid, about; the grid is the nearest with a whole step.
        compactness: m, above 0: the grey difference that weighs as much as the distance S.
        iterations: of assignment, at least 1; centres move between them.

    Returns:
        Labels 0 ... K - 1, shape (B, H, W), int64. A label may be empty.

    Raises:
        ValueError: an option is not positive.

    Source: Achanta et al., SLIC Superpixels Compared to State-of-the-art Superpixel Methods, 2012.
    """
    if n_segments < 1:
        raise ValueError(f"n_segments of slic must be at least 1; got {n_segments}")
    _check(compactness, iterations)
    height, width = images.shape[1:]
    size = (height * width / n_segments) ** 0.5
    step = max(1, round(size))
    rows, near_rows = _axis(height, size, step)
    columns, near_columns = _axis(width, size, step)
    near = near_rows[:, None, :, None] * len(columns) + near_columns[:, None]
    near = near.reshape(-1, NEIGHBOURS).T.to(images.device, non_blocking=True)

    low, high = images.amin((1, 2), keepdim=True), images.amax((1, 2), keepdim=True)
    grey = (images - low) / (high - low).clamp_min(torch.finfo(images.dtype).tiny) - 0.5
    one = images.new_ones(1, height, width)
    y = torch.arange(height, device=one.device)[:, None].to(one) - height // 2
    x = torch.arange(width, device=one.device).to(one) - width // 2
    grey = _cells((grey * (GRAIN * step / compactness)).round(), step)
    inside, y, x = (_cells(f * one, step) for f in (one, y * GRAIN, x * GRAIN))
    position = torch.cat([torch.ones_like(inside), y, x], dim=2)
    features = torch.stack([(f * inside).expand_as(grey) for f in (inside, y, x, grey)])

    start = torch.cartesian_prod(rows - height // 2, columns - width // 2).T * GRAIN
    clusters = start.shape[1]
    centres = grey.new_zeros(4, clusters, len(images))  # |c|^2, y, x, grey
    centres[1:3] = start.to(grey, non_blocking=True)[..., None]
    centres[0] = centres[1:].square().sum(0)
    labels = _assign(grey, position, centres, near)
    for _ in range(iterations - 1):
        centres = _centres(labels, features, clusters)
        labels = _assign(grey, position, centres, near)
    return _pixels(labels, step, height, width)


def _axis(length: int, size: float, step: int) -> tuple[Tensor, Tensor]:
    """Along one axis: where clusters start, and of every cell the three that start nearest."""
    start = torch.arange(min(int(size), length) // 2, length, step)
    last = len(start) - 1
    home = torch.arange(-(-length // step)).clamp_max(last)
    return start, (home[:, None] + torch.arange(-1, 2)).clamp(0, last)


def _cells(images: Tensor, step: int) -> Tensor:
    """B H W -> N P B, filled up with zeros."""
    b, height, width = images.shape
    padded = functional.pad(images, (0, -width % step, 0, -height % step))
    blocks = padded.view(b, -(-height // step), step, -(-width // step), step)
    return blocks.permute(1, 3, 2, 4, 0).reshape(-1, step * step, b)


def _pixels(cells: Tensor, step: int, height: int, width: int) -> Tensor:
    """N P B -> B H W, the inverse of `_cells`."""
    rows, columns = -(-height // step), -(-width // step)
    blocks = cells.view(rows, columns, step, step, -1).permute(4, 0, 2, 1, 3)
    return blocks.reshape(-1, rows * step, columns * step)[:, :height, :width]


def _assign(grey: Tensor, position: Tensor, centres: Tensor, near: Tensor) -> Tensor:
    """Label of every pixel (N P B): of the nine clusters `near` its cell (9 N) the nearest.

    d^2 = |p|^2 + |c|^2 - 2 p.c, of which |p|^2 is the same for all clusters. `position` is
    (1, y, x), N P 3. Of equally near clusters the first wins, as in scikit-image.
    """
    weights = torch.tensor([1, -2, -2, -2])[:, None, None].to(centres, non_blocking=True)
    terms = (centres * weights).transpose(0, 1)[near]  # 9 N 4 B
    distance, least = torch.empty_like(grey), torch.empty_like(grey)
    best, nearest = torch.full_like(grey, torch.inf), torch.zeros_like(grey)
    for label, term in zip(near.to(grey)[..., None, None], terms, strict=True):
        torch.bmm(position, term[:, :3], out=distance).addcmul_(grey, term[:, 3:])
        torch.minimum(distance, best, out=least)
        # labels ascend, so the last that came nearer is the largest; a comparison in floats is
        # several times as fast as a mask
        torch.maximum(nearest, distance.lt_(best).mul_(label), out=nearest)
        best, least = least, best
    return nearest.long()


def _centres(labels: Tensor, features: Tensor, clusters: int) -> Tensor:
    """Mean y, x, grey of every cluster below its |c|^2 (4 K B), which is inf where it is empty."""
    b = labels.shape[-1]
    image = torch.arange(b, device=labels.device)
    index = torch.add(image, labels, alpha=b).flatten()
    sums = features.new_zeros(4, clusters * b)
    for total, feature in zip(sums, features, strict=True):
        total.scatter_add_(0, index, feature.flatten())
    counts = sums[:1]
    means = (sums[1:] / counts.clamp_min(1)).round_()
    norm = means.square().sum(0, keepdim=True).masked_fill_(counts == 0, torch.inf)
    return torch.cat([norm, means]).view(4, clusters, b)


def _check(compactness: float, iterations: int) -> None:
    if not compactness > 0:
        raise ValueError(f"compactness of superpixel must be above 0; got {compactness}")
    if iterations < 1:
        raise ValueError(f"iterations of superpixel must be at least 1; got {iterations}")
