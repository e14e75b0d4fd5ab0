"""Does the network denoise its training images better than unseen ones? The gap with a band over all noise levels at once,
and a test by flips of the signs of pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from nearsight.auditing.asking import Asked
from nearsight.auditing.pool import Pool, p_of_redeals
from nearsight.measures import GeneralizationGap, gap_band

RESAMPLES = 2000


class Gap(NamedTuple):
    """The relative gap [S] with its simultaneous 95 % band, and its one-sided p-value."""

    curve: GeneralizationGap
    low: Tensor
    high: Tensor
    p_value: float


def card_errors(asked: Asked, pool: Pool, sigmas: Tensor, draws: int, seed: int) -> np.ndarray:
    """Mean denoising errors [S, 2n] of the cards, training cards first.

    The i-th image of T' and of H' share their noise where both sets hold equally many, which takes most of it out of
    their difference; groups of several sizes do not. Cost: S * draws * P events through the denoiser.
    """
    sides = pool.dealt, ~pool.dealt
    even = all(np.array_equal(*(np.unique(pool.condition[side], return_counts=True)[part] for side in sides))
               for part in (0, 1))
    errors = np.empty((len(sigmas), len(pool.card)))
    for number, side in enumerate(sides):
        images = pool.images[torch.from_numpy(np.flatnonzero(side))]
        errors[:, side] = asked.errors(images, pool.condition[side], sigmas, draws, seed, 0 if even else number)
    return pool.means(errors)


def generalization(errors: np.ndarray, sigmas: Tensor, permutations: int, generator: Generator) -> Gap:
    """The gap G = (holdout - train)/train from the errors [S, 2n] of cards, card i and card n + i a pair.

    The band is a bootstrap of the pairs. The statistic of the test is the largest studentized mean difference over the
    noise levels (max-T); under the null a pair's difference is as likely to have the other sign, at all levels at once.
    """
    train, holdout = (torch.from_numpy(part.copy()) for part in np.split(errors, 2, axis=1))
    low, high = gap_band(train, holdout, generator, RESAMPLES)
    difference = (holdout - train).numpy()
    largest = _largest_studentized(difference, np.ones((1, difference.shape[1])))[0]
    signs = torch.randint(2, (permutations, difference.shape[1]), generator=generator).numpy() * 2.0 - 1
    return Gap(GeneralizationGap(sigmas, train, holdout), low, high,
               p_of_redeals(float(largest), _largest_studentized(difference, signs)))


def _largest_studentized(difference: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """max over the rows of mean/(sd / sqrt n) of difference [S, n] under signs [R, n]: [R]; 0 where nothing varies."""
    count = difference.shape[1]
    mean = signs @ difference.T / count
    variance = np.square(difference).mean(1) - np.square(mean)
    scale = np.sqrt(np.maximum(variance, 1e-12 * np.square(difference).mean(1)) / count)
    return np.divide(mean, scale, out=np.zeros_like(mean), where=scale > 0).max(1)
