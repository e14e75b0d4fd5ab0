"""Repeated denoising: where x <- D(x, sigma) ends, the attractors of the energy landscape at one noise level."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from torch import Tensor

from nearsight import checks
from nearsight.checks.results import Readable, number
from nearsight.denoisers.compose import Denoiser


@dataclass(frozen=True, repr=False)
class Settled(Readable):
    """End points [B, *event] after `steps` steps, the share of them that `converged`, and their `attractors` [B] int64.

    Attractors are numbered in the order in which they are met.
    """

    points: Tensor
    steps: int
    converged: float
    attractors: Tensor

    def _pairs(self) -> dict[str, object]:
        return {"attractors": int(self.attractors.max()) + 1, "points": len(self.points), "steps": self.steps,
                "converged": number(self.converged)}


@torch.no_grad()
def settle(denoiser: Denoiser, x: Tensor, sigma: float, steps: int = 200, tolerance: float = 1e-4) -> Settled:
    """Repeat x <- D(x, sigma) until the root-mean-square step of an entry is below the tolerance for every event.

    Since D(x, sigma) - x = sigma^2 grad ln p_sigma(x), it climbs the density of noised data, and ends at a mode of it; for
    the empirical denoiser it is mean shift (Fukunaga and Hostetler 1975). After at most `steps` steps, the end points within
    10 tolerances * sqrt(d) of each other, or linked by others that are, are one attractor.

    x [B, *event], sigma > 0. An event that has stopped goes on with the others. Cost: `steps` calls of the denoiser, and the
    pairs of end points that are near.
    """
    checked, sigma = checks.denoiser(denoiser), checks.positive(sigma, "sigma")
    steps, tolerance = checks.count(steps, "steps"), checks.positive(tolerance, "tolerance")
    checks.points(x, "x")
    taken, still = 0, torch.zeros(1, dtype=torch.bool)
    while taken < steps and not still.all():
        before, x, taken = x, checked(x, sigma), taken + 1
        still = (x - before).flatten(1).square().mean(1).sqrt() < tolerance
    rows = x.flatten(1).double().cpu()
    if not rows.isfinite().all():
        raise ValueError("the denoiser led to NaN or infinite entries; expected finite ones.")
    reach = 10 * tolerance * rows.shape[1] ** 0.5
    tree = cKDTree(rows.numpy())
    found = torch.from_numpy(connected_components(tree.sparse_distance_matrix(tree, reach), directed=False)[1]).long()
    first = {name: place for place, name in reversed(list(enumerate(found.tolist())))}
    order = sorted(first, key=first.get)
    return Settled(x, taken, float(still.double().mean()), torch.tensor([order.index(name) for name in found.tolist()]))
