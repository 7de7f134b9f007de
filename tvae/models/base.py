"""What every compared model shares: encoder, decoder, and the way to embed images.

Legend: `B` batch, `D` latent size, `P` size of T; `C` channels, `H`, `W` height and width of an
image.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeGuard

import numpy as np
import torch
from torch import Tensor, nn

from tvae import registry
from tvae.divergences.base import Divergence, Side
from tvae.likelihoods.base import Likelihood
from tvae.networks.base import Network
from tvae.shapes import GREY_28, ImageShape
from tvae.space import Space
from tvae.streams import Streams

Terms = dict[str, Tensor]
"""The objective's terms, weighted and in nats, and their sum under ``loss``; all scalars."""


Parts = Mapping[str, registry.Registry[Any]]
"""Option of a model's constructor that names a plugin -> of which kind."""


@dataclass(frozen=True)
class Views:
    """What a transformation f made of the images x of a batch.

    Attributes:
        x_1: f(x), B C H W.
        x_2: f^-1(x), B C H W, or another transformation's view.
        invertible: whether x_2 may be treated as f^-1(x); of more than two views none is.
        more: x_3, ..., x_K: views by other transformations.
    """

    x_1: Tensor
    x_2: Tensor
    invertible: bool = True
    more: tuple[Tensor, ...] = ()

    @property
    def images(self) -> tuple[Tensor, ...]:
        """All K of them."""
        return (self.x_1, self.x_2, *self.more)


def summed(terms: Terms) -> Terms:
    """The terms with their sum in front, under ``loss``."""
    return {"loss": torch.stack(list(terms.values())).sum(), **terms}


def weight_of(
    name: str, given: float, divergence: Divergence | None = None, latent_dim: int = 1
) -> float:
    """`given` times the default weight, at this D, of the divergence that it weighs (1 for None).

    Raises:
        ValueError: `given` is negative or not a number.
    """
    if not given >= 0:
        raise ValueError(f"{name} must be at least 0, got {given}")
    return given * (1.0 if divergence is None else divergence.default_weight(latent_dim))


def checked(images: np.ndarray[Any, Any] | Tensor, shapes: Sequence[ImageShape]) -> Tensor:
    """Grey images N H W, or N C H W, as N C H W: bytes in 0..255 or floats in [0, 1].

    Raises:
        ValueError: images of none of the `shapes`, or of another type or range.
    """
    x = torch.as_tensor(images)
    if x.ndim == 3:
        x = x.unsqueeze(1)
    if x.ndim != 4 or tuple(x.shape[1:]) not in shapes:
        known = " or ".join(
            f"N {' '.join(map(str, shape[shape.channels == 1 :]))}" for shape in shapes
        )
        raise ValueError(f"images must be {known}, got {tuple(x.shape)}")
    if x.dtype != torch.uint8 and not x.is_floating_point():
        raise ValueError(f"images must be bytes or floats, got {x.dtype}")
    if x.is_floating_point() and len(x) and not (x.min() >= 0 and x.max() <= 1):
        raise ValueError("float images must lie in [0, 1]; divide bytes by 255")
    return x


