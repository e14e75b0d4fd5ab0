"""The preference of a whole family for its own data: all pairs of blocks at once, judged by one joint deal.

Networks are labelled (block, seed). Pairs that share a block share networks, and all share their pool, so that tests of
single pairs cannot be pooled. One deal of all images into all blocks can: if no network's samples depend on which images
it saw, every way to divide the pool into blocks of their size was equally likely, given all samples.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from scipy.stats import binomtest
from torch import Generator, Tensor

from nearsight import checks
from nearsight.measures.deals import Deal
from nearsight.measures.preference import Preference
from nearsight.measures.splits import check_labelled

TOGETHER = 256  # labelings, and samples, that are compared at once


@dataclass(frozen=True, repr=False)
class FamilyPreference(Preference):
    """The `Preference` of a family of networks, whose `count` and `ties` are of comparisons of a sample's own block with
    another one, B - 1 a sample."""

    _counted = "comparisons"


def family_preference(neighbors: Mapping[tuple[int, int], Tensor], blocks: Tensor, generator: Generator,
                      relabelings: int = 10_000) -> FamilyPreference:
    """Do the samples of 2 <= B <= 64 blocks' networks sit nearer to their own block than to the others?

    The mean of the own-preference of `own_other` over all same-seed pairs of blocks. With r the rank of a sample's own
    block among the B blocks, by the nearest image of each,

        preference = mean over all samples of 1 - (r - 1)/(B - 1)

    so that no more needs to be kept of a sample than which images of the pool are nearest to it, in order:
    `neighbors[block, seed]` [m, R] are indices into the pool, of any integer type, as from

        nearest(samples, pool, k=R).index

    `blocks` [P] names the block of each of the P pooled images, equally many in each. Of two blocks the nearer one is
    that of the image that comes first in this order; where neither is among the R nearest, the two count half. A share of
    about (1 - 2/B)^R is: at B = 4 one in 65,000 with R = 16.

    The null is that of all images dealt anew into blocks, `relabelings` times, with all samples and their neighbors as
    they are. It is exact whatever R, since the statistic is one and the same function of neighbors and labels; by
    exchanging two blocks' labels its mean is 1/2. The p-values are (1 + k)/(1 + relabelings), k the number of deals at
    least as extreme. `deal.variance` is that over relabelings, about the known mean; `effective` is at most
    3 (B - 1)/(B + 1) a sample, what independent samples would give. With two blocks and a seed the preference is that of
    `own_other`, and its law is sampled rather than enumerated.

    Equally near images are in the order of their indices. Raises ValueError unless every seed has a network on every
    block. Warns when more than 20 % of the comparisons are ties, and when fewer than 30 are effective.
    Cost: relabelings * samples * R operations on bytes (on 8 bytes for more than 8 blocks), about a second for 8 networks
    of 1,024 samples at R = 16. Source: study 4; derived here.
    """
    return _course([neighbors], blocks, generator, relabelings)[0]


def family_course(course: Sequence[Mapping[tuple[int, int], Tensor]], blocks: Tensor, generator: Generator,
                  relabelings: int = 10_000) -> list[FamilyPreference]:
    """The `family_preference` at each of several checkpoints, whose `neighbors` are the `course`: all meet the same deals,
    so that they differ by what networks do and not by what was dealt. Cost: its, without the dealing after the first.
    Raises TypeError for a course that is no list."""
    return _course(checks.instance(course, "course", (list, tuple), "a list of dicts of neighbors, one a checkpoint"),
                   blocks, generator, relabelings)


def _course(course: Sequence[Mapping[tuple[int, int], Tensor]], blocks: Tensor, generator: Generator,
            relabelings: int) -> list[FamilyPreference]:
    names, blocks = _blocks(blocks)
    checks.generator(generator, blocks.device), checks.generator(generator)
    relabelings = checks.count(relabelings, "relabelings")
    orders = [_orders(neighbors, names, len(blocks)) for neighbors in course]
    bits = _bits(len(names))[blocks]
    found: list[list] = [[] for _ in orders]
    for part in torch.arange(relabelings).split(TOGETHER):
        dealt = torch.stack([bits[torch.randperm(len(bits), generator=generator)] for _ in part]).T.contiguous()
        for of_checkpoint, relabeled in zip(orders, found):
            won, tied = _compared(of_checkpoint, dealt)
            relabeled.append(2 * won + tied)  # in halves of a comparison, so that all sums are whole
    judged = []
    for of_checkpoint, relabeled in zip(orders, found):  # no comprehension: a frame of its own would hide who is warned
        judged.append(_judged(of_checkpoint, bits, torch.cat(relabeled)))
    return judged


def _judged(orders: list[Tensor], bits: Tensor, relabeled: Tensor) -> FamilyPreference:
    """The preference of samples that find images in these orders, beside what relabelings found, in halves."""
    names, samples = len(orders), sum(map(len, orders))
    count = (names - 1) * samples  # comparisons; as many halves of one are expected
    wins, ties = map(int, _compared(orders, bits[:, None]))
    observed, relabelings = 2 * wins + ties, len(relabeled)
    p_value, lower, upper = ((1 + int(extreme.sum())) / (1 + relabelings) for extreme in (
        (relabeled - count).abs() >= abs(observed - count), relabeled <= observed, relabeled >= observed))
    variance = float((relabeled - count).double().square().mean()) / 4
    deal = Deal(observed / 2, count / 2, p_value, lower, upper, variance, "relabeled")
    independent = samples * 3 * (names - 1) / (names + 1)
    effective = min(independent, count**2 / (4 * variance)) if variance > 0 else independent
    if ties > 0.2 * count:
        warnings.warn(f"{ties} of {count} comparisons find neither block among the {orders[0].shape[1]} nearest images: "
                      "keep more of them.", stacklevel=4)
    if effective < 30:
        warnings.warn(f"{samples} samples weigh as much as {effective:.1f} independent ones, since they share their "
                      "nearest images: the interval is rough.", stacklevel=4)
    coins = float(binomtest(wins, count - ties).pvalue) if count > ties else 1.0
    return FamilyPreference(observed / 2 / count, count, ties, effective, deal, coins)


def _orders(neighbors: Mapping[tuple[int, int], Tensor], names: list[int], pooled: int) -> list[Tensor]:
    """The neighbors of all samples of each block's networks, [samples, R] each."""
    check_labelled(neighbors, "neighbors")
    _check_complete(neighbors, names)
    return [torch.cat([_indices(nearest, f"neighbors[{block, seed}]", pooled)
                       for (block, seed), nearest in neighbors.items() if block == name]) for name in names]


