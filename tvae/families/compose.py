"""Composition of families."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import groupby

import torch
from torch import Tensor

from tvae.families._warp import Warp, warp
from tvae.families.base import Inverse, Parameters, TransformationFamily

WEAKEST_FIRST: tuple[Inverse, ...] = ("none", "assumed", "exact")


class Composition(TransformationFamily):
    """Composition: f = f_n o ... o f_1 of independent draws of its parts.

    Its inverse is the weakest of its parts. Where all are exact, `invert` also reverses the order,
    f_1^-1 o ... o f_n^-1; otherwise the second view keeps it, f_n^-1 o ... o f_1^-1, as in the
    paper's Fig. 3: first the opposite rotation, then the other crop.

    Neighbouring warps are one resampling through the product of their matrices: nothing is blurred
    twice, and content that leaves the frame in between is not lost.

    The parameters of part i are named ``i.NAME``; an exact composition adds ``reversed`` (0 or 1).

    Args:
        parts: f_1, ..., f_n, at least one.

    Raises:
        ValueError: no parts.
    """

    def __init__(self, parts: Sequence[TransformationFamily]) -> None:
        if not parts:
            raise ValueError("a composition needs at least one family; got none")
        self.parts = tuple(parts)
        self.inverse = min((part.inverse for part in parts), key=WEAKEST_FIRST.index)
        self.has_views = any(part.has_views for part in parts)

    def draw(self, n: int, generator: torch.Generator) -> Parameters:
        """A draw of each part, first to last."""
        drawn = self._gather([part.draw(n, generator) for part in self.parts])
        return drawn | {"reversed": torch.zeros(n)} if self.inverse == "exact" else drawn

    def apply(self, x: Tensor, parameters: Parameters) -> Tensor:
        """f(x); where ``reversed``, the parts last to first."""
        steps = list(zip(self.parts, self._scatter(parameters), strict=True))
        backwards = parameters.get("reversed", torch.zeros(len(x))).bool().cpu()
        if not backwards.any():
            return _run(x, steps)
        if backwards.all():
            return _run(x, steps[::-1])
        result = torch.empty_like(x)
        for rows in (backwards, ~backwards):
            chosen = {name: values[rows.to(values.device)] for name, values in parameters.items()}
            result[rows.to(x.device)] = self.apply(x[rows.to(x.device)], chosen)
        return result

    def invert(self, parameters: Parameters) -> Parameters:
        """Every part inverted and, where that is exact, the order reversed."""
        parts = zip(self.parts, self._scatter(parameters), strict=True)
        inverted = self._gather([part.invert(own) for part, own in parts])
        if self.inverse == "exact":
            inverted["reversed"] = 1 - parameters["reversed"]
        return inverted

    def targets(self, parameters: Parameters) -> Parameters:
        """The targets of every part."""
        parts = zip(self.parts, self._scatter(parameters), strict=True)
        return self._gather([part.targets(own) for part, own in parts])

    def _gather(self, parts: list[Parameters]) -> Parameters:
        return {
            f"{i}.{name}": values for i, part in enumerate(parts) for name, values in part.items()
        }

    def _scatter(self, parameters: Parameters) -> list[Parameters]:
        return [
            {
                name.removeprefix(f"{i}."): values
                for name, values in parameters.items()
                if name.startswith(f"{i}.")
            }
            for i in range(len(self.parts))
        ]


def _run(x: Tensor, steps: list[tuple[TransformationFamily, Parameters]]) -> Tensor:
    """The steps first to last, each run of neighbouring warps as one."""
    for is_warp, run in groupby(steps, key=lambda step: isinstance(step[0], Warp)):
        if is_warp:
            sources = [family.source(own) for family, own in run if isinstance(family, Warp)]
            x = warp(x, reduce(torch.matmul, sources))
        else:
            for family, own in run:
                x = family.apply(x, own)
    return x
