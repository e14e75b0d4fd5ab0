"""Intervals: for a share, for a statistic of blocks, and for a whole curve at once."""

from __future__ import annotations

import math

from scipy.stats import beta, norm

from nearsight import checks


def wilson(successes: float, count: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share.

    The shares p with |successes/count - p| <= z sqrt(p (1 - p) / count), z the normal quantile of (1 + level)/2.
    `count` may be fractional (an effective number); count = 0 tells nothing and gives (0, 1).

    Source: Wilson 1927, J. Am. Stat. Assoc. 22, 209.
    """
    _trials(successes, count)
    if count == 0:
        return 0.0, 1.0
    share, square = successes / count, norm.ppf((1 + _level(level)) / 2) ** 2
    middle = share + square / (2 * count)
    spread = math.sqrt(square * (share * (1 - share) + square / (4 * count)) / count)
    low, high = ((middle + sign * spread) / (1 + square / count) for sign in (-1, 1))
    return (0.0 if successes == 0 else float(low)), (1.0 if successes == count else float(high))


def clopper_pearson(successes: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """The exact binomial interval: it covers the true share with probability >= `level`, whatever the share.

    The bounds are quantiles of Beta(s, n - s + 1) and Beta(s + 1, n - s).

    Source: Clopper and Pearson 1934, Biometrika 26, 404.
    """
    _trials(successes, count)
    tail = (1 - _level(level)) / 2
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, count - successes + 1))
    high = 1.0 if successes == count else float(beta.ppf(1 - tail, successes + 1, count - successes))
    return low, high


def _trials(successes: float, count: float) -> None:
    if not (math.isfinite(count) and 0 <= successes <= count):
        raise ValueError(f"{successes:g} successes of {count:g}; expected 0 <= successes <= count, count finite.")


def _level(level: float) -> float:
    if not 0 < checks.positive(level, "level") < 1:
        raise ValueError(f"level is {level:g}; expected a number between 0 and 1, such as 0.95.")
    return level
