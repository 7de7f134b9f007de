"""The one training loop.

Legend: `N` training images, `B` batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from tvae.families.base import TransformationFamily
from tvae.faultpoints import reach
from tvae.models.base import Model, Views
from tvae.networks._pair import PairNetwork
from tvae.space import Factor, Space
from tvae.streams import Streams, derive_seed

Record = dict[str, float]
"""One point of the training curves: ``step``, ``epoch``, ``seconds``, ``train/...``, ..."""


class Diverged(ArithmeticError):
    """The loss is no longer finite; `step` says since when, the step done last is later."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss is not finite at step {step}")
        self.step = step


@dataclass(frozen=True)
class Training:
    """How to train (paper, Appendix B).

    Attributes:
        steps: optimiser steps, at least 1.
        batch_size: B, at least 2; the last, smaller batch of an epoch is left out.
        learning_rate: Adam's alpha at the start.
        schedule: ``halving`` halves it every `halve_every` epochs (the paper's); ``cosine`` lets it
            fall to 0 at the last step; ``constant``.
        halve_every: epochs.
        wide_rate: factor on the learning rate of the wide networks q_psi and h_xi. At 1e-3 Adam
            moves a unit with 1,000 inputs so far in a step that h_xi's second hidden layer is dead
            within 20, and T the same for every image from then on; the paper's 1e-4 does not.
        warm_up: over so many steps the rate rises evenly to what the schedule says; 0: it starts
            there.
        views: K, of each image, at least 2. Two are f and its inverse, where it has one; more are
            by transformations of their own (paper, Sec. 4).
        record_every: steps between two points of the curves.
        checkpoint_every: steps between two checkpoints; 0: none.
        space: what is worth tuning, for every model alike.
    """

    space: ClassVar[Space] = {"learning_rate": Factor(0.1, 3.0)}

    steps: int
    batch_size: int = 100
    learning_rate: float = 1e-3
    schedule: Literal["halving", "cosine", "constant"] = "cosine"
    halve_every: int = 50
    wide_rate: float = 1.0
    warm_up: int = 0
    views: int = 2
    record_every: int = 100
    checkpoint_every: int = 0

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of step `step` (0 for the first)."""
        rate = self.learning_rate * min(1.0, (step + 1) / max(1, self.warm_up))
        if self.schedule == "halving":
            return rate * 0.5 ** (step // (steps_per_epoch * self.halve_every))
        if self.schedule == "cosine":
            return rate * 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return rate


@dataclass
class State:
    """All that the loop changes, and all that a checkpoint holds.

    Attributes:
        model: what is trained.
        optimizer: Adam over all its parameters.
        streams: where noise and transformations come from.
        step: steps done.
        sums: the objective's terms summed since the last record.
    """

    model: Model
    optimizer: torch.optim.Adam
    streams: Streams
    step: int = 0
    sums: dict[str, Tensor] = field(default_factory=dict)

    @staticmethod
    def start(model: Model, seed: int) -> State:
        """The state before the first step of the run `seed`."""
        # convolutions on a CPU are faster on this layout, whatever the weights
        model = model.to(memory_format=torch.channels_last)
        return State(model, torch.optim.Adam(groups(model), fused=True), Streams(seed))

    def tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(tensors, plain data) that `load` takes."""
        optimizer = self.optimizer.state_dict()
        tensors = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        for index, entries in optimizer["state"].items():
            tensors |= {f"optimizer/{index}/{name}": value for name, value in entries.items()}
        tensors |= {f"streams/{name}": value for name, value in self.streams.state().items()}
        tensors |= {f"sums/{name}": value for name, value in self.sums.items()}
        return tensors, {"step": self.step}

    def load(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        """Continue from what `tensors` returned, bit for bit on the same kind of device."""

        def part(prefix: str) -> dict[str, Tensor]:
            return {
                name.removeprefix(prefix): value
                for name, value in tensors.items()
                if name.startswith(prefix)
            }

        self.model.load_state_dict(part("model/"))
        optimizer = self.optimizer.state_dict()
        optimizer["state"] = {}
        for name, value in part("optimizer/").items():
            index, _, entry = name.partition("/")
            optimizer["state"].setdefault(int(index), {})[entry] = value
        self.optimizer.load_state_dict(optimizer)
        for parameter, moments in self.optimizer.state.items():
            for name, value in moments.items():
                if value.shape == parameter.shape:
                    # fused Adam walks a parameter and its moments in the order of memory
                    moments[name] = torch.empty_like(parameter).copy_(value)
        self.streams.load_state(part("streams/"))
        device = next(self.model.parameters()).device
        self.sums = {name: value.to(device) for name, value in part("sums/").items()}
        self.step = int(meta["step"])


def groups(model: Model) -> list[dict[str, Any]]:
    """The model's parameters for an optimiser, the wide networks' in a group of their own."""
    wide = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, PairNetwork)
        for parameter in module.parameters()
    }
    parts: dict[bool, list[Tensor]] = {False: [], True: []}
    for parameter in model.parameters():
        parts[id(parameter) in wide].append(parameter)
    return [{"params": part, "wide": is_wide} for is_wide, part in parts.items() if part]


