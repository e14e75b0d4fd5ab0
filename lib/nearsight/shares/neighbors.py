"""The mean of the k nearest training points as a denoiser: the analogy of k and depth, taken at its word."""

from __future__ import annotations

import torch
from torch import Tensor

from nearsight import checks
from nearsight.measures.proximity import nearest

_LARGEST_TEMPORARY = 2**22  # entries of the neighbors that are gathered at once
WEIGHTINGS = ("uniform", "posterior")


class KnnDenoiser:
    """Mean of the k training points nearest to x.

        uniform      D_k(x)        = 1/k sum_{i in N_k(x)} y_i
        posterior    D_k(x, sigma) = sum_{i in N_k(x)} w_i y_i,      w = softmax_i( -|x - y_i|^2 / (2 sigma^2) )

    k = 1 is the nearest point; with k = N "uniform" is the mean and "posterior" the `EmpiricalDenoiser`. "uniform" does not
    depend on sigma; "posterior" at sigma = 0 is the nearest point. points [N, *event], x [B, *event], sigma a number or [B];
    returns the shape, dtype and device of x. Cost: one call of `nearest`, and B k d to take the means; temporaries hold 2^22
    entries or one row of neighbors.

    Raises ValueError for k outside 1 ... N and for an unknown weighting.
    """

    def __init__(self, points: Tensor, k: int, weighting: str = "uniform"):
        self.points = checks.exact(checks.points(points, "points"), "KnnDenoiser")
        self.k, self.weighting = checks.count(k, "k"), checks.choice(weighting, "weighting", WEIGHTINGS)
        if self.k > len(points):
            raise ValueError(f"there are {len(points)} points, k = {k}; expected at most as many neighbors as points.")
        self._flat = points.flatten(1)

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        checks.same_event(x, self.points, "x", "points")
        variance = checks.noise_level(sigma, x).square().reshape(-1, 1).expand(len(x), 1)
        if self.k == len(self._flat) and self.weighting == "uniform":
            return self._flat.mean(0).to(x.dtype).expand(len(x), -1).reshape(x.shape)
        near = nearest(x, self.points, self.k)
        count = max(1, _LARGEST_TEMPORARY // (self.k * self._flat.shape[1]))
        weights = self._weights(near.distance.double(), variance).to(self._flat.dtype)
        means = [torch.einsum("bk,bkd->bd", w, self._flat[i])
                 for w, i in zip(weights.split(count), near.index.split(count))]
        return torch.cat(means).to(x.dtype).reshape(x.shape)

    def _weights(self, distance: Tensor, variance: Tensor) -> Tensor:
        """Weights [B, k] of the neighbors at these distances, the nearest first."""
        if self.weighting == "uniform":
            return torch.full_like(distance, 1 / self.k)
        farther = distance[:, :1].square() - distance.square()
        smallest = torch.finfo(variance.dtype).tiny  # at sigma = 0 any difference is beyond exp's range
        return (farther / (2 * variance).clamp(min=smallest)).softmax(1)
