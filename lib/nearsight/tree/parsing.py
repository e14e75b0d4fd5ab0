"""From a string back to its tree, where each pair of children has one parent, and the rules counted on the way."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from nearsight import checks
from nearsight.checks.results import Readable


@dataclass(frozen=True, eq=False, repr=False)
class Parse(Readable):
    """The trees of strings: `parents`, one int64 tensor [B, 2^d] for each depth d above the leaves, root first.

    An entry is the one token with a rule for the tokens of the node's two children; -1 where there is none, or where a
    child is -1.
    """

    parents: tuple[Tensor, ...]

    def _pairs(self) -> dict[str, object]:
        return {"strings": len(self.valid), "levels": len(self.parents), "of the language": int(self.valid.sum())}

    @property
    def grammatical(self) -> tuple[Tensor, ...]:
        """Bool [B, 2^d] for each depth, root first: whether the whole subtree below the node can be derived."""
        return tuple(tokens >= 0 for tokens in self.parents)

    @property
    def valid(self) -> Tensor:
        """Bool [B]: whether the string belongs to the language."""
        return self.parents[0][:, 0] >= 0


def parse(transitions: Tensor, depth: int, tokens: Tensor) -> Parse:
    """The trees of strings [B, 2^depth]. Cost: two look-ups a node. Raises ValueError for an ambiguous grammar."""
    levels = [check_tokens(tokens, len(transitions), depth).long()]
    parent_of = parent_table(transitions).to(tokens.device)
    for _ in range(depth):
        levels.append(parent_of[levels[-1][:, 0::2], levels[-1][:, 1::2]])
    return Parse(tuple(reversed(levels[1:])))


def counted(transitions: Tensor, depth: int, tokens: Tensor) -> Tensor:
    """Transitions [q, q, q] as counted in strings [B, 2^depth]: (uses of the rule + 1/2), normalized for each parent."""
    levels = [*parse(transitions, depth, tokens).parents, tokens.long()]
    if not (levels[0] >= 0).all():
        raise ValueError(f"{int((levels[0] < 0).sum())} of {len(tokens)} strings are not of the language; expected strings "
                         "that the rules derive: try tokens[grammar.parse(tokens).valid].")
    q = len(transitions)
    rules = torch.cat([((above * q + below[:, 0::2]) * q + below[:, 1::2]).flatten()
                       for above, below in pairwise(levels)])
    uses = rules.bincount(minlength=q**3).view(q, q, q).to(transitions.device)
    weights = torch.where(transitions > 0, uses + 0.5, 0.0).double()
    return weights / weights.sum((1, 2), keepdim=True)


def parent_table(transitions: Tensor) -> Tensor:
    """The parent of each pair of children, -1 for none: [q + 1, q + 1], as the child -1 looks up the last row, all -1."""
    derives = transitions > 0
    count = derives.sum(0)
    if count.max() > 1:
        left, right = (count > 1).nonzero()[0].tolist()
        raise ValueError(f"the children ({left}, {right}) have {int(count[left, right])} possible parents; "
                         "expected an unambiguous grammar, where a string has one tree: try Grammar.random.")
    table = torch.where(count > 0, derives.int().argmax(0), -1)
    return torch.nn.functional.pad(table, (0, 1, 0, 1), value=-1)


def check_tokens(tokens: Tensor, vocabulary: int, depth: int) -> Tensor:
    """Return tokens if they are whole strings [B, 2^depth] of the vocabulary."""
    if checks.tensor(tokens, "tokens").is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool:
        raise TypeError(f"tokens are of type {tokens.dtype}; expected an integer tensor: try tokens.long().")
    if tokens.ndim != 2 or tokens.shape[1] != 2**depth:
        raise ValueError(f"tokens have shape {list(tokens.shape)}; expected [B, {2**depth}]: one string a row.")
    if tokens.numel():
        low, high = (int(end) for end in tokens.aminmax())
        if low < 0 or high >= vocabulary:
            raise ValueError(f"tokens run from {low} to {high}; expected 0 to {vocabulary - 1}.")
    return tokens
