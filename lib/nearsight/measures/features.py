"""Features of images, and the Frechet distance between two sets of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nearsight import checks
from nearsight.checks.results import Readable
from nearsight.gaussian import squared_bures


@dataclass(frozen=True, repr=False)
class PrincipalBasis(Readable):
    """A feature map: coordinates of flattened events along orthonormal `directions` [k, d] around `mean` [d].

    `shares` [k] are the shares of the variance that the directions hold, falling.
    """

    mean: Tensor
    directions: Tensor
    shares: Tensor

    def _pairs(self) -> dict[str, object]:
        directions, entries = self.directions.shape
        return {"directions": directions, "entries": entries, "share of the variance": float(self.shares.sum())}

    def __call__(self, events: Tensor) -> Tensor:
        """Coordinates [N, k] of events [N, *event]."""
        if checks.points(events, "events").shape[1:].numel() != len(self.mean) or events.dtype != self.mean.dtype:
            raise ValueError(f"events are {checks.came(events)}; expected {len(self.mean)} entries an event, in "
                             f"{self.mean.dtype}, as the pool had.")
        checks.same_device(self.mean, events, "the basis", "events")
        return (events.flatten(1) - self.mean) @ self.directions.T


def principal_basis(pool: Tensor, count: int) -> PrincipalBasis:
    """The `count` leading principal directions of a pool [N, *event], which nobody should train on.

    Their signs make the entry of each direction that is largest in size positive. Raises ValueError for more directions
    than the pool determines, min(N - 1, d), and for a pool whose events are all the same.

    By scikit-learn's PCA in float64: singular values of the pool by Lanczos iteration (ARPACK) from a fixed start, to
    machine precision. Cost: O(N d count), and two copies of the pool; no d x d matrix, unless all d directions are asked.
    """
    from sklearn.decomposition import PCA  # takes seconds to import, and nothing else here needs it

    checks.exact(checks.points(pool, "pool", at_least=2), "principal_basis")
    count = checks.count(count, "count")
    rows = pool.detach().flatten(1).double().cpu().numpy()
    n, d = rows.shape
    if not 1 <= count <= min(n - 1, d):
        raise ValueError(f"count is {count}; expected 1 to {min(n - 1, d)}, the directions that {n} events of {d} entries "
                         "determine.")
    if (rows == rows[0]).all():
        raise ValueError(f"pool holds one event {n} times; expected events that differ.")
    found = PCA(count, svd_solver="arpack" if count < d else "full", random_state=0).fit(rows)
    parts = found.mean_, found.components_, found.explained_variance_ratio_
    return PrincipalBasis(*(torch.from_numpy(part.copy()).to(pool) for part in parts))  # some have negative strides


def frechet(first: Tensor, second: Tensor) -> float:
    """Frechet distance of two sets of features [N, k] and [M, k]: squared W2 of the Gaussians fitted to them.

        |m_1 - m_2|^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^1/2),    C the unbiased covariances

    Biased upward for few samples, by as much as two real sets of these sizes are apart: compare with that, at equal
    counts.

    Source: Dowson and Landau 1982, J. Multivariate Anal. 12, 450; Heusel et al. 2017 (arXiv 1706.08500).
    Cost: O((N + M) k^2 + k^3).
    """
    for name, features in {"first": first, "second": second}.items():
        if checks.exact(checks.points(features, name, at_least=2), "frechet").ndim != 2:
            raise ValueError(f"{name} has shape {list(features.shape)}; expected features [N, k]: try "
                             f"{name}.flatten(1).")
    checks.same_event(first, second, "first", "second")
    shift = first.double().mean(0) - second.double().mean(0)
    covariances = (torch.atleast_2d(torch.cov(features.double().T)) for features in (first, second))
    return float(shift.square().sum()) + squared_bures(*covariances)
