"""The linear regression that metrics ask what can be known without what they measure."""

from __future__ import annotations

import torch
from torch import Tensor

ALPHAS = tuple(10.0**power for power in range(-3, 5))
"""Penalties of the ridge regressions, on standardised inputs, to choose from."""


class Ridge:
    """Ridge regressions from the same inputs, whose Gram matrix is decomposed once for all.

    With X the standardised inputs (M A), X^T X = Q diag(w) Q^T and centred outputs Y, the fit at
    penalty a is F diag(1 / (w + a)) F^T Y, F = X Q, for every a at once. Where A > M the smaller
    X X^T takes the place of X^T X: F = Q diag(w), and Q^T Y stands for F^T Y. Left out one by one,
    residual i is that of the fit over 1 - h_i, h_i the i-th leverage, the mean's 1 / M included.

    Args:
        inputs: M A, M at least 2.
    """

    def __init__(self, inputs: Tensor) -> None:
        from sklearn.preprocessing import StandardScaler

        x = inputs.double().flatten(1).cpu()
        self.finite = bool(x.isfinite().all())
        if not self.finite:
            return
        self.scaler = StandardScaler().fit(x.numpy())
        self.x = self._standardised(x)
        self.wide = x.shape[1] > len(x)
        values, self.q = torch.linalg.eigh(self.x @ self.x.T if self.wide else self.x.T @ self.x)
        self.values = values.clamp(min=0)
        self.features = self._features(self.x)
        self.left = self.q if self.wide else self.features

    def __call__(self, outputs: Tensor, new: Tensor) -> Tensor:
        """What a regression to `outputs` (M B) gives at `new` (N A): N B in float64.

        The penalty, one for all outputs, is chosen from `ALPHAS` by leave-one-out cross-validation.
        NaN where something is not finite.
        """
        y, at = (tensor.double().flatten(1).cpu() for tensor in (outputs, new))
        if not (self.finite and y.isfinite().all() and at.isfinite().all()):
            return torch.full((len(at), y.shape[1]), torch.nan, dtype=torch.float64)
        mean = y.mean(0)
        y = y - mean
        projected, leverages = self.left.T @ y, self.features * self.left

        def coefficients(alpha: float) -> Tensor:
            found: Tensor = projected / (self.values + alpha)[:, None]
            return found

        def error(alpha: float) -> float:
            kept = 1 - 1 / len(y) - leverages @ (1 / (self.values + alpha))
            residuals = (y - self.features @ coefficients(alpha)) / kept[:, None]
            return float(residuals.square().mean())

        best = min(ALPHAS, key=error)
        return self._features(self._standardised(at)) @ coefficients(best) + mean

    def _standardised(self, x: Tensor) -> Tensor:
        scaled: Tensor = torch.from_numpy(self.scaler.transform(x.numpy()))
        return scaled

    def _features(self, x: Tensor) -> Tensor:
        """F of rows of inputs."""
        found: Tensor = x @ self.x.T @ self.q if self.wide else x @ self.q
        return found