def batch_order(n: int, batch_size: int, seed: int, epoch: int) -> Tensor:
    """Which images make the batches of an epoch: (N // B) x B indices, by seed and epoch alone."""
    generator = torch.Generator()
    generator.manual_seed(derive_seed(seed, f"batches/{epoch}"))
    order = torch.randperm(n, generator=generator)
    return order[: n // batch_size * batch_size].reshape(-1, batch_size)


def pixels(images: Tensor, indices: Tensor) -> Tensor:
    """The images with these indices, B C H W in [0, 1], of N C H W bytes."""
    return images[indices.to(images.device, non_blocking=True)].float() / 255


def batch(
    images: Tensor,
    indices: Tensor,
    family: TransformationFamily,
    uses_views: bool,
    streams: Callable[[str], torch.Generator],
    views: int = 2,
) -> tuple[Tensor, Views | None]:
    """(x, views) of one step: x is B C H W in [0, 1]; views is None where there are none.

    Args:
        images: N C H W bytes, on the device of the model.
        indices: B.
        family: draws from the stream ``views`` and from no other.
        uses_views: whether the model wants them.
        streams: of the run.
        views: K, at least 2.
    """
    x = pixels(images, indices)
    if not uses_views or not family.has_views:
        return x, None
    if views > 2:
        x_1, x_2, *more = family.several(x, views, streams("views"))
        return x, Views(x_1, x_2, invertible=False, more=tuple(more))
    x_1, x_2, _ = family.views(x, streams("views"))
    return x, Views(x_1, x_2, family.inverse != "none")


def finite(model: Model) -> bool:
    """Whether all weights are."""
    return bool(torch.stack([value.isfinite().all() for value in model.parameters()]).all())


def fit(
    state: State,
    images: Tensor,
    family: TransformationFamily,
    training: Training,
    validate: Callable[[Model], dict[str, float]] | None = None,
    save: Callable[[State], object] | None = None,
    stop: Callable[[], bool] = lambda: False,
    ahead: bool | None = None,
) -> Iterator[Record]:
    """Train `state` from its step to the last, in place, and yield a record now and then.

    Args:
        state: fresh or loaded from a checkpoint.
        images: N C H W bytes, on the device of the model, N >= B.
        family: the transformations.
        training: how.
        validate: values for the record, called without gradients in evaluation mode.
        save: called every `checkpoint_every` steps but the last, after the record of that step if
            there is one: whoever resumes drops the records of later steps and loses none.
        stop: asked after every step; true: `save` and end there, `state.step` short of the last.
        ahead: whether a thread draws noise and views before they are needed, the same ones; None:
            on a GPU, which would wait for them. A CPU has no core to spare.

    Nothing is read from the device but for a record, a checkpoint or a stop: a step that waited
    for its numbers would leave an accelerator idle until the next one reaches it.

    Yields:
        ``step``, ``epoch``, ``seconds`` since the start of this call, ``learning_rate``,
        ``train/TERM`` (mean since the last record) and ``validation/...``.

    Raises:
        Diverged: the loss was not finite. Found out before the next record, checkpoint or stop;
            the model is of no use then, and no such weights were saved.
        ValueError: fewer images than one batch.
    """
    steps_per_epoch = len(images) // training.batch_size
    if not steps_per_epoch:
        raise ValueError(f"{len(images)} images do not fill a batch of {training.batch_size}")
    model, optimizer, started = state.model, state.optimizer, time.perf_counter()
    since = state.step // training.record_every * training.record_every  # the last record
    losses = torch.zeros(
        min(training.record_every, training.steps), dtype=torch.float64, device=images.device
    )

    def check() -> None:
        bad = (~losses.isfinite()).nonzero()
        if len(bad):
            raise Diverged(since + int(bad[0]))

    @lru_cache(2)
    def order(epoch: int) -> Tensor:
        order = batch_order(len(images), training.batch_size, state.streams.seed, epoch)
        return order.to(images.device, non_blocking=True)

    def seen(step: int, generator: torch.Generator | None) -> tuple[Tensor, Views | None]:
        indices = order(step // steps_per_epoch)[step % steps_per_epoch]
        if generator is None:
            return pixels(images, indices), None
        return batch(images, indices, family, True, lambda _: generator, training.views)

    if ahead is None:
        ahead = images.device.type == "cuda"
    model.train()
    with state.streams.ahead(images.device) if ahead else nullcontext():
        while state.step < training.steps:
            x, views = (
                state.streams.drawn("views", seen, state.step, lambda step: step + 1)
                if model.uses_views and family.has_views
                else seen(state.step, None)
            )
            rate = training.rate(state.step, steps_per_epoch)
            for group in optimizer.param_groups:
                group["lr"] = rate * (training.wide_rate if group["wide"] else 1)
            try:
                terms = model.objective(x, views, state.streams)
                losses[state.step - since] = terms["loss"].detach()
                optimizer.zero_grad()
                terms["loss"].backward()
            except Exception:
                check()  # weights that are not finite may break anything
                raise
            optimizer.step()
            state.step += 1
            reach("step")
            for name, value in terms.items():
                state.sums[name] = state.sums.get(name, 0) + value.detach().double()

            last = state.step == training.steps
            due = last or state.step % training.record_every == 0
            record: Record = {}
            if due:
                check()
                count = (state.step - 1) % training.record_every + 1
                record = {
                    "step": state.step,
                    "epoch": state.step / steps_per_epoch,
                    "seconds": time.perf_counter() - started,
                    "learning_rate": rate,
                    **{f"train/{name}": float(value / count) for name, value in state.sums.items()},
                }
                state.sums, since = {}, state.step
                if validate is not None:
                    model.eval()
                    with torch.no_grad():
                        record |= {f"validation/{k}": v for k, v in validate(model).items()}
                    model.train()
            if due:
                yield record
            if last:
                return
            stopping, every = stop(), training.checkpoint_every
            if stopping or (every and state.step % every == 0):
                check()
                if save is not None and finite(model):
                    save(state)
            if stopping:
                return
