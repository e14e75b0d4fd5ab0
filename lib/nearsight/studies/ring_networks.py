"""Networks that learn the denoiser of a few ring points: what they err by while they turn from the ring to its points."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product

import torch
from torch import Tensor

from nearsight.datasets.rings import ring, ring_split
from nearsight.denoisers.compose import Denoiser
from nearsight.denoisers.ring import RingDenoiser
from nearsight.flow.risk import excess_risk, fitted_blur, fitted_spread, matched_blur
from nearsight.measures.gaps import generalization_gap
from nearsight.networks.mlp import MLP
from nearsight.networks.preconditioned import Preconditioned
from nearsight.quadrature import polar
from nearsight.randomness import derived_seed
from nearsight.records.runs import Scales, Stage, Work
from nearsight.records.sweeps import stages
from nearsight.training.loop import train
from nearsight.training.objectives import LogNormal
from nearsight.training.recipe import Training

RADIUS = 10.0
SIGMAS = torch.logspace(-1, 1, 17, dtype=torch.float64)  # of the curves
LEVELS = (0.3, 1.07, 2.8)  # of the effective blurs


@dataclass(frozen=True)
class RingNetworks:
    """MLPs of each width on `counts` lattice points, `seeds` of each: `steps` networks, measured at `snapshots`."""

    widths: tuple[int, ...] = (16, 64, 128)
    counts: tuple[int, ...] = (10, 20)
    seeds: int = 5
    snapshots: tuple[int, ...] = (300, 1000, 2000, 4000, 8000)
    batch: int = 512
    steps: int = 30
    seed: int = 0

    @property
    def standing(self) -> tuple[int, ...]:
        """The first network of each width and number of points."""
        return tuple(range(1, self.steps + 1, self.seeds))


def ring_networks(config: RingNetworks, work: Work = Work()) -> Iterator[Stage]:
    """One stage a network, in the order of `product(widths, counts, seeds)`; its arrays are those of `measure`, stacked
    over the snapshots."""
    networks = list(product(config.widths, config.counts, range(config.seeds)))
    return stages(partial(learning, config), networks, work)


def learning(config: RingNetworks, network: tuple[int, int, int]) -> dict[str, Tensor]:
    """The measurements of one network (width, count, seed), stacked over its snapshots."""
    measured = list(snapshots(config, network))
    return {name: torch.stack([each[name] for each in measured]) for name in measured[0]}


def snapshots(config: RingNetworks, network: tuple[int, int, int]) -> Iterator[dict[str, Tensor]]:
    """Train one network (width, count, seed) and yield what `measure` finds at each snapshot."""
    width, count, seed = network
    points, holdout = ring_split(count, RADIUS)
    recipe = Training(snapshots=config.snapshots, batch=config.batch, learning_rate=2e-3, decay="cosine",
                      levels=LogNormal(0.3, 1.3), sigma_data=RADIUS / math.sqrt(2),
                      seed=derived_seed(config.seed, seed))
    for snapshot in train(recipe, partial(untrained, width), points):
        yield measure(snapshot.network, points, holdout)


def untrained(width: int) -> Preconditioned:
    """The network of the study: three hidden layers on the plane, preconditioned for ring data."""
    return Preconditioned(MLP(2, width), sigma_data=RADIUS / math.sqrt(2))


@torch.no_grad()
def measure(denoiser: Denoiser, points: Tensor, holdout: Tensor) -> dict[str, Tensor]:
    """What study 2 asks of any denoiser of ring points [N, 2], float64:

        gap, risk [S]           norm gap and excess risk at SIGMAS
        matched [L]             isotropic blur of the same training error, at LEVELS
        isotropic, tangential   [L] share of the error that the best blur leaves unexplained, isotropic and along the ring
        modulation [L]          what the best blur along the ring and the noise leave to be seen of the points

    The parameters of the best blurs are left out: data need not determine them.
    """
    noise, weights = polar(10, 16, 5.0)  # a network is smooth, and a fit costs hundreds of Bessel functions a node
    exact = {"noise": noise[:, None], "weights": weights}
    along = [fitted_spread(denoiser, points, sigma, **exact, radius=RADIUS) for sigma in LEVELS]
    at_levels = {"matched": [matched_blur(denoiser, points, sigma, **exact) for sigma in LEVELS],
                 "isotropic": [fitted_blur(denoiser, points, sigma, **exact).unexplained for sigma in LEVELS],
                 "tangential": [fit.unexplained for fit in along], "modulation": [fit.modulation for fit in along]}
    return {"gap": generalization_gap(denoiser, points, holdout, SIGMAS, "norm", **exact).gap,
            "risk": excess_risk(denoiser, RingDenoiser(RADIUS), ring(6 * len(points), RADIUS), SIGMAS, **exact),
            **{name: torch.tensor(values, dtype=torch.float64) for name, values in at_levels.items()}}


SCALES = [Scales("ring-networks", ring_networks,
                 smoke=RingNetworks((8,), (5,), seeds=2, snapshots=(2, 4), batch=32, steps=2),
                 laptop=RingNetworks(),
                 paper=RingNetworks((16, 64, 128, 256, 1024), seeds=20, steps=200))]
