"""Nearness of strings: distances that are whole numbers, and so mostly ties.

The distance of two strings is the number of places where they differ (half the squared L2 distance of their one-hots).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from scipy.stats import binomtest
from torch import Generator, Tensor

from nearsight import checks
from nearsight.measures.deals import Deal
from nearsight.measures.families import FamilyPreference
from nearsight.measures.splits import check_labelled
from nearsight.tree.grammar import Grammar

_LARGEST_TABLE = 2**22  # entries of a table of strings by strings


def string_distance(strings: Tensor, reference: Tensor) -> Tensor:
    """Distance [M], int64, of each of strings [M, L] to the nearest of reference [N, L]: places in which they differ.

    Raises TypeError or ValueError unless both hold whole numbers in rows of one length. Cost: M N L comparisons.
    """
    _check(strings, "strings"), _check(reference, "reference")
    if strings.shape[1] != reference.shape[1]:
        raise ValueError(f"strings have length {strings.shape[1]} and those of the reference {reference.shape[1]}; "
                         "expected one length.")
    rows = max(1, _LARGEST_TABLE // len(reference))
    return torch.cat([_table(part, reference).amin(1) for part in strings.split(rows)]).long()


def neighbor_divergence(samples: Tensor, fresh: Tensor) -> Tensor:
    """D_NN = KL(p || q) [...] of two laws of the distance to the nearest training string, from counts [..., D].

    `samples` counts the model's samples at distance 0 .. D - 1, `fresh` fresh strings, or as many strings as are
    expected there where the law is known. To each count is added 1/2. It is unsigned: samples that are too far have it as
    well as those that are too near. Raises ValueError for counts below 0 and for laws of other distances.
    """
    laws = []
    for counts, name in ((samples, "samples"), (fresh, "fresh")):
        counts = checks.numbers(counts, name)
        if not counts.ndim or not counts.shape[-1] or not counts.isfinite().all() or (counts < 0).any():
            raise ValueError(f"{name} are {checks.came(counts)}; expected counts >= 0 at each distance, [..., D].")
        laws.append((counts + 0.5) / (counts + 0.5).sum(-1, keepdim=True))
    if laws[1].shape not in (laws[0].shape, laws[0].shape[-1:]):
        raise ValueError(f"samples are counted in shape {list(laws[0].shape)} and fresh strings in {list(laws[1].shape)}; "
                         "expected the same, or [D] for all.")
    return (laws[0] * (laws[0] / laws[1]).log()).sum(-1)


def string_preference(samples: Mapping[tuple[int, int], Tensor], blocks: Tensor, generator: Generator,
                      relabelings: int = 1000, neighbors: int = 64) -> FamilyPreference:
    """Do the samples of B >= 2 blocks' networks sit nearer to their own block than to the others, where most are ties?

    `samples[block, seed]` [m, L] are a network's, `blocks` [B, n, L] all strings that the networks were trained on. As
    `family_preference` does, it compares a sample's distance to its own block with that to every other; equal distances
    count half, and with two blocks and a seed the preference is that of `own_other`.

    The null is that of all strings dealt anew into blocks, `relabelings` times, samples as they are. It is exact: strings
    are drawn one by one, so any division of them was as likely, and ties are part of the statistic. Ranks will not do
    here: ties that are broken in the order of the blocks favor the first of them, which no new deal repeats. Of each sample
    the `neighbors` nearest strings are kept, ties among them in one random order; a block that is not among them, one of
    6 (5/6)^64 at B = 6, counts as farther than those that are.

    Raises ValueError unless every seed has a network on every block.
    Cost: samples B n L comparisons, and relabelings * samples * neighbors operations: 20 s for 6 networks of 4,096 samples.
    """
    count, pool = _pool(blocks)
    check_labelled(samples, "samples")
    if not samples or samples.keys() != {(block, seed) for block in range(count) for _, seed in samples}:
        raise ValueError(f"networks {sorted(samples, key=str)} came for {count} blocks; expected one (block, seed) on every "
                         "block for each seed.")
    checks.generator(generator, pool.device), checks.generator(generator)
    relabelings, kept = checks.count(relabelings, "relabelings"), checks.count(neighbors, "neighbors")
    shuffled = torch.randperm(len(pool), generator=generator)
    for label, drawn in samples.items():
        if _check(drawn, f"samples[{label}]").shape[1] != pool.shape[1]:
            raise ValueError(f"samples[{label}] have length {drawn.shape[1]}; expected {pool.shape[1]}, as in the blocks.")
    near = [_nearest(drawn, pool[shuffled], min(kept, len(pool))) for drawn in samples.values()]
    distance, index = (torch.cat(parts) for parts in zip(*near))
    own = torch.cat([torch.full((len(drawn),), block) for (block, _), drawn in samples.items()])
    names = torch.arange(count).repeat_interleave(blocks.shape[1])[shuffled]

    compared = (count - 1) * len(own)
    wins, ties = _compared(distance, names[index], own, count)
    observed = 2 * wins + ties  # in halves of a comparison; `compared` is expected
    dealt = torch.tensor([2 * won + tied for won, tied in (
        _compared(distance, names[torch.randperm(len(pool), generator=generator)][index], own, count)
        for _ in range(relabelings))])
    p_value, lower, upper = ((1 + int(extreme.sum())) / (1 + relabelings) for extreme in (
        (dealt - compared).abs() >= abs(observed - compared), dealt <= observed, dealt >= observed))
    variance = float((dealt - compared).double().square().mean()) / 4
    untied = compared - ties
    effective = min(untied, untied**2 / (4 * variance)) if variance > 0 else untied
    return FamilyPreference(observed / 2 / compared, compared, ties, float(effective),
                            Deal(observed / 2, compared / 2, p_value, lower, upper, variance, "relabeled"),
                            float(binomtest(wins, untied).pvalue) if untied else 1.0)


def preference_by_depth(grammar: Grammar, samples: Mapping[tuple[int, int], Tensor], blocks: Tensor, generator: Generator,
                        relabelings: int = 1000) -> list[FamilyPreference]:
    """`string_preference` at each depth of the tree, root first, leaves last, among samples of the language.

    At depth d strings are compared by the tokens of their nodes there, so that what is copied is found at the level at
    which it is copied. Near the root nearly all comparisons are ties: few tokens, and many strings that share them.
    """
    checks.instance(grammar, "grammar", Grammar, "a Grammar")
    check_labelled(samples, "samples")
    parsed = grammar.parse(_pool(blocks)[1])
    if not parsed.valid.all():
        raise ValueError(f"{int((~parsed.valid).sum())} strings of the blocks are not of the language; expected "
                         "all of them to be.")
    levels = {label: grammar.parse(drawn) for label, drawn in samples.items()}
    found = []
    for depth, pooled in enumerate(parsed.parents):
        nodes = {label: tree.parents[depth][tree.valid] for label, tree in levels.items()}
        found.append(string_preference(nodes, pooled.unflatten(0, blocks.shape[:2]), generator, relabelings))
    leaves = {label: samples[label][tree.valid] for label, tree in levels.items()}
    return [*found, string_preference(leaves, blocks, generator, relabelings)]


def _compared(distance: Tensor, names: Tensor, own: Tensor, count: int) -> tuple[int, int]:
    """In how many comparisons of a sample's own block with another the own one is nearer, and how many are ties."""
    first = distance.new_full((len(distance), count), torch.iinfo(distance.dtype).max)
    first.scatter_reduce_(1, names, distance, "amin")
    nearest = first.gather(1, own[:, None])
    return int((nearest < first).sum()), int((nearest == first).sum()) - len(own)  # less each block with itself


