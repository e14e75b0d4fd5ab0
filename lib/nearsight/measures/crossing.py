"""Where a probability first reaches a level, read off repeated runs on a grid, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from nearsight import checks
from nearsight.checks.results import Readable
from nearsight.measures.intervals import resampled_counts


@dataclass(frozen=True, repr=False)
class Crossing(Readable):
    """The place where a share first reaches a level, with its 95 % bounds, and whether it stays there on the grid beyond.

    The least place of the grid stands for "there or below", inf for "not on the grid".
    """

    place: float
    low: float
    high: float
    stays: bool

    _headline = "place"

    def _pairs(self) -> dict[str, object]:
        return {"place": f"{self.place:.3g}", "95 %": f"[{self.low:.3g}, {self.high:.3g}]", "stays": self.stays}


def crossing(x: Tensor, outcomes: Tensor, generator: Generator, level: float = 0.5, resamples: int = 2000) -> Crossing:
    """The first place of the grid x [S] at which the share of true outcomes [R, S] is at `level` or above.

    Between two places the share is taken for linear. The bounds are quantiles over resampled runs, the rows of `outcomes`.
    Raises ValueError for a grid that does not rise, another shape or a level outside (0, 1). Cost O(resamples R S).
    """
    places = checks.grid(x)
    values = checks.instance(outcomes, "outcomes", Tensor, "a bool tensor [runs, places]")
    if values.dtype != torch.bool or values.ndim != 2 or values.shape[1] != len(places) or not len(values):
        raise ValueError(f"outcomes are {values.dtype} of shape {list(values.shape)}; expected bool [runs, {len(places)}].")
    if len(places) < 2 or not (places.diff() > 0).all():
        raise ValueError(f"x has {len(places)} places; expected at least two that rise.")
    if not 0 < checks.positive(level, "level") < 1:
        raise ValueError(f"level is {level:g}; expected a share between 0 and 1.")
    checks.generator(generator)
    hits, places = values.cpu().double(), places.cpu().double()
    drawn = torch.cat([_places(places, counts @ hits / len(hits), level)
                       for counts in resampled_counts(len(hits), resamples, generator)]).sort().values
    edge, shares = int(0.025 * len(drawn)), hits.mean(0)
    place = float(_places(places, shares[None], level))
    stays = place < math.inf and bool((shares[places >= place] >= level).all())
    return Crossing(place, float(drawn[edge]), float(drawn[-1 - edge]), stays)


def _places(x: Tensor, shares: Tensor, level: float) -> Tensor:
    """The crossing of each row of shares [B, S]."""
    reached = shares >= level
    first = torch.where(reached.any(1), reached.double().argmax(1), len(x))
    inner = first.clamp(1, len(x) - 1)
    before, after = (shares.gather(1, (inner - shift)[:, None]).squeeze(1) for shift in (1, 0))
    found = x[inner - 1].lerp(x[inner], (level - before) / torch.where(after > before, after - before, 1.0))
    return torch.where(first == 0, x[0], torch.where(first == len(x), math.inf, found))
