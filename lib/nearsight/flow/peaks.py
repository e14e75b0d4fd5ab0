"""The peak of a generalization gap over several draws of the data: how high, at which noise level, and how sure."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from nearsight import checks
from nearsight.checks.results import Readable, interval


@dataclass(frozen=True, repr=False)
class GapPeak(Readable):
    """Height and place (a noise level) of the peak of a gap, each with a 95 % interval (low, high) over the draws."""

    height: float
    height_interval: tuple[float, float]
    place: float
    place_interval: tuple[float, float]

    _headline = "height"

    def _pairs(self) -> dict[str, object]:
        return {"height": interval(self.height, *self.height_interval), "place": interval(self.place, *self.place_interval)}


def gap_peak(train: Tensor, holdout: Tensor, sigmas: Tensor, generator: Generator | None = None,
             resamples: int = 1000) -> GapPeak:
    """The peak of the gap between mean errors of R draws of the data, with a bootstrap over the draws.

        G(sigma) = mean_r E_holdout,r(sigma) / mean_r E_train,r(sigma) - 1

    train and holdout [R, S] are errors at noise levels sigmas [S], equally spaced in ln sigma. The peak is that of the
    parabola in ln sigma through the largest value of G between the outermost levels, and its two neighbors; the intervals
    hold the central 95 % of the peaks of `resamples` sets of R draws, drawn with replacement. Raises ValueError for fewer
    than two draws or three noise levels, and for levels that are not so spaced.
    """
    for name, errors in {"train": train, "holdout": holdout}.items():
        checks.floating(checks.batch(errors, name), name)
    levels = checks.grid(sigmas)
    steps = levels.log().diff()
    if len(levels) < 3 or not torch.allclose(steps, steps[0], rtol=1e-4):
        raise ValueError(f"sigmas is {checks.came(levels)}; expected three noise levels or more, equally spaced in the "
                         "logarithm: try torch.logspace.")
    draws = len(train)
    if draws < 2 or train.shape != (draws, len(levels)) or holdout.shape != train.shape:
        raise ValueError(f"train has shape {list(train.shape)} and holdout {list(holdout.shape)}; expected errors "
                         f"[R, {len(levels)}] of both, of at least two draws.")
    checks.same_device(train, holdout, "train", "holdout")
    chosen = torch.randint(draws, (checks.count(resamples, "resamples"), draws), device=train.device,
                           generator=checks.generator(generator, train.device))
    picked = torch.cat([torch.arange(draws, device=train.device)[None], chosen])
    gaps = holdout.double()[picked].mean(1) / train.double()[picked].mean(1) - 1
    top = gaps[:, 1:-1].argmax(1, keepdim=True) + 1  # the outermost levels have one neighbor only
    left, middle, right = (gaps.gather(1, top + k)[:, 0] for k in (-1, 0, 1))
    bend = left + right - 2 * middle
    shift = torch.where(bend < 0, (left - right) / (2 * bend), 0)  # of the parabola's top, in steps; 0 where all are equal
    places = (levels.log().to(shift)[top[:, 0]] + shift * steps[0].to(shift)).exp()
    heights = middle - (left - right) * shift / 4
    ends = torch.tensor([0.025, 0.975], dtype=torch.float64, device=train.device)
    return GapPeak(float(heights[0]), tuple(heights[1:].quantile(ends).tolist()),
                   float(places[0]), tuple(places[1:].quantile(ends).tolist()))
