"""The random tree grammar: what derives what, and how often."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from nearsight import checks
from nearsight.checks.results import Readable
from nearsight.tree import laws, parsing
from nearsight.tree.oracle import TreeDenoiser
from nearsight.tree.parsing import Parse
from nearsight.tree.propagation import path_matrices

_DEEPEST = 30  # the list of leaves of a deeper tree would fill the memory of any machine


@dataclass(frozen=True, eq=False, repr=False)
class Grammar(Readable):
    """A law of strings that hang together as a perfect binary tree does: L = 2^depth leaves, tokens 0 .. q - 1.

        M[p, b, c] = P(left child is b, right child is c | parent is p)

    The root is uniform, and the same `transitions` M [q, q, q] hold at every depth. Children of node j at depth d are the
    nodes 2j and 2j + 1 at depth d + 1. A grammar is *unambiguous* if no pair of children has two parents: then a string
    has one tree. Methods that need this say so; the denoiser does not.

    M is kept as float64, as it is. Raises TypeError or ValueError unless it is [q, q, q], finite, >= 0 and sums to 1
    within 1e-6 for each parent, and for a depth outside 1 .. 30.
    """

    transitions: Tensor
    depth: int

    def __post_init__(self):
        given = checks.exact(checks.floating(self.transitions, "transitions"), "a grammar")
        if given.ndim != 3 or len(set(given.shape)) > 1 or not len(given):
            raise ValueError(f"transitions have shape {list(given.shape)}; expected [q, q, q]: P(left, right | parent).")
        low, high = (float(end) for end in given.detach().aminmax())
        sums = given.detach().double().sum((1, 2))
        if not (low >= 0 and high < torch.inf) or (sums - 1).abs().max() > 1e-6:
            raise ValueError(f"transitions run from {low:g} to {high:g} and sum to {sums.min():g} .. {sums.max():g}; "
                             "expected shares >= 0 that sum to 1 for each parent: try M / M.sum((1, 2), keepdim=True).")
        depth = checks.count(self.depth, "depth")
        if depth > _DEEPEST:
            raise ValueError(f"depth is {depth}; expected 1 to {_DEEPEST}: a tree has 2^depth leaves.")
        object.__setattr__(self, "transitions", given.detach().double().clone())
        object.__setattr__(self, "depth", depth)

    def _pairs(self) -> dict[str, object]:
        return {"tokens": self.vocabulary, "depth": str(self.depth), "rules": int((self.transitions > 0).sum())}

    @classmethod
    def random(cls, vocabulary: int = 6, depth: int = 4, rules: int = 4, spread: float = 1.0, seed: int = 0) -> Grammar:
        """An unambiguous grammar: the q^2 pairs are shuffled and dealt out, q to each parent, who keeps the first `rules`.

            M[p, pair] = softmax(spread * normals)        over the pairs that p keeps

        The numbers come from numpy's legacy generator, seeded in private, whose stream is frozen: the table is the same
        in every version. Raises ValueError unless 1 <= rules <= vocabulary and 0 <= seed < 2^32. Source of the recipe:
        Garnier-Brun et al. 2024 (arXiv 2408.15138); published: vocabulary 6, depth 4, 4 rules, spread 1.
        """
        q, rules = checks.count(vocabulary, "vocabulary"), checks.count(rules, "rules")
        spread, seed = checks.finite(spread, "spread"), checks.whole(seed, "seed")
        if rules > q:
            raise ValueError(f"rules is {rules}; expected 1 to {q}: each of the {q} parents is dealt {q} pairs.")
        if not 0 <= seed < 2**32:
            raise ValueError(f"seed is {seed}; expected 0 to 2^32 - 1.")
        stream = np.random.RandomState(seed)
        pairs = np.stack(np.divmod(np.arange(q * q), q), 1)
        stream.shuffle(pairs)
        transitions = torch.zeros(q, q, q, dtype=torch.float64)
        for parent, block in enumerate(torch.from_numpy(pairs).view(q, q, 2)):
            left, right = block[:rules].T
            transitions[parent, left, right] = (spread * torch.from_numpy(stream.randn(rules))).softmax(0)
        return cls(transitions, depth)

    @property
    def vocabulary(self) -> int:
        """q, the number of tokens."""
        return len(self.transitions)

    def sample(self, n: int, generator: Generator | None = None, level: int = 0) -> Tensor:
        """Draw strings [n, L], int64, from the grammar or, with level k > 0, from the k-filtered law (see `denoiser`).

        They lie on the generator's device; without one, torch's global generator draws. Cost: n L look-ups.
        """
        transitions = self.transitions
        if generator is not None:
            transitions = transitions.to(checks.generator(generator).device)
        return laws.draw(transitions, self.depth, self._level(level), checks.count(n, "n", at_least=0), generator)

    def denoiser(self, level: int = 0) -> TreeDenoiser:
        """The exact denoiser BP_k of the k-filtered law, k = level: x [B, L, q], sigma -> probabilities [B, L, q].

        Level 0 is the best denoiser of the grammar's strings, level `depth` knows the law of each leaf given the root and
        no more. Raises ValueError for a level outside 0 .. depth. See `TreeDenoiser` in nearsight.tree.oracle.
        """
        return TreeDenoiser(self.transitions, self.depth, self._level(level))

    def parse(self, tokens: Tensor) -> Parse:
        """Find the trees of strings [B, L]: their `.parents` and `.grammatical` nodes by depth, root first, and `.valid`.

        Raises ValueError for an ambiguous grammar, for strings of another length, and for tokens outside 0 .. q - 1,
        TypeError for tokens that are no integers. Cost: two look-ups a node.
        """
        return parsing.parse(self.transitions, self.depth, tokens)

    def counted(self, tokens: Tensor) -> Grammar:
        """The grammar as someone would learn it who knows which rules there are, and counts them in strings [B, L].

            M'[p, b, c] ∝ uses of the rule p -> (b, c) in the strings + 1/2        for the rules with M > 0

        Its denoiser is what so many strings can teach at best. Raises as `parse` does, and for strings that are not of
        the language.
        """
        return Grammar(parsing.counted(self.transitions, self.depth, tokens), self.depth)

    def path_matrices(self, level: int) -> Tensor:
        """P(token of node j at depth `level` | token of the root), float64 [2^level, root, token], nodes from the left."""
        return path_matrices(self.transitions, self._level(level))

    def leaf_marginals(self) -> Tensor:
        """Law of each leaf alone, float64 [L, q]: what all levels agree on, and all denoisers say at infinite noise."""
        return self.path_matrices(self.depth).mean(1)

    def log_prob(self, tokens: Tensor, level: int = 0) -> Tensor:
        """ln P(string), float64 [B], under the k-filtered law, k = level; -inf outside of its support.

        Raises for tokens as `parse` does, but takes ambiguous grammars. Cost as for one call of the denoiser.
        """
        parsing.check_tokens(tokens, self.vocabulary, self.depth)
        return laws.log_probability(self.transitions, self.depth, self._level(level), tokens)

    def strings(self) -> Tensor:
        """All strings of the language [n, L], int64, in lexicographic order; ValueError above 2^25 tokens in all."""
        return laws.language(self.transitions, self.depth)

    def entropy(self) -> float:
        """Entropy of a string in nats: the root's, and of each node's choice of a rule. Raises ValueError where a string
        has more than one tree."""
        parsing.parent_table(self.transitions)
        choice = -torch.xlogy(self.transitions, self.transitions).sum((1, 2))
        nodes = sum(self.path_matrices(depth).mean(1).sum(0) for depth in range(self.depth))
        return float(nodes @ choice) + float(np.log(self.vocabulary))

    def information(self, level: int) -> float:
        """What the filter of a level forgets, in nats a string: D(P_0 || P_k) = E[ln P_0 - ln P_k], k = level.

        All of it lies in the nodes at depth k, where it is summed over the language of a tree of that depth; so it is the
        same for every depth. It is also half the integral over 1/sigma^2 of E|BP_0 - BP_k|^2 (the area law). Raises
        ValueError where a string has more than one tree, or that language more than 2^25 tokens: then average
        log_prob(tokens) - log_prob(tokens, level) over draws.
        """
        parsing.parent_table(self.transitions)
        if not self._level(level):
            return 0.0
        top = Grammar(self.transitions, self._level(level))
        strings = top.strings()
        log_law = top.log_prob(strings)
        return float(log_law.exp() @ (log_law - top.log_prob(strings, top.depth)))

    def _level(self, level: int) -> int:
        found = checks.count(level, "level", at_least=0)
        if found > self.depth:
            raise ValueError(f"level is {found}; expected 0 to {self.depth}, the depth of the tree.")
        return found
