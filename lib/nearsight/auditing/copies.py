"""Are samples copies of single training images? By the ratio of the two nearest, and by sheer likeness."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest, fisher_exact
from torch import Tensor

from nearsight.auditing.pool import Pool
from nearsight.measures import Neighbors, clopper_pearson, memorized_fraction, nearest, wilson


class Copies(NamedTuple):
    """Copies in the pool: the cards of T' and of H' that own one, and p. The shares say what the same ratio finds where
    nothing can be copied: samples against H', unseen images against T'."""

    distinct_train: int
    distinct_holdout: int
    p_value: float
    holdout_fraction: float
    baseline: float


class Reproduced(NamedTuple):
    """Samples within the reach of near-duplicates of a training image, with the share's 95 % interval, and the share of
    held-out images that are as near to one."""

    count: int
    fraction: float
    low: float
    high: float
    baseline: float | None
    p_value: float | None

    @classmethod
    def alone(cls, count: int, total: int) -> Reproduced:
        """The share without held-out images that it could be compared with."""
        return cls(count, count / total, *wilson(count, total), None, None)


def upper_bound(count: int, total: int) -> float:
    """The largest share that `count` of `total` leaves possible with 95 % confidence, one-sided and exact: 3/total for 0."""
    return clopper_pearson(count, total, level=0.9)[1]


def tested_copies(samples: Tensor, near: Neighbors, pool: Pool, ratio: float) -> Copies:
    """Are the copies among samples [M, k] those of training images? `near` are their nearest pool images.

    Of the cards that own a copy, u_T are training cards and u_H held-out ones; p is the probability that a random hand
    would hold u_T of them or more. A card that owns many copies is one coin. Source: study 6.
    """
    distance = near.distance[:, :2].double()
    is_copy = (distance[:, 0] == 0) | (distance[:, 0] < ratio * distance[:, 1])
    owned = pool.totals(np.bincount(near.index[:, 0][is_copy].cpu().numpy(), minlength=len(pool.card))) > 0
    return Copies(int(owned[:pool.cards].sum()), int(owned[pool.cards:].sum()),
                  pool.deal_test(owned).upper if owned.any() else 1.0,
                  memorized_fraction(samples, pool.holdout, ratio).fraction,
                  memorized_fraction(pool.holdout, pool.train, ratio).fraction)


def reproduced(samples: Tensor, train: Tensor, reach: float) -> np.ndarray:
    """Which samples [M] lie within `reach` of one of the images `train`; with a reach of 0, which equal one."""
    return (nearest(samples, train).distance[:, 0] <= reach).cpu().numpy()


def reproduction(found: np.ndarray, in_train: np.ndarray, in_holdout: np.ndarray, baseline: tuple[int, int]) -> Reproduced:
    """Judge reproduced samples: `found` [M] of some training image, `in_train` and `in_holdout` [M] of one of T', of H'.

    `baseline` are the held-out images that depict a training image, and all of them. p is the larger of two: Fisher's
    exact test of samples against held-out images, and the sign test of samples that match T' alone against H' alone.
    """
    count, total, alike, holdout = int(found.sum()), len(found), *baseline
    share = Reproduced.alone(count, total)
    more = fisher_exact([[count, total - count], [alike, holdout - alike]], alternative="greater").pvalue
    train_alone, holdout_alone = int((in_train & ~in_holdout).sum()), int((in_holdout & ~in_train).sum())
    signs = train_alone + holdout_alone
    sign = binomtest(train_alone, signs, alternative="greater").pvalue if signs else 1.0
    return share._replace(baseline=alike / holdout, p_value=float(max(more, sign)))
