"""The published measure of generalization: is the model's density nearer to a kernel estimate of its training set or
to one of a large original set?

Source: Halder and Pehlevan, arXiv 2411.17807. All values are in units of (4 pi deviation^2)^(-d/2), in which the
diagonal of a set's overlap with itself is scale^-d for every n; it cancels in the difference, and so is never formed.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nearsight import checks
from nearsight.gaussian import inputs


def kernel_delta(
    train: Tensor, original: Tensor, mean: Tensor, covariance: Tensor, deviation: float = 1.0, scale: float = 1.0
) -> float:
    """Delta = E_TG - E_OG: positive where the model G is nearer to the original set than to its training set.

        rho_X = (1/n) sum_k N(.; x_k, eps^2 I),    eps = scale deviation n^(-1/d)
        E_XG = int rho_X^2 - 2 int rho_X rho_G = 1 + `pair_overlap` - 2 `model_overlap`    (scale = 1)

    train [n, d], original [N, d], mean [d] and covariance [d, d] of G (singular allowed). float64 whatever comes in:
    the terms may be 1e-16 of the diagonal, and in float32 its rounding decides the sign. Raises ValueError for fewer
    than 2 points, unequal dimensions, a mean or covariance that does not fit, deviation or scale <= 0.
    Cost O(N^2 d) time, O(1000 N) memory.
    """
    for points, name in ((train, "train"), (original, "original")):
        checks.points(points, name, at_least=2)
    checks.same_event(train, original, "train", "original")
    pairs = pair_overlap(train, deviation, scale) - pair_overlap(original, deviation, scale)
    models = (model_overlap(train, mean, covariance, deviation, scale)
              - model_overlap(original, mean, covariance, deviation, scale))
    return pairs - 2 * models


def pair_overlap(points: Tensor, deviation: float = 1.0, scale: float = 1.0) -> float:
    """Off-diagonal part of int rho^2:  n^-2 (eps/deviation)^-d sum_{i != j} exp(-|x_i - x_j|^2 / 4 eps^2).

    points [n, d], n >= 2. For Gaussian data of that deviation and scale 1 its mean is
    (1 - 1/n)(1 + eps^2/deviation^2)^(-d/2). Cost O(n^2 d) time, O(1000 n) memory.
    """
    values, width = _prepare(points, deviation, scale)
    n, d = values.shape
    # With u = x / (sqrt 2 eps) the exponent is u_i u_j - |u_i|^2/2 - |u_j|^2/2; centering keeps its digits.
    u = (values - values.mean(0)) / (math.sqrt(2) * width)
    half = u.square().sum(1) / 2
    logs = []
    for start in range(0, n, 1000):
        block = u[start : start + 1000]
        exponent = (block @ u[start:].mT).sub_(half[start : start + 1000, None]).sub_(half[start:])
        size = len(block)
        exponent[:, :size].masked_fill_(torch.ones(size, size, dtype=torch.bool, device=u.device).tril(), -math.inf)
        logs.append(exponent.flatten().logsumexp(0))
    total = torch.stack(logs).logsumexp(0).item()
    return 2 * math.exp(total - math.log(n) - d * math.log(scale))


def model_overlap(
    points: Tensor, mean: Tensor, covariance: Tensor, deviation: float = 1.0, scale: float = 1.0
) -> float:
    """Overlap with the model, int rho rho_G, where C = Sigma_G + eps^2 I and m is the mean of G:

        (2 deviation^2)^(d/2) mean_i |C|^-1/2 exp(-1/2 (x_i - m)^T C^-1 (x_i - m))

    points [n, d], mean [d], covariance [d, d]. Cost O(n d^2 + d^3).
    """
    values, width = _prepare(points, deviation, scale)
    n, d = values.shape
    if checks.floating(mean, "mean").shape != (d,):
        raise ValueError(f"mean has shape {list(mean.shape)}; expected [{d}], the dimension of the points.")
    checks.floating(covariance, "covariance", (d, d))
    center, blurred = mean.detach().to(values), inputs.covariance(covariance, "covariance", d).clone()
    if not torch.isfinite(center).all():
        raise ValueError("mean has NaN or infinite entries; expected the mean of the model's law.")
    blurred.diagonal().add_(width**2)
    factor = torch.linalg.cholesky(blurred)
    whitened = torch.linalg.solve_triangular(factor, (values - center).mT, upper=False)
    log_density = -whitened.square().sum(0) / 2 - factor.diagonal().log().sum()
    log_mean = log_density.logsumexp(0).item() - math.log(n)
    log_unit = d / 2 * math.log(2 * deviation**2)
    return math.exp(log_mean + log_unit)


def _prepare(points: Tensor, deviation: float, scale: float) -> tuple[Tensor, float]:
    """The points in float64 and the width eps of their kernels."""
    values = inputs.samples(points, "points", at_least=2)
    n, d = values.shape
    return values, checks.positive(scale, "scale") * checks.positive(deviation, "deviation") * n ** (-1 / d)
