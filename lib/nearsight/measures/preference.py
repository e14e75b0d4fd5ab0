"""Whose images do samples sit near? Counted, and judged by the exact law of a random deal.

If samples do not depend on which images of a pool of 2n were trained on, the training half is a hand of n cards dealt
from 2n. Samples that share a nearest image, their owner, stand or fall together: they are one coin, not several.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import torch
from scipy.stats import binomtest, norm
from torch import Tensor

from nearsight import checks
from nearsight.checks.results import Readable, interval, number
from nearsight.measures.intervals import wilson
from nearsight.measures.proximity import nearest

_LARGEST_COST = 5e9  # additions that the exact law may take: some seconds
_LARGEST_TABLES = 2**30  # bytes that it may hold


@dataclass(frozen=True, repr=False)
class Deal(Readable):
    """A hand's observed sum against its law: two-sided `p_value`, tails `lower` and `upper`, `variance`, and whether
    the law was enumerated (`exact`) or replaced by the normal one."""

    observed: int
    p_value: float
    lower: float
    upper: float
    variance: float
    exact: bool

    def _pairs(self) -> dict[str, object]:
        return {"observed": self.observed, "p": number(self.p_value, 2), "lower": number(self.lower, 2),
                "upper": number(self.upper, 2), "variance": self.variance, "law": "exact" if self.exact else "normal"}


@dataclass(frozen=True, repr=False)
class Preference(Readable):
    """The share of `count` samples nearer to their own half, `ties` counting half, and its test.

    `effective` is the number of independent coins with the variance of the deal, min(u, u^2 / (4 Var K)) for u untied
    samples. `p_value_independent` takes every sample for a coin of its own: for comparison only.
    """

    preference: float
    count: int
    ties: int
    effective: float
    deal: Deal
    p_value_independent: float

    _headline = "preference"

    def _pairs(self) -> dict[str, object]:
        ties = {"ties": self.ties} if self.ties else {}
        return {"preference": interval(self.preference, *self.interval()), "p": number(self.p_value, 2),
                "samples": self.count} | ties

    @property
    def p_value(self) -> float:
        """The two-sided p-value of the deal test."""
        return self.deal.p_value

    @property
    def low(self) -> float:
        """The lower 95 % bound of the preference."""
        return self.interval()[0]

    @property
    def high(self) -> float:
        """The upper 95 % bound of the preference."""
        return self.interval()[1]

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Wilson's interval for the untied share with `effective` as its count, mapped back to the preference."""
        untied = self.count - self.ties
        share = (self.preference * self.count - self.ties / 2) / max(untied, 1)
        bounds = wilson(share * self.effective, self.effective, level)
        return tuple((self.ties / 2 + untied * bound) / self.count for bound in bounds)


@dataclass(frozen=True, repr=False)
class ProximityBias(Preference):
    """A `Preference` for the training half, with each sample's distances to both halves [m]."""

    train_distance: Tensor
    holdout_distance: Tensor


@dataclass(frozen=True, repr=False)
class OwnOther(Preference):
    """A `Preference` of two models' samples for their own training sets, with both distances [2, m], model A first."""

    own_distance: Tensor
    other_distance: Tensor


def deal_law(weights, hand: int) -> tuple[Tensor, Tensor]:
    """The law of sum_j w_j b_j over random hands of `hand` cards out of 2 hand: values [k] and their probabilities [k].

    `weights` are whole numbers, one a card; cards left out weigh nothing. Dealt card by card: with t cards seen and a
    of them taken, the next is taken with probability (hand - a) / (2 hand - t). All terms are positive, so that even
    the far tail has full relative precision.

    Cost: n^2 W / 4 additions and 16 (n + 1) (W + 1) bytes, for n non-zero weights with W = sum |w|.
    """
    weights = _weights(weights, hand).tolist()
    # Probability of [cards taken, sum less its least value], before and after the next card. Two tables of the final size,
    # used in turn, since a new one for each card would double the time.
    before, after = torch.zeros(2, len(weights) + 1, sum(map(abs, weights)) + 1, dtype=torch.float64)
    before[0, 0], width = 1, 1
    for seen, weight in enumerate(weights):
        take = (hand - torch.arange(seen + 1, dtype=torch.float64)).clamp(min=0)[:, None] / (2 * hand - seen)
        table, dealt = before[:seen + 1, :width], after[:seen + 2, :width + abs(weight)].zero_()
        left, right = max(-weight, 0), max(weight, 0)
        dealt[:-1, left:left + width].addcmul_(table, 1 - take)
        dealt[1:, right:right + width].addcmul_(table, take)
        before, after = after, before
        width += abs(weight)
    lowest = sum(weight for weight in weights if weight < 0)
    return lowest + torch.arange(width), before.sum(0)


