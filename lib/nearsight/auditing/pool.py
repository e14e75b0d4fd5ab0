"""The pool P = T' + H' as a pack of cards: under the null, which of them are training images is a random deal.

A card is an image, or a group of images of one patient, person or scene, since such images come into a set together. It is
dealt within its stratum, the condition that it was made under. All p-values of an audit that rest on the one null are
taken from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from nearsight.measures import Deal, Neighbors, stratified_deal_test

_LARGEST_BLOCK = 2**20  # entries of a block of re-deals


class Pool(NamedTuple):
    """Images of T' first, then those of H', and the cards that they belong to.

    `images` [P, *event], `points` [P, k] what distances are taken of, `dealt` [P] bool (a training image), `card` [P] with
    numbers 0 .. 2n - 1, the n training cards first, `stratum` [2n], and the `condition` [P] of each image.
    Card i and card n + i are of one stratum: a pair.
    """

    images: Tensor
    points: Tensor
    dealt: np.ndarray
    card: np.ndarray
    stratum: np.ndarray
    condition: np.ndarray

    @property
    def cards(self) -> int:
        """The number n of cards of a side."""
        return len(self.stratum) // 2

    @property
    def train(self) -> Tensor:
        """The points of T'."""
        return self.points[:int(self.dealt.sum())]

    @property
    def holdout(self) -> Tensor:
        """The points of H'."""
        return self.points[int(self.dealt.sum()):]

    def totals(self, values: np.ndarray) -> np.ndarray:
        """Sums [2n] over the images of each card, of values [P]."""
        return np.bincount(self.card, values, minlength=2 * self.cards)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Means [..., 2n] over the images of each card, of values [..., P]."""
        sizes = np.bincount(self.card, minlength=2 * self.cards)
        if (sizes == 1).all():
            return values[..., np.argsort(self.card)]
        rows = values.reshape(-1, values.shape[-1])
        return np.stack([self.totals(row) for row in rows]).reshape(*values.shape[:-1], -1) / sizes

    def deal_test(self, weights: np.ndarray) -> Deal:
        """Is the sum of the training cards' weights extreme? `weights` [2n] are whole numbers, one for each card."""
        hand = torch.arange(len(self.stratum)) < self.cards
        return stratified_deal_test(torch.from_numpy(weights.astype(np.int64)), torch.from_numpy(self.stratum), hand)

    def redeals(self, count: int, generator: Generator, cost: int) -> Iterator[np.ndarray]:
        """Blocks [R, P] bool of the images' labels under `count` random deals, each of which costs `cost` entries."""
        hand = np.argsort(np.argsort(self.stratum, kind="stable"), kind="stable")  # place of a card among the strata
        sizes = np.unique(self.stratum, return_counts=True)[1]
        pattern = np.concatenate([np.arange(size) < size // 2 for size in sizes])
        block = max(1, _LARGEST_BLOCK // max(cost, len(self.card)))
        rank = np.searchsorted(np.unique(self.stratum), self.stratum)
        for start in range(0, count, block):
            keys = torch.rand(min(block, count - start), len(hand), generator=generator, dtype=torch.float64).numpy()
            order = np.argsort(keys + rank, axis=1)
            labels = np.empty(order.shape, dtype=bool)
            np.put_along_axis(labels, order, np.broadcast_to(pattern, order.shape), 1)
            yield labels[:, self.card]


def make_pool(images: Tensor, points: Tensor, dealt: np.ndarray, units: np.ndarray, strata: np.ndarray,
              conditions: np.ndarray) -> Pool:
    """The pool of cleaned images, training images first: `units` [P] name the cards, `strata` [P] their strata."""
    sides = []
    for side in (dealt, ~dealt):
        names, first = np.unique(units[side], return_index=True)
        order = np.lexsort((first, strata[side][first]))  # by stratum, then as they came
        sides.append((names[order], strata[side][first][order]))
    (own, stratum), (other, same) = sides
    assert np.array_equal(stratum, same)
    place = {name: card for card, name in enumerate(np.concatenate([own, other]).tolist())}
    card = np.array([place[name] for name in units.tolist()])
    return Pool(images, points, dealt, card, np.concatenate([stratum, same]), conditions)


def p_of_redeals(observed: float, redealt: np.ndarray) -> float:
    """(1 + number of re-deals that are as large)/(1 + re-deals), the one-sided p-value, up to rounding of the sums."""
    reach = 1e-12 * max(1.0, abs(observed))
    return float((1 + (redealt >= observed - reach).sum()) / (1 + len(redealt)))


def first_apart(near: Neighbors, pool: Pool) -> np.ndarray:
    """For each query, the place [Q] of its nearest pool image that lies on another card than query i = image i itself."""
    index = near.index.cpu().numpy()
    other = pool.card[index] != pool.card[:, None]
    return np.where(other.any(1), other.argmax(1), index.shape[1] - 1)
