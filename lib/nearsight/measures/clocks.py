"""Clocks: at which step of a training a curve is least, and how sure that is, when blocks are drawn anew.

Networks are labelled (block, seed). What varies from one study to the next is the blocks: all seeds of a block come with
it, and pairs that share a block share its networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from nearsight import checks
from nearsight.checks.results import Readable, interval
from nearsight.measures.intervals import Estimate, leave_one_out, resampled_counts
from nearsight.measures.splits import SplitVariance


@dataclass(frozen=True, eq=False, repr=False)
class Clock(Readable):
    """The `step` at which a mean curve is least, its 95 % bounds `low`, `high`, the steps `drawn` [R] in resamples of the
    blocks, and whether it is the `first` step that was admitted."""

    step: int
    low: int
    high: int
    drawn: Tensor
    first: bool

    _headline = "step"

    def _pairs(self) -> dict[str, object]:
        return {"step": interval(self.step, self.low, self.high), "resamples": len(self.drawn), "first": self.first}

    def before(self, other: Clock) -> float:
        """The share of resamples in which this clock strikes before another; both strike together in 0."""
        theirs = checks.instance(other, "other", Clock, "a Clock of the same resamples").drawn
        if theirs.shape != self.drawn.shape:
            raise ValueError(f"clocks of {len(self.drawn)} and {len(theirs)} resamples; expected those of one call of "
                             "bootstrap_clocks.")
        return float((self.drawn < theirs).double().mean())


def bootstrap_clocks(curves: Mapping[str, tuple[Tensor, Tensor]], opening: str | None, generator: Generator,
                     resamples: int = 2000) -> dict[str, Clock]:
    """Where each of several curves is least, when blocks are resampled with all that was trained on them.

    `curves` holds by name the steps [C], rising, and the values there: [C, B] of each block, or [C, B, B] of each pair of
    blocks, whose mean leaves out the diagonal, so that no block is paired with its own copy. Only steps count from that on
    at which the curve `opening` is least, in the very resample: before, networks differ since they have not learnt
    anything. None admits all steps. All curves meet the same resamples; those that hold one block alone are left out.

    Cost: resamples * C * B^2 for each curve. Raises ValueError for fewer than two blocks and for unequal numbers of them.
    """
    count = _check(curves, opening)
    checks.generator(generator)
    drawn = torch.cat(list(resampled_counts(count, resamples, generator))).cpu()
    drawn = torch.cat([torch.ones(1, count, dtype=torch.float64), drawn[(drawn > 0).sum(1) > 1]])
    if len(drawn) == 1:
        raise ValueError(f"{resamples} resamples came, none of them with two blocks; expected more: try 2000.")
    means = {name: (steps.cpu(), _mean(values.double().cpu(), drawn)) for name, (steps, values) in curves.items()}
    start = torch.zeros(len(drawn)) if opening is None else means[opening][0][means[opening][1].argmin(0)]
    clocks = {}
    for name, (steps, mean) in means.items():
        admitted = steps[:, None] >= start
        least = steps[torch.where(admitted, mean, torch.inf).argmin(0)]
        ordered, edge = least[1:].sort().values, int(0.025 * (len(least) - 1))
        clocks[name] = Clock(int(least[0]), int(ordered[edge]), int(ordered[-1 - edge]), least[1:],
                             bool(least[0] == steps[admitted[:, 0]][0]))
    return clocks


def block_curves(values: Tensor, labels: Sequence[tuple[int, int]], differing: str = "both") -> Tensor:
    """Curves of blocks from curves of networks labelled (block, seed): what `bootstrap_clocks` takes.

    values [C, M] become the means [C, B] over each block's networks. values [C, M, M], of ordered pairs, become the means
    [C, B, B] over pairs of other blocks in both orders, with another seed ("both") or with the same ("data").
    """
    blocks, seeds = _labels(labels, values)
    names = blocks.unique()
    inside = (blocks == names[:, None]).double()  # [B, M]
    if values.ndim not in (2, 3):
        raise ValueError(f"values are {checks.came(values)}; expected [C, M] or [C, M, M].")
    if values.ndim == 2:
        return values.double() @ (inside / inside.sum(1, keepdim=True)).T
    wanted = _classes(blocks, seeds)[checks.choice(differing, "differing", ("both", "data"))].double()
    summed, pairs = inside @ (values.double() * wanted) @ inside.T, inside @ wanted @ inside.T
    return (summed + summed.mT) / (pairs + pairs.T)


def split_divergence(divergences: Tensor, labels: Sequence[tuple[int, int]]) -> SplitVariance:
    """`split_variance` on divergences [..., M, M] of networks labelled (block, seed), at each entry of a curve.

    A difference is the mean divergence of the ordered pairs of its class, V_data = (both - seed)/2 and so on; standard
    errors leave out one block at a time. Raises ValueError unless all three classes of pairs are there.
    """
    blocks, seeds = _labels(labels, divergences)
    if divergences.shape[-2] != len(blocks):
        raise ValueError(f"divergences are {checks.came(divergences)}; expected [..., M, M] for {len(blocks)} networks.")
    values = divergences.double().cpu()

    def components(chosen: list) -> Tensor:
        inside = torch.isin(blocks, torch.tensor(chosen))
        data, seed, both = (_class_mean(values, each & inside & inside[:, None])
                            for each in _classes(blocks, seeds).values())
        return torch.stack([data, seed, both, (both - seed) / 2, (both - data) / 2, (data + seed - both) / 2])

    if not all(each.any() for each in _classes(blocks, seeds).values()):
        raise ValueError(f"networks {list(labels)}; expected at least two blocks with two seeds in common, such as "
                         "(0, 0), (0, 1), (1, 0), (1, 1).")
    estimate = leave_one_out(components, blocks.unique().tolist())
    return SplitVariance(*map(Estimate, estimate.value, estimate.error))


def _classes(blocks: Tensor, seeds: Tensor) -> dict[str, Tensor]:
    """Which pairs [M, M] of networks differ in their data, their seed, or both."""
    other_block, other_seed = blocks != blocks[:, None], seeds != seeds[:, None]
    return {"data": other_block & ~other_seed, "seed": ~other_block & other_seed, "both": other_block & other_seed}


def _class_mean(values: Tensor, wanted: Tensor) -> Tensor:
    """The mean [...] of values [..., M, M] over the pairs that are wanted; nan where there are none."""
    return values[..., wanted].mean(-1)


def _mean(values: Tensor, counts: Tensor) -> Tensor:
    """Mean curves [C, R] of resamples with `counts` [R, B]."""
    if values.ndim == 2:
        return values @ counts.T / counts.sum(1)
    off = ~torch.eye(values.shape[1], dtype=torch.bool)
    summed = torch.einsum("cij,ri,rj->cr", torch.where(off, values, 0.0), counts, counts)
    return summed / (counts.sum(1) ** 2 - counts.square().sum(1))


def _labels(labels: Sequence[tuple[int, int]], values: Tensor) -> tuple[Tensor, Tensor]:
    """The blocks and the seeds [M] of networks, if there is one for each entry of the values' last axis."""
    checks.floating(values, "values")
    pairs = [checks.counts(label, "a label", at_least=0) for label in
             checks.instance(labels, "labels", (list, tuple), "pairs such as (0, 1), one a network")]
    square = values.ndim == 2 or values.shape[-1:] == values.shape[-2:-1]
    if {*map(len, pairs)} != {2} or values.ndim < 2 or values.shape[-1] != len(pairs) or not square:
        raise ValueError(f"{len(pairs)} labels came for values of shape {list(values.shape)}; expected a pair "
                         "(block, seed) for each network along the last axis.")
    return torch.tensor(pairs).unbind(1)


def _check(curves: Mapping[str, tuple[Tensor, Tensor]], opening: str | None) -> int:
    """The number of blocks of all curves."""
    if not checks.instance(curves, "curves", Mapping, "a dict of (steps, values) by name"):
        raise ValueError("curves are none; expected at least one.")
    if opening is not None:
        checks.choice(opening, "opening", curves)
    counts = set()
    for name, pair in curves.items():
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(f"curves[{name!r}] is {checks.came(pair)}; expected (steps, values).")
        steps, values = checks.tensor(pair[0], f"steps of {name!r}"), checks.floating(pair[1], f"values of {name!r}")
        rising = steps.ndim == 1 and steps.numel() and not steps.is_complex() and (steps.diff() > 0).all()
        if (not rising or values.ndim not in (2, 3) or len(values) != len(steps)
                or values.shape[1] != values.shape[-1]):
            raise ValueError(f"curves[{name!r}] holds {checks.came(steps)} and {checks.came(values)}; expected rising steps "
                             "[C] and values [C, B] or [C, B, B].")
        counts.add(values.shape[1])
    if len(counts) > 1 or min(counts) < 2:
        raise ValueError(f"curves are of {sorted(counts)} blocks; expected one number, at least 2.")
    return counts.pop()
