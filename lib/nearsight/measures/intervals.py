"""Intervals: for a share, for the area under a ROC curve, for a statistic of blocks, and for a whole curve at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Set
from dataclasses import dataclass

import torch
from scipy.stats import beta, norm
from scipy.stats import t as student
from torch import Generator, Tensor

from nearsight import checks
from nearsight.checks.results import Readable, span, with_error

_LARGEST_BLOCK = 2**22  # entries of a block of resampled counts


@dataclass(frozen=True, repr=False)
class Estimate(Readable):
    """A float64 `value` of any shape with its standard `error` (nan where the data cannot tell)."""

    value: Tensor
    error: Tensor

    _headline = "value"

    def _pairs(self) -> dict[str, object]:
        if self.value.ndim:
            return {"value": span(self.value), "error": span(self.error), "shape": list(self.value.shape)}
        return {"value": with_error(float(self.value), float(self.error))}


def wilson(successes: float, count: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a share.

    The shares p with |successes/count - p| <= z sqrt(p (1 - p) / count), z the normal quantile of (1 + level)/2.
    `count` may be fractional (an effective number); count = 0 tells nothing and gives (0, 1).

    Source: Wilson 1927, J. Am. Stat. Assoc. 22, 209.
    """
    successes, count = _trials(successes, count)
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
    successes, count = _trials(successes, count)
    tail = (1 - _level(level)) / 2
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, count - successes + 1))
    high = 1.0 if successes == count else float(beta.ppf(1 - tail, successes + 1, count - successes))
    return low, high


def hanley_mcneil(auc: float, members: int, outsiders: int, level: float = 0.95) -> tuple[float, float]:
    """Interval for the area under a ROC curve that was read off `members` positives and `outsiders` negatives.

        A +- z se,   n1 n0 se^2 = A (1 - A) + (n1 - 1)(A/(2 - A) - A^2) + (n0 - 1)(2 A^2/(1 + A) - A^2)

    clipped to [0, 1]. At A = 0 and A = 1 it has no width, whatever the counts.

    Source: Hanley and McNeil 1982, Radiology 143, 29.
    """
    auc = checks.share(auc, "auc")
    members, outsiders = checks.count(members, "members"), checks.count(outsiders, "outsiders")
    variance = (auc * (1 - auc) + (members - 1) * (auc / (2 - auc) - auc**2)
                + (outsiders - 1) * (2 * auc**2 / (1 + auc) - auc**2)) / (members * outsiders)
    reach = float(norm.ppf((1 + _level(level)) / 2)) * math.sqrt(max(variance, 0))
    return max(0.0, auc - reach), min(1.0, auc + reach)


def leave_one_out(statistic: Callable[[list], Tensor | float], units: Iterable[Hashable]) -> Estimate:
    """A statistic of B distinct units with its jackknife standard error.

    error^2 = (B - 1)/B sum_i (t_i - mean t)^2, t_i the statistic without unit i. The unit is what was drawn anew: here
    mostly a block of training data, since all pairs of networks that share a block vary together. A statistic that is
    nan for too few units makes the error nan.

    Source: Efron and Stein 1981, Ann. Stat. 9, 586. Cost: B + 1 calls of `statistic`.
    """
    checks.function(statistic, "statistic", "a function of a list of units")
    units = list(checks.instance(units, "units", (list, tuple, range, Set, Iterator), "a list of distinct units"))
    if not units or not all(isinstance(unit, Hashable) and not isinstance(unit, Tensor) for unit in units):
        raise ValueError(f"units holds {len(units)} units; expected at least one, each a label such as a number.")
    without = [[other for other in units if other != unit] for unit in units]
    value, *left = (checks.numbers(statistic(chosen), "the statistic") for chosen in [units, *without])
    left = torch.stack(left)
    square = (left - left.mean(0)).square().sum(0) * (len(units) - 1) / len(units)
    return Estimate(value, square.sqrt())


def mean_interval(values: Tensor, level: float = 0.95) -> tuple[Tensor, Tensor, Tensor]:
    """The mean over R >= 2 repetitions of values [R, ...], and the bounds of Student's interval for it, each [...].

        mean +- t_{R-1} sd / sqrt(R)

    It covers at the stated level for normal values however few the repetitions, where mean +- 1.96 sd/sqrt(R) covers 81 %
    at R = 3 and 92 % at R = 10. Of values whose mean is infinite it says nothing: take quantiles.
    """
    if checks.floating(checks.batch(values, "values"), "values").shape[0] < 2:
        raise ValueError(f"values have shape {list(values.shape)}; expected at least two repetitions [R, ...].")
    count, mean = len(values), values.mean(0)
    reach = float(student.ppf((1 + _level(level)) / 2, count - 1)) * values.std(0) / count**0.5
    return mean, mean - reach, mean + reach


