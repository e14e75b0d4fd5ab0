"""Whole records as printed tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor


def listed(title: str, steps: Sequence[int], values: Mapping[tuple[int, ...], Tensor], digits: int = 3) -> None:
    """Print values [S] of networks (block, seed), or of pairs (block, block, seed), a column each, at S training steps."""
    columns = sorted(values)
    print(f"{title}\nstep" + "".join(f"{'-'.join(map(str, blocks)) + f',{seed}':>7}" for *blocks, seed in columns))
    for place, step in enumerate(steps):
        print(f"{step:4}" + "".join(f"{float(values[column][place]):7.{digits}f}" for column in columns))
