"""The gap of blurred denoisers on random ring points: many draws, so that its law in 1/a shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product

import torch
from torch import Tensor

from nearsight.datasets.rings import ring_split
from nearsight.denoisers.empirical import EmpiricalDenoiser
from nearsight.measures.gaps import generalization_gap
from nearsight.quadrature import polar
from nearsight.randomness import stream
from nearsight.records.runs import Scales, Stage, Work
from nearsight.records.sweeps import stages

RADIUS = 10.0
RATIOS = torch.logspace(-0.5, 0.75, 16, dtype=torch.float64)  # t = sigma / blur of the curves


@dataclass(frozen=True)
class RandomRings:
    """`repeats` draws at each reach a = N blur / radius, on N = density * a points; `steps` draws in all."""

    reaches: tuple[float, ...] = (8.0, 16.0, 32.0, 60.0)
    repeats: int = 20
    density: float = 10.0
    steps: int = 80
    seed: int = 0

    @property
    def standing(self) -> tuple[int, ...]:
        """The first draw at each reach."""
        return tuple(range(1, len(self.reaches) + 1))


def random_rings(config: RandomRings, work: Work = Work()) -> Iterator[Stage]:
    """One stage a draw, all reaches in turn; `train` and `holdout` [T] are mean-square errors at RATIOS."""
    draws = list(product(range(config.repeats), config.reaches))
    return stages(partial(random_errors, config), draws, work)


def random_errors(config: RandomRings, draw: tuple[int, float]) -> dict[str, Tensor]:
    """Errors of one draw (repeat, reach) on its training points and on as many others. Cost: 240 N^2 denoiser weights
    at each ratio."""
    repeat, reach = draw
    count = round(config.density * reach)
    train, holdout = ring_split(count, RADIUS, generator=stream(config.seed, repeat, count))
    blur = reach * RADIUS / count
    noise, weights = polar(10, 12, 5.0)
    errors = generalization_gap(EmpiricalDenoiser(train, blur), train, holdout, RATIOS * blur, noise=noise[:, None],
                                weights=weights)
    return {"train": errors.train, "holdout": errors.holdout}


SCALES = [Scales("random-rings", random_rings, smoke=RandomRings((1.5, 3.0), repeats=2, density=4.0, steps=4),
                 laptop=RandomRings(),
                 paper=RandomRings((8.0, 16.0, 32.0, 64.0), repeats=100, density=15.625, steps=400))]
