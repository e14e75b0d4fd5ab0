"""How far apart categorical predictions are: from the truth, from each other, from their committee.

A prediction is the logarithm of probabilities [..., L, q] of the tokens at L places, from a network or from an oracle.
All divergences are in nats a string, summed over its places; a term of probability 0 counts nothing.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from nearsight import checks

_BLOCK = 512  # strings of all predictions that are compared at once


class Losses(NamedTuple):
    """Two parts [...] of the cross-entropy a token, `known` + `leaning`: see `oracle_losses`."""

    known: Tensor
    leaning: Tensor


def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) = sum_{i,a} p_i(a) (ln p_i(a) - ln q_i(a)) [...], of predictions [..., L, q] whose shapes broadcast.

    inf where p allows what q forbids. Raises TypeError or ValueError for what is no prediction.
    """
    _check(log_p, "log_p"), _check(log_q, "log_q")
    shared = zip(log_p.shape[-3::-1], log_q.shape[-3::-1])
    if log_p.shape[-2:] != log_q.shape[-2:] or any(ours != theirs and min(ours, theirs) > 1 for ours, theirs in shared):
        raise ValueError(f"log_p is {checks.came(log_p)} and log_q {checks.came(log_q)}; expected predictions [..., L, q] "
                         "for the same strings.")
    return torch.where(log_p > -torch.inf, log_p.exp() * (log_p - log_q), 0.0).sum((-2, -1))


def pair_divergences(logs: Tensor) -> Tensor:
    """Mean over strings of KL(p_a || p_b), float64 [M, M], of M models' predictions `logs` [M, N, L, q] at one input each.

    Entry (a, b) of two models that were trained on disjoint data is the sample split's; the diagonal is 0 but for
    rounding. Cost: M^2 N L q multiplications.
    """
    total = torch.zeros(len(_models(logs)), len(logs), dtype=torch.float64, device=logs.device)
    for part in logs.split(_BLOCK, 1):
        rows = part.flatten(1).double()
        weights, allowed = rows.exp(), rows > -torch.inf
        values = torch.where(allowed, rows, 0.0)
        total += (weights * values).sum(1, keepdim=True) - weights @ values.T
        if not allowed.all():
            total[weights @ (~allowed).double().T > 0] = torch.inf
    return total / logs.shape[1]


def committee(logs: Tensor) -> tuple[Tensor, Tensor]:
    """The committee of M models with predictions `logs` [M, ..., L, q], and their variance about it.

        pbar(a) ∝ exp(mean_m ln p_m(a))        V = -sum_i ln sum_a exp(mean_m ln p_m,i(a))

    Returns ln pbar [..., L, q] and V [...]. For any law p0 the error of a member is, on average and exactly,
    mean_m KL(p0 || p_m) = KL(p0 || pbar) + V: bias and variance. V of M members drawn anew is (M - 1)/M of that of all
    there could be, to second order in their differences. Source: Heskes 1998, Neural Computation 10, 1425.
    """
    mean = _check(logs, "logs", 3).mean(0)
    normalizer = mean.logsumexp(-1, keepdim=True)
    return mean - normalizer, -normalizer.sum((-2, -1))


def pair_variances(logs: Tensor) -> Tensor:
    """The variance of the committee of every two of M models, mean over strings, float64 [M, M], from `logs` [M, N, L, q].

        V_ab = -sum_i ln sum_a sqrt(p_a p_b)        Bhattacharyya's distance; 2 V_ab estimates V as M V/(M - 1) does

    Cost: M^2 N L q multiplications.
    """
    total = torch.zeros(len(_models(logs)), len(logs), dtype=torch.float64, device=logs.device)
    for part in logs.split(_BLOCK, 1):
        roots = (part.double() / 2).exp()
        total -= torch.einsum("mnia,knia->mkni", roots, roots).log().sum((2, 3))
    return total / logs.shape[1]


