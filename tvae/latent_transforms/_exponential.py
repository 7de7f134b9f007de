"""The action of the matrix exponential, exp(A) Z, without the exponential.

Legend: `B` batch, `m` rows of A and Z, `n` columns of Z.
"""

from __future__ import annotations

from math import ceil, factorial, inf, log2

import torch
from torch import Tensor

NORM_LIMIT = 500.0
"""Largest norm of A for which the action is computed; beyond, the result is NaN.

exp(A) may leave float32's range from a norm of 88 on; past this limit, even a rotation would take
hundreds of products a step. A training run that gets here has diverged and is recorded as such.
"""

REACH = 80.0
"""Norm of A up to which exp(A) stays well inside float32's range: e^80 is 6e34."""

_MOST_TERMS = 24


def taylor_plan(norm: float, tolerance: float) -> tuple[int, int]:
    """(terms, scalings) with the fewest products such that Taylor's error is within `tolerance`.

    The truncated series of ``exp(A / s)`` after `m` terms leaves a remainder of at most
    ``h^(m+1)/(m+1)! * 1/(1 - h/(m+2))``, ``h = |A|/s``, and `s` applications of it add up to `s`
    such errors relative to ``e^|A|``. After Al-Mohy and Higham, "Computing the action of the matrix
    exponential" (SIAM J. Sci. Comput. 33(2), 2011), with their backward-error table replaced by
    this a-priori bound.

    Args:
        norm: |A| in a consistent norm, 0 to `NORM_LIMIT`.
        tolerance: bound on the error relative to ``e^|A|``, in (0, 1).
    """
    best, plan = inf, (1, 1)
    for scalings in range(max(1, ceil(norm / 8)), ceil(norm) + 2):
        h = norm / scalings
        for terms in range(1, _MOST_TERMS + 1):
            if h >= terms + 2:
                continue
            remainder = h ** (terms + 1) / factorial(terms + 1) / (1 - h / (terms + 2))
            if scalings * remainder <= tolerance:
                if terms * scalings < best:
                    best, plan = terms * scalings, (terms, scalings)
                break
    return plan


def exponential_action(a: Tensor, z: Tensor) -> Tensor:
    """exp(A) Z by scaled Taylor products of A with Z, differentiable in both.

    How many products it takes is read off the norm of A. On an accelerator that reading would wait
    for all that was asked of it before, in every step; there it is `unread_action`.

    Args:
        a: B m m.
        z: B m n.

    Returns:
        B m n, within a few units in the last place of z's type relative to ``e^|A|_1``; NaN where
        the largest norm in the batch is not finite or above `NORM_LIMIT`.
    """
    if a.device.type != "cpu":
        return unread_action(a, z)
    norm = a.detach().abs().sum(dim=1).amax().item() if a.numel() else 0.0
    if not norm <= NORM_LIMIT:
        return z * torch.nan
    terms, scalings = taylor_plan(norm, torch.finfo(z.dtype).eps / 4)
    a = a / scalings
    for _ in range(scalings):
        product = z
        for k in range(1, terms + 1):
            product = torch.bmm(a, product) / k
            z = z + product
    return z


def unread_action(a: Tensor, z: Tensor) -> Tensor:
    """`exponential_action` by the same operations whatever the numbers, so that none is read.

    ``exp(A) = exp(A / 2^s)^(2^s)``, the s squarings being those at the front of as many as
    `NORM_LIMIT` asks for: the others are computed and left out. More work for small matrices than
    products with Z, and no wait; a CPU has nothing to wait for.

    Args:
        a: B m m.
        z: B m n.

    Returns:
        As `exponential_action`, up to rounding.
    """
    if not a.numel():
        return z
    norm = a.detach().abs().sum(dim=1).amax()
    halvings = norm.clamp_min(1).log2().ceil()
    a = a / 2**halvings  # of norm 1 at most
    terms, _ = taylor_plan(1.0, torch.finfo(z.dtype).eps / 4)
    eye = torch.eye(a.shape[1], dtype=a.dtype, device=a.device).expand_as(a)
    exp = eye + a / terms
    for k in range(terms - 1, 0, -1):  # Horner's scheme
        exp = torch.baddbmm(eye, a, exp, alpha=1 / k)
    for i in range(ceil(log2(NORM_LIMIT))):
        exp = torch.where(halvings > i, torch.bmm(exp, exp), exp)
    return torch.where(norm <= NORM_LIMIT, torch.bmm(exp, z), torch.nan)
