"""How far a denoiser is from the one that generalizes, and which blur it acts like."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy import optimize
from torch import Tensor

from nearsight import checks
from nearsight.denoisers.empirical import EmpiricalDenoiser
from nearsight.denoisers.compose import Denoiser
from nearsight.measures.gaps import denoising_error

_LARGEST = 40.0  # blurs are sought up to here: four radii of the default ring


@torch.no_grad()
def excess_risk(denoiser: Denoiser, truth: Denoiser, points: Tensor, sigmas: Tensor, noise: Tensor,
                weights: Tensor | None = None) -> Tensor:
    """Mean squared distance between a denoiser and the population's, R(sigma) [S].

        R(sigma) = E |D(x, sigma) - D_truth(x, sigma)|^2,      x = y + sigma eps

    summed over event entries. For y drawn from the population, D's summed squared error is that of D_truth plus R
    exactly, so R is what is left to gain; a gap between training and held-out points does not tell it. points [N,
    *event] are such y (equidistant ones integrate over a ring), noise [draws, N or 1, *event], weights [draws] as in
    `point_errors`.
    """
    shares = torch.full((len(noise),), 1 / len(noise)) if weights is None else weights / weights.sum()
    risks = []
    for sigma in checks.grid(sigmas).tolist():
        x = (points + sigma * noise).to(points.dtype).flatten(0, 1)
        distance = (denoiser(x, sigma) - truth(x, sigma)).flatten(1).square().sum(1)
        risks.append(shares.to(distance) @ distance.unflatten(0, (len(noise), -1)).mean(1))
    return torch.stack(risks)


def matched_blur(denoiser: Denoiser, points: Tensor, sigma: float, noise: Tensor,
                 weights: Tensor | None = None) -> float:
    """The blur with which the empirical denoiser of `points` has the training error of `denoiser` at one noise level.

    The training error rises monotonically with the blur at every sigma, on the ring hardly at all above sigma = 3:
    there the match says little. Returns nan where no blur up to 40 has that error (a denoiser better than the optimal
    one by chance, or worse than the identity). Costs about 30 evaluations of the empirical denoiser.
    """
    def error(model: Denoiser) -> float:
        return float(denoising_error(model, points, [sigma], noise=noise, weights=weights))

    wanted = error(denoiser)

    def excess(blur: float) -> float:
        return error(EmpiricalDenoiser(points, blur)) - wanted

    if excess(0.0) > 0 or excess(_LARGEST) < 0:
        return float("nan")
    return optimize.brentq(excess, 0.0, _LARGEST, xtol=1e-6)


@dataclass(frozen=True)
class FittedBlur:
    """The blur that explains a denoiser best, and the share of its error that it leaves unexplained (0: nothing is
    left)."""

    blur: float
    unexplained: float


def fitted_blur(denoiser: Denoiser, points: Tensor, sigma: float, noise: Tensor, weights: Tensor | None = None,
                family: Callable[[float], Denoiser] | None = None) -> FittedBlur:
    """The member of a family of blurred denoisers that is nearest to `denoiser` on noised training data.

        blur = argmin_delta E |D - D_delta|^2,      unexplained = E |D - D_blur|^2 / E |D - y*|^2

    y* is the optimal denoiser of `points`, and `family` maps delta to a denoiser: isotropic blur where it is not
    given, for blur along the ring pass `lambda spread: RingKernelDenoiser(radius, angles, spread)`. Sought on a
    logarithmic scale from 1e-3 to 40, first on a grid, then by Brent's method. Costs about 45 evaluations of the
    family and one of the denoiser.
    """
    family = family or (lambda blur: EmpiricalDenoiser(points, blur))
    with torch.no_grad():
        noisy = (points + sigma * noise).to(points.dtype).flatten(0, 1)
        clean = denoiser(noisy, sigma)  # once: a network costs more than the family

    def distance(log_blur: float) -> float:
        member = family(math.exp(log_blur))
        return float(excess_risk(lambda x, sigma: clean, member, points, [sigma], noise, weights))

    grid = torch.linspace(math.log(1e-3), math.log(_LARGEST), 25, dtype=torch.float64).tolist()
    best = min(range(len(grid)), key=lambda index: distance(grid[index]))
    ends = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = optimize.minimize_scalar(distance, bounds=ends, method="bounded", options={"xatol": 1e-6})
    optimal = float(excess_risk(denoiser, EmpiricalDenoiser(points), points, [sigma], noise, weights))
    return FittedBlur(math.exp(found.x), found.fun / optimal)


def guided_blur(positive: float, negative: float, weight: float, sigma: float = 0.0) -> float:
    """The blur of a blurred denoiser that is guided away from a blurrier one: precisions add up.

        1 / (sigma^2 + delta^2) = (1 + w) / (sigma^2 + delta_+^2) - w / (sigma^2 + delta_-^2)

    Exact for a single training point, and for many a rule of thumb in its limit sigma = 0. Raises ValueError where
    guidance takes away more than there is, so that no blur is left.
    """
    def total(blur: float) -> float:
        return sigma**2 + checks.positive(blur, "blur") ** 2

    precision = (1 + weight) / total(positive) - weight / total(negative)
    if precision <= 0 or precision * sigma**2 >= 1:
        raise ValueError(f"weight {weight:g} leaves no blur between {positive:g} and {negative:g} at sigma {sigma:g}; "
                         "expected a smaller weight.")
    return (1 / precision - sigma**2) ** 0.5
