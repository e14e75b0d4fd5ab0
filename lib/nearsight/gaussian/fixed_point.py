"""The one unknown of a sample covariance with any spectrum: how much of it survives the ridge.

For W a white Wishart matrix of n degrees of freedom and a fixed diagonal D, expectations of functions of W/n + D are,
to leading order in 1/d, those of g + D with a single number g in (0, 1]. Here D_k = ridge_k / weight_k, so that
S + ridge for a covariance S with eigenvalues `weight` needs no division by a variance, which may vanish.
Source: Rubio and Mestre, Statistics & Probability Letters 2011; for a flat spectrum, Marchenko and Pastur 1967.
"""

from __future__ import annotations

import torch
from torch import Tensor


def solve(ridge: Tensor, weight: Tensor, n: int) -> Tensor:
    """Solve g (1 + (1/n) sum_k 1/(D_k + g)) = 1 for g in (0, 1], one g for each row; D = ridge / weight.

    ridge, weight [*batch, d], float64, ridge > 0 (or n > d); returns [*batch]. The residual is below 1e-12. The left
    side is concave and increasing in g, so Newton's method climbs to the root from a lower bound and never passes it.
    Cost: some ten sweeps of O(d) a row.
    """
    seen = weight > 0
    rank = seen.double().sum(-1)
    g = torch.maximum(1 - rank / n, 1 / (1 + (weight / ridge).sum(-1) / n))
    for _ in range(200):
        total = ridge + g.unsqueeze(-1) * weight
        # 1 - rank/n is exact at n = rank, where 1 - sum g/(D + g) would lose half the digits of a small g.
        residual = (n - rank) / n - g + torch.where(seen, ridge / total, 0.0).sum(-1) / n
        step = residual / (1 + (ridge * weight / total.square()).sum(-1) / n)
        g = g + step
        if (step.abs() <= 1e-10 * g).all():
            return g
    raise ArithmeticError("the fixed point did not converge; please report the spectrum, n and the ridge.")


def expected_log_determinant(ridge: Tensor, weight: Tensor, n: int) -> Tensor:
    """E ln det(S + ridge) for S a sample covariance of n samples (mean known) with true eigenvalues `weight`.

        sum_k ln(ridge_k + g weight_k) - n ln g - n (1 - g),    stationary in g at the root of `solve`

    Shapes as in `solve`; returns [*batch].
    """
    g = solve(ridge, weight, n)
    return (ridge + g.unsqueeze(-1) * weight).log().sum(-1) - n * (torch.log1p(g - 1) + 1 - g)
