"""Quadrature over Gaussian noise in the plane: an expectation without error bars."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from nearsight import checks


def polar(radial: int = 64, angular: int = 96, reach: float = 9.0) -> tuple[Tensor, Tensor]:
    """Nodes and weights such that E f(eps) = sum_q w_q f(eps_q) for eps ~ N(0, I) in the plane.

        eps = rho (cos phi, sin phi),      w ∝ g rho exp(-rho^2 / 2)

    rho and g are the Gauss-Legendre nodes and weights on [0, reach], phi is equispaced, and the weights sum to 1. A
    norm has a kink where the error is zero, which a polar rule puts on its border; the tensor product of Gauss-Hermite
    rules does not, and errs by up to 7e-3 in mean errors that the default rule gives within 2e-4 (study 2, blur >=
    0.8).

    Returns noise [radial * angular, 2] and weights [radial * angular], float64: pass them as `noise=noise[:, None]`
    and `weights=weights` wherever an error is averaged. What lies beyond `reach`, exp(-reach^2 / 2) of the mass, is
    left out. Raises ValueError for fewer than one node or a reach that is not positive.
    """
    radial, angular = checks.count(radial, "radial"), checks.count(angular, "angular")
    nodes, gauss = (torch.from_numpy(values) for values in np.polynomial.legendre.leggauss(radial))
    rho = checks.positive(reach, "reach") * (nodes + 1) / 2
    phi = torch.arange(angular, dtype=torch.float64) * (2 * math.pi / angular)
    noise = rho[:, None, None] * torch.stack([phi.cos(), phi.sin()], 1)
    weights = (gauss * rho * torch.exp(-rho.square() / 2))[:, None].expand(radial, angular).flatten()
    return noise.flatten(0, 1), weights / weights.sum()
