"""Duplicates, leaks and the cut: what is left to test on, and the training images among which copies are looked for.

The order matters for the tests. The larger set is cut first; then images that stand in both sets leave both; then
duplicates within a set collapse to one; then the larger set is cut again. Cleaning before the cut favors the larger set.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Generator, Tensor

from nearsight.measures import nearest

NEIGHBORS = 8
SMALLEST_EVENT = 16  # entries below which only equal images are duplicates: in the plane near-duplicates are everywhere


class Duplicates(NamedTuple):
    """Which images depict the same: `pairs` [2, K] of images and, for each image, the first one that is `equal` to it [N].

    `reach` is the largest distance of near-duplicates in L2, 0 where only equal images count; `capped` says whether a third
    of the median nearest distance set it, rather than the tolerance.
    """

    pairs: np.ndarray
    equal: np.ndarray
    reach: float
    capped: bool

    def components(self, among: np.ndarray | None = None) -> np.ndarray:
        """A number [N] for each connected component of images, over the pairs whose images are both `among` [N] bool."""
        count = len(self.equal)
        pairs = np.concatenate([self.pairs, np.stack([np.arange(count), self.equal])], 1)
        if among is not None:
            # Equal images are joined through the first of them that is there, which need not be the first of all.
            present = np.where(among, np.arange(count), count)
            first = np.full(count, count)
            np.minimum.at(first, self.equal, present)
            pairs = np.concatenate([self.pairs, np.stack([np.arange(count), np.minimum(first[self.equal], count - 1)])], 1)
            pairs = pairs[:, among[pairs[0]] & among[pairs[1]]]
        graph = coo_array((np.ones(pairs.shape[1]), tuple(pairs)), shape=(count, count))
        return connected_components(graph, directed=False)[1]


class Cut(NamedTuple):
    """The images `kept` of both sets, as indices in order, the number of `cards` of a side that they make, and how many
    images left in leaks and by the cut."""

    kept: np.ndarray
    cards: int
    leaked: int
    cut: int


def find_duplicates(events: Tensor, tolerance: float, std: float, device: torch.device) -> Duplicates:
    """Pairs of equal images, and of those whose root-mean-square difference is at most tolerance * std.

    Pairs are looked for among the 8 nearest images of each. At most a third of the median distance to the nearest other
    image counts as near: aligned, low-contrast or sparse images would otherwise chain into one component.
    Cost: one search of all events [N, *event] among themselves.
    """
    equal = first_equal(events)
    entries = events[0].numel()
    if entries < SMALLEST_EVENT or len(events) < 2:
        return Duplicates(np.empty((2, 0), dtype=int), equal, 0.0, False)
    on_device = events.to(device)
    near = nearest(on_device, on_device, k=min(NEIGHBORS, len(events) - 1), exclude_self=True)
    distance, index = near.distance.cpu().numpy(), near.index.cpu().numpy()
    # Equal images say nothing of how near different ones come; with many of them the median would be 0.
    apart = distance[:, 0][distance[:, 0] > 0]
    cap = float(np.median(apart)) / 3 if len(apart) else np.inf
    reach = min(tolerance * std * entries**0.5, cap)
    row, column = np.nonzero(distance <= reach)
    return Duplicates(np.stack([row, index[row, column]]), equal, float(reach), bool(cap < tolerance * std * entries**0.5))


def repeats(labels: np.ndarray) -> int:
    """How many images have the label of an earlier one."""
    return len(labels) - len(np.unique(labels))


def in_both(labels: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Which images [N] have a label that stands on both sides of `train` [N] bool."""
    return np.isin(labels, np.intersect1d(labels[train], labels[~train]))


def cut_and_clean(duplicates: Duplicates, train: np.ndarray, units: np.ndarray, strata: np.ndarray,
                  generator: Generator) -> Cut:
    """T' and H': as many units on both sides in every stratum, no image in both, and one image of every component.

    `train` [N] bool says on which side each image stands, `units` [N] which group it is dealt with, `strata` [N] within
    which kind. A unit lies on one side.
    """
    kept = _balanced(np.ones(len(train), dtype=bool), train, units, strata, generator)
    cut = int((~kept).sum())
    components = duplicates.components(kept)
    leaks = np.zeros_like(kept)
    leaks[kept] = in_both(components[kept], train[kept])
    kept &= ~leaks
    first = np.zeros_like(kept)
    present = np.flatnonzero(kept)
    first[present[np.unique(components[present], return_index=True)[1]]] = True
    balanced = _balanced(first, train, units, strata, generator)
    cut += int((first & ~balanced).sum())
    return Cut(np.flatnonzero(balanced), len(np.unique(units[balanced & train])), int(leaks.sum()), cut)


def _balanced(kept: np.ndarray, train: np.ndarray, units: np.ndarray, strata: np.ndarray,
              generator: Generator) -> np.ndarray:
    """Of the images `kept`, those of equally many units on both sides of each stratum: the larger side drawn at random."""
    chosen = np.zeros_like(kept)
    for stratum in np.unique(strata[kept]):
        there = kept & (strata == stratum)
        sides = [np.unique(units[there & side]) for side in (train, ~train)]
        count = min(map(len, sides))
        for side in sides:
            drawn = side
            if len(side) > count:
                drawn = side[torch.randperm(len(side), generator=generator)[:count].numpy()]
            chosen |= there & np.isin(units, drawn)
    return chosen


def first_equal(events: Tensor) -> np.ndarray:
    """For each image of [N, *event] the index of the first one with the same bytes."""
    seen: dict[bytes, int] = {}
    rows = events.flatten(1).numpy()
    return np.array([seen.setdefault(hashlib.sha256(row.tobytes()).digest(), place) for place, row in enumerate(rows)],
                    dtype=int)
