"""Do samples lie nearer to the training images than to as many unseen ones? The preference counts samples, the margin
weighs them: ten half-way copies among six hundred samples move the margin, not the preference."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.stats import binomtest
from torch import Generator, Tensor

from nearsight.auditing.pool import Pool, p_of_redeals
from nearsight.measures import Neighbors, Preference, nearest

NEAREST = 24  # pool images of a sample: a hand that misses all of them has probability 2^-24
CLIP = math.log(3)


class Proximity(NamedTuple):
    """The preference with its deal, the margin with the p-values of both its tails, and the distances [M] to both sets."""

    preference: Preference
    margin: float
    margin_p_value: float
    margin_lower: float
    train_distance: np.ndarray
    holdout_distance: np.ndarray


def near_pool(samples: Tensor, pool: Pool) -> Neighbors:
    """The 24 pool images nearest to each sample, or all where there are fewer."""
    return nearest(samples, pool.points, k=min(NEAREST, len(pool.points)))


def proximity(samples: Tensor, near: Neighbors, pool: Pool, permutations: int, generator: Generator) -> Proximity:
    """Preference and margin of samples [M, k] that are `near` pool images.

        preference = share of samples with d(s, T') < d(s, H'), ties half;   p by the exact deal of the cards
        margin     = mean of clip(ln(d(s, H') / d(s, T')), +- ln 3);         p by re-deals of the cards

    Source: study 6. Cost: permutations * 24 * M.
    """
    margin, redealt = _margins(near, pool, permutations, generator)
    return Proximity(sided_preference(samples, near, pool), margin, p_of_redeals(margin, redealt),
                     p_of_redeals(-margin, -redealt), *both_distances(samples, near, pool))


def both_distances(samples: Tensor, near: Neighbors, pool: Pool) -> tuple[np.ndarray, np.ndarray]:
    """The distances [M] to the nearest image of T' and of H': read off `near`, searched for where that holds none."""
    distance, dealt = near.distance.cpu().numpy().astype(np.float64), pool.dealt[near.index.cpu().numpy()]
    found = []
    for side, points in ((dealt, pool.train), (~dealt, pool.holdout)):
        first = distance[np.arange(len(distance)), side.argmax(1)]
        missing = ~side.any(1)
        if missing.any():
            rows = samples[torch.from_numpy(missing).to(samples.device)]
            first[missing] = nearest(rows, points).distance[:, 0].cpu().numpy()
        found.append(first)
    return tuple(found)


def sided_preference(samples: Tensor, near: Neighbors, pool: Pool) -> Preference:
    """The preference as of `nearsight.proximity_bias`, whose images are cards that hold one image each."""
    train_distance, holdout_distance = both_distances(samples, near, pool)
    untied = train_distance != holdout_distance
    wins, count = int((train_distance < holdout_distance).sum()), len(untied)
    owner = near.index[:, 0].cpu().numpy()[untied]
    deal = pool.deal_test(pool.totals(np.bincount(owner, minlength=len(pool.card))))
    ties, fair = count - len(owner), len(owner)
    effective = min(fair, fair**2 / (4 * deal.variance)) if deal.variance > 0 else fair
    independent = binomtest(wins, fair).pvalue if fair else 1.0
    return Preference((wins + ties / 2) / count, count, ties, float(effective), deal, float(independent))


def _margins(near: Neighbors, pool: Pool, permutations: int, generator: Generator) -> tuple[float, np.ndarray]:
    """The margin as dealt, and under re-deals [permutations]."""
    log_ratios = _log_ratios(near, pool)
    observed = float(log_ratios(pool.dealt[None]).mean())
    deals = pool.redeals(permutations, generator, len(near.index))
    return observed, np.concatenate([log_ratios(labels).mean(0) for labels in deals])


def null_gains(near: Neighbors, pool: Pool, generator: Generator) -> np.ndarray:
    """The clipped ln(d(s, H') / d(s, T')) [M] of one random deal: what the histogram looks like under the null."""
    return _log_ratios(near, pool)(next(pool.redeals(1, generator, len(near.index))))[:, 0]


def _log_ratios(near: Neighbors, pool: Pool) -> Callable[[np.ndarray], np.ndarray]:
    """The function from labels [R, P] of the pool to clipped ln(d(s, H') / d(s, T')) [M, R].

    The nearest image's side wins by ln(d_c/d_1), c the place of the first image of the other side, or the last place.
    """
    gains = _gains(near.distance.cpu().numpy().astype(np.float64))
    index = near.index.cpu().numpy()
    # Bit k of a sample's code is the side of its k-th nearest image: one sparse product for all deals of a block.
    bits = csr_array((np.tile(1 << np.arange(index.shape[1]), len(index)), index.ravel(),
                      np.arange(0, index.size + 1, index.shape[1])), shape=(len(index), len(pool.card)), dtype=np.int32)
    samples = np.arange(len(index))[:, None]

    def log_ratios(labels: np.ndarray) -> np.ndarray:
        codes = bits @ labels.T.astype(np.int32)
        nearest_is_train = codes & 1 == 1
        others = np.where(nearest_is_train, ~codes, codes) & ((1 << index.shape[1]) - 1)
        place = np.where(others, np.frexp(others & -others)[1] - 1, index.shape[1] - 1)
        gain = gains[samples, place]
        return np.where(nearest_is_train, gain, -gain)

    return log_ratios


def _gains(distance: np.ndarray) -> np.ndarray:
    """ln(d_k/d_1) [M, k], clipped at ln 3: 0 where both are 0, the clip where d_1 alone is."""
    first = distance[:, :1]
    with np.errstate(divide="ignore", invalid="ignore"):
        gains = np.log(distance / first)
    return np.where(distance == first, 0.0, np.minimum(gains, CLIP))
