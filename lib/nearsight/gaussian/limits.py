"""Marchenko-Pastur: the sample covariance of white data when n and d grow together.

The law MP describes the eigenvalues of S = W/n, W a white Wishart matrix with n degrees of freedom in d dimensions:
the interval (1 -+ sqrt c)^2 with c = d/n, and an atom of weight 1 - 1/c at 0 when c > 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nearsight import checks
from nearsight.checks.results import Readable


@dataclass(frozen=True, repr=False)
class ProportionalLimits(Readable):
    """Distances between a fitted Gaussian and the truth, per dimension, for n, d -> infinity at fixed n/d."""

    kl_fit_truth: float
    kl_truth_fit: float
    hellinger_exponent: float
    squared_wasserstein: float
    convergence: float

    def _pairs(self) -> dict[str, object]:
        return {"kl_fit_truth": self.kl_fit_truth, "kl_truth_fit": self.kl_truth_fit,
                "exponent": self.hellinger_exponent, "W2^2": self.squared_wasserstein, "q": self.convergence}


def proportional_limits(ratio: float) -> ProportionalLimits:
    """Limits per dimension for a Gaussian fitted to n = ratio d samples of a Gaussian of unit variance.

        KL(fit, truth)/d        1/2 [1 + ((1-c)/c) ln(1-c)]                         c = 1/ratio; inf for ratio <= 1
        KL(truth, fit)/d        1/2 [1/(1-c) - 2 - ((1-c)/c) ln(1-c)]               inf for ratio <= 1
        -ln(1 - H^2)/d          -1/4 int ln x dMP + 1/2 (int ln(1+x) dMP - ln 2)    inf for ratio <= 1
        W2^2/d                  2 - 2 int sqrt x dMP
        convergence q           (int sqrt x dMP)^2: the correlation of S_1^1/2 z and S_2^1/2 z, fits to disjoint sets

    KL and the exponent hold for every spectrum; W2 and q for the flat one. `kl_fit_truth`, `kl_truth_fit`,
    `hellinger_exponent` -> c/4, c/4, c/16 for large ratio. Raises ValueError for ratio <= 0. Cost O(1).
    """
    ratio = checks.positive(ratio, "ratio")
    points, weights = quadrature(ratio)
    mean_root = float(weights @ np.sqrt(points))
    squared_wasserstein = 2 - 2 * mean_root
    if ratio <= 1:
        return ProportionalLimits(math.inf, math.inf, math.inf, squared_wasserstein, mean_root**2)
    log_mean = log_moment(ratio)
    return ProportionalLimits(
        kl_fit_truth=-log_mean / 2,
        kl_truth_fit=(1 / (ratio - 1) + log_mean) / 2,
        hellinger_exponent=(log_moment(ratio, 1.0) - math.log(2)) / 2 - log_mean / 4,
        squared_wasserstein=squared_wasserstein,
        convergence=mean_root**2,
    )


def log_moment(ratio: float, shift: float = 0.0) -> float:
    """Mean of ln(x + shift) under Marchenko-Pastur, in closed form.

        int ln(x + D) dMP = ln(D + g) - ratio [ln g + 1 - g],    g^2 + (D + c - 1) g - D = 0, g > 0

    At shift 0 it is ((c-1)/c) ln(1-c) - 1 for ratio > 1, and -inf for ratio <= 1 (at ratio 1 the integral is -1).
    This is `fixed_point.expected_log_determinant` of a flat spectrum. Cost O(1).
    """
    c = 1 / ratio
    if shift == 0 and ratio <= 1:
        return -1.0 if ratio == 1 else -math.inf
    half = (shift + c - 1) / 2
    distance = math.hypot(half, math.sqrt(shift))
    g = distance - half if half <= 0 else shift / (distance + half)
    lost = c * g / (shift + g)  # 1 - g, with all its digits where c is small
    return math.log(shift + g) - ratio * (math.log1p(-lost) + lost)


def quadrature(ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """Points [200] and weights [200] for the continuous part of Marchenko-Pastur, whose mass is min(1, ratio).

        dMP = sqrt((x - low)(high - x)) / (2 pi c x) dx,    low, high = (1 -+ sqrt c)^2

    With x = (low + high)/2 - 2 sqrt(c) cos(theta) both edges become smooth: Gauss-Legendre in theta reaches
    1e-12, and 1e-9 where ratio is within 1 % of 1.
    """
    c = 1 / ratio
    nodes, gauss = np.polynomial.legendre.leggauss(200)
    theta, theta_weights = np.pi / 2 * (nodes + 1), np.pi / 2 * gauss
    # |1 - sqrt(c) e^(i theta)|^2, written so that it keeps its digits near the edge at 0.
    points = (1 - math.sqrt(c)) ** 2 + 4 * math.sqrt(c) * np.sin(theta / 2) ** 2
    # sqrt((x - low)(high - x)) = 2 sqrt(c) sin(theta) = dx/dtheta, so that dMP = 2 sin(theta)^2 / (pi x) dtheta.
    return points, theta_weights * 2 * np.sin(theta) ** 2 / (np.pi * points)