def deal_test(weights, hand: int, observed: int) -> Deal:
    """Is the sum of a hand's weights extreme among random hands of `hand` cards out of 2 hand?

    p = P(|K' - W/2| >= |K - W/2|), W = sum of `weights` (whole numbers, signed; cards left out weigh nothing),
    Var K' = 1/4 2n/(2n - 1) (sum w^2 - W^2/(2n)). With unit weights this is the hypergeometric test, and as `hand`
    grows the binomial sign test. Where `deal_law` would cost more than 5e9 additions or hold more than 2^30 bytes, the
    normal law with the exact variance and a continuity correction takes its place, and `exact` is False.
    """
    weights = _weights(weights, hand)
    total, lowest = int(weights.sum()), int(weights.clamp(max=0).sum())
    checks.whole(observed, "observed")
    if not lowest <= observed <= total - lowest:
        raise ValueError(f"observed is {observed}; expected a whole number that a hand can sum to, from {lowest} to "
                         f"{total - lowest}.")
    variance = (int(weights.square().sum()) - total**2 / (2 * hand)) / 4 * (2 * hand) / (2 * hand - 1)
    span = int(weights.abs().sum())
    exact = (len(weights)**2 * span / 4 <= _LARGEST_COST
             and 16 * (len(weights) + 1) * (span + 1) <= _LARGEST_TABLES)
    if variance <= 0:  # cards of one weight: every hand sums to the same
        tails = 1.0, 1.0, 1.0
    elif exact:
        values, probabilities = deal_law(weights, hand)
        outside = (2 * values - total).abs() >= abs(2 * observed - total)
        tails = [probabilities[event].sum() for event in (outside, values <= observed, values >= observed)]
    else:
        shift, spread = observed - total / 2, math.sqrt(variance)
        tails = (2 * norm.sf(max(abs(shift) - 0.5, 0) / spread),
                 norm.cdf((shift + 0.5) / spread), norm.sf((shift - 0.5) / spread))
    p_value, lower, upper = (min(1.0, float(tail)) for tail in tails)
    return Deal(int(observed), p_value, lower, upper, variance, exact)


def proximity_bias(samples: Tensor, train: Tensor, holdout: Tensor) -> ProximityBias:
    """Do samples [m, *event] sit nearer to the training half than to an exchangeable held-out half of equal size?

    preference = (wins + ties/2) / m, a win being d(sample, train) < d(sample, holdout) in L2. Judged by `deal_test` on
    the numbers of untied samples that each pooled image owns; ties are left out of the test. Swapping the halves gives
    1 - preference, the mirrored interval and the same p-value.

    Warns when more than 20 % of the samples are ties and when fewer than 30 samples are effective. Source: study 4.
    """
    _halves(train, holdout, "train", "holdout")
    checks.points(samples, "samples")
    near = _owners(samples, train, holdout)
    deal = deal_test(near.owned, len(train), near.wins)
    judged = _judged(near.wins, near.ties, len(samples), deal)
    return ProximityBias(**vars(judged), train_distance=near.first_distance, holdout_distance=near.second_distance)


