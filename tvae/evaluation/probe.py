"""What T encodes: can the true parameters be read off it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch

from tvae.evaluation._ridge import ALPHAS
from tvae.evaluation.base import (
    NOT_APPLICABLE,
    Context,
    Direction,
    Measurement,
    Metric,
    at_least,
)

NAMES = ("T/r2", "T/ceiling", "difference/r2")


class ProbeT(Metric):
    """R^2 of a linear probe from T to the true parameters of f, at most 1, higher is better.

    The probe is a ridge regression on the leading principal components of its inputs, as many for
    every arm, so that a larger T gains nothing but what it says: five-fold cross-validation, the
    components and the penalty (leave-one-out) chosen within the four folds that are fitted. Angles
    are told as sine and cosine. Each is the mean over the parameters, with a row for every one.

    - ``T/r2``: of T = h_xi(E(x_1), E(x_2)).
    - ``T/ceiling``: of (E(x_1), E(x_2)), what h_xi sees, for any encoder: how much is there to be
      read off by a plane. T may be above it, since h_xi is no plane.
    - ``difference/r2``: of E(x_1) - E(x_2), the T of an additive form that does no more than
      subtract, for any encoder.
    - ``T/spread``, ``difference/spread``: the standard deviation over the images, mean over the
      dimensions: 0 says that h_xi has died.

    T that is constant, noise or another image's is at 0 or below. One that is not finite is at
    minus infinity.

    Args:
        images: held-out images, at least 10.
        components: at most so many principal components, at least 1.

    Source: the measure is ours; the claim that T encodes the transformation is the paper's, Sec. 3.
    """

    needs: ClassVar[Mapping[str, frozenset[str]]] = {
        **{name: frozenset({"views"}) for name in (*NAMES, "difference/spread")},
        **{name: frozenset({"views", "T"}) for name in ("T/r2", "T/spread")},
    }

    def __init__(self, images: int = 2000, components: int = 20) -> None:
        self.images = at_least("images", images, 10)
        self.components = at_least("components", components, 1)

    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What is measured, and which way is better."""
        return {
            "T/r2": "higher",
            "T/ceiling": "none",
            "T/spread": "none",
            "difference/r2": "higher",
            "difference/spread": "none",
        }

    @torch.no_grad()
    def __call__(self, context: Context) -> list[Measurement]:
        """All of them and, of the three R^2, a row for every parameter."""
        out = []
        for name, which in self.directions([]).items():
            inputs = self.inputs(context, name)
            if name.endswith("spread"):
                value = NOT_APPLICABLE if inputs is None else float(inputs.std(0).mean())
                out.append(Measurement(name, value, "standard deviation", which))
                continue
            each = {} if inputs is None else self.scores(context, inputs)
            mean = float(np.mean(list(each.values()))) if each else NOT_APPLICABLE
            out.append(Measurement(name, mean, "R^2", which))
            out += [Measurement(f"{name}/{p}", value, "R^2", which) for p, value in each.items()]
        return out

    def inputs(self, context: Context, name: str) -> torch.Tensor | None:
        """What is probed under a name, N of some numbers; None where there is nothing."""
        if not context.family.has_views:
            return None
        probe = context.probe(self.images)
        if name == "T/ceiling":
            return torch.cat([probe.e_1, probe.e_2], 1)
        return probe.e_1 - probe.e_2 if name.startswith("difference") else probe.t

    def scores(self, context: Context, inputs: torch.Tensor) -> dict[str, float]:
        """Parameter of f -> R^2; of those that vary."""
        parameters = context.probe(self.images).parameters
        targets = {
            name: values.cpu().double().numpy()
            for name, values in context.family.targets(parameters).items()
        }
        targets = {name: t for name, t in targets.items() if np.ptp(t) > 1e-9}
        if not targets:
            return {}
        found = self.r2(inputs.cpu().double().numpy(), np.column_stack(list(targets.values())))
        return dict(zip(targets, map(float, found), strict=True))

    def r2(self, inputs: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """R^2 of the probe of inputs N P for each column of the truth N Q, Q values."""
        from sklearn.decomposition import PCA
        from sklearn.linear_model import RidgeCV
        from sklearn.metrics import r2_score
        from sklearn.model_selection import KFold, cross_val_predict
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        if not np.isfinite(inputs).all():
            return np.full(truth.shape[1], -np.inf)
        folds = KFold(5, shuffle=True, random_state=0)
        most = min(self.components, inputs.shape[1], len(inputs) * 4 // 5)
        probe = make_pipeline(
            PCA(most, random_state=0),
            StandardScaler(),
            RidgeCV(ALPHAS, alpha_per_target=True),
        )
        with np.errstate(invalid="ignore"):  # the shares of variance of a T that is constant
            predicted = cross_val_predict(probe, inputs, truth, cv=folds)
        values: np.ndarray = r2_score(truth, predicted, multioutput="raw_values")
        return values
