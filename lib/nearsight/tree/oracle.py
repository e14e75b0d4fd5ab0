"""The exact denoiser of a tree grammar, and of whoever forgets how its upper levels hang together."""

from __future__ import annotations

import torch
from torch import Tensor

from nearsight import checks
from nearsight.tree.propagation import Propagation

_LARGEST_TEMPORARY = 2**19  # entries: what fits the caches of a processor is several times faster than what does not


class TreeDenoiser:
    """Posterior probabilities E[y | x] of the one-hot strings y [L, q] of a tree grammar, L = 2^depth leaves.

        BP_k(x, sigma)[i, a] = P_k(token i is a | x) = sum_{s: s_i = a} P_k(s) prod_j e_j(s_j) / sum_s P_k(s) prod_j e_j(s_j)
        e_j(a) = exp(x[j, a] / sigma^2)                                        the evidence, as all one-hots have norm 1

    P_0 is the law of the grammar. P_k draws the root, then each of the 2^k nodes at depth k *independently given the root*
    from its own law, and below depth k goes on as the grammar does: the k-filtered law, which forgets how the 2^k subtrees
    hang together and nothing else. All levels have the same law of each leaf alone.

    x [B, L, q], sigma a number or [B]; returns the shape, dtype and device of x, computed in float64. What the grammar
    forbids has probability 0. sigma = 0 returns the nearest string of the law's support; strings that are equally near
    share by their prior probability. Gradients flow through x where sigma > 0.

    Cost: B 2^depth R exponentials, R the number of rules with a positive probability (and 2^level q^2 more where level >
    0), about 4 microseconds a string on one core for q = 6, depth 4, R = 24. Strings are taken in blocks: a temporary
    holds 2^19 entries, or one string. Sources: Garnier-Brun et al. 2026 (arXiv 2603.03469) for the filtered laws; inside
    and outside probabilities, Lari and Young 1990.

    Raises TypeError or ValueError for x that is not floating, not [B, L, q] or not finite, and for a negative sigma.
    """

    def __init__(self, transitions: Tensor, depth: int, level: int):
        self.level = level
        self._propagation = Propagation(transitions, depth, level)
        self._event = (2**depth, len(transitions))

    def __repr__(self) -> str:
        leaves, tokens = self._event
        return f"TreeDenoiser({leaves} leaves, {tokens} tokens, level = {self.level})"

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        return self._posteriors(x, sigma)[0]

    def log_probabilities(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Logarithms of the probabilities [B, L, q], for divergences: right where a probability underflows, -inf only for
        what the law forbids (and, at sigma = 0, for what is not nearest). Three times the cost."""
        return self._posteriors(x, sigma, logs=True)[0]

    def node_probabilities(self, x: Tensor, sigma: float | Tensor) -> tuple[Tensor, ...]:
        """Posterior of every node of the tree given x: [B, 2^d, q] for each depth d, root first, leaves last.

        A filtered law has no nodes between its root and those at depth k = level: d = 0, k, k + 1, .., depth.
        """
        return self._posteriors(x, sigma, first=0)

    def _posteriors(self, x: Tensor, sigma: float | Tensor, logs: bool = False, first: int = -1) -> tuple[Tensor, ...]:
        """Posteriors of the nodes [B, 2^d, q], or their logarithms, from the `first` of the passes' depths on."""
        checks.exact(checks.floating(x, "x"), "a grammar's denoiser")
        if x.ndim != 3 or x.shape[1:] != self._event:
            raise ValueError(f"x has shape {list(x.shape)}; expected [B, {self._event[0]}, {self._event[1]}]: noisy one-hot "
                             "strings.")
        if len(x):
            checks.points(x, "x")
        variance = checks.noise_level(sigma, x).reshape(-1).expand(len(x)).square()
        tiny = torch.finfo(variance.dtype).tiny
        precision = 1 / variance.clamp(tiny, 1 / tiny)  # never 0 nor infinite, since 0 times infinity is no number
        propagation = self._propagation.to(x.device)
        count = max(1, _LARGEST_TEMPORARY // propagation.widest)
        blocks = [[propagation.from_left_to_right(nodes).to(x.dtype)
                   for nodes in propagation.posteriors(rows.double(), precisions, logs)[first:]]
                  for rows, precisions in zip(x.split(count), precision.split(count))]
        return tuple(map(torch.cat, zip(*blocks)))