def own_other(samples_a: Tensor, samples_b: Tensor, set_a: Tensor, set_b: Tensor) -> OwnOther:
    """Do two models' samples [m, *event], from the same latents, each sit nearer to their own model's training set?

    preference = (share of A's samples nearer to set A + share of B's nearer to set B) / 2. An image weighs in the deal
    what it owns of A's samples less what it owns of B's: hubs cancel, and two models that make the same samples have
    p = 1. Swapping the models changes nothing. Warnings as in `proximity_bias`. Source: study 4.
    """
    _halves(set_a, set_b, "set_a", "set_b")
    checks.points(samples_a, "samples_a"), checks.points(samples_b, "samples_b")
    if len(samples_a) != len(samples_b):
        raise ValueError(f"samples_a holds {len(samples_a)} events and samples_b {len(samples_b)}; expected equally "
                         "many: draw both from the same latents.")
    a, b = (_owners(samples, set_a, set_b) for samples in (samples_a, samples_b))  # set A is first for both
    own_wins_b = len(samples_b) - b.ties - b.wins
    deal = deal_test(a.owned - b.owned, len(set_a), a.wins - b.wins)
    judged = _judged(a.wins + own_wins_b, a.ties + b.ties, 2 * len(samples_a), deal)
    return OwnOther(**vars(judged), own_distance=torch.stack([a.first_distance, b.second_distance]),
                    other_distance=torch.stack([a.second_distance, b.first_distance]))


class _Owners(NamedTuple):
    """Which half of a pool [2n] samples [m] are nearer to, and which image is nearest.

    `wins` samples are nearer to the first half, `ties` as near to both; `owned` [2n] counts the untied samples whose
    nearest image it is; the distances [m] are those to the nearest image of either half.
    """

    wins: int
    ties: int
    owned: Tensor
    first_distance: Tensor
    second_distance: Tensor


def _owners(samples: Tensor, first: Tensor, second: Tensor) -> _Owners:
    """Whose the samples are, of the pool of two halves [n, *event]."""
    near_first, near_second = nearest(samples, first), nearest(samples, second)
    first_distance, second_distance = near_first.distance[:, 0], near_second.distance[:, 0]
    untied = first_distance != second_distance
    wins = first_distance < second_distance
    owner = torch.where(wins, near_first.index[:, 0], len(first) + near_second.index[:, 0])
    owned = torch.bincount(owner[untied], minlength=2 * len(first))
    return _Owners(int(wins.sum()), int((~untied).sum()), owned, first_distance, second_distance)


def _judged(wins: int, ties: int, count: int, deal: Deal) -> Preference:
    """What `wins` and `ties` among `count` samples say, with the warnings that it deserves."""
    untied = count - ties
    effective = min(untied, untied**2 / (4 * deal.variance)) if deal.variance > 0 else untied
    if ties > 0.2 * count:
        warnings.warn(f"{ties} of {count} samples are as near to one half as to the other; they are left out of the "
                      "test: look for images that occur in both halves, or for a distance that takes few values.",
                      stacklevel=3)
    if effective < 30:
        warnings.warn(f"{count} samples weigh as much as {effective:.1f} independent ones, since they share their "
                      "nearest images: the interval is rough; use larger halves rather than more samples.",
                      stacklevel=3)
    independent = binomtest(wins, untied).pvalue if untied else 1.0
    return Preference((wins + ties / 2) / count, count, ties, float(effective), deal, float(independent))


def _halves(first: Tensor, second: Tensor, first_name: str, second_name: str) -> None:
    checks.points(first, first_name)
    checks.points(second, second_name)
    checks.same_event(first, second, first_name, second_name)
    if len(first) != len(second):
        many, few = max(len(first), len(second)), min(len(first), len(second))
        raise ValueError(f"{first_name} holds {len(first)} events and {second_name} {len(second)}; expected equally "
                         f"many: compare with {few} of the {many} drawn at random, the null stays exact.")


def _weights(weights, hand: int) -> Tensor:
    """The non-zero weights, small ones first so that the table of the law grows late."""
    hand = checks.count(hand, "hand")
    try:
        cards = torch.as_tensor(weights).cpu()
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise TypeError(f"weights are {checks.came(weights)}; expected a vector of whole numbers.") from None
    if cards.dtype == torch.bool or cards.ndim != 1 or cards.is_floating_point() or cards.is_complex():
        raise TypeError(f"weights have dtype {cards.dtype} and shape {list(cards.shape)}; expected a vector of whole "
                        "numbers: count the samples that each card owns.")
    if not (hand >= 1 and len(cards) <= 2 * hand):
        raise ValueError(f"{len(cards)} cards for a hand of {hand}; expected at most two hands, {2 * hand} cards.")
    cards = cards[cards != 0].long()
    return cards[cards.abs().argsort()]
