"""Index sets that do not overlap: which network may see which image, and a digest that says so in one line."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nearsight import checks
from nearsight.checks.results import Readable


@dataclass(frozen=True, eq=False, repr=False)
class Splits(Readable):
    """Disjoint index sets of one size: indices [count, size] int64, one set a row."""

    indices: Tensor

    def _pairs(self) -> dict[str, object]:
        sets, size = self.indices.shape
        return {"sets": sets, "indices a set": size}

    @property
    def digest(self) -> str:
        """SHA-256 of the sets, see `index_digest`."""
        return index_digest(*self.indices)


def disjoint_splits(total: int, size: int, count: int, seed: int | None = None) -> Splits:
    """Return `count` disjoint sets of `size` indices into `total` events.

    With seed None set i is the plain block size*i ... size*(i+1) - 1. With a seed the blocks are cut from
    numpy.random.default_rng(seed).permutation(total), so that sets are uniform draws without replacement.

    Raises TypeError or ValueError for numbers that are not whole, for size or count < 1, and where size * count > total.
    """
    total, size, count = checks.count(total, "total", 0), checks.count(size, "size"), checks.count(count, "count")
    seed = None if seed is None else checks.count(seed, "seed", at_least=0)
    if size * count > total:
        raise ValueError(f"{count} disjoint sets of {size} indices need {size * count} events; expected no more than "
                         f"the {total} there are: try fewer or smaller sets.")
    order = np.arange(total) if seed is None else np.random.default_rng(seed).permutation(total)
    return Splits(torch.from_numpy(order[:size * count].astype(np.int64).reshape(count, size)))


def index_digest(*sets: Tensor) -> str:
    """Return the SHA-256 of index sets: of their lengths, then of their entries in order, as little-endian int64."""
    for position, indices in enumerate(sets):
        _indices(indices, f"set {position}")
    lengths = np.array([len(indices) for indices in sets])
    code = hashlib.sha256()
    for numbers in (lengths, *(indices.cpu().numpy() for indices in sets)):
        code.update(numbers.astype("<i8").tobytes())
    return code.hexdigest()


def check_disjoint(**sets: Tensor) -> None:
    """Raise unless the named index sets [n], each without repetition, have no index in common.

    Example: `check_disjoint(train=train, holdout=holdout)`. Raises TypeError for sets that are no integers, ValueError
    where an index occurs twice; the sentence names it and its sets. Cost: sorts all indices once.
    """
    for name, indices in sets.items():
        _indices(indices, name)
    values, times = torch.cat(list(sets.values())).unique(return_counts=True)
    repeated = values[times > 1]
    if len(repeated):
        owners = [name for name, indices in sets.items() if (indices == repeated[0]).any()]
        raise ValueError(f"index {repeated[0].item()} occurs more than once, in {' and '.join(owners)} "
                         f"({len(repeated)} such indices in all); expected disjoint sets: try disjoint_splits.")


def _indices(indices: Tensor, name: str) -> None:
    """Raise unless `indices` is a vector of integers."""
    if not isinstance(indices, Tensor) or indices.dtype not in (torch.int64, torch.int32) or indices.ndim != 1:
        raise TypeError(f"{name} is {checks.came(indices)}; expected a vector of int64 indices.")
