"""Whose images do samples sit near? Counted, and judged by the exact law of a random deal.

If samples do not depend on which images of a pool of 2n were trained on, the training half is a hand of n cards dealt
from 2n. Samples that share a nearest image, their owner, stand or fall together: they are one coin, not several.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import torch
from scipy.stats import binomtest
from torch import Tensor

from nearsight import checks
from nearsight.checks.results import Readable, interval, number
from nearsight.measures.deals import Deal, deal_test, stratified_deal_test
from nearsight.measures.intervals import wilson
from nearsight.measures.proximity import nearest


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

    _headline, _counted = "preference", "samples"

    def _pairs(self) -> dict[str, object]:
        ties = {"ties": self.ties} if self.ties else {}
        expected = {"expected": self.expected} if abs(self.expected - 0.5) > 1e-9 else {}
        return {"preference": interval(self.preference, *self.interval()), "p": number(self.p_value, 2),
                self._counted: self.count} | ties | expected

    @property
    def expected(self) -> float:
        """The preference that the deal expects: one half, or what the strata alone would give."""
        return self.preference + (self.deal.expected - self.deal.observed) / self.count

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


def proximity_bias(samples: Tensor, train: Tensor, holdout: Tensor, strata: Tensor | None = None) -> ProximityBias:
    """Do samples [m, *event] sit nearer to the training half than to an exchangeable held-out half of equal size?

    preference = (wins + ties/2) / m, a win being d(sample, train) < d(sample, holdout) in L2. Judged by `deal_test` on
    the numbers of untied samples that each pooled image owns; ties are left out of the test. Swapping the halves gives
    1 - preference, the mirrored interval and the same p-value.

    `strata` [2n] are whole numbers that name the kind of each image, training half first, such as class and coarse
    cluster. Then images are dealt within their kind alone, by `stratified_deal_test`, and the preference is to be held
    against `expected`, what the numbers of each kind in the halves would give whoever was trained on.

    Warns when more than 20 % of the samples are ties and when fewer than 30 samples are effective. Source: study 4.
    """
    check_halves(train, holdout, "train", "holdout")
    checks.points(samples, "samples")
    near = _owners(samples, train, holdout)
    deal = _dealt(near.owned, near.wins, strata)
    judged = _judged(near.wins, near.ties, len(samples), deal)
    return ProximityBias(**vars(judged), train_distance=near.first_distance, holdout_distance=near.second_distance)


def own_other(samples_a: Tensor, samples_b: Tensor, set_a: Tensor, set_b: Tensor,
              strata: Tensor | None = None) -> OwnOther:
    """Do two models' samples [m, *event], from the same latents, each sit nearer to their own model's training set?

    preference = (share of A's samples nearer to set A + share of B's nearer to set B) / 2. An image weighs in the deal
    what it owns of A's samples less what it owns of B's: hubs cancel, and two models that make the same samples have
    p = 1. Swapping the models changes nothing. `strata` [2n], set A first, and warnings as in `proximity_bias`.
    Source: study 4.
    """
    check_halves(set_a, set_b, "set_a", "set_b")
    check_paired(samples_a, samples_b)
    a, b = (_owners(samples, set_a, set_b) for samples in (samples_a, samples_b))  # set A is first for both
    own_wins_b = len(samples_b) - b.ties - b.wins
    deal = _dealt(a.owned - b.owned, a.wins - b.wins, strata)
    judged = _judged(a.wins + own_wins_b, a.ties + b.ties, 2 * len(samples_a), deal)
    return OwnOther(**vars(judged), own_distance=torch.stack([a.first_distance, b.second_distance]),
                    other_distance=torch.stack([a.second_distance, b.first_distance]))


def owned_preference(owners: Tensor, half: int, others: Tensor | None = None) -> Preference:
    """The preference of samples for the first half of a pool of 2 half images, of which is known which image owns each.

    `owners` [m] are whole numbers in 0 ... 2 half - 1, the nearest image of each sample, the first half's first: what is
    left of samples on record. The same as `proximity_bias` of the samples, where none is as near to both halves. With
    `others` [m], those of a second model's samples that was trained on the second half, it is that of `own_other`.
    Cost: that of `deal_test`. Source: study 4.
    """
    half = checks.count(half, "half")
    owned = _counted(owners, half, "owners")
    wins, count = int(owned[:half].sum()), len(owners)
    if others is None:
        return _judged(wins, 0, count, _dealt(owned, wins, None))
    owned_by_others = _counted(others, half, "others")
    if len(others) != count:
        raise ValueError(f"{count} owners and {len(others)} others came; expected as many, from the same latents.")
    lost = int(owned_by_others[:half].sum())
    return _judged(wins + count - lost, 0, 2 * count, _dealt(owned - owned_by_others, wins - lost, None))


def _counted(owners: Tensor, half: int, name: str) -> Tensor:
    """How many samples each image of a pool [2 half] owns."""
    owners = checks.tensor(owners, name)
    if owners.ndim != 1 or not len(owners) or owners.dtype not in (torch.int16, torch.int32, torch.int64):
        raise TypeError(f"{name} are {checks.came(owners)}; expected whole numbers [m], an image of the pool a sample.")
    if not ((owners >= 0) & (owners < 2 * half)).all():
        raise ValueError(f"{name} run from {owners.min()} to {owners.max()}; expected images of a pool of {2 * half}.")
    return torch.bincount(owners.long().cpu(), minlength=2 * half)


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


def _dealt(weights: Tensor, observed: int, strata: Tensor | None) -> Deal:
    """The deal of a pool of two halves, the first of which was the hand: within strata, where there are any."""
    half = len(weights) // 2
    if strata is None:
        return deal_test(weights, half, observed)
    return stratified_deal_test(weights, strata, torch.arange(len(weights)) < half)


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


def check_halves(first: Tensor, second: Tensor, first_name: str, second_name: str) -> None:
    """Raise TypeError or ValueError unless both are sets of equally many events of one shape."""
    checks.points(first, first_name)
    checks.points(second, second_name)
    checks.same_event(first, second, first_name, second_name)
    if len(first) != len(second):
        many, few = max(len(first), len(second)), min(len(first), len(second))
        raise ValueError(f"{first_name} holds {len(first)} events and {second_name} {len(second)}; expected equally "
                         f"many: compare with {few} of the {many} drawn at random, the null stays exact.")


def check_paired(samples_a: Tensor, samples_b: Tensor) -> None:
    """Raise TypeError or ValueError unless both models made equally many samples."""
    checks.points(samples_a, "samples_a"), checks.points(samples_b, "samples_b")
    if len(samples_a) != len(samples_b):
        raise ValueError(f"samples_a holds {len(samples_a)} events and samples_b {len(samples_b)}; expected equally "
                         "many: draw both from the same latents.")
