"""What a model costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch

from tvae.evaluation.base import (
    NOT_APPLICABLE,
    Context,
    Direction,
    Measurement,
    Metric,
)
from tvae.models.base import Views
from tvae.streams import Streams

DIRECTIONS: dict[str, Direction] = {
    "parameters": "none",
    "gflop_per_step": "lower",
    "images_per_second": "higher",
    "peak_mib": "lower",
    "seconds": "lower",
}
UNITS = ("count", "GFLOP", "images/s", "MiB", "s")


class Cost(Metric):
    """Parameters, floating-point operations, speed and memory of training.

    - ``cost/parameters``: trainable numbers.
    - ``cost/gflop_per_step``: forward and backward of one batch, 10^9 operations, counted by
      torch's flop counter (matrix products and convolutions).
    - ``cost/images_per_second``: training images per second of wall time.
    - ``cost/peak_mib``: peak memory of the trial's process (of the GPU, if it ran on one), MiB.
    - ``cost/seconds``: wall time of training.
    """

    comparable = False
    uses_family = False
    embedding_only = True

    needs: ClassVar[Mapping[str, frozenset[str]]] = {
        f"cost/{name}": frozenset({"training"}) for name in DIRECTIONS if name != "parameters"
    }

    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What is measured, and which way is better."""
        return {f"cost/{name}": direction for name, direction in DIRECTIONS.items()}

    def __call__(self, context: Context) -> list[Measurement]:
        """All five; the last three are not applicable where training was not timed.

        For a model that does not train only the parameters are.
        """
        facts = context.facts
        parameters = sum(p.numel() for p in context.model.parameters() if p.requires_grad)
        seconds = facts.get("seconds", NOT_APPLICABLE)
        images = facts.get("steps", NOT_APPLICABLE) * facts.get("batch_size", NOT_APPLICABLE)
        values = (
            float(parameters),
            self.gflop(context),
            images / seconds,
            facts.get("peak_mib", NOT_APPLICABLE),
            seconds,
        )
        return [
            Measurement(f"cost/{name}", value, unit, direction)
            for (name, direction), value, unit in zip(
                DIRECTIONS.items(), values, UNITS, strict=True
            )
        ]

    @staticmethod
    def gflop(context: Context) -> float:
        """10^9 operations of one step."""
        from torch.utils.flop_counter import FlopCounterMode

        model, family = context.model, context.family
        if not model.trains:
            return NOT_APPLICABLE
        n = int(context.facts.get("batch_size", 100))
        x = torch.zeros(n, *model.shape, device=context.device)
        views = None
        if model.uses_views and family.has_views:
            more = (x,) * (int(context.facts.get("views", 2)) - 2)
            views = Views(x, x, family.inverse != "none" and not more, more)
        with torch.enable_grad(), FlopCounterMode(display=False) as counter:
            model.objective(x, views, Streams(0))["loss"].backward()
        model.zero_grad(set_to_none=True)
        return float(counter.get_total_flops()) / 1e9
