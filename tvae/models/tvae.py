"""The transformation-aware VAE.

Legend: `B` batch, `D` latent size, `P` size of T.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tvae import registry
from tvae.divergences._kernels import imq, mmd_squared
from tvae.divergences.base import Side, gaussian_kl
from tvae.latent_transforms.base import LatentTransform
from tvae.models.base import Model, Parts, Terms, Views, summed, weight_of
from tvae.networks import PairNetwork
from tvae.space import Factor, Space
from tvae.streams import Streams


class TVAE(Model):
    """T_VAE: encodes images and, from two transformed views, a latent transformation T.

    Args:
        latent_dim: D.
        latent_transform: the form of r(z, T).
        coherence: the divergence that ties inference and generation of the views.
        prior: the divergence of q_psi(z|z_1, z_2) from the standard normal.
        w_coherence: weight, at least 0, in units of the divergence's default weight.
        w_prior: weight, likewise.
        w_prior_T: weight of an MMD of T from the standard normal, without which T cannot be
            sampled; 0 leaves it out.
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

    Raises:
        ValueError: an unknown plugin or option, a negative weight or width, a `T_dim` below 1.

    Source: paper, Sec. 2; Fig. 1b.
    """

    has_T = True
    unit: Tensor
    space: ClassVar[Space] = {
        "w_coherence": Factor(0.1, 10.0),
        "w_prior": Factor(0.1, 10.0),
        "beta": Factor(0.1, 10.0),
    }
    parts: ClassVar[Parts] = {
        "latent_transform": registry.latent_transforms,
        "coherence": registry.divergences,
        "prior": registry.divergences,
    }
    choices: ClassVar[registry.Choices] = (
        *Model.choices,
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
    ) -> None:
        super().__init__(latent_dim, seed)
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
        self.beta = weight_of("beta", beta)
        self.view_reconstruction = view_reconstruction

    @classmethod
    def part_space(cls, option: str, plugin: Any) -> Space:
        """See `Model.part_space`; the prior's other side, N(0, I), has moments."""
        known = plugin.prior_space if option == "prior" else None
        return super().part_space(option, plugin) if known is None else known

    def infer_T(self, z_1: Tensor, z_2: Tensor) -> Tensor:
        """T, B P: a sample of the implicit q_xi(T|z_1, z_2) (paper, Eq. 2).

        ``T_id + h_xi(z_1, z_2)``, or ``T_id + unit U h_xi(z_1, z_2)`` where its room is limited.
        """
        h: Tensor = self.h_xi(z_1, z_2)
        if self.U is not None:
            h = self.unit * (h @ self.U.T)
        return self.r.identity().to(z_1) + h

    def infer_z(self, z_1: Tensor, z_2: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, logvar) of q_psi(z|z_1, z_2), each B D."""
        mean, logvar = self.q_psi(z_1, z_2).chunk(2, dim=1)
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
        r(z, T^-1). Without views (no transformation but the identity) z, T and their terms vanish
        and the loss is the VAE's (Fig. 1c).
        """
        if views is None:
            (q_0,) = self.posteriors([x], streams)
            (reconstruction,) = self.reconstructions([q_0.sample], [x])
            return summed({"reconstruction": reconstruction, "kl": self._kl(q_0)})

        q_0, q_1, q_2 = self.posteriors([x, views.x_1, views.x_2], streams)
        mean, logvar = self.infer_z(q_1.sample, q_2.sample)
        q_z = Side.gaussian(mean, logvar, streams.normal("latent", mean))
        z = q_z.sample

        t_1 = self.infer_T(q_1.sample, q_2.sample)
        r_1 = self.r(z, t_1)
        if views.invertible and "inverse" in self.r.claims:
            t_2, r_2 = t_1, self.r.inverse(z, t_1)
        else:
            t_2 = self.infer_T(q_2.sample, q_1.sample)
            r_2 = self.r(z, t_2)

        latents, images = [q_0.sample, q_1.sample, q_2.sample, z], [x, views.x_1, views.x_2, x]
        if self.view_reconstruction:
            latents, images = [*latents, r_1, r_2], [*images, views.x_1, views.x_2]
        nll = self.reconstructions(latents, images)

        noise = streams("coherence/divergence")
        terms = {
            "reconstruction": nll[0] + nll[1] + nll[2],
            "coherence": self.w_coherence
            * (
                self.coherence(q_1, Side(r_1), {"z": z, "T": t_1}, noise)
                + self.coherence(q_2, Side(r_2), {"z": z, "T": t_2}, noise)
            ),
            "prior": self.w_prior
            * self.prior(q_z, Side.standard_normal(z, streams), None, streams("prior/divergence")),
            "indirect": nll[3],
            "kl": self._kl(q_0),
        }
        if self.view_reconstruction:
            terms["view_reconstruction"] = nll[4] + nll[5]
        if self.w_prior_T:
            normal = streams.normal("prior/T", t_1)
            terms["prior_T"] = self.w_prior_T * mmd_squared(t_1, normal, imq, "wae")
        return summed(terms)

    def _kl(self, q_0: Side) -> Tensor:
        assert q_0.mean is not None
        assert q_0.logvar is not None
        zero = torch.zeros_like(q_0.mean)
        return self.beta * gaussian_kl(q_0.mean, q_0.logvar, zero, zero).mean()
