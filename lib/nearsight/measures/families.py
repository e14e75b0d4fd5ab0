"""The preference of a whole family for its own data: all pairs of blocks at once, judged by one joint deal.

Networks are labelled (block, seed). Pairs that share a block share networks, and all share their pool, so that tests of
single pairs cannot be pooled. One deal of all images into all blocks can: if no network's samples depend on which images
it saw, every way to divide the pool into blocks of their size was equally likely, given all samples.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from scipy.stats import binomtest
from torch import Generator, Tensor

from nearsight import checks
from nearsight.measures.deals import Deal
from nearsight.measures.preference import Preference
from nearsight.measures.splits import check_labelled


@dataclass(frozen=True, repr=False)
class FamilyPreference(Preference):
    """The `Preference` of a family of networks, whose `count` and `ties` are of comparisons of a sample's own block with
    another one, B - 1 a sample."""

    _counted = "comparisons"


def family_preference(neighbors: Mapping[tuple[int, int], Tensor], blocks: Tensor, generator: Generator,
                      relabelings: int = 10_000) -> FamilyPreference:
    """Do the samples of B >= 2 blocks' networks sit nearer to their own block than to the others?

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
    Cost: relabelings * samples * R operations, 10 s for 8 networks of 1,024 samples at R = 16. Source: study 4; derived
    here.
    """
    names, blocks = _blocks(blocks)
    check_labelled(neighbors, "neighbors")
    _check_complete(neighbors, names)
    checks.generator(generator, blocks.device), checks.generator(generator)
    relabelings = checks.count(relabelings, "relabelings")
    order = torch.cat([_indices(nearest, f"neighbors[{label}]", len(blocks)) for label, nearest in neighbors.items()])
    own = torch.cat([torch.full((len(nearest),), names.index(block)) for (block, _), nearest in neighbors.items()])

    samples, count = len(own), (len(names) - 1) * len(own)
    wins, ties = _compared(order, own, blocks, len(names))
    observed = 2 * wins + ties  # in halves of a comparison, so that all sums are whole; `count` is expected
    relabeled = torch.tensor([(2 * won + tied) for won, tied in (
        _compared(order, own, blocks[torch.randperm(len(blocks), generator=generator)], len(names))
        for _ in range(relabelings))])
    p_value, lower, upper = ((1 + int(extreme.sum())) / (1 + relabelings) for extreme in (
        (relabeled - count).abs() >= abs(observed - count), relabeled <= observed, relabeled >= observed))
    variance = float((relabeled - count).double().square().mean()) / 4
    deal = Deal(observed / 2, count / 2, p_value, lower, upper, variance, "relabeled")
    independent = samples * 3 * (len(names) - 1) / (len(names) + 1)
    effective = min(independent, count**2 / (4 * variance)) if variance > 0 else independent
    if ties > 0.2 * count:
        warnings.warn(f"{ties} of {count} comparisons find neither block among the {order.shape[1]} nearest images: keep "
                      "more of them.", stacklevel=2)
    if effective < 30:
        warnings.warn(f"{samples} samples weigh as much as {effective:.1f} independent ones, since they share their "
                      "nearest images: the interval is rough.", stacklevel=2)
    coins = float(binomtest(wins, count - ties).pvalue) if count > ties else 1.0
    return FamilyPreference(observed / 2 / count, count, ties, effective, deal, coins)


def _compared(order: Tensor, own: Tensor, blocks: Tensor, count: int) -> tuple[int, int]:
    """In how many comparisons of a sample's own block with another the own one is nearer, and how many are undecided."""
    places = torch.arange(order.shape[1]).expand_as(order)
    first = torch.full((len(order), count), order.shape[1]).scatter_reduce_(1, blocks[order], places, "amin")
    place = first.gather(1, own[:, None])
    return int((place < first).sum()), int((place == first).sum()) - len(own)  # less each block with itself


def _blocks(blocks: Tensor) -> tuple[list[int], Tensor]:
    """The names of the blocks, and of each pooled image the place of its block among them; all are of one size."""
    if checks.tensor(blocks, "blocks").ndim != 1 or blocks.dtype not in (torch.int64, torch.int32):
        raise TypeError(f"blocks is {checks.came(blocks)}; expected a vector of whole numbers, one for each pooled image.")
    names, places, sizes = blocks.cpu().unique(return_inverse=True, return_counts=True)
    if len(names) < 2 or len(set(sizes.tolist())) > 1:
        raise ValueError(f"the blocks hold {sizes.tolist()} images; expected at least two blocks, of one size.")
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
