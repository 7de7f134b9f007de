"""Pictures of what a model does, on the same images and transformations for every arm of a seed.

Legend: `N` images, `M` columns of the transfer grid, `H`, `W` height and width.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from tvae.evaluation.base import Context
from tvae.models.tvae import TVAE
from tvae.streams import Streams

Array = np.ndarray[Any, Any]


def to_bytes(pixels: Tensor) -> Array:
    """N 1 H W in [0, 1] to bytes N H W."""
    return (pixels * 255).round().clamp(0, 255).to(torch.uint8)[:, 0].cpu().numpy()


@torch.no_grad()
def pictures(context: Context, n: int = 16, columns: int = 8) -> dict[str, Array]:
    """Arrays of bytes for the report.

    - ``reconstruction_input``, ``reconstruction_output``: x and G(E(x)), N H W.
    - ``samples``: G(z), z from the standard normal, N H W.
    - ``transfer_source``: x, x_1, x_2 of the triplet that T is inferred from, 3 H W.
    - ``transfer_input``, ``transfer_reconstruction``: other images x' and G(E(x')), M H W.
    - ``transfer_forward``, ``transfer_inverse``: G(r(E(x'), T)) and G(r(E(x'), T^-1)), M H W; the
      latent difference E(x_i) - E(x) added to E(x') for a model without T, as ``transfer_kind``
      says.
    - ``transfer_truth``: f(x'), M H W.

    Args:
        context: what is measured on.
        n: reconstructions and samples.
        columns: M.

    Source: paper, Fig. 3, for the transfer grid.
    """
    model, family, streams = context.model, context.family, Streams(context.seed)
    x = context.sample(n)
    z = streams.normal("evaluation/samples", x.new_empty(n, model.latent_dim))
    out: dict[str, Array] = {
        "reconstruction_input": to_bytes(x),
        "reconstruction_output": to_bytes(model.generate(model.embed(x).to(x))),
        "samples": to_bytes(model.generate(z)),
    }
    if not family.has_views:
        return out
    probe = context.probe(columns + 1)
    source, others = slice(0, 1), slice(1, None)
    e = probe.e[others]
    if isinstance(model, TVAE):
        assert probe.t is not None
        kind, t = "T", probe.t[source].expand(len(e), -1)
        moved = model.r(e, t)
        if family.inverse == "none":
            back = model.r(e, model.infer_T(probe.e_2[source], probe.e_1[source]).expand_as(t))
        else:
            back = model.r.inverse(e, t)
    else:
        kind = "latent difference"
        moved = e + (probe.e_1 - probe.e)[source]
        back = e + (probe.e_2 - probe.e)[source]
    parameters = {name: value[source].expand(len(e)) for name, value in probe.parameters.items()}
    out |= {
        "transfer_source": to_bytes(
            torch.cat([probe.x[source], probe.x_1[source], probe.x_2[source]])
        ),
        "transfer_input": to_bytes(probe.x[others]),
        "transfer_reconstruction": to_bytes(model.generate(e)),
        "transfer_forward": to_bytes(model.generate(moved)),
        "transfer_inverse": to_bytes(model.generate(back)),
        "transfer_truth": to_bytes(family.apply(probe.x[others], parameters)),
        "transfer_kind": np.array(kind),
    }
    return out
