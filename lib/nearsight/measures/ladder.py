"""The moment ladder: what the low-order statistics of a block alone do to samples that copy none of its images.

A preference for one's own training set is no proof of copying: a generator that knows no more of a block than its mean
has one. Each rung here knows a little more, all are mixtures of normal laws, and what a network's preference has beyond
them is what needs another explanation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nearsight import checks
from nearsight.checks.results import Readable
from nearsight.denoisers.normal import MixtureDenoiser


@dataclass(frozen=True, eq=False, repr=False)
class NormalMixture(Readable):
    """The law sum_k w_k N(m_k, C_k) as a generator: `weights` [k], `means` [k, d], `covariances` [k, d, d], float64."""

    weights: Tensor
    means: Tensor
    covariances: Tensor

    def _pairs(self) -> dict[str, object]:
        count, entries = self.means.shape
        return {"components": count, "entries": entries}

    def sample(self, latents: Tensor, choices: Tensor) -> Tensor:
        """Samples [m, *event] from normal `latents` [m, *event] and uniform `choices` [m] in [0, 1).

            y = m_k + C_k^1/2 z,     k the component in whose part of [0, 1] the choice falls

        Two laws that are given the same latents and choices make paired samples. The root is the symmetric one, so that
        a mixture of one is what the probability-flow ODE of its denoiser makes of the latents. Computed in float64,
        returned in the latents' dtype. Cost: k d^3 + m d^2.
        """
        rows = checks.exact(checks.points(latents, "latents"), "a sample of a mixture").flatten(1).double()
        checks.floating(choices, "choices", (len(latents),))
        checks.same_device(self.means, latents, "the mixture", "latents")
        checks.same_device(latents, choices, "latents", "choices")
        if rows.shape[1] != self.means.shape[1]:
            raise ValueError(f"latents have {rows.shape[1]} entries an event; expected {self.means.shape[1]}, as the law.")
        if not ((choices >= 0) & (choices < 1)).all():
            raise ValueError(f"choices run from {choices.min():g} to {choices.max():g}; expected 0 to below 1: try "
                             "torch.rand.")
        spectra, bases = torch.linalg.eigh(self.covariances)
        chosen = torch.bucketize(choices.double(), self.weights.cumsum(0)[:-1], right=True)
        samples = torch.empty_like(rows)
        for k, mean in enumerate(self.means):
            root = bases[k] * spectra[k].clamp(min=0).sqrt() @ bases[k].mT
            samples[chosen == k] = mean + rows[chosen == k] @ root
        return samples.to(latents.dtype).reshape(latents.shape)

    def denoiser(self) -> MixtureDenoiser:
        """The exact denoiser of data with this law."""
        return MixtureDenoiser(self.weights, self.means, self.covariances)


def moment_ladder(points: Tensor, labels: Tensor, pool: Tensor, pool_labels: Tensor) -> dict[str, NormalMixture]:
    """Generators that know a block's statistics and none of its images, each more than the one before.

        class shares        Gaussians a class of the pool, in the block's shares
        mean                the block's mean, the pool's covariance
        Gaussian            the block's mean and covariance
        shared covariance   the block's shares and class means, one covariance of what is left within classes
        class Gaussians     the block's share, mean and covariance of every class

    `points` [n, *event] are the block's events with classes `labels` [n], int64 from 0; what a rung does not know of the
    block it takes from the `pool` [N, *event] with `pool_labels` [N], such as the reference images that nobody trains on.
    Fitted by maximum likelihood, in float64. Raises ValueError where a class has fewer than two events in the block or in
    the pool: its Gaussian would be a copy. Cost: (n + N) d^2. Source: study 4.
    """
    checks.same_event(checks.points(points, "points"), checks.points(pool, "pool"), "points", "pool")
    classes = max(_classes(labels, len(points), "labels"), _classes(pool_labels, len(pool), "pool_labels"))
    (one, by_class), (pooled, pooled_by_class) = (_fitted(events, which, classes, name) for events, which, name in (
        (points, labels, "points"), (pool, pool_labels, "pool")))
    within = torch.einsum("k,kij->ij", by_class.weights, by_class.covariances).expand_as(by_class.covariances)
    return {
        "class shares": NormalMixture(by_class.weights, pooled_by_class.means, pooled_by_class.covariances),
        "mean": NormalMixture(one.weights, one.means, pooled.covariances),
        "Gaussian": one,
        "shared covariance": NormalMixture(by_class.weights, by_class.means, within),
        "class Gaussians": by_class,
    }


def _classes(labels: Tensor, count: int, name: str) -> int:
    """The number of classes, if `labels` are int64 from 0, one for each of `count` events."""
    if (checks.tensor(labels, name).dtype != torch.int64 or labels.shape != (count,)
            or not 0 <= labels.min() <= labels.max() < count):
        raise ValueError(f"{name} are {checks.came(labels)}; expected int64 classes from 0, one for each of {count} "
                         "events, and fewer classes than events.")
    return int(labels.max()) + 1


def _fitted(events: Tensor, labels: Tensor, classes: int, name: str) -> tuple[NormalMixture, NormalMixture]:
    """One Gaussian, and a Gaussian a class, with the moments of the events."""
    checks.same_device(events, labels, name, f"the labels of {name}")
    counts = torch.bincount(labels, minlength=classes)
    if counts.min() < 2:
        raise ValueError(f"{name} holds {int(counts.min())} events of class {int(counts.argmin())}; expected at least two "
                         f"of each of {classes} classes.")
    rows = checks.exact(events, "moment_ladder").flatten(1).double()
    return _mixture([rows]), _mixture([rows[labels == k] for k in range(classes)])


def _mixture(parts: list[Tensor]) -> NormalMixture:
    """The mixture that has in each component the share, mean and covariance of one of the sets of rows."""
    sizes = torch.tensor([len(rows) for rows in parts], dtype=torch.float64, device=parts[0].device)
    covariances = [torch.atleast_2d(torch.cov(rows.T, correction=0)) for rows in parts]
    return NormalMixture(sizes / sizes.sum(), torch.stack([rows.mean(0) for rows in parts]), torch.stack(covariances))
