"""The vote of k neighbors that are drawn independently: the oracle of the analogy between depth and k."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import binom, poisson
from torch import Tensor

from nearsight import checks


def knn_vote(shares: Tensor, k: int) -> Tensor:
    """Probability [C] that each class wins the vote of k independent draws, ties split evenly among the winners.

        P(c) = E[ 1{N_c = max N} / number of classes with max N ],      N ~ Multinomial(k, shares)

    shares [C] >= 0 that sum to 1; the result is float64. Two classes, odd k: P(Bin(k, q) > k/2). N is made of independent
    Poisson numbers with means k q_c, given that their sum is k; with m votes of the winner the others have fewer, or t of
    them as many. Only positive numbers are added, so that small probabilities keep their digits down to 1e-300.

    Raises ValueError for k < 1 and shares that are no distribution. Cost: at most C^2 k^3 / 10 operations, two seconds for
    C = 10 and k = 301.
    """
    q, k = distribution(shares, "shares"), checks.count(k, "k")
    chances = poisson.pmf(np.arange(k + 1), k * q[:, None])
    won = binom.sf(k // 2, k, q)  # with more than half of the votes, whatever the others
    for c, chance in enumerate(chances):
        others = np.delete(chances, c, 0)
        candidates = [m for m in range(1, k // 2 + 1) if chance[m] and m * len(q) >= k]
        won[c] += sum(chance[m] * _unbeaten(m, others, k) for m in candidates) / poisson.pmf(k, k)
    return torch.from_numpy(won)


def distribution(values: Tensor, name: str) -> np.ndarray:
    """The values [C] as float64 that sum to 1, or ValueError where they are negative or do not sum to 1 within 1e-6."""
    found = checks.vector(values, name).detach().cpu().double().numpy()
    if not (found >= 0).all() or not abs(found.sum() - 1) <= 1e-6:
        raise ValueError(f"{name} run from {found.min():g} and sum to {found.sum():g}; expected shares >= 0 that sum to 1: "
                         f"try {name} / {name}.sum().")
    return found / found.sum()


def _unbeaten(m: int, others: np.ndarray, k: int) -> float:
    """E[1 / (1 + t)] over the cases in which the others [C - 1, k + 1] share k - m votes, t have m and none has more."""
    left = k - m
    states = np.zeros((min(len(others), left // m) + 1, left + 1))  # [t, votes given so far]
    states[0, 0] = 1
    for chance in others:
        after = np.stack([np.convolve(state, chance[:m])[:left + 1] for state in states])
        after[1:, m:] += states[:-1, :left + 1 - m] * chance[m]
        states = after
    return float((states[:, left] / np.arange(1, len(states) + 1)).sum())