class Model(nn.Module, ABC):
    """An encoder q_phi(z|x) and a decoder p_theta(x|z) with an objective.

    Args:
        latent_dim: D, at least 1.
        seed: of the initial weights; layers of one name and shape are equal for one seed,
            whatever model they are in.
        image_shape: of the images.
        network: encoder and decoder.
        likelihood: p(x|z).

    Raises:
        ValueError: D is below 1, an unknown plugin or option, or a network for other images.

    Attributes:
        has_T: whether there is a latent transformation T; see `Transforming`.
        uses_views: whether the objective wants the transformed views of a batch.
        space: constructor options worth tuning, the weights of the objective's terms.
        parts: constructor options that name a plugin -> its kind. An option ``w_OPTION`` weighs
            the term of a divergence, in units of its default weight; the attribute of that name is
            the weight itself.
        choices: what is decided here where the paper is silent, see `registry.Choices`.
        trains: whether there is anything to train; where not, it is used as it is built.
        seeded: whether the seed makes another model of it; where not, what is measured of it
            without a draw is measured once for all seeds.
        generates: whether latents can be decoded; where not, only what needs nothing but E(x) is
            measured.
    """

    has_T: ClassVar[bool] = False
    trains: ClassVar[bool] = True
    seeded: ClassVar[bool] = True
    generates: ClassVar[bool] = True
    space: ClassVar[Space] = {}
    parts: ClassVar[Parts] = {"network": registry.networks, "likelihood": registry.likelihoods}
    choices: ClassVar[registry.Choices] = ()
    uses_views: bool = True

    def __init__(
        self,
        latent_dim: int,
        seed: int,
        image_shape: ImageShape = GREY_28,
        network: registry.Reference = "paper",
        likelihood: registry.Reference = "bernoulli",
    ) -> None:
        super().__init__()
        if latent_dim < 1:
            raise ValueError(f"latent_dim must be at least 1, got {latent_dim}")
        shape = image_shape
        self.latent_dim, self.shape = latent_dim, shape
        self.streams = Streams(seed)
        self.network: Network = registry.networks.build(network)
        if refused := self.network.refuses(shape):
            known = ", ".join(registry.networks.names())
            raise ValueError(f"network {refused}; name one that can (there are {known})")
        with self.streams.initialising("encoder"):
            self.encoder = self.network.encoder(shape, latent_dim)
        with self.streams.initialising("likelihood"):
            self.likelihood: Likelihood = registry.likelihoods.build(likelihood)
        with self.streams.initialising("decoder"):
            outputs = self.likelihood.outputs * shape.channels
            self.decoder = self.network.decoder(shape, latent_dim, outputs)

    @property
    def weights(self) -> dict[str, float]:
        """The weights in force: option of `parts` -> ``w_OPTION``, where there is such a part."""
        return {
            option: float(getattr(self, f"w_{option}"))
            for option in self.parts
            if getattr(self, option, None) is not None and hasattr(self, f"w_{option}")
        }

    @classmethod
    def part_space(cls, option: str, plugin: Any) -> Space:
        """Where to search the options of a part: all of its `space`, unless the model knows better.

        Args:
            option: of `parts`.
            plugin: the class that it names.
        """
        space: Space = plugin.space
        return space

    def fit(self, images: np.ndarray[Any, Any] | Tensor) -> None:
        """What a model that is not trained takes from the training images: here nothing.

        Args:
            images: grey N H W or N C H W; bytes in 0..255 or floats in [0, 1].
        """

    @abstractmethod
    def objective(self, x: Tensor, views: Views | None, streams: Streams) -> Terms:
        """The loss of one batch, term by term.

        Args:
            x: B C H W in [0, 1].
            views: the transformed views; None where there are none.
            streams: where the noise comes from.
        """

    def posteriors(self, images: list[Tensor], streams: Streams) -> list[Side]:
        """q_phi(z_i|x_i) with a sample each, of images encoded as one batch.

        The i-th image's noise has a stream of its own, so that z_0 is the same draw in a model
        that sees only x.
        """
        mean, logvar = self.encoder(torch.cat(images))
        return [
            Side.gaussian(m, s, streams.normal(f"posterior/{i}", m))
            for i, (m, s) in enumerate(
                zip(mean.chunk(len(images)), logvar.chunk(len(images)), strict=True)
            )
        ]

    def reconstructions(self, latents: list[Tensor], images: list[Tensor]) -> list[Tensor]:
        """-log p(x_i|z_i), mean over the batch, of latents decoded as one batch: scalars."""
        log_likelihood = self.log_likelihood(torch.cat(latents), torch.cat(images))
        return [-part.mean() for part in log_likelihood.chunk(len(images))]

    def log_likelihood(self, z: Tensor, x: Tensor) -> Tensor:
        """The likelihood log p(x|z), sum over pixels: z of B D, x of B C H W, to B nats."""
        return -self.likelihood.nll(self.decoder(z), x)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, logvar) of q_phi(z|x), each B D, of images B C H W in [0, 1]."""
        moments: tuple[Tensor, Tensor] = self.encoder(x)
        return moments

    def generate(self, z: Tensor) -> Tensor:
        """G(z): pixel means in [0, 1], B C H W, of latents B D."""
        return self.likelihood.mean(self.decoder(z))

    @torch.no_grad()
    def embed(self, images: np.ndarray[Any, Any] | Tensor, batch_size: int = 1000) -> Tensor:
        """E(x): posterior means on the CPU, N D.

        Args:
            images: grey N H W or N C H W; bytes in 0..255 or floats in [0, 1]; of the model's
                shape, or another that its network reads.
            batch_size: images encoded at once; does not change the result beyond rounding.

        Raises:
            ValueError: images of another shape, type or range.
        """
        x = checked(images, self.network.reads(self.shape))
        weight = next(self.parameters())
        if not len(x):
            return torch.empty(0, self.latent_dim, dtype=weight.dtype)
        scale = 255 if x.dtype == torch.uint8 else 1
        return torch.cat(
            [
                self.encode(part.to(weight.device, weight.dtype) / scale)[0].cpu()
                for part in x.split(batch_size)
            ]
        )


class Transforming(Model):
    """What a model that says `has_T` has besides; it need not derive from this.

    Attributes:
        r: the form, a `tvae.latent_transforms.LatentTransform`.
        draws_T: whether the objective ties T to a prior that `draw_T` draws from.
    """

    has_T = True
    draws_T: bool = False
    r: Any

    @abstractmethod
    def infer_T(self, z_1: Tensor, *others: Tensor) -> Tensor:
        """T, B P, of the latents of a view and of the others, at least one, each B D."""

    def draw_T(self, n: int, generator: torch.Generator) -> Tensor:
        """T from its prior pi(T), n P, on the CPU: here the standard normal."""
        return torch.randn(n, self.r.parameter_size, generator=generator)

    @abstractmethod
    def infer_z(self, z_1: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, logvar) of q(z|z_1, ..., z_K), each B D."""


def infers_T(model: Model) -> TypeGuard[Transforming]:
    """Whether there is a T to measure."""
    return model.has_T


def build(config: registry.Reference, seed: int = 0, shape: ImageShape = GREY_28) -> Model:
    """A new model from its configuration: ``{"name": ..., option: value, ...}``.

    Args:
        config: without what the trial and its data decide, which follows.
        seed: of the initial weights.
        shape: of the images.

    Raises:
        ValueError: an unknown model, option or plugin, or a value one of them refuses.
    """
    name, options = registry.split("model", config)
    given = {"seed": seed, "image_shape": shape}
    if shape == GREY_28 and "image_shape" not in registry.options_of(registry.models.get(name)):
        del given["image_shape"]  # a model of such images alone
    model: Model = registry.models.make(name, **given, **options)
    return model


def completed(owner: type[Model], options: Mapping[str, Any], latent_dim: int) -> dict[str, Any]:
    """`options` with what the constructor needs besides, to try a model out.

    That is D and, of each part that it cannot do without, the first of its kind.
    """
    needed = {option: kind.names()[0] for option, kind in owner.parts.items()}
    known = registry.options_of(owner)
    return {
        name: value
        for name, value in {**needed, "latent_dim": latent_dim}.items()
        if name in known and known[name].default is known[name].empty
    } | {**options}