def student_reach(estimate: Estimate, units: int, level: float = 0.95) -> Tensor:
    """Half the width of Student's interval for an estimate whose error leaves out one of `units` units, in its shape.

        t_{units-1} error

    With three units it is 4.3 errors, with four 3.2; it covers at the stated level where the units' own values are normal.
    Raises ValueError for fewer than two units.
    """
    estimate = checks.instance(estimate, "estimate", Estimate, "an Estimate such as leave_one_out returns")
    if checks.count(units, "units") < 2:
        raise ValueError(f"units is {units}; expected at least two.")
    return float(student.ppf((1 + _level(level)) / 2, units - 1)) * estimate.error


def student_interval(estimate: Estimate, units: int, level: float = 0.95) -> tuple[Tensor, Tensor, Tensor]:
    """The value of an estimate whose error leaves out one of `units` units, and the bounds of Student's interval for it.

        value +- t_{units-1} error

    As `student_reach`; of the mean of independent units it is `mean_interval`.
    """
    reach = student_reach(estimate, units, level)
    return estimate.value, estimate.value - reach, estimate.value + reach


def gap_band(train_errors: Tensor, holdout_errors: Tensor, generator: Generator, resamples: int = 2000,
             level: float = 0.95) -> tuple[Tensor, Tensor]:
    """A band (low [S], high [S]) that holds the whole curve of the relative gap G = (holdout - train)/train at once.

    `train_errors` and `holdout_errors` [S, N] are errors of single points; the i-th of both are a pair that shares its
    noise, and pairs are resampled. The band is G +- q sd, sd [S] the deviation of the resampled gaps G*, q the `level`
    quantile of max_sigma |G* - G| / sd (a sup-t band).

    Source: Montiel Olea and Plagborg-Moller 2019, J. Appl. Econometrics 34, 1. Cost: resamples S N.
    """
    checks.batch(train_errors, "train_errors"), checks.batch(holdout_errors, "holdout_errors")
    if train_errors.shape != holdout_errors.shape or train_errors.ndim != 2 or train_errors.shape[1] < 2:
        raise ValueError(f"errors have shapes {list(train_errors.shape)} and {list(holdout_errors.shape)}; expected "
                         "[S, N] twice, N >= 2: pair as many held-out as training points.")
    level = _level(level)
    checks.same_device(train_errors, holdout_errors, "train_errors", "holdout_errors")
    checks.generator(generator, train_errors.device), checks.generator(generator)
    errors = torch.stack([train_errors, holdout_errors]).double()
    gap = _relative_gap(errors.sum(2))
    resampled = [_relative_gap(errors @ counts.T) for counts in resampled_counts(errors.shape[2], resamples, generator)]
    deviation = torch.cat(resampled, 1) - gap[:, None]
    spread = deviation.std(1)
    studentized = (deviation.abs() / spread[:, None]).nan_to_num(0.0)  # 0/0: a gap that cannot vary, or is infinite
    reach = studentized.amax(0).quantile(level) * spread
    return (gap - reach).to(train_errors.dtype), (gap + reach).to(train_errors.dtype)


def resampled_counts(count: int, resamples: int, generator: Generator) -> Iterator[Tensor]:
    """How often each of `count` units is drawn in each bootstrap resample: float64 blocks [b, count] on the device of the
    generator, `resamples` rows in all. A mean over resampled units is then a matrix product."""
    count, resamples = checks.count(count, "count"), checks.count(resamples, "resamples")
    checks.generator(generator)
    block = max(1, _LARGEST_BLOCK // count)
    for start in range(0, resamples, block):
        shape = min(block, resamples - start), count
        picks = torch.randint(count, shape, generator=generator, device=generator.device)
        counts = torch.zeros(shape, dtype=torch.float64, device=generator.device)
        yield counts.scatter_add_(1, picks, torch.ones_like(counts))


def _relative_gap(errors: Tensor) -> Tensor:
    """(holdout - train)/train for sums of errors [2, S, ...]."""
    return (errors[1] - errors[0]) / errors[0]


def _trials(successes: float, count: float) -> tuple[float, float]:
    """Both as floats, if they are numbers with 0 <= successes <= count."""
    successes, count = checks.not_negative(successes, "successes"), checks.not_negative(count, "count")
    if successes > count:
        raise ValueError(f"{successes:g} successes of {count:g}; expected 0 <= successes <= count, count finite.")
    return successes, count


def _level(level: float) -> float:
    if not 0 < checks.positive(level, "level") < 1:
        raise ValueError(f"level is {level:g}; expected a number between 0 and 1, such as 0.95.")
    return level
