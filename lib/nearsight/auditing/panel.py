"""The samples to look at: those most like a single training image, and some at random, beside their nearest images."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from nearsight.auditing.arrays import planes
from nearsight.auditing.pool import Pool
from nearsight.measures import nearest

COLUMNS = 6


class Shown(NamedTuple):
    """Pictures [k, C, H, W] of samples, of the nearest training image of each and the nearest held-out one, with the
    distances [k] to both; the first half are the samples with the smallest d1/d2. Without held-out images those are None."""

    samples: Tensor
    train: Tensor
    holdout: Tensor | None
    train_distance: list[float]
    holdout_distance: list[float] | None


def panel(samples: Tensor, points: Tensor, train: Tensor, train_points: Tensor, pool: Pool | None, ratios: Tensor,
          generator: Generator) -> Shown | None:
    """The 6 samples [M, *event] with the smallest `ratios` [M] and 6 random ones; None where events are no pictures."""
    if planes(samples) is None:
        return None
    smallest = ratios.cpu().sort(stable=True).indices
    rest = smallest[COLUMNS:]
    chosen = torch.cat([smallest[:COLUMNS], rest[torch.randperm(len(rest), generator=generator)[:COLUMNS]]])
    near = nearest(points[chosen.to(points.device)], train_points)
    shown = Shown(planes(samples[chosen.to(samples.device)]), planes(train[near.index[:, 0].to(train.device)]), None,
                  near.distance[:, 0].tolist(), None)
    if pool is None:
        return shown
    other = nearest(points[chosen.to(points.device)], pool.holdout)
    unseen = pool.images[len(pool.train):][other.index[:, 0]]
    return shown._replace(holdout=planes(unseen), holdout_distance=other.distance[:, 0].tolist())
