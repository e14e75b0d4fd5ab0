"""Are the held-out images like the training images? Exchangeability cannot be proved by a check, only refuted.

Noise of two grey levels on one set hardly moves the mean or the leading principal coordinates, and still makes a network
that saw neither set "recognize" the other: so the finest differences are looked at too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from nearsight.auditing.arrays import planes
from nearsight.auditing.pool import Pool, first_apart
from nearsight.measures import nearest, principal_basis

REDEALS = 999
WARNS = 0.001
COORDINATES, BANDS = 8, 4
_BLOCK = 2**22


class Exchangeability(NamedTuple):
    """The p-value of the largest standardized difference between T' and H', that difference, and what it is of."""

    p_value: float
    largest_shift: float
    where: str


def exchangeability(pool: Pool, generator: Generator) -> Exchangeability:
    """Compare numbers of single images, and how often an image's nearest neighbor is of its own set, under 999 re-deals.

    Every difference is standardized by its mean and deviation over the deals, the observed one among them, and the
    largest counts. Cost: one search of the pool among itself, in pixels, and its principal coordinates.
    """
    values, names = image_numbers(pool.images)
    near = nearest(pool.images, pool.images, k=min(8, len(values) - 1), exclude_self=True)
    neighbor = near.index.cpu().numpy()[np.arange(len(values)), first_apart(near, pool)]

    def differences(labels: np.ndarray) -> np.ndarray:
        counts = labels.sum(1)
        own = labels @ values
        apart = own / counts[:, None] - (values.sum(0) - own) / (len(values) - counts)[:, None]
        return np.concatenate([apart, (labels == labels[:, neighbor]).mean(1)[:, None]], 1)

    deals = [pool.dealt[None], *pool.redeals(REDEALS, generator, len(values))]
    shifts = np.concatenate([differences(labels) for labels in deals])
    spread = shifts.std(0)
    shifts = np.divide(shifts - shifts.mean(0), spread, out=np.zeros_like(shifts), where=spread > 1e-12)
    # Fewer neighbors of the own set than by chance is no sign of two kinds of images.
    shifts[:, :-1] = np.abs(shifts[:, :-1])
    largest = shifts.max(1)
    return Exchangeability(float((largest >= largest[0]).mean()), float(largest[0]),
                           [*names, "nearest neighbors"][int(shifts[0].argmax())])


def image_numbers(images: Tensor) -> tuple[np.ndarray, list[str]]:
    """Numbers [N, k] of single images and their names: mean, deviation, leading coordinates of the pool, and for pictures
    the energy of differences between neighboring pixels and the power in four bands of frequency, as logarithms."""
    rows = images.flatten(1)
    columns, names = [rows.mean(1), rows.std(1, correction=0)], ["mean", "standard deviation"]
    count = min(COORDINATES, len(rows) - 1, rows.shape[1])
    if (rows != rows[0]).any():
        columns += list(principal_basis(images, count)(images).T)
        names += [f"principal coordinate {number + 1}" for number in range(count)]
    pictures = planes(images)
    if pictures is not None:
        fine = [_fine_numbers(block) for block in pictures.split(max(1, _BLOCK // pictures[0].numel()))]
        columns += list(torch.cat(fine).clamp(min=1e-12).log().T)
        names += ["differences of neighboring pixels", "their median", *("power in frequency band "
                                                                         f"{band + 1}" for band in range(BANDS))]
    return torch.stack([column.double() for column in columns], 1).cpu().numpy(), names


def _fine_numbers(pictures: Tensor) -> Tensor:
    """[B, 6]: mean square and median size of differences between neighboring pixels, and mean power in four rings of
    frequency, equally wide. The median is the floor of the noise, which edges hide in a mean."""
    steps = torch.cat([pictures.diff(dim=axis).flatten(1) for axis in (2, 3)], 1)
    height, width = pictures.shape[2:]
    power = torch.fft.rfft2(pictures, norm="ortho").abs().square().mean(1)
    frequency = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)).to(pictures.device)
    ring = (frequency / frequency.max() * BANDS).long().clamp(max=BANDS - 1)
    ring[0, 0] = -1  # the mean has a number of its own
    # A ring of few frequencies may be empty in the smallest pictures.
    bands = [power[:, ring == band].sum(1) / max(int((ring == band).sum()), 1) for band in range(BANDS)]
    return torch.stack([steps.square().mean(1), steps.abs().median(1).values, *bands], 1)
