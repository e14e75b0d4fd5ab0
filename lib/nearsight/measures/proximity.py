"""Nearness: which stored event is nearest, exactly, and how many samples are copies.

The textbook expansion |q|^2 + |r|^2 - 2 q.r loses near-duplicates to rounding, whatever is subtracted first. Here it
only *screens*: a pair whose expanded distance, less a certified bound of its rounding error, exceeds the k-th best is
out; the few that remain are decided by float64 differences.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from nearsight import checks
from nearsight.checks.results import Readable, interval, span
from nearsight.measures.intervals import wilson

_LARGEST_SIDE = 1024  # rows and columns of a tile of pairs
_LARGEST_COPY = 2**21  # entries of a working copy, of events or of the k best


@dataclass(frozen=True, repr=False)
class Neighbors(Readable):
    """The k nearest events of each query, nearest first: L2 `distance` [Q, k] and `index` [Q, k] (int64)."""

    distance: Tensor
    index: Tensor

    def _pairs(self) -> dict[str, object]:
        queries, nearest = self.index.shape
        return {"queries": queries, "nearest": nearest, "distance": span(self.distance)}


@dataclass(frozen=True, repr=False)
class MemorizedFraction(Readable):
    """The share of memorized samples with its 95 % Wilson interval, and d1/d2 of every sample, `ratios` [m]."""

    fraction: float
    low: float
    high: float
    ratios: Tensor

    _headline = "fraction"

    def _pairs(self) -> dict[str, object]:
        return {"fraction": interval(self.fraction, self.low, self.high), "samples": len(self.ratios)}


@torch.no_grad()
def nearest(queries: Tensor, reference: Tensor, k: int = 1, exclude_self: bool = False) -> Neighbors:
    """The k events of `reference` [N, *event] nearest to each of `queries` [Q, *event], in L2 over the flat event.

    Exact: the float64 answer on the stored values, rounded once to the queries' dtype, near-duplicates included.
    Of equally near events the lower index comes first. `exclude_self` leaves out index i for query i, not its twins.

    Cost: one matrix product, O(Q N d); temporary memory below 256 MB whatever Q and N.
    """
    checks.points(queries, "queries")
    checks.points(reference, "reference")
    checks.same_event(queries, reference, "queries", "reference")
    checks.exact(queries, "nearest")
    exclude_self, k = checks.flag(exclude_self, "exclude_self"), checks.count(k, "k")
    if exclude_self and len(queries) != len(reference):
        raise ValueError(f"exclude_self with {len(queries)} queries and {len(reference)} reference events; expected "
                         "one set twice: try nearest(points, points, exclude_self=True).")
    available = len(reference) - exclude_self
    if k > available:
        raise ValueError(f"k is {k}; expected a whole number from 1 to {available}, the events to choose from.")

    distance = queries.new_empty(len(queries), k)
    index = torch.empty(len(queries), k, dtype=torch.int64, device=queries.device)
    queries, reference = queries.flatten(1), reference.flatten(1)
    screen = _Screen(queries, reference)
    columns = max(1, min(_LARGEST_SIDE, _LARGEST_COPY // queries.shape[1]))
    rows = min(columns, max(1, _LARGEST_COPY // k))
    for top in range(0, len(queries), rows):
        block = screen.prepare(queries[top:top + rows])
        best = torch.full_like(distance[top:top + rows], math.inf, dtype=torch.float64), index[top:top + rows].zero_()
        for left in range(0, len(reference), columns):
            diagonal = top - left if exclude_self else None
            row, column = screen(block, screen.prepare(reference[left:left + columns]), best[0][:, -1], k, diagonal)
            decided = _differences(queries, reference, top + row, left + column, screen.scale)
            best = _merge(best, row, left + column, decided, k)
        distance[top:top + rows], index[top:top + rows] = best
    return Neighbors(distance, index)


def memorized_fraction(samples: Tensor, train: Tensor, ratio: float = 1 / 3) -> MemorizedFraction:
    """The share of samples with d1/d2 < ratio, d1 <= d2 the distances to the two nearest of `train` [n, *event].

    An exact copy (d1 = 0) counts even where its training event occurs twice and d2 = 0: its ratio is 0.

    Source: the criterion of Yoon et al. 2023; study 4 for the rule on twins. Cost: one call of `nearest`.
    """
    checks.points(train, "train", at_least=2)
    ratio = checks.positive(ratio, "ratio")
    first, second = nearest(samples, train, k=2).distance.unbind(1)
    ratios = torch.where(first > 0, first / second, 0)
    copies = int((ratios < ratio).sum())
    return MemorizedFraction(copies / len(ratios), *wilson(copies, len(ratios)), ratios)


class _Prepared(NamedTuple):
    """Events scaled and centered for the product, `events` [b, d], and their squared norms, `square` [b]."""

    events: Tensor
    square: Tensor


class _Screen:
    """Picks from a tile the pairs that may be among the k nearest.

    Events are scaled into [-1, 1]^d, centered and rounded for the product, with unit roundoff u. For a = |q|, b = |r|,
    the squared distance a^2 + b^2 - 2 q.r is then wrong by at most g (a + b)^2 + 16 d tiny, g = 2 (d + 16) u to first
    order: in any order of summation (Higham 2002, section 3.1) d u (a^2 + b^2) for the squares and d u (b^2 + 2ab) for
    the product that is added to one of them, a few u for the rounded entries and the threshold, `tiny` for underflow.
    """

    def __init__(self, queries: Tensor, reference: Tensor):
        self.dtype = _product_dtype(queries.device)
        self.stored = torch.promote_types(torch.promote_types(queries.dtype, reference.dtype), self.dtype)
        largest = max(float(bound.abs()) for points in (queries, reference) for bound in points.aminmax())
        self.scale = math.ldexp(1.0, min(math.frexp(largest)[1], 1023))  # a power of two divides without rounding
        self.center = (reference[:256].to(self.stored) / self.scale).mean(0)  # any center is right, a near one is fast
        limits, entries = torch.finfo(self.dtype), queries.shape[1]
        rounding = (entries + 16) * limits.eps  # eps = 2u
        self.rounding = rounding / (1 - rounding) if rounding < 1 else math.inf  # beyond, every pair is decided
        self.underflow = 16 * entries * limits.tiny
        self.largest_finite = limits.max

    def prepare(self, points: Tensor) -> _Prepared:
        """Events ready for the product."""
        shifted = (points.to(self.stored) / self.scale).sub_(self.center).to(self.dtype)
        return _Prepared(shifted, shifted.square().sum(1))

    def __call__(self, queries: _Prepared, reference: _Prepared, kth_distance: Tensor, k: int,
                 diagonal: int | None) -> tuple[Tensor, Tensor]:
        """Rows and columns [p] of the pairs that rounding allows below the k-th best, sorted by row and column.

        `kth_distance` [b] is that of the best so far; `diagonal` is the one whose pairs are an event with itself.
        """
        # All squares here lack |q|^2, which a row has in common.
        with torch.autocast(queries.events.device.type, enabled=False):
            expanded = torch.addmm(reference.square, queries.events, reference.events.T, alpha=-2)
        if diagonal is not None:
            expanded.diagonal(diagonal).fill_(math.inf)
        error = self._rounding_error(queries.square, reference.square)
        kth_best = (kth_distance / self.scale) ** 2 - queries.square
        if k <= len(reference.events):  # then k pairs of this tile alone may set a lower mark
            kth_best = torch.minimum(kth_best, _at_least_kth(expanded, k).double() + error)
        limit = (kth_best + error).clamp(max=self.largest_finite).to(self.dtype)
        rows = (expanded.amin(1) <= limit).nonzero().squeeze(1)  # few, once the best so far are good
        row, column = (expanded[rows] <= limit[rows, None]).nonzero(as_tuple=True)
        return rows[row], column

    def _rounding_error(self, query_square: Tensor, reference_square: Tensor) -> Tensor:
        """The certified bound [b] on the error of every squared distance of a query to events of the tile."""
        reach = query_square.double().sqrt() + reference_square.max().double().sqrt()
        return self.rounding * reach**2 + self.underflow


def _at_least_kth(values: Tensor, k: int) -> Tensor:
    """A bound [b] from above on the k-th smallest in each row of [b, n], mostly tight: that among minima of groups."""
    groups = min(4 * k, values.shape[1])
    size = values.shape[1] // groups
    minima = values[:, :size * groups].unflatten(1, (size, groups)).amin(1)
    return minima.topk(k, sorted=False, largest=False).values.amax(1)


def _product_dtype(device: torch.device) -> torch.dtype:
    """float32, but float64 where the caller lets torch round the factors of a product to TF32 or bfloat16."""
    backend = torch.backends.cuda if device.type == "cuda" else torch.backends.mkldnn
    return torch.float32 if backend.matmul.fp32_precision in ("none", "ieee") else torch.float64


def _differences(queries: Tensor, reference: Tensor, rows: Tensor, columns: Tensor, scale: float) -> Tensor:
    """L2 distances [p] of the given pairs, by float64 differences that are scaled so that no square overflows."""
    distance = torch.empty(len(rows), dtype=torch.float64, device=queries.device)
    step = max(1, _LARGEST_COPY // queries.shape[1])
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        difference = queries[rows[part]].double() - reference[columns[part]]
        distance[part] = difference.div_(scale).square_().sum(1).sqrt_()
    return distance.mul_(scale)


def _merge(best: tuple[Tensor, Tensor], row: Tensor, column: Tensor, distance: Tensor, k: int):
    """The k best of the best so far and of new pairs; row ascends, and columns ascend within a row and a call."""
    counts = torch.bincount(row, minlength=len(best[0]))
    place = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    new = distance.new_full((len(counts), int(counts.max())), math.inf)
    new_index = torch.zeros_like(new, dtype=torch.int64)
    new[row, place], new_index[row, place] = distance, column
    joined, order = torch.cat([best[0], new], 1).sort(dim=1, stable=True)  # stable: of equals, the lower index first
    return joined[:, :k], torch.cat([best[1], new_index], 1).gather(1, order[:, :k])
