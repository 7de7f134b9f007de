"""Pictures of what a model does, on the same images and transformations for every arm of a seed.

Legend: `N` images, `M` columns of the grids, `H`, `W` height and width, `K` paths, `A` steps of a
path, `P` size of T.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from tvae.evaluation.base import Context
from tvae.evaluation.interpolation import along
from tvae.families.base import Parameters, TransformationFamily
from tvae.models.base import infers_T
from tvae.streams import Streams

Array = np.ndarray[Any, Any]

PATH_STEPS = np.linspace(0, 1, 6, dtype=np.float32)
PATHS = 4
DRAWS = 8
POINTS = 300
"""Of the map of T: enough to see a shape, few enough to draw."""


def to_bytes(pixels: Tensor) -> Array:
    """N C H W in [0, 1] to bytes, N H W of one channel and N H W 3 of three."""
    bytes_ = (pixels * 255).round().clamp(0, 255).to(torch.uint8).cpu()
    return (bytes_[:, 0] if bytes_.shape[1] == 1 else bytes_.movedim(1, 3)).numpy()


@torch.no_grad()
def pictures(context: Context, n: int = 16, columns: int = 8) -> dict[str, Array]:
    """Arrays for the report; images are bytes, with colours as a last axis where they have some.

    - ``reconstruction_input``, ``reconstruction_output``: x and G(E(x)), N H W.
    - ``samples``: G(z), z from the standard normal, N H W.
    - ``transfer_source``: x, x_1, x_2 of the triplet that T is inferred from, 3 H W.
    - ``transfer_input``, ``transfer_reconstruction``: other images x' and G(E(x')), M H W.
    - ``transfer_forward``, ``transfer_inverse``: G(r(E(x'), T)) and G(r(E(x'), T^-1)), M H W; the
      latent difference E(x_i) - E(x) added to E(x') for a model without T, as ``transfer_kind``
      says.
    - ``transfer_truth``: f(x'), M H W.
    - ``interpolation_input``: x, x_1, x_2 of the same other images, each with its own views,
      3 M H W; ``interpolation_output``: G((E(x_1) + E(x_2))/2), M H W.
    - ``path_output``: G(r(z_1, T^-a)), K A H W, for the first K of those images and the a in
      ``path_steps`` (A floats), from x_1 (a = 0) back to x (a = 1); only with T, and where f has an
      inverse.
    - ``drawn_output``: G(r(E(x'), T)) of the first K of those images for A draws of T from its
      prior, K A H W; only where the model draws T.
    - ``T_map``: the first two principal components of T, N 2 floats; ``T_map_target``: the true
      parameter to colour them by, N floats; ``T_map_name``: what that is, such as
      ``angle in degrees``; only with T, where T is finite and the family has parameters.

    Args:
        context: what is measured on.
        n: reconstructions and samples.
        columns: M.

    Source: paper, Fig. 3, for the transfer grid; Fig. 4, for the interpolation.
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
    if infers_T(model):
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
    middle = (probe.e_1[others] + probe.e_2[others]) / 2
    triplets = [image[others] for image in (probe.x, probe.x_1, probe.x_2)]
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
        "interpolation_input": np.stack([to_bytes(images) for images in triplets]),
        "interpolation_output": to_bytes(model.generate(middle)),
    }
    if infers_T(model):
        if family.inverse != "none":
            assert probe.t is not None
            z_1, t = probe.e_1[others][:PATHS], probe.t[others][:PATHS]
            path = [to_bytes(model.generate(along(model, z_1, t, float(a)))) for a in PATH_STEPS]
            out |= {"path_output": np.stack(path, 1), "path_steps": PATH_STEPS}
        if model.draws_T:
            t = model.draw_T(DRAWS * len(e[:PATHS]), streams("evaluation/drawn/T")).to(e)
            moved = model.r(e[:PATHS].repeat_interleave(DRAWS, 0), t)
            drawn = to_bytes(model.generate(moved))
            out["drawn_output"] = drawn.reshape(-1, DRAWS, *drawn.shape[1:])
        out |= map_of_T(context)
    return out


def map_of_T(context: Context) -> dict[str, Array]:
    """``T_map``, ``T_map_target``, ``T_map_name`` of `pictures`, or nothing."""
    probe = context.probe(POINTS)
    name, target = parameter_to_show(context.family, probe.parameters)
    if target is None or probe.t is None or not probe.t.isfinite().all():
        return {}
    return {
        "T_map": principal_components(probe.t.cpu().double().numpy()).astype(np.float32),
        "T_map_target": target.cpu().float().numpy(),
        "T_map_name": np.array(name),
    }


def parameter_to_show(
    family: TransformationFamily, parameters: Parameters
) -> tuple[str, Tensor | None]:
    """(what it is, N values): the first angle, in degrees, or else the first target that varies."""
    for name, values in parameters.items():
        if name.rpartition(".")[2] == "angle":
            return "angle in degrees", values
    for name, values in family.targets(parameters).items():
        if values.min() < values.max():
            return name.rpartition(".")[2], values
    return "", None


def principal_components(points: Array) -> Array:
    """The first two principal components of points N P: N 2, zeros where there are fewer.

    By the Gram matrix, as P may be much larger than N. The sign is such that the entry of largest
    size is positive.
    """
    centred = points - points.mean(0)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    scores = vectors[:, ::-1][:, :2] * np.sqrt(values[::-1][:2].clip(0))
    largest = scores[np.abs(scores).argmax(0), [0, 1]]
    signed: Array = scores * np.where(largest < 0, -1, 1)
    return signed
