"""Laws of the strings of a grammar: draws, their probability, and all of them where they are few."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from nearsight.tree.propagation import Propagation, path_matrices

_LARGEST_TEMPORARY = 2**22  # entries, so 32 MB
_LARGEST_LANGUAGE = 2**25  # tokens in the list of all strings


def draw(transitions: Tensor, depth: int, level: int, n: int, generator: Generator | None) -> Tensor:
    """Tokens [n, 2^depth] of the law cut at `level`: the root, the nodes at depth `level`, then rule by rule."""
    q = len(transitions)
    tokens = _choices(transitions.new_full((1, q), 1 / q), transitions.new_zeros((n, 1), dtype=torch.int64), generator)
    if level:
        rows = q * torch.arange(2**level, device=tokens.device) + tokens
        tokens = _choices(path_matrices(transitions, level).flatten(0, 1), rows, generator)
    for _ in range(level, depth):
        pairs = _choices(transitions.flatten(1), tokens, generator)
        tokens = torch.stack([pairs // q, pairs % q], 2).flatten(1)
    return tokens


def log_probability(transitions: Tensor, depth: int, level: int, tokens: Tensor) -> Tensor:
    """ln P_level(string) [B] of tokens [B, 2^depth]: the fit of the root without noise, where it is perfect."""
    q = len(transitions)
    propagation = Propagation(transitions, depth, level).to(tokens.device)
    found = []
    for block in tokens.split(max(1, _LARGEST_TEMPORARY // propagation.widest)):
        strings = one_hot(block.long(), q).to(transitions.dtype)
        score, rest = propagation.root(strings, strings.new_full((len(block),), 1e300))
        found.append(torch.where(score == 0, rest, -torch.inf).logsumexp(0) - math.log(q))
    return torch.cat(found)


def trees(transitions: Tensor, depth: int) -> float:
    """How many trees there are: as many as strings, where a string has one tree; inf above 1e308."""
    below = [1.0] * len(transitions)
    for _ in range(depth):
        above = [0.0] * len(transitions)
        for parent, left, right in transitions.nonzero().tolist():
            above[parent] += below[left] * below[right]
        below = above
    return sum(below)


def language(transitions: Tensor, depth: int) -> Tensor:
    """All strings with a positive probability [n, 2^depth], in lexicographic order."""
    count = trees(transitions, depth)
    if count * 2**depth > _LARGEST_LANGUAGE:
        raise ValueError(f"the language has {count:.3g} trees of {2**depth} leaves; expected at most {_LARGEST_LANGUAGE} "
                         "tokens in all: try a grammar of less depth, or draws, grammar.sample(n).")
    q = len(transitions)
    rules = transitions.nonzero().tolist()
    strings = [torch.tensor([[token]], device=transitions.device) for token in range(q)]
    for _ in range(depth):
        strings = [torch.cat([torch.cat([strings[left].repeat_interleave(len(strings[right]), 0),
                                         strings[right].repeat(len(strings[left]), 1)], 1)
                              for parent, left, right in rules if parent == token]) for token in range(q)]
    return torch.cat(strings).unique(dim=0)


def _choices(table: Tensor, rows: Tensor, generator: Generator | None) -> Tensor:
    """One column for each entry of `rows`, drawn with the probabilities of that row of the table."""
    edges = table.cumsum(1)
    edges = edges / edges[:, -1:] + torch.arange(len(table), device=table.device)[:, None]  # one rising list for all rows
    start = rows.double()
    uniform = torch.rand(rows.shape, generator=generator, dtype=start.dtype, device=start.device)
    # A sum that is rounded up to the first edge of the next row would leave its own.
    height = torch.minimum(start + uniform, torch.nextafter(start + 1, start))
    place = torch.searchsorted(edges.flatten(), height, right=True)
    return place - rows * table.shape[1]
