"""How far a denoiser is from the one that generalizes, and which blur it acts like."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy import optimize
from torch import Tensor

from nearsight import checks
from nearsight.checks.results import Readable
from nearsight.denoisers.compose import Denoiser
from nearsight.denoisers.empirical import EmpiricalDenoiser
from nearsight.denoisers.ring import RingKernelDenoiser
from nearsight.flow.theory import modulation
from nearsight.measures.gaps import denoising_error

_LARGEST = 40.0  # blurs are sought up to here: four radii of the default ring
_ROUNDING = 1e-12  # distances that differ by this share are the same


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
    _noised(points, noise)
    denoiser, truth = checks.denoiser(denoiser), checks.denoiser(truth, "true denoiser")
    if weights is not None:
        checks.same_device(points, checks.vector(weights, "weights", len(noise)), "points", "weights")
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
    there the match says little. Where no blur has that error it is the one whose error is nearest: 0 for a denoiser
    that is better than the optimal one by chance, 40, the largest that is sought, for one that leaves as much noise as
    the identity or more. Costs about 30 evaluations of the empirical denoiser.
    """
    sigma = checks.not_negative(sigma, "sigma")
    checks.denoiser(denoiser)
    checks.points(points, "points")

    def error(model: Denoiser) -> float:
        return float(denoising_error(model, points, [sigma], noise=noise, weights=weights))

    wanted = error(denoiser)

    def excess(blur: float) -> float:
        return error(EmpiricalDenoiser(points, blur)) - wanted

    if excess(0.0) >= 0:
        return 0.0
    return _LARGEST if excess(_LARGEST) <= 0 else optimize.brentq(excess, 0.0, _LARGEST, xtol=1e-6)


@dataclass(frozen=True, repr=False)
class FittedBlur(Readable):
    """The isotropic blur that explains a denoiser best, and the share of its error that it leaves unexplained (0:
    nothing is left, 1: no blur explains anything)."""

    blur: float
    unexplained: float


def fitted_blur(denoiser: Denoiser, points: Tensor, sigma: float, noise: Tensor,
                weights: Tensor | None = None) -> FittedBlur:
    """The blurred denoiser D_delta of `points` that is nearest to `denoiser` on noised training data.

        blur = argmin_delta E |D - D_delta|^2,      unexplained = min_delta E |D - D_delta|^2 / E |D - y*|^2

    y* is the optimal denoiser of `points`, delta = 0. The unexplained share is a minimum, which data always determine;
    its place they may not: where blurs much larger than sigma all but leave x alone, several can be as near as each
    other. Sought from 0 to 40 on a logarithmic scale, on a grid and by Brent's method from each of its minima; 40 where
    no blur is nearer. Costs about 70 evaluations of the blurred denoiser and one of the other.
    """
    return FittedBlur(*_nearest(lambda blur: EmpiricalDenoiser(points, blur), denoiser, points, sigma, noise, weights))


@dataclass(frozen=True, repr=False)
class FittedSpread(Readable):
    """The blur along the ring that explains a denoiser best, told by how much of the points it leaves to be seen (0: the
    uniform ring), and the share of the denoiser's error that it leaves unexplained."""

    modulation: float
    unexplained: float


def fitted_spread(denoiser: Denoiser, points: Tensor, sigma: float, noise: Tensor, weights: Tensor | None = None,
                  radius: float = 10.0) -> FittedSpread:
    """The denoiser of n points of a ring, blurred along the ring only, that is nearest to `denoiser` on noised points.

        modulation = 2 I_n(c)/I_0(c) I_n(kappa)/I_0(kappa),      c = (radius/spread)^2,  kappa = (radius/sigma)^2

    The spread itself, sought as the blur is in `fitted_blur`, in the family of `RingKernelDenoiser`, is not determined by
    the data where the blurred points, or the points at this noise level, are as good as uniform on the ring: all larger
    spreads are then the same denoiser to rounding. What such a denoiser can depend on is the wave with n crests around
    the ring that both blur and noise, von Mises laws of concentration c and kappa, leave of n equidistant points (Mardia
    and Jupp 2000, section 3.5.4). So its height is reported, as in `modulation`: that of `modulation(n, sigma, radius)`,
    below 2, without blur, and 0 for the uniform ring. For points at other angles it says what would be left of such a
    wave. Costs as `fitted_blur`, with the family's Bessel functions.
    """
    if checks.points(points, "points").shape[1:] != (2,):
        raise ValueError(f"points has events of shape {list(points.shape[1:])}; expected plane points [N, 2].")
    angles = torch.atan2(points[:, 1], points[:, 0])
    spread, unexplained = _nearest(lambda spread: RingKernelDenoiser(radius, angles, spread), denoiser, points, sigma,
                                   noise, weights)
    left = float(modulation(len(points), spread, radius)) / 2 if spread else 1.0
    return FittedSpread(left * float(modulation(len(points), sigma, radius)), unexplained)


