"""Onsets along training: where a held-out error is least, under which loss, from where a preference stays, when to stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from scipy.stats import t as student
from torch import Generator, Tensor

from nearsight import checks
from nearsight.checks.results import Readable, span
from nearsight.measures.intervals import resampled_counts
from nearsight.measures.preference import Preference
from nearsight.noise import vp_sigmas


@dataclass(frozen=True, repr=False)
class Overfitting(Readable):
    """For each noise level the checkpoint of least held-out error, `index` [S], and its 95 % bounds `low`, `high` [S].

    All three index the checkpoints. `open` [S] marks levels whose least error is at the last one: not overfitted yet.
    """

    index: Tensor
    low: Tensor
    high: Tensor
    open: Tensor

    def _pairs(self) -> dict[str, object]:
        return {"levels": len(self.index), "checkpoint": span(self.index), "open": int(self.open.sum())}


def overfitting_onset(errors: Tensor, generator: Generator, resamples: int = 1000) -> Overfitting:
    """Where each noise level begins to overfit: s*(sigma) = argmin over checkpoints s of E_holdout(sigma; s).

    `errors` [C, S, N] are errors of single held-out points at C checkpoints, as `gaps.point_errors` gives them with one
    noise for all checkpoints. The bounds are the 2.5 % and 97.5 % quantiles of the argmin when points are drawn anew.
    They speak of these points, not of other trainings: for those, repeat with other blocks. Cost: resamples C S N.
    """
    checks.exact(checks.floating(errors, "errors"), "overfitting_onset")
    resamples = checks.count(resamples, "resamples")
    checks.generator(generator, errors.device), checks.generator(generator)
    if errors.ndim != 3 or min(errors.shape) < 1:
        raise ValueError(f"errors has shape {list(errors.shape)}; expected [checkpoints, sigmas, points].")
    checks.points(errors, "errors")
    values = errors.double()
    index = values.mean(2).argmin(0)
    drawn = [(values @ counts.T).argmin(0) for counts in resampled_counts(errors.shape[2], resamples, generator)]
    spread = torch.cat(drawn, 1).sort(1).values
    edge = int(0.025 * resamples)
    return Overfitting(index, spread[:, edge], spread[:, -1 - edge], index == len(errors) - 1)


@dataclass(frozen=True, repr=False)
class FlatMinimum(Readable):
    """The checkpoint of least loss, `index`, and `within` [C]: which checkpoints cannot be told from it."""

    index: int
    within: Tensor

    def _pairs(self) -> dict[str, object]:
        return {"checkpoint": str(self.index), "not told from it": f"{self.earliest} .. {self.latest}",
                "checkpoints": len(self.within)}

    @property
    def earliest(self) -> int:
        """The earliest checkpoint that cannot be told from the minimum."""
        return int(self.within.nonzero()[0])

    @property
    def latest(self) -> int:
        """The latest checkpoint that cannot be told from the minimum."""
        return int(self.within.nonzero()[-1])


def flat_minimum(losses: Tensor, level: float = 0.95) -> FlatMinimum:
    """Which checkpoints a paired test cannot tell from the one of least mean loss.

    `losses` [C, N] are those of the same N >= 2 held-out points, with the same noise, at C checkpoints. With d_i the
    loss of point i at checkpoint s less that at the minimum, s is told from it where mean d / (sd d / sqrt N) exceeds
    Student's quantile at 1 - (1 - level)/(C - 1), N - 1 degrees of freedom. Bonferroni's correction is for the minimum
    being a choice of the data: the checkpoint of least expected loss is then among `within` with probability `level` at
    least, as far as the mean of N differences is normal. It speaks of these trainings; for others, repeat with other
    blocks. Cost: C N.
    """
    checks.exact(checks.points(losses, "losses"), "flat_minimum")
    level = checks.share(level, "level")
    if losses.ndim != 2 or losses.shape[1] < 2:
        raise ValueError(f"losses has shape {list(losses.shape)}; expected [checkpoints, points], at least two points.")
    count, points = losses.shape
    values = losses.detach().double().cpu()
    index = int(values.mean(1).argmin())
    difference = values - values[index]
    error = difference.std(1) / math.sqrt(points)
    reach = float(student.ppf(1 - (1 - level) / max(count - 1, 1), points - 1))
    # Where all points differ by one and the same amount the error is 0: any difference counts, and none does not.
    return FlatMinimum(index, (difference.mean(1) <= reach * error) | (difference.mean(1) == 0))


def edm_weight(sigmas: Tensor, sigma_data: float = 0.5, mean: float = -1.0, std: float = 1.2) -> Tensor:
    """The weight of the EDM loss in ln sigma: (sigma^2 + sd^2)/(sigma sd)^2 times the density N(ln sigma; mean, std^2).

    Source: Karras et al. 2022 (arXiv 2206.00364), table 1.
    """
    checks.floating(sigmas, "sigmas")
    sigma_data, mean = checks.positive(sigma_data, "sigma_data"), checks.finite(mean, "mean")
    std = checks.positive(std, "std")
    density = torch.exp(-((sigmas.log() - mean) / std).square() / 2) / (std * math.sqrt(2 * math.pi))
    return density * (sigmas**2 + sigma_data**2) / (sigmas * sigma_data)**2


def ddpm_weight(sigmas: Tensor, steps: int = 1000) -> Tensor:
    """The weight of the DDPM epsilon-loss in ln sigma: |dt/d ln sigma| / (steps sigma^2) for t uniform on the chain.

    sigma is in the units in which the chain was published, not ours, where data have deviation 0.5: scale it with the
    data. 0 outside the chain. Source: Ho et al. 2020 (arXiv 2006.11239), eq. 14; `noise.vp_sigmas` for the chain.
    """
    checks.exact(checks.floating(sigmas, "sigmas"), "ddpm_weight")
    steps = checks.count(steps, "steps", at_least=2)
    levels = vp_sigmas(steps)[:-1].flip(0).log().to(sigmas.device)
    wanted = sigmas.double().log()
    upper = torch.searchsorted(levels, wanted).clamp(1, steps - 1)
    speed = 1 / (levels[upper] - levels[upper - 1])
    inside = (wanted >= levels[0]) & (wanted <= levels[-1])
    return (torch.where(inside, speed, 0.0) / (steps * sigmas.double()**2)).to(sigmas.dtype)


WEIGHTS = {"edm": edm_weight, "ddpm": ddpm_weight}


def weighted_loss(sigmas: Tensor, errors: Tensor, weight: str | Callable[[Tensor], Tensor]) -> Tensor:
    """The loss L_w [...] = integral of w(sigma) E(sigma) d ln sigma of error curves E [..., S], by the trapezoid rule.

    `weight` is "edm" (`edm_weight`), "ddpm" (`ddpm_weight`), or a callable of sigmas [S]. Along training each weight
    has a minimum of its own: say which loss a minimum belongs to. sigmas [S] > 0 rise or fall strictly.
    """
    levels = checks.grid(sigmas).to(checks.floating(errors, "errors").dtype).to(errors.device)
    if len(levels) < 2 or levels.min() <= 0 or not (levels.diff().sign() == levels.diff()[0].sign()).all():
        raise ValueError(f"sigmas has {len(levels)} levels from {levels[0]:g} to {levels[-1]:g}; expected at least "
                         "two, > 0, strictly rising or falling.")
    if errors.shape[-1:] != levels.shape:
        raise ValueError(f"errors has shape {list(errors.shape)}; expected [..., {len(levels)}], one entry a level.")
    if not callable(weight):
        weight = WEIGHTS[checks.choice(weight, "weight", WEIGHTS)]
    share = checks.floating(weight(levels), "what weight returned", levels.shape)
    return torch.trapezoid(share * errors, levels.log(), dim=-1) * levels.diff()[0].sign()


def onset(lower_bounds: Sequence[float], threshold: float) -> int | None:
    """The first checkpoint from which every lower bound stays above `threshold`, or None."""
    lower_bounds = checks.numbers(lower_bounds, "lower_bounds").flatten().tolist()
    threshold = checks.finite(threshold, "threshold")
    below = [index for index, bound in enumerate(lower_bounds) if not bound > threshold]
    first = below[-1] + 1 if below else 0
    return first if first < len(lower_bounds) else None


def preference_onset(preferences: Sequence[Preference], margin: float = 0.05, level: float = 0.95) -> int | None:
    """The first checkpoint from which the preference for one's own training data stays more than `margin` above what the
    deal expects, one half unless it was dealt in strata; or None.

    Judged by the lower bound of each interval, with Bonferroni's correction over all C checkpoints: level
    1 - (1 - level)/C. With margin 0 the onset tells the power of the test, not the danger. Source: study 4.
    """
    return onset(_lower_excesses(preferences, len(_preferences(preferences)), level), checks.finite(margin, "margin"))


def preference_stop(preferences: Sequence[Preference], planned: int, margin: float = 0.05,
                    level: float = 0.95) -> int | None:
    """The checkpoint at which a training is to be stopped by its preference, as far as it has come; None: go on.

    The rule of `preference_onset` for one who cannot see the future: stop at the second consecutive checkpoint whose
    lower bound exceeds expectation + `margin`, with Bonferroni's correction over the `planned` number C of checkpoints.
    What it answers at a checkpoint does not depend on later ones. Source: study 4.
    """
    planned = checks.count(planned, "planned")
    if len(_preferences(preferences)) > planned:
        raise ValueError(f"{len(preferences)} preferences came, of {planned} planned checkpoints; expected no more: the "
                         "level of each depends on the plan.")
    margin = checks.finite(margin, "margin")
    above = [excess > margin for excess in _lower_excesses(preferences, planned, level)]
    return next((index for index in range(1, len(above)) if above[index - 1] and above[index]), None)


def _lower_excesses(preferences: Sequence[Preference], looks: int, level: float) -> list[float]:
    """By how much the lower bound of each exceeds what its deal expects, at a level that is corrected for all looks."""
    corrected = 1 - (1 - checks.share(level, "level")) / max(looks, 1)
    return [preference.interval(corrected)[0] - preference.expected for preference in preferences]


def _preferences(preferences: Sequence[Preference]) -> Sequence[Preference]:
    for preference in checks.instance(preferences, "preferences", (list, tuple), "a list of preferences"):
        checks.instance(preference, "a preference", Preference, "a Preference, as proximity_bias returns")
    return preferences