def _bits(count: int) -> Tensor:
    """A bit for each of so many blocks, all of one small integer."""
    kind = torch.int8 if count <= 8 else torch.int64
    return torch.ones(count, dtype=kind) << torch.arange(count, dtype=kind)


def _compared(orders: list[Tensor], bits: Tensor) -> tuple[Tensor, Tensor]:
    """In how many comparisons of a sample's own block with another the own one is nearer, and how many are undecided, by
    each of L labelings of the pool with the blocks' bits [P, L]: two [L].

    The blocks that a sample meets on the way to its own one are kept in the bits of one number for each labeling. Shifted
    so that the own block's bit is the sign, and back, all bits are set once the own block is met, and none before.
    """
    count, wins, ties = len(orders), 0, 0
    sign = torch.iinfo(bits.dtype).bits - 1
    for own, of_block in enumerate(orders):
        for order in of_block.split(TOGETHER):  # [samples, L] numbers stay in the cache
            met = torch.zeros(len(order), bits.shape[1], dtype=bits.dtype)
            for nearest in order.T:
                met |= bits.index_select(0, nearest) & ~(met << (sign - own) >> sign)
            decided = -(met << (sign - own) >> sign)
            behind = sum(((met >> place) & 1) ^ 1 for place in range(count) if place != own)  # not met before the own one
            wins = wins + (behind * decided).sum(0)
            ties = ties + (behind * (1 - decided)).sum(0)
    return wins, ties


def _blocks(blocks: Tensor) -> tuple[list[int], Tensor]:
    """The names of the blocks, and of each pooled image the place of its block among them; all are of one size."""
    if checks.tensor(blocks, "blocks").ndim != 1 or blocks.dtype not in (torch.int64, torch.int32):
        raise TypeError(f"blocks is {checks.came(blocks)}; expected a vector of whole numbers, one for each pooled image.")
    names, places, sizes = blocks.cpu().unique(return_inverse=True, return_counts=True)
    if not 2 <= len(names) <= 64 or len(set(sizes.tolist())) > 1:
        raise ValueError(f"{len(names)} blocks hold {sizes.min()} to {sizes.max()} images; expected 2 to 64 blocks, of one "
                         "size.")
    return names.tolist(), places


def _check_complete(neighbors: Mapping[tuple[int, int], Tensor], names: list[int]) -> None:
    """Raise ValueError unless every seed has a network on each of the blocks and on no other."""
    wanted = {(block, seed) for block in names for _, seed in neighbors}
    if not neighbors or neighbors.keys() != wanted:
        raise ValueError(f"networks {sorted(neighbors, key=str)} came for the blocks {names}; expected one (block, seed) on "
                         "every block for each seed: leave out a seed that is not on all of them.")


def _indices(nearest: Tensor, name: str, pooled: int) -> Tensor:
    """Indices [m, R] into a pool of so many images, as int64 on the CPU."""
    if (checks.tensor(nearest, name).ndim != 2 or not nearest.numel() or nearest.is_floating_point()
            or nearest.is_complex() or nearest.dtype == torch.bool):
        raise TypeError(f"{name} is {checks.came(nearest)}; expected indices [m, R]: try "
                        "nearest(samples, pool, k=16).index.")
    if not 0 <= nearest.min() <= nearest.max() < pooled:
        raise ValueError(f"{name} run from {nearest.min()} to {nearest.max()}; expected indices of the {pooled} pooled "
                         "images.")
    return nearest.long().cpu()
