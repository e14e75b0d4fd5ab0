"""Networks that learn the denoiser of a few ring points: which become the ring, which go on to its points, and when.

Noise levels are named by s = n sigma / r: at one s the n points of every lattice are as blurred as those of any other.
"""

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
LEVEL = 1.07  # s at which blurs are fitted, near the peak of the gap
LEVELS = (0.3, LEVEL, 2.8)  # s at which blurs are matched
SCALED = torch.cat([torch.logspace(-1, 1, 17, dtype=torch.float64),
                    torch.tensor(LEVELS, dtype=torch.float64)]).sort().values  # s of the curves


@dataclass(frozen=True)
class RingNetworks:
    """MLPs of each width on `counts` lattice points, `seeds` of each: `steps` networks, measured at `snapshots`."""

    widths: tuple[int, ...] = (16, 64, 128)
    counts: tuple[int, ...] = (8, 9, 10, 11, 12, 14, 16, 20)
    seeds: int = 5
    snapshots: tuple[int, ...] = (300, 1000, 2000, 4000, 8000)
    batch: int = 512
    steps: int = 120
    seed: int = 0

    @property
    def standing(self) -> tuple[int, ...]:
        """The first network of each width, and of each number of points at the first width."""
        last = self.seeds * len(self.counts)
        return (*range(1, last + 1, self.seeds), *range(last + 1, self.steps + 1, last))


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
    """What study 2 asks of any denoiser of n ring points [n, 2], float64:

        gap, risk [S]          mean-square gap and excess risk, at SCALED
        matched [L]            isotropic blur of the same training error, at LEVELS
        isotropic, tangential  share of the error that the best blur leaves unexplained, isotropic and along the ring
        modulation             what the best blur along the ring and the noise leave to be seen of the points

    The last three at LEVEL. The parameters of the best blurs are left out: data need not determine them.
    """
    noise, weights = polar(10, 16, 5.0)  # a network is smooth, and a fit costs hundreds of Bessel functions a node
    exact = {"noise": noise[:, None], "weights": weights}
    unit = RADIUS / len(points)
    sigmas, level = unit * SCALED, unit * LEVEL
    along = fitted_spread(denoiser, points, level, **exact, radius=RADIUS)
    found = {"matched": [matched_blur(denoiser, points, unit * s, **exact) for s in LEVELS],
             "isotropic": fitted_blur(denoiser, points, level, **exact).unexplained,
             "tangential": along.unexplained, "modulation": along.modulation}
    return {"gap": generalization_gap(denoiser, points, holdout, sigmas, **exact).gap,
            "risk": excess_risk(denoiser, RingDenoiser(RADIUS), ring(6 * len(points), RADIUS), sigmas, **exact),
            **{name: torch.tensor(values, dtype=torch.float64) for name, values in found.items()}}


SCALES = [Scales("ring-networks", ring_networks,
                 smoke=RingNetworks((8,), (5,), seeds=2, snapshots=(2, 4), batch=32, steps=2),
                 laptop=RingNetworks(),
                 paper=RingNetworks((16, 64, 128, 256, 1024), seeds=20, steps=800))]
