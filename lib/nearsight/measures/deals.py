"""The law of a random deal: what a hand of cards sums to, exactly, where a hand may be dealt in several strata.

If nothing depends on which images of a pool were trained on, those are a hand dealt from the pool. Where the images are
of several kinds, and only what happens within a kind shall count, each kind is a stratum with a hand of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor

from nearsight import checks
from nearsight.checks.results import Readable, number

_LARGEST_COST = 5e9  # additions that the exact law may take: some seconds
_LARGEST_TABLES = 2**30  # bytes that it may hold


@dataclass(frozen=True, repr=False)
class Deal(Readable):
    """A hand's observed sum against its law: the `expected` sum, its `variance`, two-sided `p_value`, tails `lower` and
    `upper`, and how the `law` was found: "exact", "normal", or "relabeled" at random."""

    observed: float
    expected: float
    p_value: float
    lower: float
    upper: float
    variance: float
    law: str

    @property
    def exact(self) -> bool:
        """Whether the law was enumerated."""
        return self.law == "exact"

    def _pairs(self) -> dict[str, object]:
        return {"observed": number(self.observed), "expected": number(self.expected), "p": number(self.p_value, 2),
                "lower": number(self.lower, 2), "upper": number(self.upper, 2), "variance": self.variance, "law": self.law}


def deal_law(weights, hand: int, total: int | None = None) -> tuple[Tensor, Tensor]:
    """The law of sum_j w_j b_j over random hands of `hand` cards out of `total`: values [k] and their probabilities [k].

    `weights` are whole numbers, one a card; cards left out weigh nothing. Half of the cards are dealt where no `total`
    is given, which is then 2 hand. Dealt card by card: with t cards seen and a of them taken, the next is taken with
    probability (hand - a) / (total - t). All terms are positive, so that even the far tail has full relative precision.

    Cost: n^2 W / 4 additions and 16 (n + 1) (W + 1) bytes, for n non-zero weights with W = sum |w|.
    """
    cards = _stratum(weights, hand, total)
    return cards.lowest + torch.arange(cards.span + 1), cards.law()


def deal_test(weights, hand: int, observed: int, total: int | None = None) -> Deal:
    """Is the sum of a hand's weights extreme among random hands of `hand` cards out of `total`, by default 2 hand?

    p = P(|K' - E K'| >= |K - E K'|), E K' = q W, Var K' = q (1 - q) N/(N - 1) (sum w^2 - W^2/N), with N = total,
    q = hand/N, W = sum of `weights` (whole numbers, signed; cards left out weigh nothing). With unit weights this is
    the hypergeometric test, and as half of ever more cards are dealt the binomial sign test. Where `deal_law` would
    cost more than 5e9 additions or hold more than 2^30 bytes, the normal law with the exact variance and a continuity
    correction takes its place, and `law` says so.
    """
    cards = _stratum(weights, hand, total)
    checks.whole(observed, "observed")
    if not cards.lowest <= observed <= cards.lowest + cards.span:
        raise ValueError(f"observed is {observed}; expected a whole number that a hand can sum to, from {cards.lowest} to "
                         f"{cards.lowest + cards.span}.")
    return _tested([cards], int(observed))


def stratified_deal_test(weights, strata, dealt) -> Deal:
    """Is the sum of the dealt cards' weights extreme among deals that take as many cards of each stratum as this one?

    `weights` [N] are whole numbers, one for every card of the pool, `strata` [N] whole numbers that name each card's
    stratum, `dealt` [N] says which cards the hand holds. Stratum s deals the n_s of its N_s cards that the hand has of
    it, independently of the others: the law of the sum is the convolution of the laws of `deal_law`, its expectation
    sum_s (n_s/N_s) W_s. What the hand owes to its strata is then expected, and only what happens within them is tested.
    With one stratum it is `deal_test`, and as that it falls back to the normal law.
    """
    weights, strata = _whole_numbers(weights, "weights"), _whole_numbers(strata, "strata")
    dealt = checks.tensor(dealt, "dealt").cpu()
    if dealt.dtype != torch.bool or not len(weights) or not weights.shape == strata.shape == dealt.shape:
        raise ValueError(f"dealt is {checks.came(dealt)}, with {len(weights)} weights and {len(strata)} strata; expected a "
                         "weight, a stratum and True or False for each card, and at least one card.")
    cards = [_stratum(weights[members], int(dealt[members].sum()), int(members.sum()))
             for members in (strata == stratum for stratum in strata.unique())]
    return _tested(cards, int(weights[dealt].sum()))


class _Stratum(NamedTuple):
    """Cards of which `hand` out of `total` are dealt, by their non-zero weights, small ones first."""

    weights: Tensor
    hand: int
    total: int

    @property
    def sum(self) -> int:
        return int(self.weights.sum())

    @property
    def lowest(self) -> int:
        """The least sum that a hand could have, were it as large as it liked."""
        return int(self.weights.clamp(max=0).sum())

    @property
    def span(self) -> int:
        """How far the largest sum is from the least."""
        return int(self.weights.abs().sum())

    @property
    def expected(self) -> Fraction:
        return Fraction(self.hand * self.sum, self.total)

    @property
    def variance(self) -> float:
        share = self.hand / self.total
        spread = int(self.weights.square().sum()) - self.sum**2 / self.total
        return spread * (share * (1 - share)) * self.total / max(self.total - 1, 1)

    def law(self) -> Tensor:
        """The probabilities of the sums lowest ... lowest + span."""
        weights, hand, total = self.weights.tolist(), self.hand, self.total
        # Probability of [cards taken, sum less its least value], before and after the next card. Two tables of the final
        # size, used in turn, since a new one for each card would double the time.
        before, after = torch.zeros(2, len(weights) + 1, self.span + 1, dtype=torch.float64)
        before[0, 0], width = 1, 1
        for seen, weight in enumerate(weights):
            # A hand that would be too small to be filled has probability 0, whatever the factors say of it.
            take = (hand - torch.arange(seen + 1, dtype=torch.float64)).clamp(min=0)[:, None] / (total - seen)
            table, dealt = before[:seen + 1, :width], after[:seen + 2, :width + abs(weight)].zero_()
            left, right = max(-weight, 0), max(weight, 0)
            dealt[:-1, left:left + width].addcmul_(table, 1 - take)
            dealt[1:, right:right + width].addcmul_(table, take)
            before, after = after, before
            width += abs(weight)
        return before.sum(0)


def _tested(strata: Sequence[_Stratum], observed: int) -> Deal:
    """The observed sum over all strata against its law."""
    expected, variance = sum(cards.expected for cards in strata), sum(cards.variance for cards in strata)
    if variance <= 0:  # every hand sums to the same
        return Deal(observed, float(expected), 1.0, 1.0, 1.0, 0.0, "exact")
    exact = _affordable(strata)
    if exact:
        lowest = sum(cards.lowest for cards in strata)
        # All terms are positive, as in the law of one stratum; a convolution by Fourier transform would lose the tails.
        probabilities = torch.from_numpy(reduce(np.convolve, [cards.law().numpy() for cards in strata]))
        values = lowest + torch.arange(len(probabilities))
        reach = abs(observed - expected)
        outside = (values >= math.ceil(expected + reach)) | (values <= math.floor(expected - reach))
        tails = [probabilities[event].sum() for event in (outside, values <= observed, values >= observed)]
    else:
        shift, spread = float(observed - expected), math.sqrt(variance)
        tails = (2 * norm.sf(max(abs(shift) - 0.5, 0) / spread),
                 norm.cdf((shift + 0.5) / spread), norm.sf((shift - 0.5) / spread))
    p_value, lower, upper = (min(1.0, float(tail)) for tail in tails)
    return Deal(observed, float(expected), p_value, lower, upper, variance, "exact" if exact else "normal")


def _affordable(strata: Sequence[_Stratum]) -> bool:
    """Whether the exact law of the sum stays within the limits of time and memory."""
    counts, spans = [len(cards.weights) for cards in strata], [cards.span for cards in strata]
    dealing = sum(count**2 * span / 4 for count, span in zip(counts, spans))
    joining = sum(span * sum(spans[:index]) for index, span in enumerate(spans))
    tables = max(16 * (count + 1) * (span + 1) for count, span in zip(counts, spans))
    return dealing + joining <= _LARGEST_COST and tables + 16 * sum(spans) <= _LARGEST_TABLES


def _stratum(weights, hand: int, total: int | None) -> _Stratum:
    """The cards, if there are no more of them than are dealt from, and no larger a hand."""
    hand = checks.count(hand, "hand", at_least=1 if total is None else 0)
    total = 2 * hand if total is None else checks.count(total, "total")
    cards = _whole_numbers(weights, "weights")
    if max(len(cards), hand) > total:
        raise ValueError(f"{len(cards)} cards came for a hand of {hand} out of {total}; expected at most {total} cards, "
                         "and a hand of no more.")
    cards = cards[cards != 0]
    return _Stratum(cards[cards.abs().argsort()], hand, total)


def _whole_numbers(values, name: str) -> Tensor:
    """A vector of whole numbers, int64 on the CPU."""
    try:
        numbers = torch.as_tensor(values).cpu()
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise TypeError(f"{name} is {checks.came(values)}; expected a vector of whole numbers.") from None
    if numbers.dtype == torch.bool or numbers.ndim != 1 or numbers.is_floating_point() or numbers.is_complex():
        raise TypeError(f"{name} has dtype {numbers.dtype} and shape {list(numbers.shape)}; expected a vector of whole "
                        "numbers: count the samples that each card owns.")
    return numbers.long()
