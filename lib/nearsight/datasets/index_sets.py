"""Index sets that do not overlap: which network may see which image, and a digest that says so in one line."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import combinations
from operator import index

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Splits:
    """Disjoint index sets of one size: indices [count, size] int64, and their digest."""

    indices: Tensor
    digest: str


def disjoint_splits(total: int, size: int, count: int, seed: int | None = None) -> Splits:
    """Return `count` disjoint sets of `size` indices into `total` events.

    With seed None set i is the plain block size*i ... size*(i+1) - 1. With a seed the blocks are cut from
    numpy.random.default_rng(seed).permutation(total), so that sets are uniform draws without replacement.

    Raises TypeError for numbers that are no integers, ValueError for size or count < 1 and where size * count > total.
    """
    total, size, count = index(total), index(size), index(count)
    if size < 1 or count < 1:
        raise ValueError(f"{count} sets of {size} indices were asked for; expected at least one set of one index.")
    if size * count > total:
        raise ValueError(f"{count} sets of {size} indices need {size * count} events and there are {total}; disjoint "
                         f"sets cannot share: try size <= {total // count} or count <= {total // size}.")
    order = np.arange(total) if seed is None else np.random.default_rng(seed).permutation(total)
    indices = torch.from_numpy(order[:size * count].astype(np.int64).reshape(count, size))
    return Splits(indices, digest(*indices))


def digest(*sets: Tensor) -> str:
    """Return the SHA-256 of index sets: of their lengths, then of their entries in order, as little-endian int64."""
    code = hashlib.sha256(np.array([len(indices) for indices in sets], dtype="<i8").tobytes())
    for indices in sets:
        code.update(indices.cpu().numpy().astype("<i8").tobytes())
    return code.hexdigest()


def check_disjoint(**sets: Tensor) -> None:
    """Raise unless the named index sets [n], each without repetition, have no index in common.

    Example: `check_disjoint(train=train, holdout=holdout)`. Raises TypeError for sets that are no integers, ValueError
    for a set that holds an index twice and for two sets that share one; the sentence names the sets and an index.
    """
    for name, indices in sets.items():
        if not isinstance(indices, Tensor) or indices.dtype not in (torch.int64, torch.int32):
            found = indices.dtype if isinstance(indices, Tensor) else type(indices).__name__
            raise TypeError(f"{name} is of type {found}; expected a tensor of int64 indices.")
        values, times = indices.unique(return_counts=True)
        if (times > 1).any():
            raise ValueError(f"{name} holds index {values[times > 1][0].item()} more than once; expected each index "
                             f"once: try {name}.unique().")
    for (first, a), (second, b) in combinations(sets.items(), 2):
        shared = a[torch.isin(a, b)]
        if len(shared):
            raise ValueError(f"{first} and {second} share {len(shared)} indices, among them {shared[0].item()}; "
                             "expected disjoint sets: try disjoint_splits.")
