"""What a metric gets and gives.

Legend: `N` images, `C` channels, `H`, `W` height and width of an image, `D` latent size, `P` size
of T. ``E(x)`` is the posterior mean of q_phi, ``G(z)`` the pixel means of the decoder.
"""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from tvae.data import Dataset, Split
from tvae.data.inputs import as_input
from tvae.data.records import shape_of
from tvae.families.base import Parameters, TransformationFamily
from tvae.models.base import Model, infers_T
from tvae.registry import Choices
from tvae.streams import Streams

Direction = Literal["higher", "lower", "none"]

NOT_APPLICABLE = float("nan")

NEEDS = {
    "T": "a model with a latent transformation T",
    "views": "a family of transformations with views",
    "inverse": "transformations with an inverse",
    "training": "a model that is trained",
    "decoder": "a model that decodes",
}
"""What a measurement may ask for."""

CHUNK = 1000
"""Images that are embedded at once."""

IN_MEMORY = 2**30
"""Bytes of one split's embeddings that are held in memory; more lie in a mapped file."""


class Exploded(ArithmeticError):
    """What a model makes of images, or a measurement of it, is not finite."""


@dataclass(frozen=True)
class Measurement:
    """One number.

    Attributes:
        name: such as ``knn/affnist``.
        value: NaN where the metric does not apply to the model.
        unit: ``accuracy``, ``nats``, ``ratio``, ...
        direction: which way is better; ``none`` for a diagnostic.
        warning: why it must not be taken at its word, in a clause without numbers of its own, so
            that it is the same wherever it holds; empty where there is nothing to warn of.
    """

    name: str
    value: float
    unit: str
    direction: Direction
    warning: str = ""


@dataclass(frozen=True)
class Probe:
    """Test images with their views, latents and T, for all metrics that ask what T means.

    Attributes:
        x: N C H W in [0, 1].
        x_1: f(x).
        x_2: f^-1(x), or the second view where f has none.
        parameters: of f, one per image.
        e: E(x), N D.
        e_1: E(x_1).
        e_2: E(x_2).
        t: h_xi(E(x_1), E(x_2)), N P; None for a model without T.
    """

    x: Tensor
    x_1: Tensor
    x_2: Tensor
    parameters: Parameters
    e: Tensor
    e_1: Tensor
    e_2: Tensor
    t: Tensor | None

    @property
    def other(self) -> Tensor:
        """For every image the index of another one, N: the next, and the first after the last."""
        return torch.arange(len(self.x)).roll(-1)


