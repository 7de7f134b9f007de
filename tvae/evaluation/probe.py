"""What T encodes: can the true parameters be read off it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from tvae.evaluation.base import (
    NOT_APPLICABLE,
    Context,
    Direction,
    Measurement,
    Metric,
    at_least,
)


class ProbeT(Metric):
    """R^2 of a linear and of a kNN probe from T to the true parameters, at most 1, higher better.

    Five-fold cross-validated; angles as sine and cosine; ``T/r2_linear`` and ``T/r2_knn`` are
    means over the parameters, the rows below them one parameter each. ``difference/...`` probes
    the latent difference E(f(x)) - E(x) instead, for any encoder. ``T/spread`` is the standard
    deviation of T over the images, mean over its dimensions: 0 says that h_xi has died.

    Args:
        images: held-out images, at least 10.
        k: neighbours of the kNN probe, on standardised inputs.

    Source: the measure is ours; the claim that T encodes the transformation is the paper's, Sec. 3.
    """

    needs: ClassVar[Mapping[str, frozenset[str]]] = {
        f"{kind}/{name}": frozenset({"views", "T"} if kind == "T" else {"views"})
        for kind in ("T", "difference")
        for name in ("r2_linear", "r2_knn", "spread")
    }

    def __init__(self, images: int = 2000, k: int = 10) -> None:
        self.images = at_least("images", images, 10)
        self.k = at_least("k", k, 1)

    def directions(self, labels: Sequence[str]) -> dict[str, Direction]:
        """What is measured, and which way is better."""
        out: dict[str, Direction] = {}
        for kind in ("T", "difference"):
            out |= {f"{kind}/r2_linear": "higher", f"{kind}/r2_knn": "higher"}
            out[f"{kind}/spread"] = "none"
        return out

    def __call__(self, context: Context) -> list[Measurement]:
        """``T/r2_linear``, ``T/r2_knn``, ``T/spread``, a row a parameter; of the difference too."""
        out = []
        probe = context.probe(self.images) if context.family.has_views else None
        for kind in ("T", "difference"):
            inputs = None
            if probe is not None:
                inputs = probe.t if kind == "T" else probe.e_1 - probe.e
            scores = {}
            spread = NOT_APPLICABLE if inputs is None else float(inputs.std(0).mean())
            out.append(Measurement(f"{kind}/spread", spread, "standard deviation", "none"))
            if probe is not None and inputs is not None:
                targets = {
                    name: values.cpu().double().numpy()
                    for name, values in context.family.targets(probe.parameters).items()
                }
                targets = {name: t for name, t in targets.items() if np.ptp(t) > 1e-9}
                if targets:
                    scores = self.scores(inputs.cpu().double().numpy(), targets)
            for way in ("linear", "knn"):
                each = scores.get(way, {})
                mean = float(np.mean(list(each.values()))) if each else NOT_APPLICABLE
                out.append(Measurement(f"{kind}/r2_{way}", mean, "R^2", "higher"))
                out += [
                    Measurement(f"{kind}/r2_{way}/{name}", value, "R^2", "higher")
                    for name, value in each.items()
                ]
        return out

    def scores(
        self, inputs: np.ndarray, targets: dict[str, np.ndarray]
    ) -> dict[str, dict[str, float]]:
        """Probe -> target -> R^2, of inputs N P and targets of N values each."""
        from sklearn.linear_model import LinearRegression
        from sklearn.metrics import r2_score
        from sklearn.model_selection import KFold, cross_val_predict
        from sklearn.neighbors import KNeighborsRegressor
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        truth = np.column_stack(list(targets.values()))
        folds = KFold(5, shuffle=True, random_state=0)
        fitted = len(inputs) * 4 // 5
        probes = {
            "linear": LinearRegression(),
            "knn": KNeighborsRegressor(min(self.k, fitted), algorithm="brute"),
        }
        out = {}
        for way, regressor in probes.items():
            probe = make_pipeline(StandardScaler(), regressor)
            predicted = cross_val_predict(probe, inputs, truth, cv=folds)
            values = r2_score(truth, predicted, multioutput="raw_values")
            out[way] = dict(zip(targets, map(float, values), strict=True))
        return out
