"""The generalization gap of a blurred denoiser on a ring, in the two numbers that decide it.

For N training points on a ring of radius r, a denoiser of blur delta has at noise level sigma a gap that depends, once
the arcs are short against r, on a = N delta / r and s = N sigma / r alone: model error and data density are one knob.
All derived here, for the model of Kaiser and Kollmann 2026 (arXiv 2603.13419).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import special
from torch import Tensor

from nearsight import checks
from nearsight.denoisers.empirical import EmpiricalDenoiser
from nearsight.measures.gaps import generalization_gap
from nearsight.quadrature import polar

_NEIGHBORS = 12  # points of the flat lattice on either side; the next one is 13 spacings away


def lattice_gap(a: float, s: Tensor, metric: str = "mse") -> Tensor:
    """Exact gap between a training point and the middle of an arc, in the flat limit N -> infinity at fixed a and s.

    The ring becomes a line of points with spacing 2 pi (so r / N = 1), on which sigma = s and blur = a. s [S]; returns
    float64 [S], within 4 % of the ring for N >= 10 and 1 % for N >= 20. Right to 1e-3 for a >= 0.8. Costs 6144 * 2 * S
    calls.
    """
    a = checks.not_negative(a, "a")
    noise, weights = polar()
    line = torch.zeros(2 * _NEIGHBORS + 1, 2, dtype=torch.float64)
    line[:, 0] = 2 * math.pi * torch.arange(-_NEIGHBORS, _NEIGHBORS + 1)
    train, middle = line[_NEIGHBORS, None], torch.tensor([[math.pi, 0.0]], dtype=torch.float64)
    return generalization_gap(EmpiricalDenoiser(line, blur=a), train, middle, s, metric,
                              noise=noise[:, None], weights=weights).gap


def small_gap(a: float, s: Tensor) -> Tensor:
    """Closed form of `lattice_gap` for the mean-square error, from the first harmonic of the density alone.

        u = 4 s^2 exp(-s^2 - a^2/2) / (1 + a^4 / (a^2 + s^2)^2),      G = 2 u / (1 - u)

    Right to a relative order of exp(-(a^2 + s^2)): within 1 % of the exact limit at the peak for a >= 1.6, 7 % high at
    a = 1.2, and without meaning where u nears 1.
    For large a the peak is at s = 1, one spacing over 2 pi, and is (4/e) exp(-a^2/2) high. s any shape; returns float64
    of its shape, on the CPU, as all of this module does.
    """
    a, square = checks.positive(a, "a"), checks.numbers(s, "s").square()
    u = 4 * square * torch.exp(-square - a**2 / 2) / (1 + a**4 / (a**2 + square).square())
    return 2 * u / (1 - u)


def random_gap(a: float, t: Tensor) -> Tensor:
    """Mean-square gap for points drawn at random on the ring, to first order in 1/a; t = sigma / delta.

        G = (1/a) * 2 sqrt(2 pi) t^2 (1 + 2 t^2)^(-3/2) / (1 + (1 + t^2)^(-2))

    Unlike on the lattice the peak moves with delta (t = 1.29, height 0.812 / a) and falls only as 1/a: random points
    leave fluctuations of the density at every wavelength. t any shape; returns its shape.
    """
    a, square = checks.positive(a, "a"), checks.numbers(t, "t").square()
    return 2 * math.sqrt(2 * math.pi) / a * square * (1 + 2 * square) ** -1.5 / (1 + (1 + square) ** -2)


def modulation(n: int, sigma: Tensor, radius: float = 10.0) -> Tensor:
    """Angular modulation of the density of n equidistant ring points at total noise sigma, seen on the ring.

        2 I_n(kappa) / I_0(kappa) ~ 2 exp(-n^2 sigma^2 / (2 r^2)),      kappa = r^2 / sigma^2

    It is the share of the geometry that the field still resolves: first Fourier coefficient over the mean. For the
    optimal denoiser sigma is the noise level, for a blurred one sqrt(sigma^2 + delta^2). Any shape; returns float64 of
    its shape.
    """
    n, sigma = checks.count(n, "n"), checks.numbers(sigma, "sigma")
    if not (sigma > 0).all():
        raise ValueError(f"sigma is {checks.came(sigma)} with entries that are not > 0; expected noise levels > 0.")
    kappa = checks.positive(radius, "radius") ** 2 / np.square(sigma.numpy())
    return torch.as_tensor(2 * special.ive(n, kappa) / special.ive(0, kappa))


def return_probability(n: int, sigma: float, radius: float = 10.0) -> float:
    """Chance that the optimal flow takes y_i + sigma eps back to y_i, for n >= 3 equidistant ring points.

    By symmetry the basins of the flow are the n sectors at every sigma, so it is the chance of staying in one's sector,

        P = E_z[ 2 Phi( max(r + sigma z, 0) tan(pi / n) / sigma ) - 1 ],      z ~ N(0, 1),

    from 1 at small noise to 1/n at large noise. By Gauss-Legendre in z, to 1e-8.
    """
    n = checks.count(n, "n", at_least=3)  # so that a sector is narrower than a half plane
    level, radius = checks.positive(sigma, "sigma"), checks.positive(radius, "radius")
    # Below z = -r / sigma the state lies behind the center, outside the sector.
    low, high = max(-radius / level, -9.0), 9.0
    nodes, gauss = np.polynomial.legendre.leggauss(200)
    z = low + (high - low) * (nodes + 1) / 2
    stays = 2 * special.ndtr((radius + level * z) * math.tan(math.pi / n) / level) - 1
    integral = float(gauss @ (stays * np.exp(-z**2 / 2))) * (high - low) / 2
    return integral / math.sqrt(2 * math.pi)
