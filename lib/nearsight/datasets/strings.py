"""Disjoint blocks of token strings, and which fresh strings no block has seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nearsight import checks
from nearsight.checks.results import Readable
from nearsight.datasets.index_sets import disjoint_splits


@dataclass(frozen=True, eq=False, repr=False)
class TokenBlocks(Readable):
    """Training blocks [blocks, n, L], the pool held out [M, L], and which strings of the pool are in no block, [M]."""

    blocks: Tensor
    holdout: Tensor
    novel: Tensor

    def _pairs(self) -> dict[str, object]:
        blocks, strings, tokens = self.blocks.shape
        return {"blocks": blocks, "strings a block": strings, "tokens a string": tokens,
                "strings held out": len(self.holdout), "of them novel": int(self.novel.sum())}


def disjoint_blocks(tokens: Tensor, n: int, blocks: int) -> TokenBlocks:
    """Cut token strings [N, L] into `blocks` consecutive blocks of n and a pool held out, the remaining rows.

    Blocks share no row. They may share a string where the source draws one twice, which is why `novel` says which
    strings of the pool no network has seen, whatever its block.

    Raises TypeError and ValueError as `is_novel` and `disjoint_splits` do. Cost: sorts N strings.
    """
    _check(tokens, "tokens")
    indices = disjoint_splits(len(tokens), n, blocks).indices
    train, holdout = tokens[indices], tokens[indices.numel():]
    return TokenBlocks(train, holdout, is_novel(holdout, train.flatten(0, 1)))


def is_novel(strings: Tensor, seen: Tensor) -> Tensor:
    """Return [M] bool: which of the strings [M, L] are no row of seen [N, L].

    Raises TypeError unless both hold integers, ValueError unless both are matrices of one length L.
    Cost: sorts M + N strings.
    """
    _check(strings, "strings")
    _check(seen, "seen")
    if strings.shape[1] != seen.shape[1]:
        raise ValueError(f"strings have length {strings.shape[1]} and those seen {seen.shape[1]}; expected one length.")
    checks.same_device(strings, seen, "strings", "seen")
    code = torch.cat([seen, strings]).unique(dim=0, return_inverse=True)[1]
    return ~torch.isin(code[len(seen):], code[:len(seen)])


def _check(tokens: Tensor, name: str) -> None:
    """Raise unless `tokens` is an integer matrix."""
    if checks.tensor(tokens, name).is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool:
        raise TypeError(f"{name} is of type {tokens.dtype}; expected an integer tensor of tokens: try {name}.long().")
    if tokens.ndim != 2:
        raise ValueError(f"{name} has shape {list(tokens.shape)}; expected [N, L]: one string a row.")
