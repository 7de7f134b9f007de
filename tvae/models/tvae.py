"""The transformation-aware VAE.

Legend: `B` batch, `D` latent size, `P` size of T.
"""

from __future__ import annotations

from functools import reduce
from itertools import permutations
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tvae import registry
from tvae.divergences._kernels import imq, mmd_squared
from tvae.divergences.base import Side, gaussian_kl
from tvae.latent_transforms.base import LatentTransform
from tvae.models.base import Model, Parts, Terms, Transforming, Views, summed, weight_of
from tvae.networks._pair import PairNetwork
from tvae.shapes import GREY_28, ImageShape
from tvae.space import Factor, Space
from tvae.streams import Streams


class TVAE(Transforming):
    """T_VAE: encodes images and, from two transformed views, a latent transformation T.

    Args:
        latent_dim: D.
        latent_transform: the form of r(z, T).
        coherence: the divergence that ties inference and generation of the views.
        prior: the divergence of q_psi(z|z_1, z_2) from the standard normal.
        w_coherence: weight, at least 0, in units of the divergence's default weight.
        w_prior: weight, likewise.
        w_prior_T: weight of an MMD of T (of h, where `T_dim` limits its room) from the standard
            normal, without which T cannot be sampled; 0 leaves it out.
        beta: weight of KL[q_phi(z_0|x), pi].
        view_reconstruction: add -log p(x_1|r(z, T)) - log p(x_2|r(z, T^-1)).
        hidden: width of the hidden layers of q_psi and h_xi.
        hidden_T: width of those of h_xi where it differs; None: `hidden`.
        T_dim: k, how many numbers h_xi gives: T = T_id + unit U h, h of k numbers, U of P k
            learned; `unit` is the form's, so that equal h move latents as far in every form. What
            the views differ by then has to pass through k numbers, whatever the form makes of
            them. None: T = T_id + h_xi(z_1, z_2) of P numbers, the paper's, which can hold all
            that the views differ by where P is D or more.
        seed: of the initial weights.
        image_shape: of the images.
        network: encoder and decoder.
        likelihood: p(x|z).

    Raises:
        ValueError: an unknown plugin or option, a negative weight or width, a `T_dim` below 1.

    Source: paper, Sec. 2; Fig. 1b.
    """

    unit: Tensor
    space: ClassVar[Space] = {
        "w_coherence": Factor(0.1, 10.0),
        "w_prior": Factor(0.1, 10.0),
        "beta": Factor(0.1, 10.0),
    }
    parts: ClassVar[Parts] = {
        **Model.parts,
        "latent_transform": registry.latent_transforms,
        "coherence": registry.divergences,
        "prior": registry.divergences,
    }
    choices: ClassVar[registry.Choices] = (
        "The weights of coherence ({w_coherence:g}) and prior ({w_prior:g}), in units of that at "
        "which a shift by one standard deviation costs 0.5 nats, as it does by the KL.",
        "h_xi's last layer is scaled by 0.1, so that T starts near the identity.",
    )

    def __init__(
        self,
        latent_dim: int,
        latent_transform: registry.Reference,
        coherence: registry.Reference,
        prior: registry.Reference,
        w_coherence: float = 1.0,
        w_prior: float = 1.0,
        w_prior_T: float = 0.0,
        beta: float = 1.0,
        view_reconstruction: bool = False,
        hidden: int = 1000,
        hidden_T: int | None = None,
        T_dim: int | None = None,
        seed: int = 0,
        image_shape: ImageShape = GREY_28,
        network: registry.Reference = "paper",
        likelihood: registry.Reference = "bernoulli",
    ) -> None:
        super().__init__(latent_dim, seed, image_shape, network, likelihood)
        with self.streams.initialising("latent_transform"):
            self.r: LatentTransform = registry.latent_transforms.build(latent_transform, latent_dim)
        with self.streams.initialising("coherence"):
            self.coherence = registry.divergences.build(coherence)
        with self.streams.initialising("prior"):
            self.prior = registry.divergences.build(prior)
        with self.streams.initialising("q_psi"):
            self.q_psi = PairNetwork(latent_dim, 2 * latent_dim, hidden)
        if T_dim is not None and T_dim < 1:
            raise ValueError(f"T_dim must be at least 1, got {T_dim}")
        outputs = self.r.parameter_size if T_dim is None else T_dim
        with self.streams.initialising("h_xi"):
            # the gain starts T near the identity, where r(z, T) is near z for every form
            width = hidden if hidden_T is None else hidden_T
            self.h_xi = PairNetwork(latent_dim, outputs, width, gain=0.1)
        self.U: nn.Parameter | None = None
        if T_dim is not None:
            with self.streams.initialising("U"):
                self.U = nn.Parameter(torch.randn(self.r.parameter_size, T_dim))
            # kept with the weights: of a form with weights it is what those were at the start
            self.register_buffer("unit", torch.tensor(self.r.unit))
        self.w_coherence = weight_of("w_coherence", w_coherence, self.coherence, latent_dim)
        self.w_prior = weight_of("w_prior", w_prior, self.prior, latent_dim)
        self.w_prior_T = weight_of("w_prior_T", w_prior_T)
        self.draws_T = self.w_prior_T > 0
        self.beta = weight_of("beta", beta)
        self.view_reconstruction = view_reconstruction

    @classmethod
    def part_space(cls, option: str, plugin: Any) -> Space:
        """See `Model.part_space`; the prior's other side, N(0, I), has moments."""
        known = plugin.prior_space if option == "prior" else None
        return super().part_space(option, plugin) if known is None else known

    def infer_T(self, z_1: Tensor, *others: Tensor) -> Tensor:
        """T, B P: a sample of the implicit q_xi(T|z_1, others) (paper, Eq. 2).

        ``T_id + h_xi(z_1, z_2)``, or ``T_id + unit U h_xi(z_1, z_2)`` where its room is limited; of
        several others their order does not matter.
        """
        return self._T(self._h(z_1, *others))

    def draw_T(self, n: int, generator: torch.Generator) -> Tensor:
        """T from pi(T), n P, on the CPU: of what `w_prior_T` asks to be standard normal.

        That is T itself or, where its room is limited, the k numbers that it is made of.
        """
        if self.U is None:
            return super().draw_T(n, generator)
        h = torch.randn(n, self.U.shape[1], generator=generator)
        return self._T(h.to(self.U)).detach().cpu()

    def _h(self, z_1: Tensor, *others: Tensor) -> Tensor:
        if len(others) > 1:
            return self.h_xi.of_set((z_1, other) for other in others)
        h: Tensor = self.h_xi(z_1, *others)
        return h

    def _T(self, h: Tensor) -> Tensor:
        if self.U is not None:
            h = self.unit * (h @ self.U.T)
        with h.device:  # made there: moving it would wait for the device
            identity = self.r.identity()
        return identity.to(h) + h

    def infer_z(self, z_1: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, logvar) of q_psi(z|z_1, ..., z_K), each B D.

        Of two views the first and the second are told apart, as in the paper; of more, all pairs
        count alike and their order does not matter.
        """
        if len(others) > 1:
            moments = self.q_psi.of_set(permutations((z_1, *others), 2))
        else:
            moments = self.q_psi(z_1, *others)
        mean, logvar = moments.chunk(2, dim=1)
        return mean, logvar

    def objective(self, x: Tensor, views: Views | None, streams: Streams) -> Terms:
        """Eq. 3 with F substituted.

        Sums over pixels and dimensions, means over the batch, in nats::

            L = -log p(x|z_0) - log p(x_1|z_1) - log p(x_2|z_2)
                + w_coherence (D[z_1, r(z, T)] + D[z_2, r(z, T^-1)])
                + w_prior D[q_psi(z|z_1, z_2), pi]
                - log p(x|z) + beta KL[q_phi(z_0|x), pi]

        Where f or the form has no inverse none is imposed (the relaxed form of Sec. 4):
        T_1 = h_xi(z_1, z_2), T_2 = h_xi(z_2, z_1), and r(z, T_2) stands in the place of
        r(z, T^-1). So it does of K views, for each of which T_k = h_xi(z_k, the others) and a
        likelihood and a divergence D[z_k, r(z, T_k)] enter the sums. Without views (no
        transformation but the identity) z, T and their terms vanish and the loss is the VAE's
        (Fig. 1c).
        """
        if views is None:
            (q_0,) = self.posteriors([x], streams)
            (reconstruction,) = self.reconstructions([q_0.sample], [x])
            return summed({"reconstruction": reconstruction, "kl": self._kl(q_0)})

        q_0, *q = self.posteriors([x, *views.images], streams)
        seen = [side.sample for side in q]
        mean, logvar = self.infer_z(seen[0], *seen[1:])
        q_z = Side.gaussian(mean, logvar, streams.normal("latent", mean))
        z = q_z.sample

        if views.invertible and not views.more and "inverse" in self.r.claims:
            t_1 = self.infer_T(*seen)
            t, r = [t_1, t_1], [self.r(z, t_1), self.r.inverse(z, t_1)]
        else:
            t = [self.infer_T(seen[k], *seen[:k], *seen[k + 1 :]) for k in range(len(seen))]
            r = [self.r(z, t_k) for t_k in t]

        latents, images = [q_0.sample, *seen, z], [x, *views.images, x]
        if self.view_reconstruction:
            latents, images = [*latents, *r], [*images, *views.images]
        nll = self.reconstructions(latents, images)
        own = 1 + len(seen)

        noise = streams("coherence/divergence")
        coherence = [
            self.coherence(q_k, Side(r_k), {"z": z, "T": t_k}, noise)
            for q_k, r_k, t_k in zip(q, r, t, strict=True)
        ]
        terms = {
            "reconstruction": reduce(torch.add, nll[:own]),
            "coherence": self.w_coherence * reduce(torch.add, coherence),
            "prior": self.w_prior
            * self.prior(q_z, Side.standard_normal(z, streams), None, streams("prior/divergence")),
            "indirect": nll[own],
            "kl": self._kl(q_0),
        }
        if self.view_reconstruction:
            terms["view_reconstruction"] = reduce(torch.add, nll[own + 1 :])
        if self.w_prior_T:
            inferred = t[0] if self.U is None else self._h(*seen)
            normal = streams.normal("prior/T", inferred)
            terms["prior_T"] = self.w_prior_T * mmd_squared(inferred, normal, imq, "wae")
        return summed(terms)

    def _kl(self, q_0: Side) -> Tensor:
        assert q_0.mean is not None
        assert q_0.logvar is not None
        zero = torch.zeros_like(q_0.mean)
        return self.beta * gaussian_kl(q_0.mean, q_0.logvar, zero, zero).mean()
