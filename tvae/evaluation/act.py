"""Whether T acts: does r(E(x'), T_x) go where E(f(x')) is, x' another image than T_x's own?

Legend: `N` images x', `K` transformations of each, `M` other images, on which references are
fitted, `D` latent size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from tvae.evaluation._ridge import Ridge
from tvae.evaluation.base import (
    Context,
    Direction,
    Measurement,
    Metric,
    at_least,
)
from tvae.evaluation.transfer import generated
from tvae.families.base import Parameters, TransformationFamily
from tvae.models.base import Model, infers_T
from tvae.streams import Streams

SHUFFLES = 8
"""T of how many other images make the reference that uses T and does not know f."""

Move = Callable[[Tensor, int], Tensor]
"""(latents of x', one per x; shift) -> where the T of the image `shift` further on moves them."""


def chances(query: Tensor, candidates: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(reciprocal rank, share of first places) of the first candidate by distance from the query.

    Where others are as near, the mean over the orders in which they could stand: who cannot tell
    candidates apart gets what chance gives, H_K/K and 1/K. So does who is not finite.

    Args:
        query: N D.
        candidates: N K D; the first is the right one.
    """
    far = (candidates.double() - query.double()[:, None]).square().sum(2)
    far = torch.where(far.isfinite().all(1, keepdim=True), far, 0.0)
    nearer = (far < far[:, :1]).sum(1).cpu().numpy()
    equal = (far == far[:, :1]).sum(1).cpu().numpy()
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, far.shape[1] + 1))])
    return (harmonic[nearer + equal] - harmonic[nearer]) / equal, (nearer == 0) / equal


def skill(error: float, *blind: float) -> float:
    """1 - error / the least of the errors of what is T-blind; 0 where nothing can be told.

    That is where the blind make no error, or where the error is not finite.
    """
    least = min((each for each in blind if np.isfinite(each)), default=0.0)
    return 1 - error / least if np.isfinite(error) and least > 0 else 0.0


def others(n: int) -> range:
    """By how many of n images to go on for a T that does not know f, at most `SHUFFLES` ways.

    Not by 0, which is f's own T, nor by 1: that one is inferred from x' itself.
    """
    return range(2, min(2 + SHUFFLES, n))


def mean_square(found: Tensor, true: Tensor) -> float:
    """Squared distance, mean over the images."""
    return float((found.double() - true.double()).square().flatten(1).sum(1).mean())


class Scene:
    """Images x, transformations f of them, and the images x' that these are carried over to.

    Whatever it holds besides is made when it is first asked for: no image is moved or embedded for
    a measurement that is not made.

    Args:
        model: what embeds.
        family: what f is drawn from.
        x: n 1 S S, in whose rows T is inferred.
        parameters: of f, one per image.
    """

    def __init__(
        self, model: Model, family: TransformationFamily, x: Tensor, parameters: Parameters
    ) -> None:
        self.model, self.family, self.x, self.parameters = model, family, x, parameters
        self.to = x.roll(-1, 0)

    def embed(self, images: Tensor) -> Tensor:
        """E of images, where x is."""
        return self.model.embed(images).to(self.x.device)

    @cached_property
    def back(self) -> Parameters:
        """Of f^-1, or of the second view's transformation."""
        return self.family.invert(self.parameters)

    @cached_property
    def e(self) -> Tensor:
        """E(x), n D, as the others."""
        return self.embed(self.x)

    @cached_property
    def e_1(self) -> Tensor:
        """E(f(x))."""
        return self.embed(self.family.apply(self.x, self.parameters))

    @cached_property
    def e_2(self) -> Tensor:
        """E(f^-1(x)), the second view's."""
        return self.embed(self.family.apply(self.x, self.back))

    @cached_property
    def e_to(self) -> Tensor:
        """E(x'), x' the image after x."""
        return self.e.roll(-1, 0)

    @cached_property
    def true(self) -> Tensor:
        """f(x'), n 1 S S."""
        return self.family.apply(self.to, self.parameters)

    @cached_property
    def e_true(self) -> Tensor:
        """E(f(x'))."""
        return self.embed(self.true)

    @cached_property
    def e_back(self) -> Tensor:
        """E(f^-1(x'))."""
        return self.embed(self.family.apply(self.to, self.back))

    def by_T(self, model: Model) -> Move | None:
        """r(., T_x); None for a model without T."""
        if not infers_T(model):
            return None
        t, r = model.infer_T(self.e_1, self.e_2), model.r
        return lambda z, shift: r(z, t.roll(-shift, 0))

    def by_T_back(self, model: Model, *, invertible: bool) -> Move | None:
        """r(., T_x^-1), or r(., T_2) of the relaxed form (paper, Sec. 4)."""
        if not infers_T(model):
            return None
        r = model.r
        if invertible and "inverse" in r.claims:
            t = model.infer_T(self.e_1, self.e_2)
            return lambda z, shift: r.inverse(z, t.roll(-shift, 0))
        t = model.infer_T(self.e_2, self.e_1)
        return lambda z, shift: r(z, t.roll(-shift, 0))

    def by_difference(self) -> Move:
        """Where E(f(x)) - E(x) moves z, of any encoder."""
        moved = self.e_1 - self.e
        return lambda z, shift: z + moved.roll(-shift, 0)


class Act(Metric):
    """Whether T, inferred from x, does to another image x' what f does; higher is better.

    x' is another held-out image than the x whose views T_x was inferred from, f is x's
    transformation. What does not know f, or does not use T, scores chance.

    - ``act/mrr``, ``act/hit1``: among K transformations of the same x', f and K - 1 others drawn
      from the family, the rank of E(f(x')) by distance from r(E(x'), T_x): mean reciprocal rank and
      share of first places. Ties, and whatever is not finite, count as the mean over their orders.
      All K are exchangeable for whoever does not know f: chance is H_K/K (0.180 of 20) and 1/K.
    - ``act/skill`` = 1 - err(T) / err(blind), err the mean squared distance from E(f(x')): 0: T
      adds nothing; 1: perfect; below 0: worse than ignoring T. Blind is the better of a ridge
      regression from E(x') to E(f(x')), fitted on other images, and of the mean of r(E(x'), T)
      over the T of other images, so that no form that ignores its T is above 0.
    - ``act/gain``: the same with a ridge regression of (E(x'), r(E(x'), T_x)) in the place of r:
      what the action of T tells of f(x'), whatever its scale. Blind is the better of E(x') alone
      and of (E(x'), r(E(x'), T)) with another image's T.
    - ``act/composition``: the skill of r(r(E(x'), T_f), T_g) for E(g(f(x'))).
    - ``act_inverse/...``: the same of T^-1 and f^-1 (of T_2 and the second view where there is no
      inverse).
    - ``act_pixels/...``: the same of G(r(E(x'), T_x)) and f(x'), in pixels.
    - ``act_difference/...``: with z + E(f(x)) - E(x) in the place of r, the reference without T.
    - ``act_shuffled/...`` with another image's T, which must be at chance, and ``act_own/...`` with
      the T of x' itself, which may know more of f(x') than f: descriptions.

    Args:
        images: N, at least 4; at most half of the held-out ones.
        transformations: K, at least 2.
        fit: M, at least 2: pairs of images and transformations for the ridge regressions, of the
            held-out images that are not among the N.

    Source: ours. That T carries the transformation to other images is the paper's claim (Sec. 3,
    Fig. 3); that squared errors reward whoever predicts the mean is why there is retrieval (hits
    and mean reciprocal rank as in Kipf, van der Pol and Welling, "Contrastive learning of
    structured world models", ICLR 2020, Sec. 4.2).
    """

    embedding_only = True
    needs: ClassVar[Mapping[str, frozenset[str]]] = {
        f"{kind}/{name}": frozenset({"views"}) | more
        for kind, names, more in (
            ("act", ("mrr", "hit1", "skill", "gain", "composition"), {"T"}),
            ("act_inverse", ("mrr", "hit1", "skill"), {"T"}),
            ("act_pixels", ("mrr", "hit1", "skill"), {"T", "decoder"}),
            ("act_difference", ("mrr", "hit1", "skill", "gain", "composition"), set[str]()),
            ("act_shuffled", ("mrr", "hit1", "skill"), {"T"}),
            ("act_own", ("mrr", "hit1", "skill"), {"T"}),
        )
        for name in names
    }

    def __init__(self, images: int = 500, transformations: int = 20, fit: int = 4000) -> None:
        self.images = at_least("images", images, 4)
        self.transformations = at_least("transformations", transformations, 2)
        self.fit = at_least("fit", fit, 2)

    def decodes(self) -> int:
        """Images that are encoded, which takes about as long; see `Metric.decodes`."""
        return (2 * self.transformations + 6) * self.images + 6 * self.fit

    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What is measured, and which way is better."""
        described = ("act_shuffled/", "act_own/")
        return {name: "none" if name.startswith(described) else "higher" for name in self.needs}

    @torch.no_grad()
    def __call__(self, context: Context) -> list[Measurement]:
        """All of them, NaN where they do not apply, and what chance gives."""
        values = dict.fromkeys(self.needs, float("nan"))
        if context.family.has_views:
            values |= self.values(context)
        k = self.transformations
        rates = {"mrr": sum(1 / i for i in range(1, k + 1)) / k, "hit1": 1 / k}
        if not context.family.has_views:
            rates = dict.fromkeys(rates, float("nan"))
        out = []
        for name, which in self.directions([]).items():
            kind = name.rpartition("/")[2]
            unit = {"mrr": "reciprocal rank", "hit1": "share"}.get(kind, "skill")
            out.append(Measurement(name, values[name], unit, which))
        out += [
            Measurement(f"act/{kind}/chance", rate, unit, "none")
            for (kind, rate), unit in zip(rates.items(), ("reciprocal rank", "share"), strict=True)
        ]
        return out

    def values(self, context: Context) -> dict[str, float]:
        """Those that apply to the model."""
        model, family, streams = context.model, context.family, Streams(context.seed)
        drawn, drawn_g = streams("evaluation/act"), streams("evaluation/act/second")
        x, rest = context.parted(self.images)
        n, k = len(x), self.transformations
        scene = Scene(model, family, x, family.draw(n, drawn))
        more = family.draw(n * (k - 1), drawn)
        # one f to one x', so that M need not be small where there are few images
        rows = torch.arange(self.fit) % len(rest)
        fit = Scene(model, family, rest[rows.to(rest.device)], family.draw(self.fit, drawn))
        second = Scene(model, family, x, family.draw(n, drawn_g))
        both, both_fit = (
            one.embed(family.apply(one.true, g))
            for one, g in ((scene, second.parameters), (fit, family.draw(self.fit, drawn_g)))
        )

        def moved(parameters: Parameters) -> Tensor:
            return family.apply(scene.to.repeat_interleave(k - 1, 0), parameters)

        def among(true: Tensor, others: Tensor) -> Tensor:
            """Candidates of each x', n K and more; the true one first."""
            return torch.cat([true[:, None], others.unflatten(0, (n, -1))], 1)

        unseen = moved(more)
        seen = among(scene.e_true, scene.embed(unseen))
        regression = Ridge(fit.e_to)

        def error_of_blind(outputs: Tensor, true: Tensor) -> float:
            return mean_square(regression(outputs, scene.e_to).to(true.device), true)

        def around(move: Move) -> Tensor:
            """Where the T of other images move x', on average."""
            return torch.stack([move(scene.e_to, shift) for shift in others(n)]).mean(0)

        def scored(move: Move, candidates: Tensor, blind: float) -> dict[str, float]:
            where, true = move(scene.e_to, 0), candidates[:, 0]
            mrr, hit1 = (float(each.mean()) for each in chances(where, candidates))
            shuffled = mean_square(around(move), true)
            return {
                "mrr": mrr,
                "hit1": hit1,
                "skill": skill(mean_square(where, true), blind, shuffled),
            }

        def composition(first: Move, after: Move) -> float:
            def twice(z: Tensor, shift: int) -> Tensor:
                return after(first(z, shift), shift)

            error, shuffled = (mean_square(z, both) for z in (twice(scene.e_to, 0), around(twice)))
            return skill(error, error_of_blind(both_fit, both), shuffled)

        blind = error_of_blind(fit.e_true, scene.e_true)
        out: dict[str, dict[str, float]] = {}
        scenes = (scene, fit, second)
        moves: dict[str, tuple[Move | None, ...]] = {
            "act": tuple(one.by_T(model) for one in scenes),
            "act_difference": tuple(one.by_difference() for one in scenes),
        }
        for kind, (acts, fitted, after) in moves.items():
            if acts is not None and fitted is not None and after is not None:
                out[kind] = scored(acts, seen, blind) | {
                    "gain": self.gain(scene, fit, acts, fitted, blind),
                    "composition": composition(acts, after),
                }
        back = scene.by_T_back(model, invertible=family.inverse != "none")
        move = scene.by_T(model)
        if move is not None and back is not None:
            known = move
            seen_back = among(scene.e_back, scene.embed(moved(family.invert(more))))
            blind_back = error_of_blind(fit.e_back, scene.e_back)
            out["act_inverse"] = scored(back, seen_back, blind_back)
            out["act_shuffled"] = scored(lambda z, s: known(z, s + 2), seen, blind)
            out["act_own"] = scored(self.own(model, scene), seen, blind)
            if model.generates:
                mapped = regression(fit.true, scene.e_to).to(x).reshape(x.shape)
                shown = among(scene.true.flatten(1), unseen.flatten(1))
                out["act_pixels"] = self.pixels(scene, shown, mapped, move)
        return {f"{kind}/{name}": v for kind, found in out.items() for name, v in found.items()}

    @staticmethod
    def own(model: Model, scene: Scene) -> Move:
        """r(., T) of T inferred from x' and its own views."""
        assert infers_T(model)
        t, r = model.infer_T(scene.e_true, scene.e_back), model.r
        return lambda z, shift: r(z, t.roll(-shift, 0))

    @staticmethod
    def gain(scene: Scene, fit: Scene, move: Move, fitted: Move, blind: float) -> float:
        """``gain`` of a way to move latents, in `scene` and where it is fitted."""

        def error(shift: int) -> float:
            inputs = torch.cat([fit.e_to, fitted(fit.e_to, shift)], 1)
            new = torch.cat([scene.e_to, move(scene.e_to, shift)], 1)
            return mean_square(Ridge(inputs)(fit.e_true, new).to(scene.e), scene.e_true)

        return skill(error(0), blind, error(2))

    @staticmethod
    def pixels(scene: Scene, candidates: Tensor, mapped: Tensor, move: Move) -> dict[str, float]:
        """The same of decoded images, among candidates n K S*S; `mapped` is the blind map's."""
        model = scene.model
        decoded = generated(model, move(scene.e_to, 0))
        around = torch.stack(
            [generated(model, move(scene.e_to, shift)) for shift in others(len(scene.x))]
        ).mean(0)
        mrr, hit1 = (float(each.mean()) for each in chances(decoded.flatten(1), candidates))
        errors = (mean_square(found, scene.true) for found in (decoded, mapped, around))
        return {"mrr": mrr, "hit1": hit1, "skill": skill(*errors)}
