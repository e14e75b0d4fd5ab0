"""A preference against fewer and fewer images: does it go with single images, or with what all of them have in common?

Keep 2h of the 2n images of a pool at random, about h of each half, and ask again whose images samples are nearest to.
A copy's preference is lost with its image, in proportion to h/n; a preference that comes from the statistics of a half is
found in any part of it. The mean over all ways to keep images has a closed form, so that nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from nearsight import checks
from nearsight.checks.results import Readable, number, span
from nearsight.measures.intervals import wilson
from nearsight.measures.preference import check_halves, check_paired

_LARGEST_TABLE = 2**21  # entries of a table of samples by pooled images


@dataclass(frozen=True, repr=False)
class PreferenceCurve(Readable):
    """The preference [H] against `sizes` [H] images a half, float64, and the number of independent coins, `effective`
    [H], that have the variance of its deal."""

    sizes: Tensor
    preference: Tensor
    effective: Tensor

    def _pairs(self) -> dict[str, object]:
        return {"images a half": span(self.sizes), "preference": " .. ".join(
            number(self.preference[size]) for size in (self.sizes.argmin(), self.sizes.argmax()))}

    def interval(self, level: float = 0.95) -> tuple[Tensor, Tensor]:
        """Lower and upper bounds [H]: Wilson's interval at each size by itself, with `effective` as its count."""
        bounds = [wilson(share * count, count, level)
                  for share, count in zip(self.preference.tolist(), self.effective.tolist())]
        return tuple(torch.tensor(bounds, dtype=torch.float64).T)


def proximity_curve(samples: Tensor, train: Tensor, holdout: Tensor, sizes: Sequence[int]) -> PreferenceCurve:
    """The preference of samples [m, *event] for the training half, against h images a half for each h of `sizes`.

    Of the pool of 2n images 2h are kept at random. That of rank r in a sample's order of distance, 1 for the nearest, is
    then the nearest one kept with probability

        w_r = C(2n - r, 2h - 1) / C(2n, 2h),        sum_r w_r = 1,  w_1 = h/n

    so image j owns c_j = sum over samples of w_rank(j), and the mean preference over all ways to keep 2h images is
    sum_{j in train} c_j / m, without repeats and their noise; equally near images share their weights. It is linear in
    the deal of the halves: under the null its mean is 1/2 and its variance that of `deal_test` with the c_j as weights,

        Var = 1/4 2n/(2n - 1) (sum_j c_j^2 - m^2/(2n)) / m^2

    from which the interval is made, as in `proximity_bias`, whose preference it has at h = n. What is kept of a half is h
    images on average; exactly h of each would give an excess over 1/2 that is larger by about its 2h-th part, 3 % of it
    at h = 16, and no linear statistic.

    Raises ValueError for halves that differ in size and for sizes outside 1 ... n.
    Cost: 2 m n distances by differences, m sorts of 2n, and (number of sizes) m n. Source: study 4; derived here.
    """
    check_halves(train, holdout, "train", "holdout"), checks.points(samples, "samples")
    sizes = _sizes(sizes, len(train))
    owned = _owned(samples, torch.cat([train, holdout]), sizes)
    return _curve(sizes, owned, len(samples), owned[:, :len(train)].sum(1) / len(samples))


def own_other_curve(samples_a: Tensor, samples_b: Tensor, set_a: Tensor, set_b: Tensor,
                    sizes: Sequence[int]) -> PreferenceCurve:
    """The preference of two models' samples [m, *event] for their own set, against h images a set for each h of `sizes`.

    As `proximity_curve`, for the statistic of `own_other`: an image weighs what it owns of A's samples less what it owns
    of B's, and at h = n the preference is that of `own_other`. Two models that make the same samples have 1/2 throughout.
    Raises ValueError also unless both hold equally many samples. Cost: twice that of `proximity_curve`. Source: study 4.
    """
    check_halves(set_a, set_b, "set_a", "set_b"), check_paired(samples_a, samples_b)
    sizes, pool, count = _sizes(sizes, len(set_a)), torch.cat([set_a, set_b]), len(samples_a)
    weights = _owned(samples_a, pool, sizes) - _owned(samples_b, pool, sizes)
    return _curve(sizes, weights, 2 * count, 0.5 + weights[:, :len(set_a)].sum(1) / (2 * count))


def _owned(samples: Tensor, pool: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """How many samples each image of the pool owns on average, [H, 2n], where 2h of them are kept for each of H sizes h."""
    checks.same_event(samples, pool, "samples", "the images")
    weights = torch.stack([_rank_weights(2 * size, len(pool)) for size in sizes]).to(samples.device)
    up_to = pad(weights.cumsum(1), (1, 0))  # the weight of all ranks before each
    owned = torch.zeros_like(weights)
    for some in samples.split(max(1, _LARGEST_TABLE // len(pool))):
        # Where every rank is wanted, all distances by differences cost less than the search for the nearest few.
        distance, index = torch.cdist(some.flatten(1).double(), pool.flatten(1).double(),
                                      compute_mode="donot_use_mm_for_euclid_dist").sort(dim=1, stable=True)
        first, last = (torch.searchsorted(distance, distance, right=right) for right in (False, True))
        tied = last - first
        for row, total in zip(owned, up_to):
            row.index_add_(0, index.flatten(), ((total[last] - total[first]) / tied).flatten())
    return owned.cpu()


def _rank_weights(kept: int, total: int) -> Tensor:
    """The probability [total] that of `kept` out of `total` cards the first one kept is at each place."""
    places = torch.arange(1, total, dtype=torch.float64)
    passed_over = (total - kept + 1 - places).clamp(min=0) / (total - places + 1)
    before = torch.cat([torch.ones(1, dtype=torch.float64), passed_over.cumprod(0)])
    left = total - torch.arange(total, dtype=torch.float64)
    return before * (kept / left).clamp(max=1)


def _curve(sizes: tuple[int, ...], weights: Tensor, count: int, preference: Tensor) -> PreferenceCurve:
    """The preferences, `count` samples in all, with the exact variance of their deal."""
    total = weights.shape[1]
    spread = weights.square().sum(1) - weights.sum(1).square() / total
    variance = spread / 4 * total / max(total - 1, 1) / count**2
    effective = (1 / (4 * variance.clamp(min=0))).clamp(max=count)
    return PreferenceCurve(torch.tensor(sizes), preference.clamp(0, 1), effective)


def _sizes(sizes: Sequence[int], largest: int) -> tuple[int, ...]:
    sizes = checks.counts(sizes, "sizes")
    if max(sizes) > largest:
        raise ValueError(f"sizes go up to {max(sizes)}; expected whole numbers from 1 to {largest}, the images of a half.")
    return sizes
