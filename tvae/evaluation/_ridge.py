"""The linear regression that metrics ask what can be known without what they measure."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

ALPHAS = tuple(10.0**power for power in range(-3, 5))
"""Penalties of the ridge regressions, on standardised inputs, to choose from."""


def ridge(inputs: Tensor, outputs: Tensor, new: Tensor) -> Tensor:
    """A ridge regression from `inputs` (M A) to `outputs` (M B), at `new` (N A): N B in float64.

    The penalty, one for all outputs, is chosen from `ALPHAS` by leave-one-out cross-validation. NaN
    where something is not finite.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y, at = (tensor.double().flatten(1).cpu().numpy() for tensor in (inputs, outputs, new))
    if not all(np.isfinite(values).all() for values in (x, y, at)):
        return torch.full((len(at), y.shape[1]), torch.nan, dtype=torch.float64)
    fitted = make_pipeline(StandardScaler(), RidgeCV(ALPHAS)).fit(x, y)
    return torch.from_numpy(fitted.predict(at).reshape(len(at), y.shape[1]))
