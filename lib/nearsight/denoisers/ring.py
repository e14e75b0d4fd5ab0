"""Exact denoisers of the circle in the plane: of the uniform law, and of points blurred along the circle only."""

from __future__ import annotations

import torch
from torch import Tensor

from nearsight import checks

_CERTAIN = 1e100  # from here on the posterior is one direction; its square is still finite
_TINY = torch.finfo(torch.float64).tiny


class RingDenoiser:
    """Posterior mean for y uniform on the circle |y| = radius in the plane.

        D(x, sigma) = radius * I1(kappa)/I0(kappa) * x/|x|,      kappa = radius |x| / sigma^2

    The posterior of the angle is a von Mises law of concentration kappa around the direction of x. This is the
    denoiser of the population from which finite training sets on the ring are drawn (study 2). At sigma = 0 it
    projects on the circle; the center maps to itself.

    x [B, 2], sigma a number or [B]; returns the shape, dtype and device of x, computed in float64. Gradients flow
    through x away from the center. Cost: two Bessel functions a row. Raises ValueError for a radius that is not
    positive, and at the call for events that are no plane vectors or a negative sigma. Source: Mardia and Jupp 2000,
    section 3.5.4.
    """

    def __init__(self, radius: float):
        self.radius = checks.positive(radius, "radius")

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        direction, kappa = _likelihood(x, sigma, self.radius)
        return (self.radius * _shrinkage(kappa) * direction).to(x.dtype)


class RingKernelDenoiser:
    """Posterior mean for training angles blurred along the circle: a model whose error never leaves the data's support.

    The prior is the mean over i of von Mises laws around the angles, of concentration c = (radius / spread)^2, so
    `spread` is the standard deviation along the arc while it is small. With u_i the unit vector of angle i,

        v_i = c u_i + radius x / sigma^2,      w_i ∝ I0(|v_i|)
        D   = sum_i w_i * radius * I1(|v_i|)/I0(|v_i|) * v_i/|v_i|

    spread -> infinity is RingDenoiser, spread -> 0 is EmpiricalDenoiser without blur; sigma = 0 projects on the circle.

    angles [N], x [B, 2], sigma a number or [B]; returns the shape, dtype and device of x, computed in float64. Cost: 2
    B N Bessel functions. Raises ValueError for a radius or spread that is not positive, for angles that are empty or
    not finite, and at the call as RingDenoiser. Derived here.
    """

    def __init__(self, radius: float, angles: Tensor, spread: float):
        self.radius = checks.positive(radius, "radius")
        self.spread = checks.positive(spread, "spread")
        angles = angles if isinstance(angles, Tensor) else checks.numbers(angles, "angles")
        self.angles = checks.points(checks.vector(angles, "angles")[:, None], "angles").squeeze(1)

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        direction, kappa = _likelihood(x, sigma, self.radius)
        concentration = (self.radius / self.spread) ** 2
        angles = self.angles.to(direction)
        units = torch.stack([angles.cos(), angles.sin()], 1)
        votes = concentration * units + (kappa * direction)[:, None]
        length = votes.norm(dim=2)
        # log I0(|v|) = log i0e(|v|) + |v|, and only |v| - (c + kappa) matters, which in this form does not cancel.
        apart = (direction[:, None] - units).square().sum(2)
        shortfall = -concentration * kappa * apart / (length + concentration + kappa)
        weights = (torch.special.i0e(length).log() + shortfall).softmax(1)
        means = _shrinkage(length)[..., None] * votes / length.clamp_min(_TINY)[..., None]
        return (self.radius * (weights[..., None] * means).sum(1)).to(x.dtype)


def _likelihood(x: Tensor, sigma: float | Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """Direction [B, 2] (0 at the center) and concentration [B, 1] of what x says about the angle, in float64."""
    if checks.exact(checks.batch(x), "a ring's denoiser").ndim != 2 or x.shape[1] != 2:
        raise ValueError(f"x has shape {list(x.shape)}; expected [B, 2]: the ring lies in the plane.")
    level = checks.noise_level(sigma, x)
    place = x.double()
    distance = place.norm(dim=1, keepdim=True)
    kappa = (radius * distance / level.square()).nan_to_num(nan=0.0).clamp(max=_CERTAIN)
    return place / distance.clamp_min(_TINY), kappa


def _shrinkage(kappa: Tensor) -> Tensor:
    """Mean length I1(kappa)/I0(kappa) of a von Mises law on the unit circle."""
    return torch.special.i1e(kappa) / torch.special.i0e(kappa)
