"""What leaning without knowing single images looks like: a Gaussian fitted to the training set leans too.

Beside a model's preference stand that of samples of a Gaussian (one for each condition) with the training set's means and
covariances, which knows no image, and the curve in h: a preference for single images is lost with the images, one for the
statistics of the set is not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from nearsight.auditing.nearness import near_pool, sided_preference
from nearsight.auditing.pool import Pool
from nearsight.measures import Preference, PreferenceCurve, moment_ladder, proximity_curve

LARGEST_EVENT = 1024  # entries: the covariances of larger ones take minutes
_MOST_SAMPLES = 500  # whose order of distance to the whole pool is taken


class Yardsticks(NamedTuple):
    """The preference of Gaussian samples (None for large events), and the curve in h (None where groups are dealt)."""

    gaussian: Preference | None
    curve: PreferenceCurve | None


def yardsticks(samples: Tensor, train: Tensor, labels: np.ndarray, pool: Pool, points_of: Callable[[Tensor], Tensor],
               generator: Generator) -> Yardsticks:
    """The yardsticks of `samples` [M, k], with a Gaussian of all training images [n, *event] of each of `labels` [n]."""
    gaussian = curve = None
    if train[0].numel() <= LARGEST_EVENT:
        classes = torch.from_numpy(np.unique(labels, return_inverse=True)[1]).to(train.device)
        if torch.bincount(classes).min() < 2:
            classes = torch.zeros_like(classes)
        law = moment_ladder(train, classes, train, classes)["class Gaussians"]
        latents = torch.randn(len(samples), *train.shape[1:], generator=generator).to(train.device)
        drawn = points_of(law.sample(latents, torch.rand(len(samples), generator=generator).to(train.device)))
        gaussian = sided_preference(drawn, near_pool(drawn, pool), pool)
    if pool.cards == len(pool.train) == len(pool.holdout):
        sizes = sorted({max(1, round(pool.cards * share)) for share in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)})
        curve = proximity_curve(samples[:_MOST_SAMPLES], pool.train, pool.holdout, sizes)
    return Yardsticks(gaussian, curve)
