"""Wasserstein distance between raw points and a Gaussian, direction by direction: no kernel, no matching."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nearsight.gaussian import inputs


def sliced_to_points(points: Tensor, mean: Tensor, covariance: Tensor, directions: Tensor) -> Tensor:
    """Sliced W2^2 between sets of points and Gaussians: the mean of W2^2 over the projections on `directions`.

    Of n sorted numbers x_(i) and N(m, s^2), with z_i the normal quantile and phi the normal density at z_i, of i/n:

        W2^2 = mean x^2 + m^2 + s^2 - 2 m mean x - 2 s sum_i x_(i) [phi(z_(i-1)) - phi(z_i)]

    points [sets, n, d], mean [sets, d], covariance [sets, d, d], directions [k, d] of length 1; returns [sets].
    Cost O(sets k (n ln n + d^2)).
    """
    values = inputs.samples(points, "points")
    n = values.shape[1]
    x = (values @ directions.T).sort(1).values
    center, deviation = projected(mean, covariance, directions)
    z = torch.special.ndtri(torch.arange(n + 1, dtype=values.dtype, device=values.device) / n)
    density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    pull = (x * (density[:-1] - density[1:])[:, None]).sum(1)
    squared = x.square().mean(1) + center**2 + deviation**2 - 2 * center * x.mean(1) - 2 * deviation * pull
    return squared.mean(1)


def projected(mean: Tensor, covariance: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation [sets, k] of Gaussians along directions [k, d]."""
    variance = ((directions @ covariance) * directions).sum(-1)
    return mean @ directions.T, variance.clamp(min=0).sqrt()
