"""The optimal denoiser of a finite training set: the one that only remembers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nearsight import checks

_LARGEST_TEMPORARY = 2**22  # entries, so 16 MB in float32 whatever B, N and the event


class EmpiricalDenoiser:
    """Posterior mean for the finite set `points`, each blurred by N(0, blur^2 I).

        D(x, sigma) = (sigma^2 y*(x, s) + blur^2 x) / s^2,      s^2 = sigma^2 + blur^2
        y*(x, s)    = sum_i w_i y_i,      w = softmax_i( -|x - y_i|^2 / (2 s^2) )

    With blur = 0 this is the minimizer of the denoising loss on the training set, and its reverse process ends on
    training points (De Bortoli 2022, arXiv 2208.05314). With blur > 0 it models a network whose error acts like that
    blur (Scarvelis et al. 2023, arXiv 2310.12395; Kaiser and Kollmann 2026, arXiv 2603.13419).

    points [N, *event], x [B, *event], sigma a number or [B]; returns the shape, dtype and device of x. At sigma = 0 it
    returns the nearest point (the mean of those that are equally near), and x itself if blur > 0. Gradients flow through x.

    Distances come from one matrix product; where its rounding could change a weight (small sigma), from one in float64,
    and where that is not enough (near-duplicates), from differences of the points that can still matter. float32 is right
    from sigma = 1e-3 to 1e4, float64 from 1e-4. Cost 4 B N d operations; a temporary holds 2^22 entries or one row of N.

    Raises TypeError or ValueError for points that are not floating, not finite or empty, for a negative blur, and at the
    call for another event shape or a negative sigma.
    """

    def __init__(self, points: Tensor, blur: float = 0.0):
        self.points = checks.exact(checks.points(points, "points"), "EmpiricalDenoiser")
        self.blur = checks.not_negative(blur, "blur")
        self._flat = points.flatten(1)
        # Distances do not change under translation; around the mean the product loses the fewest digits.
        self._center = self._flat.mean(0, dtype=torch.float64).to(points.dtype)
        self._centered = self._flat - self._center
        self._half_square = self._centered.square().sum(1) / 2
        # Squares below the smallest normal number vanish, so no norm below its root can be told from 0.
        self._reach = self._centered.norm(dim=1).max().clamp(min=math.sqrt(self._underflow(points.dtype)))

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        checks.same_event(x, self.points, "x", "points")
        variance = checks.noise_level(sigma, x).square().reshape(-1, 1).expand(len(x), 1)
        blurred = variance + self.blur**2
        share = torch.where(blurred > 0, variance / blurred, 1.0).to(x.dtype)
        rows = x.flatten(1)
        count = max(1, _LARGEST_TEMPORARY // max(self._centered.shape))
        means = [self._posterior_mean(*block) for block in zip(rows.split(count), blurred.split(count))]
        # Written so that share = 1 returns the posterior mean, and share = 0 returns x, to the bit.
        return (share * torch.cat(means).to(x.dtype) + (1 - share) * rows).reshape(x.shape)

    def _posterior_mean(self, rows: Tensor, variance: Tensor) -> Tensor:
        """Mean [b, d] of the points under their posterior weights at noise variance [b, 1]."""
        closeness = self._closeness(rows, variance)
        # A variance of 0 leaves only the nearest points: any difference at all is then beyond exp's range.
        smallest = torch.finfo(variance.dtype).tiny
        logits = (closeness - closeness.amax(1, keepdim=True)) / variance.clamp(min=smallest).to(closeness.dtype)
        weights = logits.softmax(1).to(self._centered.dtype)
        mean = self._center + weights @ self._centered
        largest, winner = weights.max(1, keepdim=True)
        # Where one point has all the weight, return its very bits: adding the center back would round them.
        return torch.where(largest == 1, self._flat[winner.squeeze(1)], mean)

    def _closeness(self, rows: Tensor, variance: Tensor) -> Tensor:
        """-|x - y|^2 / 2 up to a constant of each row, [b, N]: as precise as the weights at this variance need it."""
        dtype = self._centered.dtype
        tolerance = math.sqrt(torch.finfo(dtype).eps) / 4 * variance
        closeness, error = self._by_products(rows, dtype)
        doubtful = (error > tolerance).squeeze(1).nonzero().squeeze(1)
        if not len(doubtful):
            return closeness
        rows, variance, tolerance = rows[doubtful], variance[doubtful], tolerance[doubtful]
        better, error = self._by_products(rows, torch.float64)
        worst = (error > tolerance).squeeze(1).nonzero().squeeze(1)
        if len(worst):
            margin = 2 * error[worst] + math.log(better.shape[1] / torch.finfo(dtype).eps) * variance[worst]
            better = better.index_put((worst,), self._by_differences(rows[worst], better[worst], margin))
        return closeness.double().index_put((doubtful,), better)

    def _by_products(self, rows: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """x.y - |y|^2 / 2 in coordinates around the mean [b, N], and an estimate of its rounding [b, 1].

        The |x|^2 / 2 that is missing is common to all points, and would drown the rest at large sigma.
        """
        rows = rows.to(dtype) - self._center.to(dtype)
        if dtype == self._centered.dtype:
            closeness = torch.addmm(-self._half_square, rows, self._centered.T)
        else:
            blocks = (block.to(dtype) - self._center.to(dtype)
                      for block in self._flat.split(max(1, _LARGEST_TEMPORARY // self._flat.shape[1])))
            closeness = torch.cat([rows @ block.T - block.square().sum(1) / 2 for block in blocks], 1)
        error = torch.finfo(dtype).eps * self._reach * (rows.norm(dim=1, keepdim=True) + self._reach)
        return closeness, error.double() + self._underflow(dtype)

    def _underflow(self, dtype: torch.dtype) -> float:
        """The most that a sum over the entries of an event loses to products too small for the dtype."""
        return self._flat.shape[1] * torch.finfo(dtype).tiny

    def _by_differences(self, rows: Tensor, screened: Tensor, margin: Tensor) -> Tensor:
        """-|x - y|^2 / 2 in float64 [b, N] for the points within `margin` of the closest; -inf for the rest."""
        row, point = (screened >= screened.amax(1, keepdim=True) - margin).nonzero(as_tuple=True)
        count = max(1, _LARGEST_TEMPORARY // rows.shape[1])
        halves = [(rows[i].double() - self._flat[j].double()).square().sum(1) / -2
                  for i, j in zip(row.split(count), point.split(count))]
        nothing = torch.full(screened.shape, -torch.inf, dtype=torch.float64, device=rows.device)
        return nothing.index_put((row, point), torch.cat(halves))
