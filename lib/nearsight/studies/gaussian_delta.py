"""The published measure Delta, run by run, in parts from which each of its readings follows.

It is taken of four laws: the published one-step model, the same with the transposed covariance of the release, and two
that calibrate it: the fitted Gaussian, which is the linear model sampled properly, and the truth, which has no memory.
The rounding of the release is not here but in the chapter: no module of the library inherits it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from nearsight.gaussian.divergences import fit
from nearsight.gaussian.kernel import model_overlap, pair_overlap
from nearsight.gaussian.one_step import regression
from nearsight.randomness import stream
from nearsight.records.runs import Scales, Stage, Work
from nearsight.records.sweeps import stages

SIGMA = math.sqrt(1 - math.exp(-4))  # the published noise, T = 2 and lambda = 1, in this book's convention
WIDTHS = (1.0, math.sqrt(2), math.sqrt(0.5))  # of the kernels, in units of the published one
LAWS = ("one-step", "transposed", "fit", "truth")


@dataclass(frozen=True)
class Deltas:
    """Runs on white data: counts of training points, size of the original set, and of a smaller part of it."""

    dimension: int
    counts: tuple[int, ...]
    originals: int = 10_000
    few: int = 400
    steps: int = 150
    seed: int = 0


@dataclass(frozen=True)
class DataSets:
    """One original set, `steps` training sets of each size, and `noises` models of each."""

    dimension: int = 16
    counts: tuple[int, ...] = (16, 24, 32, 48, 64, 128)
    originals: int = 10_000
    noises: int = 20
    steps: int = 20
    seed: int = 0


def deltas(config: Deltas, work: Work = Work()) -> Iterator[Stage]:
    """One stage a run, with a fresh original set and fresh training sets; every array is float64.

        pairs_train [counts, widths], pairs_original [widths], pairs_few []         int rho_X^2 without its diagonal
        models_train, models_original [counts, widths, laws]                        int rho_X rho_G, G in LAWS
        models_few, models_exact [counts, laws]                                     width 1; exact: rho_X = N(0, I)
    """
    return stages(partial(delta_parts, config), range(config.steps), work)


def delta_parts(config: Deltas, run: int) -> dict[str, Tensor]:
    """The arrays of one stage of `deltas`."""
    generator = stream(config.seed, run)
    original = torch.randn(config.originals, config.dimension, generator=generator, dtype=torch.float64)
    few = original[: config.few]
    parts = {name: [] for name in ("pairs_train", "models_train", "models_original", "models_few", "models_exact")}
    for count in config.counts:
        train = torch.randn(count, config.dimension, generator=generator, dtype=torch.float64)
        models = generated_laws(train, generator)
        parts["pairs_train"].append([pair_overlap(train, scale=width) for width in WIDTHS])
        for name, points in (("models_train", train), ("models_original", original)):
            parts[name].append([[model_overlap(points, *model, scale=width) for model in models] for width in WIDTHS])
        parts["models_few"].append([model_overlap(few, *model) for model in models])
        parts["models_exact"].append([exact_overlap(*model) for model in models])
    parts["pairs_original"] = [pair_overlap(original, scale=width) for width in WIDTHS]
    parts["pairs_few"] = pair_overlap(few)
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in parts.items()}


def generated_laws(train: Tensor, generator: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Mean [d] and covariance [d, d] of each of LAWS for training points [n, d]."""
    d = train.shape[1]
    mean, slope, variance = regression(train, SIGMA, 1, generator)
    one_step, transposed = variance[0] * slope @ slope.T, variance[0] * slope.T @ slope
    return [(mean, one_step), (mean, transposed), fit(train), (train.new_zeros(d), torch.eye(d).to(train))]


def exact_overlap(mean: Tensor, covariance: Tensor) -> float:
    """int N(.; 0, I) rho_G in the units of `model_overlap`, which are (4 pi)^(-d/2)."""
    d = len(mean)
    blurred = torch.distributions.MultivariateNormal(mean, covariance + torch.eye(d, dtype=mean.dtype))
    return math.exp(blurred.log_prob(torch.zeros_like(mean)).item() + d / 2 * math.log(4 * math.pi))


def delta_by_data_set(config: DataSets, work: Work = Work()) -> Iterator[Stage]:
    """One stage a training set: `delta` [counts, noises], float64."""
    original = torch.randn(config.originals, config.dimension, generator=stream(config.seed, 0), dtype=torch.float64)
    shared = pair_overlap(original)
    return stages(partial(_deltas_of_set, config, original, shared), range(config.steps), work)


def _deltas_of_set(config: DataSets, original: Tensor, shared: float, index: int) -> dict[str, Tensor]:
    """The arrays of one stage of `delta_by_data_set`."""
    generator = stream(config.seed, 1, index)
    whole = torch.randn(max(config.counts), config.dimension, generator=generator, dtype=torch.float64)
    delta = torch.empty(len(config.counts), config.noises, dtype=torch.float64)
    for row, count in zip(delta, config.counts):
        train = whole[:count]
        own = pair_overlap(train)
        for noise in range(config.noises):
            mean, slope, variance = regression(train, SIGMA, 1, generator)
            model = mean, variance[0] * slope @ slope.T
            row[noise] = own - shared - 2 * (model_overlap(train, *model) - model_overlap(original, *model))
    return {"delta": delta}


SCALES = [
    Scales("delta-16", deltas, smoke=Deltas(8, (4, 16), originals=500, few=100, steps=20),
           laptop=Deltas(16, (8, 16, 20, 24, 32, 48, 64, 128)),
           paper=Deltas(16, (4, 8, 16, 20, 24, 32, 48, 64, 128), steps=300)),
    Scales("delta-100", deltas, smoke=Deltas(16, (8, 24), originals=500, few=100, steps=20),
           laptop=Deltas(100, (50, 75, 100, 125, 150, 200, 300, 400, 600)),
           paper=Deltas(100, (25, 50, 75, 100), steps=300)),
    Scales("delta-sets", delta_by_data_set, smoke=DataSets(8, (8, 32), originals=500, noises=5, steps=5),
           laptop=DataSets(), paper=DataSets(100, (50, 100, 150, 200, 300), noises=50, steps=50)),
]
