"""The family of tests: Holm's correction over all that can move the verdict, and what the data could have shown."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import binom, norm

from nearsight import checks

POWER = 0.9
_LARGEST = 10**6


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given: those at most alpha are rejected with family-wise error at most alpha.

        p~_(i) = max over j <= i of min(1, (k - j + 1) p_(j)),     p_(1) <= ... <= p_(k)

    Source: Holm 1979, Scand. J. Stat. 6, 65.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def smallest_detectable(null_sd: float, alpha: float, tests: int) -> float:
    """The preference, or area, that one of `tests` tests finds with 90 % probability: 1/2 + (z_{1 - alpha/k} + z_.9) sd."""
    return 0.5 + (float(norm.isf(alpha / tests)) + float(norm.ppf(POWER))) * null_sd


def samples_needed(preference: float, alpha: float = 0.05, power: float = 0.9) -> int:
    """How many independent samples show a preference: the least n from which on the test has the power.

    The test is the exact one-sided binomial one against 1/2, at level `alpha`. Its power is a sawtooth in n; at n and at
    every larger count it is at least `power`. Count effective samples: those that share a nearest image are fewer. A test
    that is one of k, by Holm's first step, has the level alpha/k.

    Raises ValueError unless 1/2 < preference <= 1 and alpha and power lie between 0 and 1. Source: study 6.
    """
    preference, alpha, power = (checks.share(value, name) for value, name in (
        (preference, "preference"), (alpha, "alpha"), (power, "power")))
    if preference <= 0.5:
        raise ValueError(f"preference is {preference:g}; expected more than 0.5: the effect that is to be found.")
    if not (0 < alpha < 1 and 0 < power < 1):
        raise ValueError(f"alpha is {alpha:g} and power {power:g}; expected numbers between 0 and 1, such as 0.05 and 0.9.")
    # By the normal law the power passes its mark near here; the sawtooth stays above it well before twice that.
    spread = math.sqrt(preference * (1 - preference))
    guess = ((norm.isf(alpha) / 2 + max(norm.ppf(power), 0) * spread) / (preference - 0.5)) ** 2
    if guess > _LARGEST:
        raise ValueError(f"a preference of {preference:g} takes about {guess:.2g} samples; expected fewer than "
                         f"{_LARGEST:,}: try a larger preference.")
    counts = np.arange(1, int(2 * guess) + 200)
    needed = binom.isf(alpha, counts, 0.5) + 1  # wins, with P(wins or more) <= alpha
    enough = binom.sf(needed - 1, counts, preference) >= power
    return int(counts[np.flatnonzero(~enough)[-1]] + 1) if not enough.all() else 1
