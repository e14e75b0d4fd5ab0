"""What is said of a sample of study 5, in one number: its class by two readouts, and near what it lies."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nearsight.measures.proximity import memorized_fraction, nearest
from nearsight.studies.depth_data import Ground

UNSURE = 0.9  # a sample whose likeliest class is less probable is neither
_BATCH = 128  # images; larger batches are slower on one core


class Said(NamedTuple):
    """What is said of samples [m]: the likeliest class and that of the nearest training image, int64; and whether they are
    neither class by the first readout, memorized, nearer to the own block than to the held-out one."""

    likeliest: Tensor
    nearest: Tensor
    neither: Tensor
    memorized: Tensor
    own: Tensor


def said(samples: Tensor, ground: Ground) -> Tensor:
    """All of `Said` in one number a sample, so that it is one thing, right or not: [m] int16, read by `told`."""
    probabilities = torch.cat([ground.classify(batch) for batch in samples.split(_BATCH)])
    near = nearest(samples, ground.trained)
    memorized = memorized_fraction(samples, ground.trained).ratios < 1 / 3
    own = near.distance[:, 0] < nearest(samples, ground.held).distance[:, 0]
    flags = (probabilities.amax(1) < UNSURE) + 2 * memorized + 4 * own
    classes = ground.classes
    return (probabilities.argmax(1) + classes * ground.kinds[near.index[:, 0]] + classes**2 * flags).short()


def told(codes: Tensor, classes: int) -> Said:
    """The numbers of `said`, taken apart."""
    codes = codes.long()
    flags = codes // classes**2
    return Said(codes % classes, codes // classes % classes, *((flags >> bit & 1).bool() for bit in range(3)))
