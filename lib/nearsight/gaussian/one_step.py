"""The published one-step model: a linear denoiser, fitted to few noisy copies and applied once.

Source: Halder and Pehlevan, arXiv 2411.17807. Its law is a Gaussian, so nothing needs to be sampled.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nearsight import checks
from nearsight.gaussian import inputs
from nearsight.gaussian.limits import log_moment


def one_step(
    points: Tensor, sigma: float, draws: int | None = 1, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the law that the one-step model generates.

    Each point y has `draws` noisy copies x = y + sigma eps; least squares with intercept gives y ~ b + B x, of minimum
    norm if there are not more pairs than dimensions; one application to x ~ N(mean(y), s^2 I) generates

        N(b + B mean(y), s^2 B B^T),    s^2 = (mean over coordinates of the unbiased variance of y) + sigma^2

    draws=None is the limit of infinitely many: B = S (S + sigma^2)^-1, no randomness. points [*batch, n, d], n >= 2;
    returns [*batch, d] and [*batch, d, d]. Raises ValueError for fewer points, sigma < 0 or draws < 1.
    Cost O(n draws d^2), memory O(n draws d).
    """
    mean, slope, variance = regression(points, sigma, draws, generator)
    return mean.to(points), (variance * slope @ slope.mT).to(points)


def regression(
    points: Tensor, sigma: float, draws: int | None, generator: torch.Generator | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The parts of `one_step` in float64: mean [*batch, d] of G, slope B [*batch, d, d] and s^2 [*batch, 1, 1]."""
    values = inputs.samples(points, "points", at_least=2)
    sigma = checks.not_negative(sigma, "sigma")
    checks.generator(generator, values.device)
    mean = values.mean(-2)
    centered = values - mean.unsqueeze(-2)
    variance = values.var(-2).mean(-1)[..., None, None] + sigma**2
    if draws is None:
        sample_covariance = centered.mT @ centered / values.shape[-2]
        blurred = sample_covariance + sigma**2 * torch.eye(values.shape[-1]).to(values)
        return mean, sample_covariance @ torch.linalg.pinv(blurred, hermitian=True), variance
    clean = centered.repeat_interleave(checks.count(draws, "draws"), dim=-2)
    noise = torch.randn(clean.shape, generator=generator, dtype=clean.dtype, device=clean.device)
    noisy = clean + sigma * noise
    noisy_mean = noisy.mean(-2, keepdim=True)
    slope = (torch.linalg.pinv(noisy - noisy_mean) @ clean).mT
    return mean - (noisy_mean @ slope.mT).squeeze(-2), slope, variance


def one_step_limit(ratio: float, sigma: float, variance: float = 1.0) -> float:
    """KL(G, truth)/d of the one-step model with one draw, for n, d -> infinity at n/d = ratio, truth N(mu, variance I).

    With r = variance/(variance + sigma^2) and c = 1/ratio:

        1/2 [r - 1 - ln r + (1-r)/(ratio-1) - (int ln(1 + Q/x) dMP - Q/t)],
        t = sigma^2/(ratio variance),    Q = max(0, t (t - 1 + c)/(t + c))

    The last term is there for ratio < 1 + sigma^2/variance only, and is a second, weak transition. `inf` for
    ratio <= 1; 1/2 [r - 1 - ln r] > 0 remains at ratio = inf, since the variance is never recovered. Raises ValueError
    for ratio <= 0, sigma < 0 or variance <= 0. Cost O(1).
    """
    ratio, sigma = checks.positive(ratio, "ratio"), checks.not_negative(sigma, "sigma")
    excess = sigma**2 / checks.positive(variance, "variance")
    if ratio <= 1:
        return math.inf
    r, t, c = 1 / (1 + excess), excess / ratio, 1 / ratio
    relative = max(0.0, (t - 1 + c) / (t + c))  # Q / t
    correction = log_moment(ratio, relative * t) - log_moment(ratio) - relative
    return (r - 1 - math.log(r) + (1 - r) / (ratio - 1) - correction) / 2