def _nearest(family: Callable[[float], Denoiser], denoiser: Denoiser, points: Tensor, sigma: float, noise: Tensor,
             weights: Tensor | None) -> tuple[float, float]:
    """The blur from 0 to 40 whose member of the family is nearest to a denoiser on noised points, and its distance as a
    share of that of the optimal denoiser, which is the member of blur 0."""
    sigma = checks.positive(sigma, "sigma")
    _noised(points, noise)
    denoiser = checks.denoiser(denoiser)
    with torch.no_grad():
        noisy = (points + sigma * noise).to(points.dtype).flatten(0, 1)
        clean = denoiser(noisy, sigma)  # once: a network costs more than the family

    def distance(member: Denoiser) -> float:
        return float(excess_risk(lambda x, sigma: clean, member, points, [sigma], noise, weights))

    def at(log_blur: float) -> float:
        return distance(family(math.exp(log_blur)))

    grid = torch.linspace(math.log(1e-3), math.log(_LARGEST), 49, dtype=torch.float64).tolist()
    values = [math.inf, *map(at, grid), math.inf]
    lowest, optimal = min(values), distance(EmpiricalDenoiser(points))
    best = optimal, 0.0
    for index, (before, here, after) in enumerate(zip(values, values[1:], values[2:])):
        # Each minimum of the grid, so that the lowest is found however close the others come; on a plateau, where
        # rounding alone makes minima, only the lowest of all.
        if here == lowest or here < (1 - _ROUNDING) * min(before, after):
            ends = grid[max(index - 1, 0)], grid[min(index + 1, len(grid) - 1)]
            found = optimize.minimize_scalar(at, bounds=ends, method="bounded", options={"xatol": 1e-6})
            best = min(best, (float(found.fun), math.exp(found.x)))
    if values[-2] <= (1 + _ROUNDING) * best[0]:
        best = best[0], _LARGEST  # beyond some blur nothing changes: the end of the range is the same place for everyone
    return best[1], best[0] / optimal if optimal else 0.0


def guided_blur(positive: float, negative: float, weight: float, sigma: float = 0.0) -> float:
    """The blur of a blurred denoiser that is guided away from a blurrier one: precisions add up.

        1 / (sigma^2 + delta^2) = (1 + w) / (sigma^2 + delta_+^2) - w / (sigma^2 + delta_-^2)

    Exact for a single training point, and for many a rule of thumb in its limit sigma = 0. Raises ValueError where
    guidance takes away more than there is, so that no blur is left.
    """
    weight, sigma = checks.finite(weight, "weight"), checks.not_negative(sigma, "sigma")

    def total(blur: float) -> float:
        return sigma**2 + checks.positive(blur, "blur") ** 2

    precision = (1 + weight) / total(positive) - weight / total(negative)
    if precision <= 0 or precision * sigma**2 >= 1:
        raise ValueError(f"weight {weight:g} leaves no blur between {positive:g} and {negative:g} at sigma {sigma:g}; "
                         "expected a smaller weight.")
    return (1 / precision - sigma**2) ** 0.5


def _noised(points: Tensor, noise: Tensor) -> None:
    """Raise unless noise [draws, N or 1, *event] can be added to points [N, *event]."""
    checks.points(points, "points")
    checks.same_device(points, checks.points(noise, "noise"), "points", "noise")
    if noise.shape[2:] != points.shape[1:] or noise.shape[1] not in (1, len(points)):
        raise ValueError(f"noise has shape {list(noise.shape)}; expected [draws, N, *event] or [draws, 1, *event], here "
                         f"[draws, {', '.join(map(str, points.shape))}].")