def _nearest(strings: Tensor, pool: Tensor, kept: int) -> tuple[Tensor, Tensor]:
    """Distances [M, kept], rising, and indices of the nearest strings of a pool; of equally near ones the first."""
    parts = []
    for part in strings.split(max(1, _LARGEST_TABLE // len(pool))):
        code = _table(part, pool).long() * len(pool) + torch.arange(len(pool), device=pool.device)
        parts.append(code.topk(kept, largest=False).values)
    code = torch.cat(parts)
    return code // len(pool), code % len(pool)


def _table(strings: Tensor, reference: Tensor) -> Tensor:
    """How many places differ, [M, N], int16."""
    different = torch.zeros(len(strings), len(reference), dtype=torch.int16, device=strings.device)
    for ours, theirs in zip(strings.T, reference.T):
        different += ours[:, None] != theirs
    return different


def _pool(blocks: Tensor) -> tuple[int, Tensor]:
    """The number of blocks, and their strings [B n, L]."""
    if checks.tensor(blocks, "blocks").ndim != 3 or len(blocks) < 2:
        raise ValueError(f"blocks are {checks.came(blocks)}; expected strings [B, n, L] of at least two blocks.")
    return len(blocks), _check(blocks.flatten(0, 1), "blocks")


def _check(strings: Tensor, name: str) -> Tensor:
    """Return `strings` if they are an integer matrix with rows and columns."""
    if checks.tensor(strings, name).is_floating_point() or strings.is_complex() or strings.dtype == torch.bool:
        raise TypeError(f"{name} are {checks.came(strings)}; expected an integer tensor of tokens: try {name}.long().")
    if strings.ndim != 2 or not strings.numel():
        raise ValueError(f"{name} are {checks.came(strings)}; expected [N, L]: one string a row, at least one.")
    return strings