def oracle_losses(logs: Tensor, posterior: Tensor, tokens: Tensor) -> Losses:
    """The cross-entropy a token [...] in two parts, for predictions `logs` [..., L, q] of strings `tokens` [..., L].

        known   = -BP_0 . ln p / L                what the exact `posterior` BP_0 [..., L, q] would lose on average
        leaning = -(y - BP_0) . ln p / L          what the strings that were drawn happen to add

    On strings that the model never saw, leaning is 0 on average, whatever the model. Below 0 on the training strings, it
    leans on them. Source: Garnier-Brun et al. 2026 (arXiv 2603.03469).
    """
    _check(logs, "logs")
    checks.floating(posterior, "the posterior", logs.shape)
    tokens = checks.tensor(tokens, "tokens")
    if (tokens.is_floating_point() or tokens.is_complex() or tokens.shape != logs.shape[:-1]
            or not 0 <= tokens.min() <= tokens.max() < logs.shape[-1]):
        raise ValueError(f"tokens are {checks.came(tokens)}; expected whole numbers {list(logs.shape[:-1])} from 0 to "
                         f"{logs.shape[-1] - 1}, for logs {list(logs.shape)}.")
    places = logs.shape[-2]
    known = -torch.where(posterior > 0, posterior * logs, 0.0).sum((-2, -1)) / places
    entropy = -logs.gather(-1, tokens.long().unsqueeze(-1)).sum((-2, -1)) / places
    return Losses(known, entropy - known)


def staircase(logs: Tensor, levels: Tensor) -> Tensor:
    """How far a model has climbed each step of a ladder of oracles, float64 [..., K], from `logs` [..., N, L, q].

        c_k = <ln p - ln BP_K, ln BP_{k-1} - ln BP_k> / |ln BP_{k-1} - ln BP_k|^2,        k = 1 .. K

    `levels` [K + 1, N, L, q] are the predictions of BP_0 .. BP_K at the same inputs. Both factors are centered and
    multiplied under the weights of BP_0 at each place, and averaged over strings. All are 0 for BP_K itself; the steps
    are not orthogonal, so that c_k is 1 only where the others are climbed too.
    """
    _check(levels, "levels", 4), _check(logs, "logs", 3)
    if levels.ndim != 4 or len(levels) < 2 or logs.shape[-3:] != levels.shape[1:]:
        raise ValueError(f"logs are {checks.came(logs)} and levels {checks.came(levels)}; expected [..., N, L, q] and "
                         "[K + 1, N, L, q].")
    weights = levels[0].double().exp()

    def centered(values: Tensor) -> Tensor:
        # What BP_0 forbids has weight 0, and may be -inf less -inf.
        values = torch.where(weights > 0, values.double(), 0.0)
        return values - (weights * values).sum(-1, keepdim=True)

    steps = torch.stack([centered(upper - lower) for upper, lower in pairwise(levels)])
    climbed = centered(logs - levels[-1])
    products = torch.einsum("...nia,knia->...k", weights * climbed, steps)
    return products / torch.einsum("nia,knia->k", weights, steps.square())


def _models(logs: Tensor) -> Tensor:
    """Return the predictions of several models if they are [M, N, L, q]."""
    if _check(logs, "logs", 4).ndim != 4:
        raise ValueError(f"logs are {checks.came(logs)}; expected [M, N, L, q]: try logs.flatten(1, -3).")
    return logs


def _check(logs: Tensor, name: str, at_least: int = 2) -> Tensor:
    """Return `logs` if they are floating with so many axes at least and nothing in them exceeds 0 by more than rounding."""
    if checks.floating(logs, name).ndim < at_least or not logs.numel():
        raise ValueError(f"{name} is {checks.came(logs)}; expected at least {at_least} axes, the last two of places and "
                         "tokens.")
    if not logs.detach().amax() < 1e-3:  # NaN too
        raise ValueError(f"{name} reaches {float(logs.detach().amax()):g}; expected logarithms of probabilities: try "
                         "logits.log_softmax(-1).")
    return logs
