"""Optimal transport along random lines."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from tvae.divergences.base import Divergence, Side

SEED = 0


class SlicedWasserstein(Divergence):
    """Sliced squared 2-Wasserstein distance between the marginal laws of q's and p's samples.

    ``1/L sum_l 1/B sum_i ( (w_l . u)_(i) - (w_l . v)_(i) )^2``, the unit vectors w_l uniform on the
    sphere and (i) the i-th smallest: on a line, the optimal plan pairs by rank. At least 0, and 0
    for samples that are equal up to the order of their rows, so pairs play no part. Under equal
    laws it is above 0 by O(1/B). A shift by s gives |s|^2 / D on average over the w_l.

    Args:
        projections: L, at least 1; new ones for every batch, so that a few suffice.

    Raises:
        ValueError: no projections.

    Source: Bonneel et al., "Sliced and Radon Wasserstein Barycenters of Measures" (JMIV 51, 2015);
    as a criterion of autoencoders Kolouri et al., "Sliced-Wasserstein Autoencoder" (ICLR 2019).
    """

    def __init__(self, projections: int = 50) -> None:
        super().__init__()
        if projections < 1:
            raise ValueError(f"projections must be at least 1, got {projections}")
        self.projections = projections

    def at_unit_shift(self, latent_dim: int) -> float:
        """1 / D, the mean square of a coordinate on the sphere."""
        return 1 / latent_dim

    def forward(
        self,
        q: Side,
        p: Side,
        given: Mapping[str, Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The distance, a scalar; `generator` draws the projections, `given` plays no part.

        Raises:
            ValueError: sides of unequal shape.
        """
        u, v = q.sample, p.sample
        if u.shape != v.shape:
            raise ValueError(f"sorting needs two samples of one shape, got {u.shape}, {v.shape}")
        if generator is None:
            generator = torch.Generator().manual_seed(SEED)
        normal = torch.randn(u.shape[1], self.projections, generator=generator)
        directions = functional.normalize(normal.to(u, non_blocking=True), dim=0)
        ranked_u, ranked_v = ((side @ directions).sort(dim=0).values for side in (u, v))
        return (ranked_u - ranked_v).square().mean()