@dataclass
class Context:
    """A trained model and what it is measured on.

    Attributes:
        model: in evaluation mode.
        family: the transformations that it was trained with.
        datasets: label -> data; the first is what the model was trained on.
        split: ``test``, or ``validation`` for decisions that come before the test.
        seed: fixes the subsets and the transformations, the same for every arm of a seed.
        facts: what training cost: ``seconds``, ``steps``, ``batch_size``, ``peak_mib``.
        protocol: how larger images become the model's input, see `tvae.data.inputs.as_input`.
        cache: a folder for what the metrics of a study's trials share, such as a classifier; None:
            each makes its own.
        progress: told now and then, by what takes long: (what, how much is done, of how much).
    """

    model: Model
    family: TransformationFamily
    datasets: Mapping[str, Dataset]
    split: Literal["test", "validation"]
    seed: int
    facts: Mapping[str, float] = field(default_factory=dict)
    protocol: Literal["resize", "centre_crop", "native"] = "resize"
    cache: Path | None = None
    progress: Callable[[str, int, int], None] = lambda what, done, total: None

    def __post_init__(self) -> None:
        self.outcomes: dict[str, np.ndarray] = {}
        self._probes: dict[tuple[int, int], Probe] = {}
        self._embeddings: dict[tuple[str, str], Tensor] = {}

    def by_original(self, name: str, label: str, outcomes: np.ndarray) -> None:
        """Keep the mean outcome over each original's variants, where a data set has variants.

        They are one cluster: a statistic over images that takes them for independent is too sure.

        Args:
            name: of the measurement.
            label: of the data set.
            outcomes: one number for each of its held-out images, in their order.
        """
        source = self.held_out(label).source
        if source is None or len(np.unique(source)) == len(source):
            return
        _, original = np.unique(source, return_inverse=True)
        self.outcomes[name] = np.bincount(original, weights=outcomes) / np.bincount(original)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(chain(self.model.parameters(), self.model.buffers())).device

    @property
    def own(self) -> Split:
        """The held-out split of the data that the model was trained on."""
        split: Split = getattr(next(iter(self.datasets.values())), self.split)
        return split

    def held_out(self, label: str) -> Split:
        """The held-out split of the data set `label`."""
        split: Split = getattr(self.datasets[label], self.split)
        return split

    def embed(self, name: str, images: Tensor) -> Tensor:
        """E of images, N D on the CPU.

        Args:
            name: of the images, for an error.
            images: N C H W.

        Raises:
            Exploded: it is not finite: the encoder has diverged, and no number of it means a thing.
        """
        found = self.model.embed(images)
        if not found.isfinite().all():
            raise Exploded(f"E of {name} is not finite")
        return found

    def embeddings(self, label: str, split: str) -> np.ndarray:
        """E(x) of a whole split, N D on the CPU, computed once.

        Raises:
            Exploded: see `embed`.
            OSError: there is no room on the disk for large ones, see `IN_MEMORY`.
        """
        if (label, split) not in self._embeddings:
            images = getattr(self.datasets[label], split).images
            shape = shape_of(images) if self.protocol == "native" else self.model.shape
            count, found = len(images), torch.empty(0, 0)
            for start in range(0, max(1, count), CHUNK):
                x = as_input(images[start : start + CHUNK], shape, self.protocol)
                part = self.embed(label, x)
                if not start:  # written in place: parts and whole together would be twice as large
                    found = self.room(count, part)
                found[start : start + len(part)] = part
                self.progress(f"embedding {label}", start + len(part), count)
            self._embeddings[label, split] = found
        return self._embeddings[label, split].numpy()

    def room(self, count: int, like: Tensor) -> Tensor:
        """For `count` rows such as those of `like`; above `IN_MEMORY` in a file without a name.

        The raw pixels of 100,000 images of 3 x 64 x 64 are 5 GB. The file is gone with whoever maps
        it, and its blocks are claimed beforehand: writing to a mapped file on a full disk kills.

        Args:
            count: rows.
            like: rows on the CPU, at least one.

        Raises:
            OSError: there is no room on the disk.
        """
        row = like[:1]
        size = count * row.numel() * row.element_size()
        if size <= IN_MEMORY:
            return like.new_empty(count, like.shape[1])
        if self.cache is not None:
            self.cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.cache) as file:
            if hasattr(os, "posix_fallocate"):  # macOS has it not
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            shape = count, like.shape[1]
            return torch.from_numpy(np.memmap(file, like.numpy().dtype, "r+", shape=shape))

    def _chosen(self, n: int) -> np.ndarray:
        stream = Streams(self.seed)("evaluation/subset")
        return torch.randperm(len(self.own), generator=stream)[:n].numpy()

    def sample(self, n: int) -> Tensor:
        """At most `n` held-out images of the own data, chosen by the seed: N C H W in [0, 1]."""
        return as_input(self.own.images[self._chosen(n)], self.own.shape).to(self.device)

    def parted(self, n: int) -> tuple[Tensor, Tensor]:
        """`sample`, of at most half of the images, and the others, each in a fixed order."""
        count = len(self.own)
        chosen, size = self._chosen(count), min(n, count // 2)
        x, rest = (
            as_input(self.own.images[part], self.own.shape).to(self.device)
            for part in (chosen[:size], chosen[size:])
        )
        return x, rest

    def labels(self, n: int) -> Tensor:
        """The labels of the images of `sample`, N, int64."""
        return torch.from_numpy(self.own.labels[self._chosen(n)]).to(self.device)

    @torch.no_grad()
    def probe(self, n: int) -> Probe:
        """`sample` with views, latents and T, computed once for each `n`.

        Raises:
            Exploded: see `embed`.
        """
        key = n, self.seed
        if key not in self._probes:
            x = self.sample(n)
            x_1, x_2, parameters = self.family.views(x, Streams(self.seed)("evaluation/views"))
            named = {"x": x, "x_1": x_1, "x_2": x_2}
            e, e_1, e_2 = (self.embed(*image).to(self.device) for image in named.items())
            t = self.model.infer_T(e_1, e_2) if infers_T(self.model) else None
            self._probes[key] = Probe(x, x_1, x_2, parameters, e, e_1, e_2, t)
        return self._probes[key]


class Metric(ABC):
    """A way to measure; its constructor's options are its settings and enter its fingerprint.

    Attributes:
        comparable: False for what the clock or the host decides, which no seed repeats.
        uses_family: whether the value depends on the family of transformations other than by the
            model that was trained with it; numbers of another family are then another measurement.
        uses_likelihood: whether a value is of log p(x|z): nats of unlike likelihoods are unlike
            measurements.
        embedding_only: whether it asks a model for nothing but E(x), so that it can measure one
            that does not decode.
        embeds: whether it embeds whole data sets, for a forecast of the time and memory it takes.
        needs: measured name -> what it asks for besides, keys of `NEEDS`; NaN where that is not
            there. A study whose primary contrast asks for what there is not is refused.
        choices: what is decided here where the paper is silent, see `registry.Choices`.
    """

    comparable: ClassVar[bool] = True
    uses_family: ClassVar[bool] = True
    uses_likelihood: ClassVar[bool] = False
    embedding_only: ClassVar[bool] = False
    embeds: ClassVar[bool] = False
    needs: ClassVar[Mapping[str, frozenset[str]]] = {}
    choices: ClassVar[Choices] = ()

    def decodes(self) -> int:
        """Latents that are decoded for one model, for a forecast of the time it takes; 0: few."""
        return 0

    def applies_to(self, model: Model) -> bool:
        """Whether it can measure anything of the model; where not, there are no rows."""
        return model.generates or self.embedding_only

    def lacking(
        self, name: str, model: Model | type[Model], family: TransformationFamily
    ) -> list[str]:
        """What a measurement asks for and is not there, in words; empty: it has a value.

        Args:
            name: of the measurement.
            model: that would be measured.
            family: that it is trained with.
        """
        there = {
            "T": model.has_T,
            "views": family.has_views,
            "inverse": family.inverse != "none",
            "training": model.trains,
            "decoder": model.generates,
        }
        asked = self.needs.get(name, frozenset())
        asked = asked if self.embedding_only else asked | {"decoder"}
        return [words for need, words in NEEDS.items() if need in asked and not there[need]]

    def refuses(self, sizes: Mapping[str, int]) -> str:
        """What of its settings these data sets do not allow, in words; empty: nothing.

        Args:
            sizes: label -> train images.
        """
        return ""

    @abstractmethod
    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What a study can ask for, given its data sets' labels: name -> which way is better."""

    @abstractmethod
    def __call__(self, context: Context) -> list[Measurement]:
        """The measurements, NaN where the metric does not apply to the model."""


def at_least(name: str, value: int, least: int) -> int:
    """`value`, checked.

    Raises:
        ValueError: it is below `least`.
    """
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return value
